//! Mutants that decide wrongly.

use super::Mutant;
use super::say::merge;
use crate::object::{Id, Kind, hash_of, size_of};
use api::constants::{HASH_LABEL, STEP_INDEX_LABEL};
use api::{AnalysisPhase, AnalysisRun, CanaryStep, RolloutStatus};
use engine::snapshot::RolloutSnapshot;
use plan::{Action, Guard, Plan, Propagation, Release, WaitingOn};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn distort(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    routes(mutant, snapshot, plan);
    steps(mutant, snapshot, plan);
    ends(mutant, snapshot, plan);
    leftovers(mutant, snapshot, plan);
    services(mutant, snapshot, plan);
}

fn routes(mutant: Mutant, _snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    match mutant {
        Mutant::KeepsRules => {
            for action in &mut plan.actions {
                if let Action::Patch { patch, .. } = action
                    && let Some(operations) = patch.as_array_mut()
                {
                    operations.retain(|own| !removes_rule(own));
                }
            }
        }
        Mutant::ForgetsAnIngress => plan.actions.retain(|action| match action {
            Action::Patch { target, .. } => !target.name.ends_with("-shop-canary"),
            _ => true,
        }),
        Mutant::RecordsAnotherWeight => {
            if let Some(weights) = &mut plan.status.canary.weights
                && weights.canary.weight > 0
            {
                weights.canary.weight += 1;
            }
        }
        _ => {}
    }
}

/// The step that the stored status is at, if the update goes on there after this plan.
fn step_that_stays(
    snapshot: &RolloutSnapshot,
    plan: &Plan<RolloutStatus>,
) -> Option<(i32, CanaryStep)> {
    let stored = snapshot.rollout.status.as_ref()?;
    let index = stored.current_step_index?;
    let stays = !plan.status.abort
        && !stored.abort
        && stored.stable_rs != stored.current_pod_hash
        && plan.status.current_pod_hash == stored.current_pod_hash
        && plan.status.current_step_hash == stored.current_step_hash
        && plan.status.current_step_index == Some(index);
    let steps = snapshot.rollout.spec.canary_steps();
    let step = steps.get(usize::try_from(index).ok()?)?;
    stays.then(|| (index, step.clone()))
}

fn steps(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    let Some((index, step)) = step_that_stays(snapshot, plan) else {
        return;
    };
    let hash = &plan.status.current_pod_hash;
    let mut runs = snapshot.analysis_runs.iter();
    let passed = |run: &Arc<AnalysisRun>| {
        label(run, STEP_INDEX_LABEL).is_some_and(|own| *own == index.to_string())
            && label(run, HASH_LABEL) == Some(hash)
            && phase(run) == Some(AnalysisPhase::Successful)
    };
    let ends = match mutant {
        Mutant::ForgetsExperiments => step.experiment.is_some(),
        Mutant::CountsOldRuns => step.analysis.is_some() && runs.any(passed),
        _ => false,
    };
    if ends {
        plan.status.current_step_index = Some(index + 1);
    }
}

fn label<'r>(run: &'r AnalysisRun, name: &str) -> Option<&'r String> {
    run.metadata.labels.as_ref()?.get(name)
}

fn phase(run: &AnalysisRun) -> Option<AnalysisPhase> {
    run.status.as_ref().and_then(|status| status.phase)
}

/// What becomes of an update whose step is complete.
fn ends(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    let spec = &snapshot.rollout.spec;
    let stored = snapshot.rollout.status.clone().unwrap_or_default();
    let status = &mut plan.status;
    let advances = stored.current_pod_hash == status.current_pod_hash
        && stored.stable_rs != status.current_pod_hash
        && status.current_step_index > stored.current_step_index;
    if !advances {
        return;
    }
    match mutant {
        Mutant::AnyWindow if spec.rollback_window_revisions().is_some() => {
            status.current_step_index = Some(spec.canary_steps().len() as i32);
        }
        Mutant::PromotesHalfway => {
            let replicas = spec.replicas_or_default();
            let count = spec.canary_steps().len() as i32;
            let mut sets = snapshot.replica_sets.iter();
            let is_there = sets.any(|set| {
                let told = set.status.as_ref().and_then(|own| own.available_replicas);
                hash_of(set) == status.current_pod_hash && told.unwrap_or(0) >= replicas
            });
            if is_there && status.current_step_index < Some(count) {
                status.stable_rs.clone_from(&status.current_pod_hash);
                status.current_step_index = Some(count);
            }
        }
        Mutant::AbortsTooSoon if spec.aborts_at_progress_deadline() => status.abort = true,
        Mutant::AbortsOnOldFailures => {
            let mut runs = snapshot.analysis_runs.iter();
            status.abort |= runs.any(|run| {
                phase(run) == Some(AnalysisPhase::Failed)
                    && label(run, HASH_LABEL) != Some(&status.current_pod_hash)
            });
        }
        Mutant::WaitsForNothing if stored.current_step_index == Some(1) => {
            plan.trace.wait(WaitingOn::Replicas {
                replica_set: format!("app-{}", status.current_pod_hash),
                have: 0,
                want: 1,
            });
            *status = stored;
            plan.actions.clear();
            plan.releases.clear();
        }
        _ => {}
    }
}

/// Services that lead to pods too early, and pods that go while one leads to them.
fn services(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    let spec = &snapshot.rollout.spec;
    match mutant {
        Mutant::LeadsAstray if spec.traffic_routing().is_none() => {
            let canary = spec.canary().and_then(|own| own.canary_service.as_ref());
            let hash = &plan.status.current_pod_hash;
            let elsewhere = |service: &&String| selected(snapshot, service) != Some(hash);
            if let Some(service) = canary.filter(elsewhere) {
                let patch = json!({"spec": {"selector": {HASH_LABEL: hash}}});
                plan.actions
                    .push(merge(&Id::new(Kind::Service, service), patch));
            }
        }
        Mutant::AbandonsService if spec.traffic_routing().is_none() => {
            let canary = spec.canary();
            let services = canary.map(|own| [&own.canary_service, &own.stable_service]);
            let services = services.into_iter().flatten().flatten();
            let kept: Vec<String> = services
                .filter_map(|service| selected(snapshot, service).cloned())
                .collect();
            for action in &mut plan.actions {
                if let Action::Patch { target, patch, .. } = action
                    && kept.iter().any(|hash| target.name.ends_with(hash.as_str()))
                    && patch.pointer("/spec/replicas") == Some(&json!(1))
                {
                    patch["spec"]["replicas"] = json!(0);
                }
            }
        }
        Mutant::DrainsActive if plan.status.abort => {
            let active = spec
                .blue_green()
                .and_then(|own| selected(snapshot, &own.active_service));
            for set in &snapshot.replica_sets {
                let size = size_of(set);
                if size > 1 && active.is_some_and(|own| own == hash_of(set)) {
                    let name = set.metadata.name.as_deref().unwrap_or_default();
                    let patch = json!({"spec": {"replicas": size - 1}});
                    plan.actions
                        .push(merge(&Id::new(Kind::ReplicaSet, name), patch));
                }
            }
        }
        _ => {}
    }
}

/// The hash that a service selects.
fn selected<'s>(snapshot: &'s RolloutSnapshot, service: &str) -> Option<&'s String> {
    let spec = snapshot.services.get(service)?.spec.as_ref()?;
    spec.selector.as_ref()?.get(HASH_LABEL)
}

fn leftovers(mutant: Mutant, snapshot: &RolloutSnapshot, plan: &mut Plan<RolloutStatus>) {
    match mutant {
        Mutant::KeepsRuns => plan.actions.retain(|action| {
            !matches!(action, Action::Delete { target, .. } if target.kind == "AnalysisRun")
        }),
        Mutant::KeepsHistory => plan.actions.retain(|action| {
            !matches!(action, Action::Delete { target, .. } if target.kind == "ReplicaSet")
        }),
        Mutant::NeverPreviews => {
            let strategy = snapshot.rollout.spec.blue_green();
            let preview = strategy.and_then(|own| own.preview_service.as_ref());
            plan.actions.retain(|action| {
                let name = match action {
                    Action::Patch { target, .. } if target.kind == "Service" => Some(&target.name),
                    _ => None,
                };
                name.is_none() || name != preview
            });
            let told = |release: &Release| {
                let text = preview.map_or("", String::as_str);
                matches!(release, Release::Event { message, .. } if message.contains(text))
            };
            plan.releases.retain(|release| preview.is_none() || !told(release));
        }
        Mutant::MakesRivals => {
            let rivals: Vec<Action> = plan.actions.iter().filter_map(rival).collect();
            plan.actions.extend(rivals);
        }
        Mutant::DeletesLiveRuns => {
            for run in &snapshot.analysis_runs {
                if phase(run) == Some(AnalysisPhase::Running) {
                    let name = run.metadata.name.as_deref().unwrap_or_default();
                    plan.actions.push(Action::Delete {
                        target: Id::new(Kind::AnalysisRun, name).key(),
                        guard: Guard::default(),
                        propagation: Propagation::Background,
                    });
                }
            }
        }
        _ => {}
    }
}

/// Another Experiment beside one that is made.
fn rival(action: &Action) -> Option<Action> {
    let Action::Create { object } = action else {
        return None;
    };
    let mut object = object.clone();
    let name = object["metadata"]["name"].as_str()?.to_owned();
    object["metadata"]["name"] = json!(format!("{name}-1"));
    (object["kind"] == "Experiment").then_some(Action::Create { object })
}

fn removes_rule(operation: &Value) -> bool {
    let path = operation["path"].as_str().unwrap_or_default();
    operation["op"] == "remove" && path.starts_with("/spec/rules/")
}
