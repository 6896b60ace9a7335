//! `metav1.Status` failures with the words a kube-apiserver uses.

use serde::Serialize;
use serde_json::{Value, json};
use structural::{FieldError, join};

use crate::store::Compacted;

/// One reason inside an `Invalid` or `Conflict` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Machine-readable kind, e.g. `FieldValueRequired`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Human words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// JSON path of the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What a failure is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Details {
    /// Object name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Resource (plural) or kind, as the real server mixes them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Uid, in successful deletions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The single reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again, seconds.
    #[serde(rename = "retryAfterSeconds", skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// `metav1.StatusReason`, e.g. `NotFound`.
    pub reason: &'static str,
    /// Human words.
    pub message: String,
    /// What it is about.
    pub details: Option<Box<Details>>,
    /// Where an expired list may go on, inconsistently.
    pub continue_token: Option<Box<str>>,
}

/// The names that error messages need: resource in the plural, its kind, its group.
pub(crate) trait Named {
    fn group(&self) -> &str;
    fn plural(&self) -> &str;
    fn kind(&self) -> &str;

    /// `deployments.apps`, `pods`.
    fn qualified(&self) -> String {
        dotted(self.plural(), self.group())
    }
}

fn dotted(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

impl Status {
    /// A failure without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            continue_token: None,
        }
    }

    fn about(mut self, of: &dyn Named, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: of.group().to_owned(),
            kind: of.plural().to_owned(),
            ..Details::default()
        }));
        self
    }

    pub(crate) fn continued(mut self, token: String) -> Self {
        self.continue_token = Some(token.into());
        self
    }

    pub(crate) fn with_details(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    pub(crate) fn with_cause(mut self, reason: &str, message: &str, field: &str) -> Self {
        self.details.get_or_insert_default().causes.push(Cause {
            reason: reason.to_owned(),
            message: message.to_owned(),
            field: field.to_owned(),
        });
        self
    }

    pub(crate) fn not_found(of: &dyn Named, name: &str) -> Self {
        Self::new(
            404,
            "NotFound",
            format!("{} {name:?} not found", of.qualified()),
        )
        .about(of, name)
    }

    pub(crate) fn already_exists(of: &dyn Named, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{} {name:?} already exists", of.qualified()),
        )
        .about(of, name)
    }

    pub(crate) fn conflict(of: &dyn Named, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            of.qualified()
        );
        Self::new(409, "Conflict", message).about(of, name)
    }

    /// A precondition of a deletion: named by kind.
    pub(crate) fn precondition(of: &dyn Named, name: &str, why: &str) -> Self {
        let kind = dotted(of.kind(), of.group());
        let message = format!("Operation cannot be fulfilled on {kind} {name:?}: {why}");
        let details = Details {
            name: name.to_owned(),
            group: of.group().to_owned(),
            kind: of.kind().to_owned(),
            ..Details::default()
        };
        Self::new(409, "Conflict", message).with_details(details)
    }

    pub(crate) fn modified(of: &dyn Named, name: &str) -> Self {
        Self::conflict(
            of,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(crate) fn forbidden(of: &dyn Named, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", of.qualified())
        } else {
            format!("{} {name:?} is forbidden: {why}", of.qualified())
        };
        Self::new(403, "Forbidden", message).about(of, name)
    }

    pub(crate) fn invalid(of: &dyn Named, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid_kind(of.kind(), of.group(), name, errors)
    }

    pub(crate) fn invalid_kind(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Self {
        let causes = errors.iter().map(cause_of).collect();
        let details = Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        };
        let message = format!(
            "{} {name:?} is invalid: {}",
            dotted(kind, group),
            join(&distinct(errors))
        );
        Self::new(422, "Invalid", message).with_details(details)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
        .with_cause("", &message, "")
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            ),
        )
    }

    /// An already negotiated route that does not take this media type.
    pub(crate) fn unsupported_patch() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
            .with_details(Details::default())
    }

    pub(crate) fn not_acceptable(accepted: &str) -> Self {
        Self::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {accepted}"),
        )
    }

    /// The same for built-in resources, whose routes negotiate before the handler does.
    pub(crate) fn no_representation(available: &str) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
        Self::new(406, "NotAcceptable", message).with_details(Details::default())
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with_details(Details::default())
    }

    pub(crate) fn no_such_resource() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
        .with_details(Details::default())
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// The object on the wire.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            value["reason"] = json!(self.reason);
        }
        if let Some(token) = &self.continue_token {
            value["metadata"]["continue"] = json!(token);
        }
        if let Some(details) = &self.details {
            value["details"] = json!(details);
        }
        value
    }

    /// True for 404 with reason `NotFound`.
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// True for 409 with reason `Conflict`.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// True for 409 with reason `AlreadyExists`.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }
}

impl From<Compacted> for Status {
    fn from(compacted: Compacted) -> Self {
        Self::expired(compacted.to_string())
    }
}

/// Messages say a mistake once; causes keep every mention.
fn distinct(errors: &[FieldError]) -> Vec<FieldError> {
    let mut kept: Vec<FieldError> = Vec::new();
    for error in errors {
        if !kept.contains(error) {
            kept.push(error.clone());
        }
    }
    kept
}

fn cause_of(error: &FieldError) -> Cause {
    Cause {
        reason: error.kind.reason().to_owned(),
        message: error.body(),
        field: error.path.clone(),
    }
}
