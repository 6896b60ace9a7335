//! The rules that hold at every instant, as shortfalls: how far each is broken.
//!
//! Pods die by themselves, users turn weights and delete things, so a world may well be in breach.
//! What no action of the controller may do is make a shortfall larger, in the world and in its own
//! view of it: nobody is blamed for what he could not have seen.

use super::{Facts, SetFacts, former};
use api::{
    CanaryStrategy, PauseReason, ReplicaProgressThreshold, Rollout, RolloutStatus, TrafficWeights,
};
use engine::traffic::Record;
use std::collections::BTreeMap;

pub(super) const TOO_MUCH: &str = "the canary gets more than its step allows";
pub(super) const ARM_TOO_SMALL: &str = "an arm has fewer ready pods than its weight needs";
pub(super) const NOBODY_READY: &str = "traffic goes where no pod is ready";
/// What [`NOBODY_READY`] adds to a service that requests with a header are sent to.
pub(super) const OF_HEADERS: &str = " of a header route";
pub(super) const ACTIVE_TOO_FEW: &str = "the active pods are fewer than the replicas";
pub(super) const ACTIVE_NOT_READY: &str = "the active service has no ready pod";

/// Rule and what it is about → how far it is broken, above 0.
pub type Shortfalls = BTreeMap<(&'static str, String), i32>;

/// All shortfalls of a state of the world.
pub fn shortfalls(facts: &Facts) -> Shortfalls {
    let mut found = Shortfalls::new();
    let Some(rollout) = facts.rollout.clone() else {
        return found;
    };
    if facts.replicas() == 0 {
        return found;
    }
    if rollout.spec.blue_green().is_some() {
        blue_green(facts, &rollout, &mut found);
    } else if rollout.spec.traffic_routing().is_some() {
        routed(facts, &rollout, &mut found);
    } else {
        basic(facts, &rollout, &mut found);
    }
    former::shortfalls(facts, &mut found);
    found.retain(|_, shortfall| *shortfall > 0);
    found
}

fn blue_green(facts: &Facts, rollout: &Rollout, found: &mut Shortfalls) {
    let Some(strategy) = rollout.spec.blue_green() else {
        return;
    };
    let Some(hash) = facts.selected(&strategy.active_service) else {
        return;
    };
    if facts.ready() > 0 && facts.ready_of(hash) == 0 {
        let rule = (ACTIVE_NOT_READY, String::new());
        found.insert(rule, 1);
    }
    let is_over = facts.status().is_some_and(is_given_up);
    let size = facts.set(hash).map_or(0, |set| set.size);
    if !is_over && size > 0 {
        let rule = (ACTIVE_TOO_FEW, String::new());
        found.insert(rule, facts.replicas() - size);
    }
}

fn basic(facts: &Facts, rollout: &Rollout, found: &mut Shortfalls) {
    let Some((surge, unavailable)) = limits(rollout, facts.replicas()) else {
        return;
    };
    let floor = facts.replicas() - unavailable;
    let rule = ("available pods below the floor", String::new());
    found.insert(rule, floor - facts.available());
    if has_former_router(facts) {
        return;
    }
    let rule = ("more pods than the surge allows", String::new());
    let pods: i32 = facts.sets.iter().map(|set| set.size).sum();
    found.insert(rule, pods - facts.replicas() - surge);
    services(facts, rollout, found);
}

/// Whether a router that the spec no longer names divides the traffic still, and each part keeps
/// its pods: the status has its weights until it has given them back. They go at once with a route
/// that is lost; that one stays on record, and divides the traffic again when it is back.
pub(super) fn has_former_router(facts: &Facts) -> bool {
    let Some(rollout) = facts.rollout.as_ref() else {
        return false;
    };
    let status = rollout.status.as_ref();
    let is_weighed = status.is_some_and(|status| status.canary.weights.is_some());
    let is_on_record = Record::stored_text(rollout, status).is_some();
    is_weighed || (is_on_record && !facts.weights.is_empty())
}

/// Without a router, a service leads to pods that answer, if those do that it is to lead to: the
/// stable service to the new pods when the stable ones are on their way out. What is halted stays
/// where it is, unless it is the stable service of a ReplicaSet that was deleted.
fn services(facts: &Facts, rollout: &Rollout, found: &mut Shortfalls) {
    let (Some(canary), Some(status)) = (rollout.spec.canary(), facts.status()) else {
        return;
    };
    let is_halted = is_halted(rollout, status);
    let (stable, current) = (&status.stable_rs, &status.current_pod_hash);
    let is_over = is_given_up(status);
    let of_canary = if is_over { stable } else { current };
    let services = [
        (&canary.canary_service, [of_canary, of_canary]),
        (&canary.stable_service, [stable, current]),
    ];
    for (service, targets) in services {
        let Some(service) = service else { continue };
        let Some(selected) = facts.selected(service) else {
            continue;
        };
        let is_of_nobody = targets == [stable, current] && facts.set(selected).is_none();
        if is_halted && !is_of_nobody {
            continue;
        }
        let may_go = targets
            .iter()
            .any(|own| *own != selected && facts.available_of(own) > 0);
        let rule = (NOBODY_READY, service.clone());
        found.insert(rule, i32::from(facts.ready_of(selected) == 0 && may_go));
    }
}

/// Whether an update was aborted. Who promotes it in full after that takes the abort back, which
/// may stay on record until the status can be stored; an abort that nobody has seen yet is the
/// later word.
pub(super) fn is_given_up(status: &RolloutStatus) -> bool {
    let is_taken_back = status.promote_full && status.aborted_at.is_some();
    status.abort && !is_taken_back
}

/// Whether somebody has promoted an update in full, and nobody has aborted it since.
pub(super) fn is_promoted_in_full(status: &RolloutStatus) -> bool {
    status.promote_full && !is_given_up(status)
}

/// Whether an update may not move: a user has paused it, or an analysis could not tell.
pub(super) fn is_halted(rollout: &Rollout, status: &RolloutStatus) -> bool {
    let mut pauses = status.pause_conditions.iter();
    rollout.spec.is_paused() || pauses.any(|own| own.reason == PauseReason::InconclusiveAnalysisRun)
}

/// `maxSurge` and `maxUnavailable` in pods.
pub(super) fn limits(rollout: &Rollout, replicas: i32) -> Option<(i32, i32)> {
    let canary = rollout.spec.canary()?;
    let surge = share(&canary.max_surge_or_default(), replicas, true);
    let mut unavailable = share(&canary.max_unavailable_or_default(), replicas, false);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    Some((surge, unavailable.min(replicas)))
}

/// How many pods a restart may take away at once.
pub(super) fn away(rollout: &Rollout, replicas: i32) -> i32 {
    let spec = &rollout.spec;
    let unavailable = match (spec.blue_green(), spec.canary()) {
        (Some(own), _) => own.max_unavailable_or_default(),
        (None, Some(own)) => own.max_unavailable_or_default(),
        (None, None) => return 1,
    };
    share(&unavailable, replicas, false).min(replicas).max(1)
}

/// So many pods, or so many percent of the replicas, rounded `up` or down.
fn share(amount: &api::IntOrString, replicas: i32, up: bool) -> i32 {
    let pods = match amount {
        api::IntOrString::Int(pods) => i64::from(*pods),
        api::IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = i64::from(replicas) * percent;
            if up {
                (product + 99) / 100
            } else {
                product / 100
            }
        }
    };
    pods.max(0) as i32
}

fn routed(facts: &Facts, rollout: &Rollout, found: &mut Shortfalls) {
    let Some(canary) = rollout.spec.canary() else {
        return;
    };
    let max_weight = canary.max_traffic_weight();
    let sum: i32 = facts.weights.iter().map(|(_, weight)| weight).sum();
    if facts.status().is_some_and(|s| s.canary.weights.is_some()) && !facts.weights.is_empty() {
        let rule = ("the weights do not add up", String::new());
        found.insert(rule, (sum - max_weight).abs());
    }
    for service in &facts.direct {
        let served = facts.selected(service).map(|hash| facts.ready_of(hash));
        if served == Some(0) && facts.ready() > 0 {
            let rule = (NOBODY_READY, format!("{service}{OF_HEADERS}"));
            found.insert(rule, 1);
        }
    }
    let scale = facts
        .status()
        .and_then(|status| scale_in_force(rollout, status));
    for (service, _) in facts.weights.iter().filter(|(_, weight)| *weight > 0) {
        let Some(hash) = facts.selected(service) else {
            continue;
        };
        let weight = facts.share(service, max_weight).unwrap_or(0);
        if let Some(ready) = facts.guest(service) {
            if ready == 0 && facts.ready() > 0 {
                found.insert((NOBODY_READY, service.clone()), 1);
            }
            continue;
        }
        let ready = facts.ready_of(hash);
        if ready == 0 && facts.ready() > 0 {
            let rule = (NOBODY_READY, service.clone());
            found.insert(rule, 1);
        }
        let is_canary = facts.canary_service() == Some(service);
        let others_ready = facts.ready() - ready;
        if others_ready > 0 && !(is_canary && is_superseded(facts)) {
            let needed = facts.replicas() * weight / max_weight.max(1);
            let scaled = scale.filter(|_| is_canary);
            let needed = scaled.map_or(needed, |own| needed.min(own.pods(facts, max_weight)));
            let rule = (ARM_TOO_SMALL, service.clone());
            found.insert(rule, least(rollout, step_index(facts), needed) - ready);
        }
        if is_canary && is_update(facts, hash) {
            let rule = (TOO_MUCH, service.clone());
            found.insert(rule, weight - allowed_weight(facts, rollout));
        }
    }
}

/// What a `setCanaryScale` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Replicas(i32),
    Weight(i32),
}

impl Scale {
    pub(super) fn pods(self, facts: &Facts, max_weight: i32) -> i32 {
        match self {
            Self::Replicas(pods) => pods,
            Self::Weight(weight) => facts.replicas() * weight / max_weight.max(1),
        }
    }
}

/// The last `setCanaryScale` up to the current step, as long as the steps are what counts.
pub(super) fn scale_in_force(rollout: &Rollout, status: &RolloutStatus) -> Option<Scale> {
    let canary = rollout.spec.canary()?;
    let index = usize::try_from(status.current_step_index.unwrap_or(0)).ok()?;
    let stays = canary.abort_scale_down_delay_seconds == Some(0);
    let over = is_promoted_in_full(status)
        || status.stable_rs.is_empty()
        || status.stable_rs == status.current_pod_hash
        || (is_given_up(status) && !stays);
    let done = canary.steps.get(..=index).filter(|_| !over)?;
    let scale = done
        .iter()
        .rev()
        .find_map(|step| step.set_canary_scale.as_ref())?;
    if scale.match_traffic_weight == Some(true) {
        return None;
    }
    let replicas = scale.replicas.map(Scale::Replicas);
    replicas.or_else(|| scale.weight.map(Scale::Weight))
}

/// Whether an update to `new` is a way back within the `rollbackWindow`: few enough revisions lie
/// between it and the younger stable one.
pub(super) fn is_within_window(
    rollout: &Rollout,
    (facts, status): (&Facts, &RolloutStatus),
    new: &str,
) -> bool {
    let window = rollout.spec.rollback_window_revisions();
    let (Some(revisions), Some(new), Some(stable)) =
        (window, facts.set(new), facts.set(&status.stable_rs))
    else {
        return false;
    };
    let (from, to) = (new.age(), stable.age());
    let between = facts
        .sets
        .iter()
        .filter(|set| from < set.age() && set.age() < to);
    from < to && (between.count() as i32) < revisions
}

/// The step that the stored status is at.
fn step_index(facts: &Facts) -> usize {
    let index = facts.status().and_then(|status| status.current_step_index);
    usize::try_from(index.unwrap_or(0)).unwrap_or(0)
}

/// How many of `wanted` pods are enough at a step: its `replicaProgressThreshold`, or that of the
/// strategy.
pub(super) fn least(rollout: &Rollout, step: usize, wanted: i32) -> i32 {
    match threshold(rollout, step).map(|own| (own.value, own.type_)) {
        Some((share, api::ReplicaProgressThresholdType::Percent)) => (wanted * share + 99) / 100,
        Some((pods, api::ReplicaProgressThresholdType::Pods)) => pods.min(wanted),
        None => wanted,
    }
}

/// The `replicaProgressThreshold` of a step.
pub(super) fn threshold(rollout: &Rollout, step: usize) -> Option<&ReplicaProgressThreshold> {
    let canary = rollout.spec.canary()?;
    let own = canary.steps.get(step);
    let own = own.and_then(|step| step.replica_progress_threshold.as_ref());
    own.or(canary.replica_progress_threshold.as_ref())
}

/// Whether an action leaves nobody to answer, where somebody was there before: the ready pods
/// behind what gets traffic, of whichever revision.
pub(super) fn is_outage(before: &Facts, after: &Facts) -> bool {
    let asked = after.rollout.is_some() && after.replicas() > 0;
    asked && serving(before).is_some_and(|pods| pods > 0) && serving(after) == Some(0)
}

/// Ready pods behind what gets traffic; `None` where a service takes all pods or none is known.
fn serving(facts: &Facts) -> Option<i32> {
    let rollout = facts.rollout.as_ref()?;
    if let Some(strategy) = rollout.spec.blue_green() {
        return facts
            .selected(&strategy.active_service)
            .map(|hash| facts.ready_of(hash));
    }
    // Without a router, the floor of available pods says how many there are to be: none, perhaps.
    rollout.spec.traffic_routing()?;
    let mut ready = 0;
    for (service, _) in facts.weights.iter().filter(|(_, weight)| *weight > 0) {
        let own = facts.ready_of(facts.selected(service)?);
        ready += facts.guest(service).unwrap_or(own);
    }
    (!facts.weights.is_empty()).then_some(ready)
}

/// Whether the canary service still selects a revision that another one has taken the place of. Its
/// traffic goes back as fast as it can.
pub(super) fn is_superseded(facts: &Facts) -> bool {
    let service = facts.canary_service();
    let selected = service.and_then(|service| facts.selected(service));
    let (Some(selected), Some(status)) = (selected, facts.status()) else {
        return false;
    };
    selected != status.current_pod_hash && selected != status.stable_rs
}

/// Whether pods of that hash are a canary: there is a stable revision with a ReplicaSet, and it is
/// another one. With the stable pods gone for good there is nobody else to send requests to.
fn is_update(facts: &Facts, hash: &str) -> bool {
    facts
        .status()
        .is_some_and(|status| status.stable_rs != hash && facts.set(&status.stable_rs).is_some())
}

/// Whether the ReplicaSet of the stable revision has been deleted, or is about to go.
pub(super) fn is_stable_gone(facts: &Facts) -> bool {
    let is_gone = |hash: &str| facts.set(hash).is_none_or(SetFacts::is_leaving);
    let status = facts.status();
    status.is_some_and(|status| is_gone(&status.stable_rs))
}

/// The whole that weights on record are parts of, as far as they add up: an edit of
/// `maxTrafficWeight` may have made another one since.
pub(super) fn whole_of(weights: &TrafficWeights) -> i32 {
    let additional = weights.additional.iter().map(|own| own.weight);
    weights.canary.weight + weights.stable.weight + additional.sum::<i32>()
}

/// The canary's weight on record as a part of `whole`, rounded up. What adds up to something else
/// may have been a part of that, or of what routers that differ gave it; what is more than all of
/// the present whole is of another one for certain.
pub(super) fn weight_on_record(status: &RolloutStatus, whole: i32) -> i32 {
    let Some(weights) = status.canary.weights.as_ref() else {
        return 0;
    };
    let (weight, sum) = (weights.canary.weight, i64::from(whole_of(weights)));
    let parts = i64::from(weight) * i64::from(whole) + sum - 1;
    let part = parts.checked_div(sum).unwrap_or(0) as i32;
    if weight > whole {
        part
    } else {
        part.max(weight)
    }
}

/// The weight of the last `setWeight` up to the current step.
pub(super) fn allowed_weight(facts: &Facts, rollout: &Rollout) -> i32 {
    let Some(status) = facts.status() else {
        return 0;
    };
    let steps = rollout.spec.canary_steps();
    let canary = rollout.spec.canary();
    let whole = canary.map_or(100, CanaryStrategy::max_traffic_weight);
    if is_given_up(status) {
        // What the stable pods cannot take yet stays where it is; it never becomes more.
        return weight_on_record(status, whole);
    }
    let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
    if index >= steps.len() || is_promoted_in_full(status) {
        return whole;
    }
    weight_at(rollout, index)
}

/// The weight that the steps up to this one give the canary.
pub(super) fn weight_at(rollout: &Rollout, step: usize) -> i32 {
    let steps = rollout.spec.canary_steps();
    let mut done = steps[..steps.len().min(step + 1)].iter().rev();
    done.find_map(|step| step.set_weight).unwrap_or(0)
}

/// What `after` breaks more than `before` does.
pub fn worse(before: &Shortfalls, after: &Shortfalls) -> Shortfalls {
    after
        .iter()
        .filter(|(rule, shortfall)| before.get(*rule).is_none_or(|old| old < *shortfall))
        .map(|(rule, shortfall)| (rule.clone(), *shortfall))
        .collect()
}
