//! What an action makes worse and is not to be blamed for.

use super::Facts;
use super::former::{NOBODY_BEHIND, TOO_FEW_BEHIND};
use super::rules::{
    ACTIVE_NOT_READY, ACTIVE_TOO_FEW, ARM_TOO_SMALL, NOBODY_READY, OF_HEADERS, TOO_MUCH,
};
use crate::setup;
use std::cmp::Ordering;

/// Whether an action that breaks a rule at a service has done what could be done: of the world
/// before and after it, in truth and as it was seen.
pub(super) fn is_excused(
    rule: &str,
    service: &str,
    truth: (&Facts, &Facts),
    seen: (&Facts, &Facts),
) -> bool {
    is_same_arm(rule, service, truth.0, truth.1)
        || is_left_over(rule, service, truth.0, truth.1)
        || gets_no_more(rule, service, truth.0, truth.1)
        || is_put_back(rule, service, truth.0, truth.1)
        || is_rescue(rule, service, truth.0)
        || is_rescue(rule, service, seen.0)
        || is_led_to_nobody(rule, service, truth.1)
}

/// Whether somebody has led a service of an Experiment to nobody. It is the Experiment that leads
/// it back; the planner of a Rollout does not look where it leads.
fn is_led_to_nobody(rule: &str, service: &str, after: &Facts) -> bool {
    rule == NOBODY_READY
        && after.guest(service).is_some()
        && after.selected(service) == Some(setup::NOBODY)
}

/// Whether what a service does more than it may is a rescue: the active service selected nobody
/// before, so that a few pods are better; the canary's service selected everybody, and of the
/// stable pods, who are to have its traffic, none answers.
fn is_rescue(rule: &str, service: &str, before: &Facts) -> bool {
    let (Some(rollout), Some(status)) = (before.rollout.as_ref(), before.status()) else {
        return false;
    };
    if rule == TOO_MUCH {
        return before.selected(service).is_none() && before.ready_of(&status.stable_rs) == 0;
    }
    if rule != ACTIVE_TOO_FEW {
        return false;
    }
    let strategy = rollout.spec.blue_green();
    let selected = strategy.and_then(|strategy| before.selected(&strategy.active_service));
    selected
        .and_then(|hash| before.set(hash))
        .is_none_or(|set| set.size == 0)
}

/// How the share that a service gets now compares with what it got before: weights may be parts of
/// another whole since then. Where nothing divides the traffic, nobody knows.
fn compare_shares(service: &str, before: &Facts, after: &Facts) -> Option<Ordering> {
    let given = |facts: &Facts| {
        let all = facts.weights.iter().map(|(_, weight)| i64::from(*weight));
        let own = facts.weight(service).unwrap_or(0);
        (i64::from(own), all.sum::<i64>())
    };
    let (first, last) = (given(before), given(after));
    (first.1 > 0 && last.1 > 0).then(|| (last.0 * first.1).cmp(&(first.0 * last.1)))
}

/// Whether the canary's service has nothing but what is on record: somebody had pointed it at
/// everybody while it held a weight for stable pods that were still to come.
fn is_put_back(rule: &str, service: &str, before: &Facts, after: &Facts) -> bool {
    let recorded = before
        .status()
        .and_then(|status| status.canary.weights.as_ref());
    let (Some(recorded), Some(hash)) = (recorded, after.selected(service)) else {
        return false;
    };
    // An edit may have made another whole of the one that this is a part of.
    let of_spec = before.rollout.as_ref().and_then(|own| own.spec.canary());
    let wholes = [
        of_spec.map_or(100, api::CanaryStrategy::max_traffic_weight),
        super::rules::whole_of(recorded),
    ];
    let is_what_it_has = |whole: i32| {
        let share = before.share_on_record(service, whole);
        share == Some(recorded.canary.weight)
    };
    rule == TOO_MUCH
        && before.selected(service).is_none()
        && recorded.canary.pod_template_hash == hash
        && wholes.into_iter().any(is_what_it_has)
        && compare_shares(service, before, after) == Some(Ordering::Equal)
}

/// Whether a rule is about what a service leads to, and that is as it was. Pods elsewhere may have
/// come to count: those of a ReplicaSet that was scaled to nothing, and up again before they were
/// gone.
fn is_same_arm(rule: &str, service: &str, before: &Facts, after: &Facts) -> bool {
    let active = || {
        let rollout = after.rollout.as_ref()?;
        Some(rollout.spec.blue_green()?.active_service.clone())
    };
    // Requests with a header come as long as its rule is there, whatever the weights are.
    let of_headers = service.strip_suffix(OF_HEADERS);
    let service = match rule {
        ARM_TOO_SMALL | NOBODY_READY | NOBODY_BEHIND | TOO_FEW_BEHIND => {
            of_headers.unwrap_or(service).to_owned()
        }
        ACTIVE_NOT_READY => active().unwrap_or_default(),
        _ => return false,
    };
    let arm = |facts: &Facts| {
        let hash = facts.selected(&service)?.to_owned();
        let ready = facts.ready_of(&hash);
        Some((hash, ready, facts.replicas()))
    };
    let is_same_share = if of_headers.is_some() {
        before.direct.contains(&service) == after.direct.contains(&service)
    } else {
        compare_shares(&service, before, after).map_or_else(
            || before.weight(&service) == after.weight(&service),
            Ordering::is_eq,
        )
    };
    is_same_share && arm(before) == arm(after)
}

/// Whether all that an arm gets more was of no use elsewhere: shares of an experiment, whose pods
/// go when it has ended, or the part of a service of the Rollout's own that no ready pod is behind.
/// Few pods are better than none.
fn is_left_over(rule: &str, service: &str, before: &Facts, after: &Facts) -> bool {
    let Some(rollout) = before.rollout.as_ref().filter(|_| rule == ARM_TOO_SMALL) else {
        return false;
    };
    let own = engine::snapshot::references(rollout).services;
    let is_useless = |name: &String| {
        let is_dead = |hash: &str| before.ready_of(hash) == 0;
        !own.contains(name) || before.selected(name).is_some_and(is_dead)
    };
    let compare = |name: &str| compare_shares(name, before, after);
    let mut losers = before
        .weights
        .iter()
        .filter(|(name, _)| compare(name) == Some(Ordering::Less))
        .peekable();
    let gains = losers.peek().is_some() && compare(service) == Some(Ordering::Greater);
    let is_same = before.selected(service) == after.selected(service);
    gains && is_same && losers.all(|(name, _)| is_useless(name))
}

/// Whether a rule is about the pods behind a service, and those get no more requests than before:
/// what this service gets more, another one had that leads to the same pods. (Where nothing divided
/// the traffic, nobody knows what they got.)
fn gets_no_more(rule: &str, service: &str, before: &Facts, after: &Facts) -> bool {
    if !matches!(rule, ARM_TOO_SMALL | NOBODY_READY) || before.replicas() != after.replicas() {
        return false;
    }
    let (Some(hash), Some(now)) = (before.selected(service), after.selected(service)) else {
        return false;
    };
    // Of so many parts, the pods get so many.
    let given = |facts: &Facts| {
        let (mut own, mut all) = (0, 0);
        for (name, weight) in &facts.weights {
            let weight = i64::from(*weight);
            all += weight;
            if facts.selected(name) == Some(hash) {
                own += weight;
            }
        }
        (own, all)
    };
    let (first, last) = (given(before), given(after));
    let is_no_more = first.1 > 0 && last.0 * first.1 <= first.0 * last.1;
    is_no_more && hash == now && before.ready_of(hash) <= after.ready_of(hash)
}
