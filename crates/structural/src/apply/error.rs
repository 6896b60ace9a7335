//! Why an apply is refused.

use std::fmt::Write as _;

use serde_json::{Value, json};
use thiserror::Error;

use super::managed::Identity;
use crate::go;

/// A field that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    pub(super) owner: Identity,
    /// Such as `.spec.replicas`.
    pub path: String,
}

impl Conflict {
    /// Who owns it, as messages print it: `"kubectl-client-side-apply" using apps/v1`.
    pub fn manager(&self) -> String {
        self.owner.text()
    }
}

/// A refused apply.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ApplyError {
    /// Other managers own fields that would change (409).
    #[error("{}", conflict_message(.0))]
    Conflict(Vec<Conflict>),
    /// The patch is not fit to be applied (400).
    #[error("{0}")]
    BadRequest(String),
    /// The patch does not fit the schema, or stored ownership cannot be read (500).
    #[error("{0}")]
    Internal(String),
}

impl ApplyError {
    /// HTTP status and `Status.reason`.
    pub const fn status(&self) -> (u16, &'static str) {
        match self {
            Self::Conflict(_) => (409, "Conflict"),
            Self::BadRequest(_) => (400, "BadRequest"),
            Self::Internal(_) => (500, ""),
        }
    }

    /// `Status.details.causes`: one per conflicting field.
    pub fn causes(&self) -> Vec<Value> {
        let Self::Conflict(conflicts) = self else {
            return Vec::new();
        };
        let cause = |conflict: &Conflict| {
            json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", conflict.manager()),
                "field": conflict.path,
            })
        };
        conflicts.iter().map(cause).collect()
    }
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        return format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            one.manager(),
            one.path
        );
    }
    let mut text = format!("Apply failed with {} conflicts: ", conflicts.len());
    let mut owner: Option<&Identity> = None;
    for (index, conflict) in conflicts.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        if owner != Some(&conflict.owner) {
            owner = Some(&conflict.owner);
            let _ = writeln!(text, "conflicts with {}:", conflict.manager());
        }
        let _ = write!(text, "- {}", conflict.path);
    }
    text
}

impl Identity {
    pub(super) fn text(&self) -> String {
        let mut text = go::quote(&self.manager);
        if !self.subresource.is_empty() {
            let _ = write!(text, " with subresource {}", go::quote(&self.subresource));
        }
        if !self.applied {
            let _ = write!(text, " using {}", self.api_version);
        }
        text
    }
}
