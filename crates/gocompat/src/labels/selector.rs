//! A selector: requirements that must all hold.

use super::parse::Parser;
use super::requirement::{Operator, Requirement};
use crate::number::quote;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Longest selector string that is read.
const MAX_LEN: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(super) String);

/// One entry of `matchExpressions`.
#[derive(Clone, Copy, Debug)]
pub struct Expression<'a> {
    pub key: &'a str,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: &'a str,
    pub values: Option<&'a [String]>,
}

/// Requirements in order of their keys; all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// `None` selects nothing.
    requirements: Option<Vec<Requirement>>,
}

impl Selector {
    /// Selects every object.
    pub fn everything() -> Self {
        Self {
            requirements: Some(Vec::new()),
        }
    }

    /// Selects no object.
    pub fn nothing() -> Self {
        Self { requirements: None }
    }

    /// `labels.Parse`: the form of `kubectl -l` and of the `labelSelector` query parameter.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_LEN {
            return Err(SelectorError(format!(
                "selector is longer than {MAX_LEN} bytes"
            )));
        }
        Ok(Self::of(Parser::new(text).parse().map_err(SelectorError)?))
    }

    /// `LabelSelectorAsSelector` of the JSON of a LabelSelector. Absent selects nothing, empty
    /// everything.
    pub fn from_label_selector(selector: Option<&Value>) -> Result<Self, SelectorError> {
        let Some(selector) = selector.filter(|selector| !selector.is_null()) else {
            return Ok(Self::nothing());
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels: BTreeMap<String, String> = selector["matchLabels"]
            .as_object()
            .map(|labels| {
                labels
                    .iter()
                    .map(|(key, value)| (key.clone(), text(value)))
                    .collect()
            })
            .unwrap_or_default();
        let items = selector["matchExpressions"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let lists: Vec<Option<Vec<String>>> = items
            .iter()
            .map(|item| {
                item["values"]
                    .as_array()
                    .map(|values| values.iter().map(text).collect())
            })
            .collect();
        let expressions = items.iter().zip(&lists).map(|(item, values)| Expression {
            key: item["key"].as_str().unwrap_or_default(),
            operator: item["operator"].as_str().unwrap_or_default(),
            values: values.as_deref(),
        });
        Self::from_parts(&labels, expressions)
    }

    /// The same from `matchLabels` and `matchExpressions`.
    pub fn from_parts<'a>(
        match_labels: &BTreeMap<String, String>,
        match_expressions: impl IntoIterator<Item = Expression<'a>>,
    ) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in match_labels {
            let values = Some(BTreeSet::from([value.clone()]));
            let requirement = Requirement::new(key, Operator::Equals, values, "key");
            requirements.push(requirement.map_err(SelectorError)?);
        }
        for expression in match_expressions {
            let operator = match expression.operator {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    let other = quote(other);
                    return Err(SelectorError(format!(
                        "{other} is not a valid label selector operator"
                    )));
                }
            };
            let values = expression
                .values
                .map(|values| values.iter().cloned().collect());
            let requirement = Requirement::new(expression.key, operator, values, "key");
            requirements.push(requirement.map_err(SelectorError)?);
        }
        Ok(Self::of(requirements))
    }

    fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key().cmp(b.key()));
        Self {
            requirements: Some(requirements),
        }
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// Matches labels that are not in a map: `get` looks one up.
    pub fn matches_with<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.as_ref().is_some_and(|requirements| {
            requirements
                .iter()
                .all(|requirement| requirement.accepts(get(requirement.key())))
        })
    }

    /// The requirements; none for a selector that selects nothing.
    pub fn requirements(&self) -> &[Requirement] {
        self.requirements.as_deref().unwrap_or_default()
    }
}

/// The form that [`Selector::parse`] reads. What selects nothing prints as the empty string.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}
