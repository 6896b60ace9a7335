//! The rules of deeds: what an action may be done to.

use super::{Change, Checks, Facts};
use crate::object::{Body, Id, Kind, Object, hash_of, size_of};
use api::{AnalysisPhase, Rollout};
use plan::Action;
use serde_json::Value;

/// One action that is about to be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    pub action: &'a Action,
    /// The target as it is.
    pub live: Option<&'a Object>,
    /// The version of the target that the planner saw.
    pub seen_version: Option<u64>,
    /// The analysis runs that there are.
    pub runs: &'a [(Id, Object)],
}

fn is_ours(rollout: &Rollout, object: &Object) -> bool {
    object.controller_uid() == rollout.metadata.uid.as_deref()
}

/// Whether it is an analysis run or an experiment that has not ended.
fn goes_on(object: &Object) -> bool {
    let phase = match &object.body {
        Body::AnalysisRun(run) => run.status.as_ref().and_then(|status| status.phase),
        Body::Experiment(own) => own.status.as_ref().and_then(|status| status.phase),
        _ => return false,
    };
    phase.is_none_or(|phase| matches!(phase, AnalysisPhase::Pending | AnalysisPhase::Running))
}

impl Checks {
    /// Checks an action before it is carried out.
    pub fn deed(&mut self, at_ms: i64, deed: &Deed<'_>, change: &Change<'_>) {
        match deed.action.deed() {
            Action::Create { object } => self.create(at_ms, deed, change, object),
            Action::Patch { target, patch, .. } => {
                let (Some(id), Some(live)) = (Id::of_key(target), deed.live) else {
                    return;
                };
                let shared = matches!(
                    id.kind,
                    Kind::ReplicaSet | Kind::Service | Kind::HttpRoute | Kind::Ingress
                );
                if shared && deed.seen_version != Some(live.version) {
                    self.report(at_ms, "a write by an old view", format!("{id}"));
                }
                if !may_patch(change.planned, &id, live) {
                    self.report(at_ms, "a patch of something else", format!("{id}"));
                }
                let size = patch.pointer("/spec/replicas").and_then(Value::as_i64);
                if let (Some(set), Some(size)) = (live.replica_set(), size)
                    && let Some((rule, what)) = change.size(hash_of(set), size as i32)
                {
                    self.report(at_ms, rule, what);
                }
                let hash = patch.pointer("/spec/selector/rollouts-pod-template-hash");
                if let (Kind::Service, Some(hash)) = (id.kind, hash.and_then(Value::as_str)) {
                    let pauses = std::mem::take(&mut self.pauses);
                    let switch = change.switch(&id.name, hash, &pauses);
                    if let Some(what) = switch.or_else(|| change.led_astray(&id.name, hash)) {
                        self.report(at_ms, "a switch too early", what);
                    }
                    self.pauses = pauses;
                }
            }
            Action::Delete { target, .. } => {
                let (Some(id), Some(live)) = (Id::of_key(target), deed.live) else {
                    return;
                };
                if !is_ours(change.planned, live) {
                    self.report(at_ms, "a deletion of something else", format!("{id}"));
                }
                if goes_on(live) {
                    self.report(at_ms, "a deletion of what goes on", format!("{id}"));
                }
                if live.replica_set().is_some_and(|set| size_of(set) > 0) {
                    self.report(at_ms, "a deletion of pods", format!("{id}"));
                }
            }
            Action::Evict { pod, .. } => self.evict(at_ms, change, &pod.name),
            Action::Apply { .. }
            | Action::Replace { .. }
            | Action::Attempt(_)
            | Action::Measure(_) => {
                self.report(at_ms, "an action that is none of a Rollout", String::new());
            }
        }
    }

    /// A pod of the Rollout.
    fn evict(&mut self, at_ms: i64, change: &Change<'_>, name: &str) {
        let mut sets = change.seen.sets.iter();
        if !sets.any(|set| name.contains(&set.hash)) {
            self.report(at_ms, "an eviction of something else", name);
        }
    }

    /// An arm that was seen to have two ready pods keeps one, whoever is evicted. `left` has the
    /// hashes of those that the plan leaves one: see [`super::left_ready`].
    pub fn evicted(
        &mut self,
        at_ms: i64,
        seen: &Facts,
        (before, after): (&Facts, &Facts),
        (ready, left): (&[String], &[String]),
    ) {
        for set in &seen.sets {
            let hash = &set.hash;
            let is_there = ready.iter().any(|name| name.contains(hash));
            let taken = before.ready_of(hash) > 0 && after.ready_of(hash) == 0 && !is_there;
            let is_fault = set.ready > 1 && !left.contains(hash);
            if taken && is_fault && before.gets_traffic(hash) {
                let what = format!("the last of {} ready pods of {hash}", set.ready);
                self.report(at_ms, "an eviction of a whole arm", what);
            }
        }
    }

    /// One live analysis run for a purpose.
    fn create(&mut self, at_ms: i64, deed: &Deed<'_>, change: &Change<'_>, object: &Value) {
        if object["kind"] != "AnalysisRun" {
            return;
        }
        let label = |name: &str| {
            let labels = object.pointer("/metadata/labels")?;
            labels.get(name)?.as_str().map(str::to_owned)
        };
        let purpose = ["rollout-type", "step-index", "rollouts-pod-template-hash"];
        let wanted = purpose.map(label);
        for (id, run) in deed.runs {
            let Some(run) = run.analysis_run().filter(|_| is_ours(change.planned, run)) else {
                continue;
            };
            let labels = run.metadata.labels.as_ref();
            let own = purpose.map(|name| labels.and_then(|labels| labels.get(name)).cloned());
            let phase = run.status.as_ref().and_then(|status| status.phase);
            let live = phase.is_none_or(|phase| {
                matches!(phase, AnalysisPhase::Pending | AnalysisPhase::Running)
            });
            if live && run.spec.terminate != Some(true) && own == wanted {
                let what = format!("{id} goes on");
                self.report(at_ms, "two analysis runs for one purpose", what);
            }
        }
    }
}

/// Objects that the Rollout controls or that its spec names; what nobody controls may be adopted.
fn may_patch(rollout: &Rollout, id: &Id, live: &Object) -> bool {
    match id.kind {
        Kind::ReplicaSet | Kind::AnalysisRun | Kind::Experiment => {
            is_ours(rollout, live) || live.controller().is_none()
        }
        Kind::Service => engine::snapshot::references(rollout)
            .services
            .contains(&*id.name),
        // The stable Ingress is somebody else's.
        Kind::Ingress => is_ours(rollout, live),
        Kind::HttpRoute => engine::snapshot::references(rollout)
            .objects
            .contains(&id.key()),
        Kind::Deployment => engine::snapshot::references(rollout).workload == Some(id.key()),
        Kind::Pod => true,
        Kind::Rollout | Kind::AnalysisTemplate => false,
    }
}
