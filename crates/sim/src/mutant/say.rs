//! Mutants that speak wrongly.

use super::Mutant;
use crate::object::{Id, Kind, hash_of, size_of};
use api::{PauseReason, RolloutStatus};
use engine::snapshot::RolloutSnapshot;
use jiff::{SignedDuration, Timestamp};
use plan::{Action, Guard, Next, PatchKind, Plan, Propagation};
use serde_json::{Value, json};

const LATE: SignedDuration = SignedDuration::from_mins(20);

pub(super) fn distort(
    mutant: Mutant,
    snapshot: &RolloutSnapshot,
    plan: &mut Plan<RolloutStatus>,
    now: Timestamp,
) {
    order(mutant, plan);
    sizes(mutant, snapshot, plan);
    traffic(mutant, snapshot, plan);
    status(mutant, snapshot, plan, now);
    additions(mutant, snapshot, plan);
    match (mutant, plan.next) {
        (Mutant::NeverWakes, _) => plan.next = Next::OnChange,
        (Mutant::WakesLate, Next::At(at)) => {
            plan.next = Next::At(at.checked_add(LATE).unwrap_or(at));
        }
        (Mutant::SaysNothingOfWaiting, _) => plan.trace.waiting_on.clear(),
        _ => {}
    }
}

fn order(mutant: Mutant, plan: &mut Plan<RolloutStatus>) {
    let actions = &mut plan.actions;
    match mutant {
        Mutant::DropsGuards => {
            for action in actions {
                match action {
                    Action::Patch { guard, .. }
                    | Action::Delete { guard, .. }
                    | Action::Evict { guard, .. } => *guard = Guard::default(),
                    _ => {}
                }
            }
        }
        Mutant::DropsFirstAction if !actions.is_empty() => drop(actions.remove(0)),
        Mutant::DropsLastAction => drop(actions.pop()),
        Mutant::SwapsActions if actions.len() > 1 => actions.swap(0, 1),
        Mutant::ReversesActions => actions.reverse(),
        _ => {}
    }
}

/// The size that an action gives a ReplicaSet, and the one it has.
fn resize(snapshot: &RolloutSnapshot, action: &Action) -> Option<(i64, i64)> {
    let Action::Patch { target, patch, .. } = action else {
        return None;
    };
    let wanted = patch.pointer("/spec/replicas")?.as_i64()?;
    let name = Some(target.name.as_str());
    let mut sets = snapshot.replica_sets.iter();
    let live = sets.find(|set| set.metadata.name.as_deref() == name)?;
    Some((wanted, i64::from(size_of(live))))
}

fn sizes(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    let by = |action: &Action| resize(snapshot, action).map_or(0, |(wanted, live)| wanted - live);
    match mutant {
        Mutant::NeverShrinks => plan.actions.retain(|action| by(action) >= 0),
        Mutant::NeverGrows => plan.actions.retain(|action| by(action) <= 0),
        Mutant::ShrinksTooMuch | Mutant::GrowsTooMuch => {
            for action in &mut plan.actions {
                let change = by(action);
                let more = match mutant {
                    Mutant::ShrinksTooMuch if change < 0 => -1,
                    Mutant::GrowsTooMuch if change > 0 => 1,
                    _ => continue,
                };
                if let Action::Patch { patch, .. } = action {
                    let size = patch["spec"]["replicas"].as_i64().unwrap_or(0) + more;
                    patch["spec"]["replicas"] = json!(size.max(0));
                }
            }
        }
        _ => {}
    }
}

fn of_kind(action: &Action, kind: &str) -> bool {
    matches!(action, Action::Patch { target, .. } if target.kind == kind)
}

fn traffic(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    match mutant {
        Mutant::NeverRoutes => plan.actions.retain(|own| !of_kind(own, "HTTPRoute")),
        Mutant::NeverSwitches => plan.actions.retain(|own| !of_kind(own, "Service")),
        Mutant::WeightTooHigh | Mutant::WeightsDoNotSum => {
            let both = mutant == Mutant::WeightTooHigh;
            for action in &mut plan.actions {
                if let Action::Patch { target, patch, .. } = action
                    && target.kind == "HTTPRoute"
                {
                    turn(patch, both);
                }
            }
        }
        Mutant::SwitchesEarly => {
            let Some(strategy) = snapshot.rollout.spec.blue_green() else {
                return;
            };
            let id = Id::new(Kind::Service, &strategy.active_service);
            let hash = &plan.status.current_pod_hash;
            let live = snapshot.services.get(&strategy.active_service);
            let selector = live.and_then(|own| own.spec.as_ref()?.selector.as_ref());
            let selected = selector.and_then(|own| own.get(api::constants::HASH_LABEL));
            if selected.is_some_and(|selected| selected != hash) {
                let patch = json!({"spec": {"selector": {api::constants::HASH_LABEL: hash}}});
                plan.actions.push(merge(&id, patch));
            }
        }
        _ => {}
    }
}

/// Ten more for the canary, and perhaps ten less for the stable pods.
fn turn(patch: &mut Value, both: bool) {
    for operation in patch.as_array_mut().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default().to_owned();
        let Some(weight) = operation["value"].as_i64() else {
            continue;
        };
        if path.ends_with("/1/weight") {
            operation["value"] = json!((weight + 10).min(100));
        } else if both {
            operation["value"] = json!((weight - 10).max(0));
        }
    }
}

pub(super) fn merge(id: &Id, patch: Value) -> Action {
    Action::Patch {
        target: id.key(),
        kind: PatchKind::Merge,
        patch,
        subresource: None,
        guard: Guard::default(),
    }
}

fn status(
    mutant: Mutant,
    snapshot: &RolloutSnapshot,
    plan: &mut Plan<RolloutStatus>,
    now: Timestamp,
) {
    let stored = snapshot.rollout.status.clone().unwrap_or_default();
    let generation = snapshot.rollout.metadata.generation.unwrap_or(0);
    let same = stored.current_pod_hash == plan.status.current_pod_hash;
    let status = &mut plan.status;
    let advanced = same && status.current_step_index > stored.current_step_index;
    match mutant {
        Mutant::SkipsStep if advanced => {
            let count = snapshot.rollout.spec.canary_steps().len() as i32;
            let next = status.current_step_index.unwrap_or(0) + 1;
            status.current_step_index = Some(next.min(count));
        }
        Mutant::RepeatsStep if advanced && status.current_step_index >= Some(2) => {
            status.current_step_index = Some(0);
        }
        Mutant::KeepsStep if status.current_pod_hash != stored.current_pod_hash => {
            status.current_step_index = stored.current_step_index;
        }
        Mutant::KeepsStepOfEdit if same && status.current_step_hash != stored.current_step_hash => {
            let count = snapshot.rollout.spec.canary_steps().len() as i32;
            status.current_step_index = stored.current_step_index.map(|own| own.min(count));
        }
        Mutant::PromotesAborted if stored.abort && snapshot.rollout.spec.canary().is_some() => {
            let hash = status.current_pod_hash.clone();
            status.stable_rs = hash;
            status.abort = false;
            status.aborted_at = None;
        }
        Mutant::ForgetsDoubt if !stored.pause_conditions.is_empty() => {
            let doubt = PauseReason::InconclusiveAnalysisRun;
            status.pause_conditions.retain(|own| own.reason != doubt);
        }
        Mutant::Miscounts => status.available_replicas += 1,
        Mutant::NeverPauses => status.pause_conditions.clear(),
        Mutant::ForgetsPromotion => status.controller_pause = !status.pause_conditions.is_empty(),
        Mutant::DropsFullPromotion => status.promote_full = false,
        Mutant::AbortsForNoReason if advanced => status.abort = true,
        Mutant::PromotesEarly => {
            let hash = status.current_pod_hash.clone();
            status.stable_rs = hash;
        }
        Mutant::StatusBehind => status.observed_generation = (generation - 1).to_string(),
        Mutant::StatusAhead => status.observed_generation = (generation + 1).to_string(),
        Mutant::ForgetsStatus if !plan.actions.is_empty() => *status = stored,
        Mutant::TalksAtRest => status.message = now.to_string(),
        _ => {}
    }
}

/// All pods of an arm at once, wherever one is evicted.
fn restart_all(snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    let evicts = |action: &Action| matches!(action, Action::Evict { .. });
    if !plan.actions.iter().any(evicts) {
        return;
    }
    plan.actions.retain(|action| !evicts(action));
    for pod in &snapshot.pods {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        plan.actions.push(Action::Evict {
            pod: Id::new(Kind::Pod, name).key(),
            guard: Guard::default(),
        });
    }
}

fn additions(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    match mutant {
        Mutant::DeletesOthers | Mutant::DeletesPods => {
            let keep = [&plan.status.stable_rs, &plan.status.current_pod_hash];
            for set in &snapshot.replica_sets {
                let mut owners = set.metadata.owner_references.iter().flatten();
                let ours = owners.any(|owner| owner.kind == "Rollout");
                let old = !keep.iter().any(|hash| *hash == hash_of(set));
                let doomed = match mutant {
                    Mutant::DeletesOthers => !ours,
                    _ => ours && old && size_of(set) > 0,
                };
                let name = set.metadata.name.as_deref().unwrap_or_default();
                if doomed {
                    plan.actions.push(Action::Delete {
                        target: Id::new(Kind::ReplicaSet, name).key(),
                        guard: Guard::default(),
                        propagation: Propagation::Background,
                    });
                }
            }
        }
        Mutant::TouchesOthersService if !plan.actions.is_empty() => {
            let id = Id::new(Kind::Service, "somebody-elses");
            let patch = json!({"metadata": {"annotations": {"touched": "yes"}}});
            plan.actions.push(merge(&id, patch));
        }
        Mutant::RestartsAll => restart_all(snapshot, plan),
        Mutant::RunsTwice => {
            let runs: Vec<Action> = plan.actions.iter().filter_map(twin).collect();
            plan.actions.extend(runs);
        }
        _ => {}
    }
}

/// The same run once more, under another name.
fn twin(action: &Action) -> Option<Action> {
    let Action::Create { object } = action else {
        return None;
    };
    let mut object = object.clone();
    let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
    let is_run = object["kind"] == "AnalysisRun";
    object["metadata"]["name"] = json!(format!("{name}.again"));
    is_run.then_some(Action::Create { object })
}
