//! YAML as Kubernetes tools read it: one wrapper, so that every file is read by the same rules.
//!
//! The rules are those of Go's `sigs.k8s.io/yaml` (YAML 1.1 booleans, octal with a leading zero,
//! floats without fraction become integers), except that a key given twice is an error here (Go
//! keeps the last one and says nothing, which hides mistakes), and so is a number too large for a
//! float (Go makes it a string).

use crate::number;
use serde_json::{Map, Number, Value};

/// Longest input that is read.
pub const MAX_LEN: usize = 16 * 1024 * 1024;

/// Deepest nesting that is read: twice what a CRD of a pod template needs. The reader recurses,
/// with large frames.
pub const MAX_DEPTH: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// Line and column count from 1.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        line: u64,
        column: u64,
        message: String,
    },
    #[error("{0}")]
    Unplaced(String),
    #[error("input is longer than {MAX_LEN} bytes")]
    TooLong,
}

/// The documents of a file, in order. Documents without content are left out.
///
/// A `List` stays one document: whoever wants its items takes them out.
pub fn from_str(text: &str) -> Result<Vec<Value>, YamlError> {
    if text.len() > MAX_LEN {
        return Err(YamlError::TooLong);
    }
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| place(&error))?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(normalise)
        .collect())
}

/// The only document of a file: `null` when there is none, an error when there are several.
pub fn from_str_single(text: &str) -> Result<Value, YamlError> {
    let mut documents = from_str(text)?;
    match documents.len() {
        0 => Ok(Value::Null),
        1 => Ok(documents.remove(0)),
        count => Err(YamlError::Unplaced(format!(
            "expected one document, found {count}"
        ))),
    }
}

/// What [`from_str`] reads back as `value`, in block style.
pub fn to_string(value: &Value) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(|error| YamlError::Unplaced(error.to_string()))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: 500_000,
            max_aliases: 10_000,
            max_anchors: 10_000,
        },
    }
}

fn place(error: &serde_saphyr::Error) -> YamlError {
    let message = error.without_snippet().render();
    // The place stands first here, and what the reader says about its own options helps nobody.
    let ends = [" at line ", ", set DuplicateKeyPolicy"];
    let end = ends
        .iter()
        .filter_map(|end| message.find(end))
        .min()
        .unwrap_or(message.len());
    let message = message[..end].to_owned();
    match error.location() {
        Some(location) => YamlError::Syntax {
            line: location.line(),
            column: location.column(),
            message,
        },
        None => YamlError::Unplaced(message),
    }
}

/// Floats without a fraction become integers, as they do when Go's JSON is read back.
fn normalise(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let negative_zero = |float: &f64| *float == 0.0 && float.is_sign_negative();
            let float = number.as_f64().filter(|float| !negative_zero(float));
            let integer = float.and_then(number::integral);
            Value::Number(integer.map_or(number, Number::from))
        }
        Value::Array(items) => items.into_iter().map(normalise).collect(),
        Value::Object(entries) => {
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key, normalise(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        other => other,
    }
}
