//! One requirement of a selector.

use super::validate;
use crate::number::quote;
use std::collections::BTreeSet;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    /// `=`
    Equals,
    /// `==`
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// A key, an operator and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

impl Requirement {
    /// Checks key and values as `labels.NewRequirement` does. `key_path` is how errors call the
    /// key.
    pub(super) fn new(
        key: &str,
        operator: Operator,
        values: Option<BTreeSet<String>>,
        key_path: &str,
    ) -> Result<Self, String> {
        let mut errors = key_errors(key, key_path);
        if let Some(error) = count_error(operator, values.as_ref()) {
            errors.push(error);
        }
        let values = values.unwrap_or_default();
        for (index, value) in values.iter().enumerate() {
            let compares = matches!(operator, Operator::GreaterThan | Operator::LessThan);
            if compares && value.parse::<i64>().is_err() {
                errors.push(format!(
                    "values[{index}]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must \
                     be an integer",
                    quote(value)
                ));
            }
            let wrong = validate::label_value(value);
            if !wrong.is_empty() {
                let wrong = wrong.join("; ");
                let path = format!("values[{index}][{key}]");
                errors.push(format!("{path}: Invalid value: {}: {wrong}", quote(value)));
            }
        }
        match errors.as_slice() {
            [] => Ok(Self {
                key: key.to_owned(),
                operator,
                values,
            }),
            [error] => Err(error.clone()),
            errors => Err(format!("[{}]", errors.join(", "))),
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn operator(&self) -> Operator {
        self.operator
    }

    pub fn values(&self) -> &BTreeSet<String> {
        &self.values
    }

    /// Whether a set of labels in which the key has this value satisfies the requirement.
    pub(super) fn accepts(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => {
                value.is_some_and(|value| self.values.contains(value))
            }
            Operator::NotIn | Operator::NotEquals => {
                value.is_none_or(|value| !self.values.contains(value))
            }
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compares(value, |value, bound| value > bound),
            Operator::LessThan => self.compares(value, |value, bound| value < bound),
        }
    }

    fn compares(&self, value: Option<&str>, holds: impl Fn(i64, i64) -> bool) -> bool {
        let value = value.and_then(|value| value.parse().ok());
        let bound = self.values.first().and_then(|bound| bound.parse().ok());
        value
            .zip(bound)
            .is_some_and(|(value, bound)| holds(value, bound))
    }
}

pub(super) fn key_errors(key: &str, path: &str) -> Vec<String> {
    let wrong = validate::qualified_name(key);
    if wrong.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "{path}: Invalid value: {}: {}",
        quote(key),
        wrong.join("; ")
    )]
}

fn count_error(operator: Operator, values: Option<&BTreeSet<String>>) -> Option<String> {
    let count = values.map_or(0, BTreeSet::len);
    let rule = match operator {
        Operator::In | Operator::NotIn if count == 0 => {
            "for 'in', 'notin' operators, values set can't be empty"
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if count != 1 => {
            "exact-match compatibility requires one single value"
        }
        Operator::Exists | Operator::DoesNotExist if count != 0 => {
            "values set must be empty for exists and does not exist"
        }
        Operator::GreaterThan | Operator::LessThan if count != 1 => {
            "for 'Gt', 'Lt' operators, exactly one value is required"
        }
        _ => return None,
    };
    let shown = match values {
        None => "null".to_owned(),
        Some(values) => {
            format!(
                "[{}]",
                values
                    .iter()
                    .map(|value| quote(value))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
    };
    Some(format!("values: Invalid value: {shown}: {rule}"))
}

/// As `labels.Requirement.String` prints it.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self
            .values
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(",");
        let key = &self.key;
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}
