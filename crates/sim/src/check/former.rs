//! The rules of routers that the spec no longer names and that divide the traffic still: canary
//! Ingresses that are left, and a route that is on record. Whatever the strategy is by now, what
//! they send is answered, and they give back no more than can be taken.
//!
//! No step holds them to a weight: what they give the canary's service only ever becomes less.

use super::Facts;
use super::rules::Shortfalls;
use crate::setup;
use engine::traffic::Record;

pub(super) const NOBODY_BEHIND: &str = "a router that was given up leads where no pod is ready";
pub(super) const TOO_FEW_BEHIND: &str = "a router that was given up leads to too few ready pods";
pub(super) const TOO_SOON: &str = "a router gives back what the stable pods cannot take";

/// What such a router gives the canary's service and the stable one: parts of `whole`.
#[derive(Clone, Copy, Debug)]
struct Former<'f> {
    canary: (&'f str, i32),
    stable: (&'f str, i32),
    whole: i32,
}

impl<'f> Former<'f> {
    /// `None` if the canary's service gets nothing, or if nobody knows who gets the rest.
    fn of(weights: &'f [(String, i32)], canary: &str) -> Option<Self> {
        let mut own = weights.iter().filter(|(name, _)| name == canary);
        let (canary, part) = own.next().filter(|(_, part)| *part > 0)?;
        let (stable, rest) = weights.iter().find(|(name, _)| name != canary)?;
        let whole = weights.iter().map(|(_, weight)| weight).sum();
        Some(Self {
            canary: (canary, *part),
            stable: (stable, *rest),
            whole,
        })
    }
}

/// All of them. Where the spec has no router at all, the route is one as long as it is on record:
/// otherwise it is somebody else who divides the traffic by it.
fn dividing(facts: &Facts) -> Vec<Former<'_>> {
    let mut found = Vec::new();
    for weights in &facts.left {
        let canary = weights.first();
        found.extend(canary.and_then(|(name, _)| Former::of(weights, name)));
    }
    let is_left = facts.rollout.as_ref().is_some_and(|rollout| {
        let is_on_record = Record::stored_text(rollout, facts.status()).is_some();
        is_on_record && rollout.spec.traffic_routing().is_none()
    });
    if is_left {
        found.extend(Former::of(&facts.weights, setup::CANARY));
    }
    found
}

/// Whether it is the active service of a blue-green strategy, which has rules of its own.
fn is_active(service: &str, facts: &Facts) -> bool {
    let strategy = facts.rollout.as_ref().and_then(|own| own.spec.blue_green());
    strategy.is_some_and(|own| own.active_service == service)
}

/// What they send is answered by as many ready pods as its part of the replicas.
pub(super) fn shortfalls(facts: &Facts, found: &mut Shortfalls) {
    let mut note = |rule, service: &str, by: i32| {
        let worst = found.entry((rule, service.to_owned())).or_insert(by);
        *worst = by.max(*worst);
    };
    for former in dividing(facts) {
        for (service, weight) in [former.canary, former.stable] {
            let is_judged = weight > 0 && !is_active(service, facts);
            let Some(hash) = facts.selected(service).filter(|_| is_judged) else {
                continue;
            };
            let ready = facts.ready_of(hash);
            if facts.ready() > ready {
                let needed = facts.replicas() * weight / former.whole.max(1);
                note(NOBODY_BEHIND, service, i32::from(ready == 0));
                note(TOO_FEW_BEHIND, service, needed - ready);
            }
        }
    }
}

/// Whether an action takes the canary's part from one of them, though those who answer for it are
/// others than the stable pods, and of these too few are ready for all of the traffic.
pub(super) fn gives_back_too_soon(before: &Facts, after: &Facts) -> bool {
    let formers = dividing(before);
    let is_less = dividing(after).len() < formers.len();
    let Some(former) = formers.first().filter(|_| is_less) else {
        return false;
    };
    let ((canary, _), (stable, _)) = (former.canary, former.stable);
    let (Some(has), Some(gets)) = (before.selected(canary), before.selected(stable)) else {
        return false;
    };
    // Back to the stable pods an active service goes after an abort, however few they are. Where no
    // pods are asked for, none ever come, and new ones may stay that a step or a preview keeps.
    let all = before.replicas();
    let needed = if is_active(stable, before) {
        all.min(1)
    } else {
        all
    };
    has != gets && before.ready_of(has) > 0 && before.ready_of(gets) < needed
}
