//! The signs that stand for states.

use api::{AnalysisPhase, RolloutPhase};
use serde::{Serialize, Serializer};
use std::fmt;

/// A sign for how something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Ok,
    Bad,
    Warning,
    Progressing,
    Waiting,
    Paused,
    Unknown,
    Neutral,
}

impl Icon {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "✔",
            Self::Bad => "✖",
            Self::Warning => "⚠",
            Self::Progressing => "◌",
            Self::Waiting => "◷",
            Self::Paused => "॥",
            Self::Unknown => "?",
            Self::Neutral => "•",
        }
    }
}

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Icon {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl From<RolloutPhase> for Icon {
    fn from(phase: RolloutPhase) -> Self {
        match phase {
            RolloutPhase::Healthy => Self::Ok,
            RolloutPhase::Degraded => Self::Bad,
            RolloutPhase::Progressing => Self::Progressing,
            RolloutPhase::Paused => Self::Paused,
        }
    }
}

impl From<AnalysisPhase> for Icon {
    fn from(phase: AnalysisPhase) -> Self {
        match phase {
            AnalysisPhase::Pending => Self::Waiting,
            AnalysisPhase::Running => Self::Progressing,
            AnalysisPhase::Successful => Self::Ok,
            AnalysisPhase::Failed => Self::Bad,
            AnalysisPhase::Error => Self::Warning,
            AnalysisPhase::Inconclusive => Self::Unknown,
        }
    }
}
