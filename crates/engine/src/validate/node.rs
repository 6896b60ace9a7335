//! Reading untyped JSON with paths, for pod templates.

use super::error::SpecError;
use serde_json::Value;

/// A value and where it is. Absent, null and (for texts) empty are one, as in Go.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn new(path: &str, value: &'a Value) -> Self {
        Self {
            path: path.to_owned(),
            value,
        }
    }

    /// The path of a field, there or not.
    pub(super) fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    /// A field that is an object.
    pub(super) fn object(&self, field: &str) -> Result<Option<Self>, SpecError> {
        self.typed(field, Value::is_object, "an object")
    }

    /// The items of a list.
    pub(super) fn list(&self, field: &str) -> Result<Vec<Self>, SpecError> {
        let Some(list) = self.typed(field, Value::is_array, "a list")? else {
            return Ok(Vec::new());
        };
        let items = list.value.as_array().into_iter().flatten().enumerate();
        items
            .map(|(index, value)| {
                let item = Self {
                    path: format!("{}[{index}]", list.path),
                    value,
                };
                if value.is_object() {
                    Ok(item)
                } else {
                    Err(wrong_type(&item, "an object"))
                }
            })
            .collect()
    }

    /// A text; `None` if empty.
    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, SpecError> {
        let node = self.typed(field, Value::is_string, "a string")?;
        Ok(node
            .and_then(|node| node.value.as_str())
            .filter(|text| !text.is_empty()))
    }

    /// A text that must be there.
    pub(super) fn required_text(&self, field: &str) -> Result<&'a str, SpecError> {
        self.text(field)?
            .ok_or_else(|| SpecError::required(self.at(field), ""))
    }

    /// An integer.
    pub(super) fn integer(&self, field: &str) -> Result<Option<i64>, SpecError> {
        let node = self.typed(field, Value::is_i64, "an integer")?;
        Ok(node.and_then(|node| node.value.as_i64()))
    }

    fn typed(
        &self,
        field: &str,
        is: fn(&Value) -> bool,
        article: &str,
    ) -> Result<Option<Self>, SpecError> {
        let Some(value) = self.value.get(field).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let node = Self {
            path: self.at(field),
            value,
        };
        if is(value) {
            Ok(Some(node))
        } else {
            Err(wrong_type(&node, article))
        }
    }
}

fn wrong_type(node: &Node<'_>, article: &str) -> SpecError {
    let detail = format!("must be {article}");
    match node.value {
        Value::Array(_) | Value::Object(_) => SpecError::invalid_whole(&node.path, &detail),
        value => SpecError::invalid(&node.path, value.clone(), &detail),
    }
}
