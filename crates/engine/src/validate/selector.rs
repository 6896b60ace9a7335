//! Label selectors, as apimachinery checks them.

use super::error::{Check, SpecError, first_complaint};
use gocompat::labels::{Expression, Selector, validate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::BTreeMap;

/// Checks that a selector is well-formed and selects less than everything.
pub(super) fn selector(path: &str, selector: &LabelSelector) -> Check {
    if let Some(match_labels) = &selector.match_labels {
        labels(&format!("{path}.matchLabels"), match_labels)?;
    }
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        self::requirement(&format!("{path}.matchExpressions[{index}]"), requirement)?;
    }
    if matches_everything(selector) {
        return Err(SpecError::invalid_whole(
            path,
            "an empty selector would take every pod of the namespace",
        ));
    }
    Ok(())
}

/// Keys and values of labels.
pub(super) fn labels(path: &str, labels: &BTreeMap<String, String>) -> Check {
    for (key, value) in labels {
        first_complaint(path, key, validate::qualified_name(key))?;
        first_complaint(path, value, validate::label_value(value))?;
    }
    Ok(())
}

fn requirement(path: &str, requirement: &LabelSelectorRequirement) -> Check {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            return Err(SpecError::required(
                format!("{path}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            ));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            return Err(SpecError::forbidden(
                format!("{path}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => {
            return Err(SpecError::invalid(
                format!("{path}.operator"),
                operator,
                "not a valid selector operator",
            ));
        }
    }
    let key = requirement.key.as_str();
    first_complaint(&format!("{path}.key"), key, validate::qualified_name(key))?;
    for (index, value) in values.iter().enumerate() {
        let path = format!("{path}.values[{index}]");
        first_complaint(&path, value, validate::label_value(value))?;
    }
    Ok(())
}

fn matches_everything(selector: &LabelSelector) -> bool {
    selector
        .match_labels
        .as_ref()
        .is_none_or(BTreeMap::is_empty)
        && selector
            .match_expressions
            .as_ref()
            .is_none_or(Vec::is_empty)
}

/// Whether a well-formed selector takes these labels.
pub(super) fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let none = BTreeMap::new();
    let match_labels = selector.match_labels.as_ref().unwrap_or(&none);
    let expressions = selector.match_expressions.iter().flatten();
    let expressions = expressions.map(|requirement| Expression {
        key: &requirement.key,
        operator: &requirement.operator,
        values: requirement.values.as_deref(),
    });
    Selector::from_parts(match_labels, expressions).is_ok_and(|selector| selector.matches(labels))
}
