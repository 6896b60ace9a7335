//! The rules of header and mirror steps: what those put before the rules of the route itself.
//!
//! A step ends when the route has the rule that it asks for, or not any more the one that it takes
//! away. Where such a rule would lead to nobody, or nobody is left to divide the traffic with, a
//! step ends without it. At rest the route has no others than the steps ask for.

use super::facts::canary_service;
use super::rules::{self, Scale};
use super::{Change, Facts, rest};
use api::constants::GATEWAY_API_PLUGIN;
use api::{CanaryStep, Rollout, RolloutStatus, SetHeaderRoute, SetMirrorRoute};
use engine::traffic::ManagedRoute;
use serde_json::Value;

/// What a step asks for, if it is such a one.
fn asked(step: &CanaryStep) -> Option<ManagedRoute> {
    let header = step.set_header_route.clone().map(ManagedRoute::Header);
    let mirror = step.set_mirror_route.clone().map(ManagedRoute::Mirror);
    header.or(mirror)
}

/// Whether a rule is one of those that were made for this name: of several the first has it, and
/// the others have a number too.
fn is_of(rule: &Value, name: &str) -> bool {
    let own = rule["name"].as_str();
    let rest = own.and_then(|own| own.strip_prefix(name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whether a rule does what is asked for with the canary's service.
fn does(rule: &Value, asked: &ManagedRoute, canary: &str) -> bool {
    match asked {
        ManagedRoute::Header(route) => leads(rule, route, canary),
        ManagedRoute::Mirror(route) => mirrors(rule, route, canary),
    }
}

/// Whether it sends all requests that have the headers to a service, and no others.
fn leads(rule: &Value, route: &SetHeaderRoute, canary: &str) -> bool {
    let backends = rule["backendRefs"].as_array().map(Vec::as_slice);
    let matches = rule["matches"].as_array().map(Vec::as_slice);
    let asks_for_all = |one: &Value| {
        let headers = one["headers"].as_array();
        let has = |name: &str, value: Option<&String>| {
            let mut headers = headers.into_iter().flatten();
            headers.any(|own| own["name"] == name && value.is_none_or(|text| own["value"] == *text))
        };
        let mut asked = route.match_.iter();
        asked.all(|own| has(&own.header_name, own.header_value.exact.as_ref()))
    };
    let is_asked = matches.is_some_and(|all| !all.is_empty() && all.iter().all(asks_for_all));
    is_asked && matches!(backends, Some([one]) if one["name"] == canary)
}

/// Whether it sends copies of so many requests to a service.
fn mirrors(rule: &Value, route: &SetMirrorRoute, canary: &str) -> bool {
    let percentage = route.percentage.filter(|percentage| *percentage < 100);
    let mut filters = rule["filters"].as_array().into_iter().flatten();
    filters.any(|filter| {
        let mirror = &filter["requestMirror"];
        mirror["backendRef"]["name"] == canary
            && mirror["percent"].as_i64() == percentage.map(i64::from)
    })
}

impl Change<'_> {
    /// What is wrong with the end of a header or mirror step.
    pub(super) fn route_end(&self, before: &RolloutStatus, index: usize) -> Option<String> {
        let step = self.planned.spec.canary_steps().get(index)?;
        let asked = asked(step)?;
        let (name, mut rules) = (asked.name(), self.seen.managed.iter());
        if asked.is_removal() {
            let is_left = rules.any(|rule| is_of(rule, name));
            return is_left.then(|| format!("step {index} ends, and the rule {name} is left"));
        }
        let service = canary_service(self.planned, Some(before)).unwrap_or_default();
        let is_there = rules.any(|rule| does(rule, &asked, service));
        (!is_there && !self.is_pointless_to_lead(before, index))
            .then(|| format!("step {index} ends without the rule {name}"))
    }

    /// Whether there is nobody to divide the traffic with, or the steps give the canary no pods.
    fn is_pointless_to_lead(&self, before: &RolloutStatus, index: usize) -> bool {
        let is_alone = self.seen.replicas() == 0
            || self.is_gone(&before.stable_rs)
            || before.stable_rs == before.current_pod_hash;
        // A little of a weight is one pod.
        let given = match rules::scale_in_force(self.planned, before) {
            Some(Scale::Replicas(given) | Scale::Weight(given)) => given,
            None => rules::weight_at(self.planned, index),
        };
        is_alone || given <= 0
    }
}

/// The rules of a route at rest that no step asks for: of steps, or of a router, that the spec has
/// given up, and of an update that is over.
pub(super) fn surplus(status: &RolloutStatus, facts: &Facts) -> Option<String> {
    let rollout = facts.rollout.as_ref()?;
    let asked = asked_so_far(rollout, status);
    let is_asked = |rule: &&Value| asked.iter().any(|own| is_of(rule, own.name()));
    let mut surplus = facts.managed.iter().filter(|rule| !is_asked(rule));
    let rule = surplus.next().filter(|_| !rest::is_invalid(status))?;
    Some(format!("{} is left: {}", rule["name"], rule["backendRefs"]))
}

/// What the steps have asked for so far, the last that names a route.
fn asked_so_far(rollout: &Rollout, status: &RolloutStatus) -> Vec<ManagedRoute> {
    let routing = rollout.spec.traffic_routing();
    let is_routed = routing.is_some_and(|own| own.plugins.contains_key(GATEWAY_API_PLUGIN));
    let is_over = status.abort
        || status.promote_full
        || status.stable_rs.is_empty()
        || status.stable_rs == status.current_pod_hash;
    if !is_routed || is_over {
        return Vec::new();
    }
    let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
    let steps = rollout.spec.canary_steps();
    let mut all: Vec<ManagedRoute> = Vec::new();
    for own in steps.iter().take(index + 1).rev().filter_map(asked) {
        if all.iter().all(|known| known.name() != own.name()) {
            all.push(own);
        }
    }
    all.retain(|own| !own.is_removal());
    all
}
