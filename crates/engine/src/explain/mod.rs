//! What a Rollout is doing and what it waits for, in sentences: the trace of its plan, with the
//! numbers, times and pods of the snapshot around it.
//!
//! [`explain`] is pure, as the planner is. The planner says what holds the Rollout
//! ([`plan::WaitingOn`]); here is added what a person at a terminal asks next: since when, until
//! when, whose fault it is, and what can be done.

mod analysis;
mod arms;
mod experiment;
mod objects;
mod pods;
mod refused;
mod remedy;
mod since;
mod summary;
mod text;
mod waits;
mod warned;

pub use refused::{planned, refused};
pub use remedy::{Command, Remedy};
pub use text::Names;

use crate::rollout::replica_set::OwnedSet;
use crate::snapshot::RolloutSnapshot;
use api::{CanaryStep, RolloutSpec, RolloutStatus};
use jiff::Timestamp;
use plan::Plan;
use serde::Serialize;
use std::sync::Arc;

/// A plan, what it was made from, and when. The snapshot should have the pods of all ReplicaSets,
/// whatever [`crate::snapshot::References::pods`] says: they are what most questions are about.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub snapshot: &'a RolloutSnapshot,
    pub plan: &'a Plan<RolloutStatus>,
    pub now: Timestamp,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub namespace: String,
    pub name: String,
    /// When it was asked.
    pub now: Timestamp,
    /// Where the Rollout stands, in a sentence.
    pub summary: String,
    /// Its ReplicaSets and who gets the traffic.
    pub arms: Vec<String>,
    /// What has to happen before it moves on. Empty: it is where it should be.
    pub waits: Vec<Wait>,
    /// What the controller decides about it now.
    pub decisions: Vec<String>,
    /// What of that is not written yet.
    pub outstanding: Vec<String>,
    /// What the controller has warned of lately, as events tell: see [`Explanation::warn`].
    pub warnings: Vec<String>,
    /// What else one should know before believing this.
    pub notes: Vec<String>,
}

/// One thing that is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// What is waited for.
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it ends by itself, or is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Pods, metrics and messages behind it.
    pub details: Vec<String>,
    /// What a person can do, the most obvious first.
    pub remedies: Vec<Remedy>,
}

/// See the module's documentation.
pub fn explain(seen: Seen<'_>) -> Explanation {
    let teller = Teller::new(seen);
    let rollout = &seen.snapshot.rollout;
    let waits = seen.plan.trace.waiting_on.iter();
    Explanation {
        namespace: rollout.metadata.namespace.clone().unwrap_or_default(),
        name: teller.name().to_owned(),
        now: seen.now,
        summary: teller.summary(),
        arms: teller.arms(),
        waits: waits.map(|wait| teller.wait(wait)).collect(),
        decisions: teller.decisions(),
        outstanding: teller.outstanding(),
        warnings: Vec::new(),
        notes: teller.notes(),
    }
}

/// Who tells it: the snapshot, sorted.
struct Teller<'a> {
    seen: Seen<'a>,
    stored: RolloutStatus,
    /// The ReplicaSets that the Rollout controls, the newest revision first.
    sets: Vec<OwnedSet>,
}

impl<'a> Teller<'a> {
    fn new(seen: Seen<'a>) -> Self {
        let rollout = &seen.snapshot.rollout;
        let uid = rollout.metadata.uid.as_deref();
        let mut sets: Vec<OwnedSet> = seen
            .snapshot
            .replica_sets
            .iter()
            .filter(|set| {
                let owners = set.metadata.owner_references.iter().flatten();
                owners
                    .into_iter()
                    .any(|owner| owner.controller == Some(true) && Some(&*owner.uid) == uid)
            })
            .map(|set| OwnedSet::new(Arc::clone(set)))
            .collect();
        sets.sort_by_key(|set| std::cmp::Reverse(set.revision()));
        Self {
            seen,
            stored: rollout.status.clone().unwrap_or_default(),
            sets,
        }
    }

    fn name(&self) -> &str {
        let metadata = &self.seen.snapshot.rollout.metadata;
        metadata.name.as_deref().unwrap_or_default()
    }

    fn spec(&self) -> &RolloutSpec {
        &self.seen.snapshot.rollout.spec
    }

    /// The status as the plan makes it: one pass newer than what is stored.
    fn status(&self) -> &RolloutStatus {
        &self.seen.plan.status
    }

    fn set(&self, name: &str) -> Option<&OwnedSet> {
        self.sets.iter().find(|set| set.name() == name)
    }

    fn set_by_hash(&self, hash: &str) -> Option<&OwnedSet> {
        let mut sets = self.sets.iter();
        sets.find(|set| !hash.is_empty() && set.hash() == hash)
    }

    /// Whether another revision than the stable one is on its way.
    fn is_updating(&self) -> bool {
        let status = self.status();
        !status.stable_rs.is_empty() && status.stable_rs != status.current_pod_hash
    }

    /// The step that the status is at; none past the last one.
    fn current_step(&self) -> Option<&CanaryStep> {
        let index = usize::try_from(self.status().current_step_index?).ok()?;
        self.spec().canary_steps().get(index)
    }

    /// The revision that everything goes back to.
    fn stable_revision(&self) -> Option<i64> {
        self.set_by_hash(&self.status().stable_rs)
            .map(OwnedSet::revision)
    }

    /// `revision 2`, or the name of a ReplicaSet that carries no revision.
    fn revision_of(set: &OwnedSet) -> String {
        match set.revision() {
            0 => set.name().to_owned(),
            revision => format!("revision {revision}"),
        }
    }

    fn role_of(&self, set: &OwnedSet) -> &'static str {
        let status = self.status();
        if set.hash() == status.stable_rs {
            "stable"
        } else if set.hash() != status.current_pod_hash {
            "superseded"
        } else if self.spec().blue_green().is_some() {
            "preview"
        } else {
            "canary"
        }
    }
}

/// `1 pod`, `2 pods`.
fn count(number: i32, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
