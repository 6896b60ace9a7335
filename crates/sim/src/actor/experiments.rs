//! The controller of Experiments: the planner itself, over the world as it is. It sees everything
//! at once, but its writes may be lost ([`crate::fault::Fault::ExperimentsStumble`]).

use crate::check;
use crate::fault;
use crate::ground::{self, Ground, Patch};
use crate::object::{Body, Id, Kind, Object};
use crate::time::{millis, stamp};
use crate::world::Shared;
use api::{Experiment, ExperimentStatus};
use engine::experiment::{ExperimentSnapshot, plan};
use engine::snapshot::TemplateSet;
use plan::{Action, Guard, Next, PatchKind, Plan};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long after a lost write it tries again.
const BACKOFF_MS: i64 = 1_000;

/// One pass of every Experiment; when one wants to be looked at again by itself.
pub fn step(shared: &mut Shared) -> Option<i64> {
    let now = shared.now_ms;
    let mut next: Option<i64> = None;
    for (id, object) in shared.ground.list(Kind::Experiment) {
        let Body::Experiment(experiment) = &object.body else {
            continue;
        };
        let snapshot = snapshot(experiment, object.uid(), &*shared.ground);
        let mut plan = plan(&snapshot, &shared.config, stamp(now));
        if let Some(mutant) = shared.mutant {
            mutant.of_experiment(&mut plan);
        }
        if let Next::At(at) = plan.next {
            next = next.into_iter().chain([millis(at).max(now + 1)]).min();
        }
        if finish(&id, &object, &plan, shared).is_none() {
            next = next.into_iter().chain([now + BACKOFF_MS]).min();
        } else if let Some((rule, what)) =
            check::misled_service(&*shared.ground, &snapshot, &plan.status)
        {
            shared.checks.report(now, rule, what);
        }
    }
    next
}

fn snapshot(experiment: &Arc<Experiment>, uid: &str, ground: &dyn Ground) -> ExperimentSnapshot {
    let name = experiment.metadata.name.as_deref().unwrap_or_default();
    let prefix = format!("{name}-");
    let concerned = |(id, object): &(Id, Object)| match object.controller_uid() {
        Some(owner) if owner == uid => true,
        _ => id.name.starts_with(&prefix),
    };
    let all = |kind: Kind| ground.list(kind).into_iter().filter(concerned);
    let templates = ground.list(Kind::AnalysisTemplate).into_iter();
    ExperimentSnapshot {
        experiment: experiment.clone(),
        replica_sets: all(Kind::ReplicaSet)
            .filter_map(|(_, object)| object.replica_set().cloned())
            .collect(),
        services: all(Kind::Service)
            .filter_map(|(id, object)| match object.body {
                Body::Service(service) => Some((id.name.to_string(), service)),
                _ => None,
            })
            .collect(),
        analysis_runs: all(Kind::AnalysisRun)
            .filter_map(|(_, object)| object.analysis_run().cloned())
            .collect(),
        templates: TemplateSet {
            namespaced: templates
                .filter_map(|(id, object)| match object.body {
                    Body::AnalysisTemplate(template) => Some((id.name.to_string(), template)),
                    _ => None,
                })
                .collect(),
            cluster: BTreeMap::new(),
        },
        refused: BTreeMap::new(),
    }
}

/// Carries a plan out; `None` if it could not be finished.
fn finish(
    id: &Id,
    live: &Object,
    plan: &Plan<ExperimentStatus>,
    shared: &mut Shared,
) -> Option<()> {
    let now = shared.now_ms;
    for action in &plan.actions {
        write(shared)?;
        judge(live, action, shared);
        ground::carry_out(&mut *shared.ground, now, action);
    }
    let stored = live.json()["status"].take();
    let wanted = json!(plan.status);
    if stored == wanted {
        return Some(());
    }
    write(shared)?;
    let phase = wanted["phase"].as_str().unwrap_or_default();
    if stored["phase"] != wanted["phase"] {
        shared.note(format_args!("{id} {phase}"));
    }
    let body = json!({"status": replacing(&stored, wanted)});
    let patch = Patch {
        kind: PatchKind::Merge,
        body: &body,
        guard: &Guard::default(),
        subresource: None,
    };
    // An experiment that is gone needs no status.
    drop(shared.ground.patch(now, id, patch));
    Some(())
}

/// An experiment deletes and scales what it controls, and nothing else.
fn judge(experiment: &Object, action: &Action, shared: &mut Shared) {
    let takes = match action.deed() {
        Action::Delete { .. } => true,
        Action::Patch { patch, .. } => patch.pointer("/spec/replicas").is_some(),
        _ => false,
    };
    let target = action.target().filter(|_| takes);
    let Some(id) = target.and_then(|target| Id::of_key(&target)) else {
        return;
    };
    let live = shared.ground.get(&id);
    if live.is_some_and(|live| live.controller_uid() != Some(experiment.uid())) {
        let rule = "an experiment writes to something else";
        shared
            .checks
            .report(shared.now_ms, rule, format!("{action:?}"));
    }
}

/// Counts a write; `None` if this one is lost.
fn write(shared: &mut Shared) -> Option<()> {
    shared.experiment_writes += 1;
    (!fault::stumbles(&shared.faults, shared.experiment_writes)).then_some(())
}

/// The merge patch that leaves nothing of what was there.
fn replacing(stored: &Value, mut wanted: Value) -> Value {
    for field in stored.as_object().into_iter().flat_map(|own| own.keys()) {
        if wanted.get(field).is_none() {
            wanted[field] = Value::Null;
        }
    }
    wanted
}
