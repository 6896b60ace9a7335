//! Differences that are intended, each with its reason.

use crate::compare::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A line of the comparison, and why Weir is right. Beside the recording, as
/// `NAME.differences.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intended {
    pub what: String,
    pub why: String,
}

/// What is left of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Nobody intends these.
    pub unintended: Vec<String>,
    /// Nobody finds these any more.
    pub vanished: Vec<String>,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.unintended.is_empty() && self.vanished.is_empty()
    }
}

/// Sets what is intended off against what was found. Real time need not bring about every
/// difference that virtual time has.
pub fn judge(found: &[String], intended: &[Intended], time: Time) -> Verdict {
    let known: BTreeSet<&String> = intended.iter().map(|one| &one.what).collect();
    let unintended = found.iter().filter(|line| !known.contains(line));
    let vanished = intended
        .iter()
        .filter(|one| time == Time::Virtual && !found.contains(&one.what));
    Verdict {
        unintended: unintended.cloned().collect(),
        vanished: vanished.map(|one| one.what.clone()).collect(),
    }
}
