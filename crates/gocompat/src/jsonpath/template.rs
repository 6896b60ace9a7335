//! A parsed template.

use super::eval::{EvalError, Evaluator};
use super::node::List;
use super::parse::{ParseError, parse};
use crate::{json, number};
use serde_json::Value;
use std::borrow::Cow;

/// A JSONPath template: text with actions in braces.
#[derive(Clone, Debug)]
pub struct JsonPath {
    nodes: List,
    allow_missing_keys: bool,
}

impl JsonPath {
    pub fn parse(template: &str) -> Result<Self, ParseError> {
        Ok(Self {
            nodes: parse(template)?,
            allow_missing_keys: false,
        })
    }

    /// Whether a field that no value has gives nothing instead of an error.
    #[must_use]
    pub fn allow_missing_keys(mut self, allow: bool) -> Self {
        self.allow_missing_keys = allow;
        self
    }

    /// The results, one list for each text and action (and each turn of a range).
    pub fn find<'v>(&self, data: &'v Value) -> Result<Vec<Vec<Cow<'v, Value>>>, EvalError> {
        Evaluator::new(&self.nodes, self.allow_missing_keys).run(data)
    }

    /// The results as text: values of one action are separated by blanks, objects and arrays are
    /// JSON, everything else is printed as Go's `%v` does.
    pub fn render(&self, data: &Value) -> Result<String, EvalError> {
        let mut out = String::new();
        for results in self.find(data)? {
            let texts: Vec<String> = results.iter().map(|value| text(value)).collect();
            out.push_str(&texts.join(" "));
        }
        Ok(out)
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => json::marshal(value),
        Value::Null => "null".to_owned(),
        scalar => number::format_value(scalar),
    }
}
