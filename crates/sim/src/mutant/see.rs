//! Mutants that see wrongly.

use super::Mutant;
use crate::object::hash_of;
use api::constants::{
    MANAGED_ROUTES_ANNOTATION, ROLLOUT_TYPE_LABEL, ROUTES_ANNOTATION,
    SCALE_DOWN_DEADLINE_ANNOTATION, TYPE_BACKGROUND,
};
use api::{
    AnalysisPhase, BlueGreenStrategy, CanaryStep, CanaryStrategy, HeaderRoutingMatch, Rollout,
    RolloutCondition, RolloutStatus, RouteMatch, StringMatch,
};
use engine::snapshot::RolloutSnapshot;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::Value;
use std::sync::Arc;

const EARLY: SignedDuration = SignedDuration::from_secs(15);

pub(super) fn distort(mutant: Mutant, snapshot: &mut RolloutSnapshot) {
    match mutant {
        Mutant::ReadyTooSoon => each_set(snapshot, |set| {
            let size = set.spec.as_ref().and_then(|spec| spec.replicas);
            let mut status = set.status.clone().unwrap_or_default();
            status.replicas = size.unwrap_or(1);
            status.ready_replicas = size;
            status.available_replicas = size;
            set.status = Some(status);
        }),
        Mutant::ForgetsDeadlines => each_set(snapshot, |set| {
            if let Some(annotations) = &mut set.metadata.annotations {
                annotations.remove(SCALE_DOWN_DEADLINE_ANNOTATION);
            }
        }),
        Mutant::IgnoresOwners => each_set(snapshot, |set| {
            let mut owners = set.metadata.owner_references.iter().flatten();
            if owners.any(|owner| owner.kind != "Rollout") {
                set.metadata.owner_references = None;
            }
        }),
        Mutant::PauseEndsEarly => status(snapshot, |status| {
            for pause in &mut status.pause_conditions {
                let began = &mut pause.start_time.0;
                *began = began.checked_sub(EARLY).unwrap_or(*began);
            }
        }),
        Mutant::IgnoresPause => {
            let rollout: &mut Rollout = Arc::make_mut(&mut snapshot.rollout);
            rollout.spec.paused = None;
            snapshot.digest = None;
        }
        Mutant::DeadlinesRunFast => each_set(snapshot, |set| {
            let annotations = set.metadata.annotations.as_mut();
            let deadline = annotations.and_then(|all| all.get_mut(SCALE_DOWN_DEADLINE_ANNOTATION));
            if let Some(deadline) = deadline
                && let Ok(at) = deadline.parse::<Timestamp>()
            {
                *deadline = at.checked_sub(EARLY).unwrap_or(at).to_string();
            }
        }),
        Mutant::IgnoresAbort => status(snapshot, |status| status.abort = false),
        Mutant::ForgetsWeights => status(snapshot, |status| status.canary.weights = None),
        Mutant::IgnoresPromotion => status(snapshot, |status| status.promote_full = false),
        Mutant::TrustsRunningAnalysis => runs(snapshot, AnalysisPhase::Running),
        Mutant::TrustsFailedAnalysis => runs(snapshot, AnalysisPhase::Failed),
        Mutant::BlindToServices => {
            for service in snapshot.services.values_mut() {
                let spec = Arc::make_mut(service).spec.get_or_insert_default();
                if let Some(selector) = &mut spec.selector {
                    selector.remove(api::constants::HASH_LABEL);
                }
            }
        }
        Mutant::ForgetsFormerRouters => {
            let rollout: &mut Rollout = Arc::make_mut(&mut snapshot.rollout);
            if rollout.spec.traffic_routing().is_none() {
                let annotations = rollout.metadata.annotations.as_mut();
                annotations.and_then(|all| all.remove(ROUTES_ANNOTATION));
                if let Some(status) = &mut rollout.status {
                    let is_other = |own: &RolloutCondition| own.type_ != ROUTES_ANNOTATION;
                    status.conditions.retain(is_other);
                }
            }
        }
        _ => settings(mutant, snapshot),
    }
}

/// Settings of the strategy that are read wrongly.
fn settings(mutant: Mutant, snapshot: &mut RolloutSnapshot) {
    match mutant {
        Mutant::HurriesScaleDown => strategy(snapshot, |canary, blue_green| {
            if let Some(canary) = canary.filter(|own| own.dynamic_stable_scale != Some(true)) {
                let routed = canary.traffic_routing.is_some();
                canary.scale_down_delay_seconds = routed.then_some(0);
            }
            if let Some(blue_green) = blue_green {
                blue_green.scale_down_delay_seconds = Some(0);
            }
        }),
        Mutant::HurriesAbort => strategy(snapshot, |canary, blue_green| {
            let canary = canary.map(|own| &mut own.abort_scale_down_delay_seconds);
            let blue_green = blue_green.map(|own| &mut own.abort_scale_down_delay_seconds);
            for delay in canary.into_iter().chain(blue_green) {
                *delay = Some(1);
            }
        }),
        Mutant::IgnoresMinPods => strategy(snapshot, |canary, _| {
            if let Some(canary) = canary {
                canary.min_pods_per_replica_set = None;
            }
        }),
        Mutant::NeverMatches => strategy(snapshot, |canary, _| {
            let canary = canary.filter(|own| own.min_pods_per_replica_set.is_none());
            let steps = canary.into_iter().flat_map(|own| &mut own.steps);
            for scale in steps.filter_map(|step| step.set_canary_scale.as_mut()) {
                if scale.match_traffic_weight.take() == Some(true) {
                    scale.replicas = Some(1);
                }
            }
        }),
        Mutant::SkipsPostPromotion => strategy(snapshot, |_, blue_green| {
            if let Some(blue_green) = blue_green {
                blue_green.post_promotion_analysis = None;
            }
        }),
        Mutant::WeighsMore => strategy(snapshot, |canary, _| {
            let canary = canary.filter(|own| own.traffic_routing.is_none());
            let steps = canary.into_iter().flat_map(|own| &mut own.steps);
            for weight in steps.filter_map(|step| step.set_weight.as_mut()) {
                *weight = (*weight + 30).min(100);
            }
        }),
        Mutant::StableFollows => strategy(snapshot, |canary, _| {
            if let Some(canary) = canary.filter(|own| own.traffic_routing.is_some()) {
                canary.dynamic_stable_scale = Some(true);
                canary.scale_down_delay_seconds = None;
            }
        }),
        _ => reports(mutant, snapshot),
    }
}

/// What others tell of pods and analyses, read wrongly.
fn reports(mutant: Mutant, snapshot: &mut RolloutSnapshot) {
    match mutant {
        Mutant::DoubtsStable => {
            let aborted = snapshot.rollout.status.as_ref().filter(|own| own.abort);
            let Some(stable) = aborted.map(|own| own.stable_rs.clone()) else {
                return;
            };
            each_set(snapshot, |set| {
                let is_stable = hash_of(set) == stable;
                if let Some(status) = set.status.as_mut().filter(|_| is_stable) {
                    status.ready_replicas = Some(0);
                    status.available_replicas = Some(0);
                }
            });
        }
        Mutant::SwitchesBeforeAvailable if snapshot.rollout.spec.blue_green().is_some() => {
            each_set(snapshot, |set| {
                if let Some(status) = &mut set.status {
                    status.available_replicas = status.ready_replicas;
                }
            });
        }
        Mutant::BlindToBackground => {
            for run in &mut snapshot.analysis_runs {
                let labels = run.metadata.labels.as_ref();
                let role = labels.and_then(|all| all.get(ROLLOUT_TYPE_LABEL));
                if role.is_some_and(|own| own == TYPE_BACKGROUND)
                    && let Some(status) = &mut Arc::make_mut(run).status
                    && status.phase == Some(AnalysisPhase::Failed)
                {
                    status.phase = Some(AnalysisPhase::Running);
                }
            }
        }
        _ => steps(mutant, snapshot),
    }
}

/// What steps ask for, and what they have left at routes, read wrongly.
fn steps(mutant: Mutant, snapshot: &mut RolloutSnapshot) {
    match mutant {
        Mutant::SkipsRoutes => each_step(snapshot, |step| {
            if let Some(route) = &mut step.set_header_route {
                route.match_.clear();
            }
            if let Some(route) = &mut step.set_mirror_route {
                route.match_.clear();
            }
        }),
        Mutant::SetsRoutesAnyway => each_step(snapshot, |step| {
            let header = step.set_header_route.as_mut();
            if let Some(route) = header.filter(|route| route.match_.is_empty()) {
                route.match_.push(HeaderRoutingMatch {
                    header_name: "x-tester".to_owned(),
                    header_value: exactly("yes"),
                });
            }
            let mirror = step.set_mirror_route.as_mut();
            if let Some(route) = mirror.filter(|route| route.match_.is_empty()) {
                route.match_.push(RouteMatch {
                    method: Some(exactly("GET")),
                    ..RouteMatch::default()
                });
            }
        }),
        Mutant::MatchesAll => {
            let replicas = snapshot.rollout.spec.replicas_or_default();
            each_step(snapshot, |step| {
                if let Some(scale) = &mut step.set_canary_scale
                    && scale.match_traffic_weight.take() == Some(true)
                {
                    scale.replicas = Some(replicas);
                }
            });
        }
        Mutant::ForgetsFormerRules if snapshot.rollout.spec.traffic_routing().is_none() => {
            for object in snapshot.objects.values_mut() {
                let annotations = Arc::make_mut(object).pointer_mut("/metadata/annotations");
                if let Some(Value::Object(annotations)) = annotations {
                    annotations.remove(MANAGED_ROUTES_ANNOTATION);
                }
            }
        }
        _ => {}
    }
}

fn exactly(text: &str) -> StringMatch {
    StringMatch {
        exact: Some(text.to_owned()),
        ..StringMatch::default()
    }
}

fn strategy(
    snapshot: &mut RolloutSnapshot,
    change: impl Fn(Option<&mut CanaryStrategy>, Option<&mut BlueGreenStrategy>),
) {
    let rollout: &mut Rollout = Arc::make_mut(&mut snapshot.rollout);
    let strategy = &mut rollout.spec.strategy;
    change(strategy.canary.as_mut(), strategy.blue_green.as_mut());
    snapshot.digest = None;
}

fn each_step(snapshot: &mut RolloutSnapshot, change: impl Fn(&mut CanaryStep)) {
    strategy(snapshot, |canary, _| {
        let steps = canary.into_iter().flat_map(|own| &mut own.steps);
        steps.for_each(&change);
    });
}

fn each_set(snapshot: &mut RolloutSnapshot, change: impl Fn(&mut ReplicaSet)) {
    for set in &mut snapshot.replica_sets {
        change(Arc::make_mut(set));
    }
}

fn status(snapshot: &mut RolloutSnapshot, change: impl Fn(&mut RolloutStatus)) {
    let rollout: &mut Rollout = Arc::make_mut(&mut snapshot.rollout);
    if let Some(status) = &mut rollout.status {
        change(status);
    }
}

/// Runs in this phase look successful.
fn runs(snapshot: &mut RolloutSnapshot, phase: AnalysisPhase) {
    for run in &mut snapshot.analysis_runs {
        if let Some(status) = &mut Arc::make_mut(run).status
            && status.phase == Some(phase)
        {
            status.phase = Some(AnalysisPhase::Successful);
        }
    }
}
