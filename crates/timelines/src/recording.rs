//! What was seen while a scenario was played.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A recording, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub name: String,
    #[serde(default)]
    pub about: String,
    /// The pod template hash of each revision.
    pub hashes: BTreeMap<String, String>,
    pub steps: Vec<Step>,
    pub timeline: Vec<Entry>,
}

/// An action, and when it was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Seconds since the start.
    pub t: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Value>,
    /// Seconds that an `until` took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// Whether an `until` was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
    /// How much of the timeline had been seen before an action, or when an `until` was met. The
    /// peer's recordings have only times, and those in tenths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<usize>,
    #[serde(default, rename = "do", skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The rest of the action.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// An object that somebody saw, without what it has been seen with before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since the start.
    pub t: f64,
    pub kind: String,
    pub name: String,
    pub op: Op,
    #[serde(default)]
    pub is: Value,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// It was created or changed.
    #[serde(rename = "+")]
    Applied,
    #[serde(rename = "-")]
    Deleted,
}

impl Step {
    /// `Healthy`, for a step that waits for it.
    pub(crate) fn phase(&self) -> Option<&str> {
        self.until.as_ref()?["status.phase"].as_str()
    }

    /// When an action was done, or an `until` was met.
    pub(crate) fn end(&self) -> f64 {
        self.t + self.after.unwrap_or(0.0)
    }

    /// Whether a user changes something here.
    pub(crate) fn acts(&self) -> bool {
        matches!(self.action.as_deref(), Some("patch" | "status"))
    }
}
