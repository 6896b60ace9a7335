//! Measurements as they end: taken, or not to be had.

use super::step::began;
use crate::analysis::time::time;
use api::{AnalysisPhase, Measurement};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// `startedAt` of a memo.
pub(super) fn started(memo: &Value) -> Option<Timestamp> {
    memo.get("startedAt")?.as_str()?.parse().ok()
}

/// A measurement that ended.
pub(super) fn finished(memo: &Value, now: Timestamp, phase: AnalysisPhase) -> Measurement {
    Measurement {
        phase,
        message: String::new(),
        started_at: Some(time(began(memo, now))),
        finished_at: Some(time(now)),
        value: String::new(),
        metadata: BTreeMap::new(),
        resume_at: None,
    }
}

/// A measurement that could not be taken.
pub(super) fn error(memo: &Value, now: Timestamp, message: impl Into<String>) -> Measurement {
    Measurement {
        message: message.into(),
        ..finished(memo, now, AnalysisPhase::Error)
    }
}
