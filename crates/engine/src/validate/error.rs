//! A mistake in a spec, in the form and the words of Kubernetes' field errors.

use serde_json::Value;

/// What is wrong, and where. Displays as apimachinery's field errors do:
/// `spec.replicas: Invalid value: -1: must be greater than or equal to 0`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SpecError {
    /// The field, e.g. `spec.strategy.canary.steps[1].setWeight`.
    pub path: String,
    /// The kind of the error, the value where that helps, and the detail.
    pub message: String,
}

/// The result of one check.
pub(super) type Check = Result<(), SpecError>;

impl SpecError {
    fn new(path: impl Into<String>, parts: &[&str]) -> Self {
        let parts: Vec<&str> = parts
            .iter()
            .copied()
            .filter(|part| !part.is_empty())
            .collect();
        Self {
            path: path.into(),
            message: parts.join(": "),
        }
    }

    /// `Required value[: detail]`.
    pub(super) fn required(path: impl Into<String>, detail: &str) -> Self {
        Self::new(path, &["Required value", detail])
    }

    /// `Invalid value: <value as JSON>: detail`.
    pub(crate) fn invalid(path: impl Into<String>, value: impl Into<Value>, detail: &str) -> Self {
        Self::new(path, &["Invalid value", &shown(&value.into()), detail])
    }

    /// `Invalid value: detail`, for a value that is too long to be of help.
    pub(super) fn invalid_whole(path: impl Into<String>, detail: &str) -> Self {
        Self::new(path, &["Invalid value", detail])
    }

    /// `Unsupported value: <value>: supported values: "A", "B"`.
    pub(super) fn not_supported(path: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|value| quote(value)).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        Self::new(path, &["Unsupported value", &quote(value), &detail])
    }

    /// `Duplicate value: <value>`.
    pub(super) fn duplicate(path: impl Into<String>, value: &str) -> Self {
        Self::new(path, &["Duplicate value", &quote(value)])
    }

    /// `Not found: <value>`.
    pub(super) fn not_found(path: impl Into<String>, value: &str) -> Self {
        Self::new(path, &["Not found", &quote(value)])
    }

    /// `Forbidden: detail`.
    pub(super) fn forbidden(path: impl Into<String>, detail: &str) -> Self {
        Self::new(path, &["Forbidden", detail])
    }

    /// `Internal error: detail`.
    pub(super) fn internal(path: impl Into<String>, detail: &str) -> Self {
        Self::new(path, &["Internal error", detail])
    }
}

fn quote(text: &str) -> String {
    gocompat::number::quote(text)
}

/// A value as field errors print it: text quoted as Go does, everything else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => other.to_string(),
    }
}

/// The first of several complaints about one value.
pub(super) fn first_complaint(path: &str, value: &str, complaints: Vec<String>) -> Check {
    match complaints.into_iter().next() {
        Some(complaint) => Err(SpecError::invalid(path, value, &complaint)),
        None => Ok(()),
    }
}

/// Kubernetes' check of counts.
pub(super) fn non_negative(path: &str, value: Option<i32>) -> Check {
    match value {
        Some(value) if value < 0 => Err(SpecError::invalid(
            path,
            value,
            "must be greater than or equal to 0",
        )),
        _ => Ok(()),
    }
}

/// Kubernetes' check of ranges, bounds included.
pub(super) fn within(path: &str, value: i64, bounds: std::ops::RangeInclusive<i64>) -> Check {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (low, high) = bounds.into_inner();
    let detail = format!("must be between {low} and {high}, inclusive");
    Err(SpecError::invalid(path, value, &detail))
}
