//! Analysis runs by script: when each ends, and how.

use crate::ground::Patch;
use crate::object::{Id, Kind, Object};
use crate::time::{stamp, whole};
use crate::world::Shared;
use api::AnalysisPhase;
use plan::{Guard, PatchKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// How a run goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub after_ms: i64,
    /// A phase of an AnalysisRun.
    pub phase: String,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            after_ms: 2_000,
            phase: "Successful".to_owned(),
        }
    }
}

/// The controller of AnalysisRuns, as far as a Rollout sees it.
#[derive(Clone, Debug, Default)]
pub struct Analyses {
    verdicts: Vec<Verdict>,
    /// Runs that are under way, by uid: when and how each ends.
    running: BTreeMap<String, (i64, String)>,
    begun: usize,
    /// Verdicts of the next runs, before all others.
    asked: VecDeque<Verdict>,
    heals: bool,
}

impl Analyses {
    /// The n-th run has the n-th verdict; then they begin again.
    pub fn new(verdicts: Vec<Verdict>) -> Self {
        Self {
            verdicts,
            ..Self::default()
        }
    }

    /// The next run has this verdict.
    pub fn next(&mut self, verdict: Verdict) {
        self.asked.push_back(verdict);
    }

    /// From now on every run succeeds.
    pub fn heal(&mut self) {
        self.heals = true;
    }

    /// Begins and ends runs; when it wants to be asked again. When they began they tell by the
    /// controller's clock, which is ahead by so many milliseconds. (Nobody but the checkers reads
    /// when they ended, so that is told by the true one.)
    pub fn step(&mut self, shared: &mut Shared, ahead_ms: i64) -> Option<i64> {
        let now = shared.now_ms;
        let told = |at: i64| whole(stamp(at)).to_string();
        let ended = |phase: &str| json!({"phase": phase, "completedAt": told(now)});
        let mut next: Option<i64> = None;
        for (id, object) in shared.ground.list(Kind::AnalysisRun) {
            let Some((phase, terminated)) = state(&object) else {
                continue;
            };
            let Some(phase) = phase else {
                let (at, end) = self.begin(now);
                self.running.insert(object.uid().to_owned(), (at, end));
                next = Some(earlier(next, at));
                write(
                    shared,
                    &id,
                    &json!({"phase": "Running", "startedAt": told(now + ahead_ms)}),
                );
                continue;
            };
            if !matches!(phase, AnalysisPhase::Running | AnalysisPhase::Pending) {
                continue;
            }
            let running = self.running.get(object.uid()).cloned();
            let (at, end) = running.unwrap_or_else(|| {
                let verdict = Verdict::default();
                (now, verdict.phase)
            });
            if terminated {
                write(shared, &id, &ended("Successful"));
            } else if at <= now {
                write(shared, &id, &ended(&end));
            } else {
                next = Some(earlier(next, at));
            }
        }
        next
    }

    fn begin(&mut self, now: i64) -> (i64, String) {
        let verdict = if let Some(asked) = self.asked.pop_front() {
            asked
        } else if self.heals || self.verdicts.is_empty() {
            Verdict::default()
        } else {
            self.verdicts[self.begun % self.verdicts.len()].clone()
        };
        self.begun += 1;
        (now + verdict.after_ms.max(1), verdict.phase)
    }
}

fn earlier(next: Option<i64>, at: i64) -> i64 {
    next.map_or(at, |next| next.min(at))
}

/// Phase, and whether it is told to end. Only runs that a Rollout or an Experiment controls are
/// run.
fn state(object: &Object) -> Option<(Option<AnalysisPhase>, bool)> {
    let run = object.analysis_run()?;
    object
        .controller()
        .filter(|owner| matches!(&*owner.kind, "Rollout" | "Experiment"))?;
    let phase = run.status.as_ref().and_then(|status| status.phase);
    Some((phase, run.spec.terminate == Some(true)))
}

fn write(shared: &mut Shared, id: &Id, status: &Value) {
    let body = json!({"status": status});
    let patch = Patch {
        kind: PatchKind::Merge,
        body: &body,
        guard: &Guard::default(),
        subresource: None,
    };
    shared.note(format_args!(
        "{id} {}",
        status["phase"].as_str().unwrap_or_default()
    ));
    // A run that is gone needs no phase.
    drop(shared.ground.patch(shared.now_ms, id, patch));
}
