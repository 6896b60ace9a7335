//! Field errors, as apimachinery's `field.Error`: a path, a type, the bad value and a detail.

use std::fmt;

use serde_json::{Value, json};

use crate::go;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// A required value is missing.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// The value has the wrong type.
    TypeInvalid,
    /// The value is none of the listed ones.
    NotSupported,
    /// The string is too long.
    TooLong,
    /// The list or map has too many entries.
    TooMany,
    /// The value occurs twice where it must be unique.
    Duplicate,
    /// The field must not be set here.
    Forbidden,
    /// The value refers to something that does not exist.
    NotFound,
    /// Something failed that is not the caller's fault.
    Internal,
}

impl ErrorKind {
    /// The text of the type in messages.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }

    /// The `reason` of the cause in a `Status`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }

    const fn hides_value(self) -> bool {
        matches!(
            self,
            Self::Required | Self::Forbidden | Self::TooLong | Self::Internal
        )
    }
}

/// One thing that is wrong with an object. `Display` is `path: Type: value: detail`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Such as `spec.containers[0].name`; `<nil>` for the object as a whole.
    pub path: String,
    /// What is wrong.
    pub kind: ErrorKind,
    /// The offending value; printed for the kinds that print one (`null` when absent).
    pub value: Option<Value>,
    /// More about it; may be empty.
    pub detail: String,
    /// How the value is printed, if not as its JSON; empty if it is not.
    pub printed: Option<String>,
}

impl FieldError {
    /// An error of `kind` that prints no value.
    pub fn new(path: impl Into<String>, kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind,
            value: None,
            detail: detail.into(),
            printed: None,
        }
    }

    /// A missing value.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(path, ErrorKind::Required, detail)
    }

    /// A field that must not be set.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(path, ErrorKind::Forbidden, detail)
    }

    /// A value that breaks a rule.
    pub fn invalid(
        path: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        let value = Some(value.into());
        Self {
            path: path.into(),
            kind: ErrorKind::Invalid,
            value,
            detail: detail.into(),
            printed: None,
        }
    }

    /// A value of the wrong type; `value` is what is printed, the name of the type found.
    pub fn type_invalid(
        path: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: ErrorKind::TypeInvalid,
            ..Self::invalid(path, value, detail)
        }
    }

    /// A value that occurs twice.
    pub fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            kind: ErrorKind::Duplicate,
            ..Self::invalid(path, value, "")
        }
    }

    /// A value outside of a list of supported ones.
    pub fn not_supported<S: AsRef<str>>(
        path: impl Into<String>,
        value: impl Into<Value>,
        supported: &[S],
    ) -> Self {
        let detail = if supported.is_empty() {
            String::new()
        } else {
            let names: Vec<_> = supported
                .iter()
                .map(|name| go::quote(name.as_ref()))
                .collect();
            format!("supported values: {}", names.join(", "))
        };
        Self {
            kind: ErrorKind::NotSupported,
            ..Self::invalid(path, value, detail)
        }
    }

    /// A string of more than `max` bytes.
    pub fn too_long(path: impl Into<String>, max: usize) -> Self {
        Self::new(
            path,
            ErrorKind::TooLong,
            format!(
                "may not be more than {max} {}",
                if max == 1 { "byte" } else { "bytes" }
            ),
        )
    }

    /// A list or map of `found` entries where `max` are allowed.
    pub fn too_many(path: impl Into<String>, found: usize, max: usize) -> Self {
        let noun = if max == 1 { "item" } else { "items" };
        Self {
            kind: ErrorKind::TooMany,
            ..Self::invalid(path, found, format!("must have at most {max} {noun}"))
        }
    }

    /// The message without the path: what a `Status` cause carries.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if !self.kind.hides_value() {
            let value = || go::field_value(self.value.as_ref().unwrap_or(&Value::Null));
            let printed = self.printed.clone().unwrap_or_else(value);
            if !printed.is_empty() {
                text.push_str(": ");
                text.push_str(&printed);
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    /// The entry of `Status.details.causes`.
    pub fn cause(&self) -> Value {
        json!({ "reason": self.kind.reason(), "message": self.body(), "field": self.path })
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

impl std::error::Error for FieldError {}

/// The text after `is invalid: ` in a `Status`: one error as it is, several in brackets, repeats
/// left out.
pub fn join(errors: &[FieldError]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}
