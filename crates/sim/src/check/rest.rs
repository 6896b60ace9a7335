//! The rules of rest: what a world is like that nobody disturbs.

use super::Facts;
use api::constants::condition;
use api::{RolloutPhase, RolloutStatus};
use plan::Plan;

/// A plan for a world at rest: nothing to do, nothing to say, and a reason to be where it is.
pub fn at_rest(
    plan: &Plan<RolloutStatus>,
    stored: &RolloutStatus,
    facts: &Facts,
) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    found.extend(routes(plan, facts).map(|what| ("routes at rest", what)));
    if !plan.actions.is_empty() {
        found.push(("liveness", format!("still to be done: {:?}", plan.actions)));
    }
    if plan.root.patch.is_some() {
        found.push(("liveness", "the Rollout is still to be patched".to_owned()));
    }
    if plan.status != *stored {
        found.push(("fixpoint", difference(stored, &plan.status)));
    }
    if !plan.releases.is_empty() {
        found.push(("fixpoint", format!("still to be said: {:?}", plan.releases)));
    }
    let healthy = plan.status.phase == Some(RolloutPhase::Healthy);
    if !healthy && plan.trace.waiting_on.is_empty() {
        found.push((
            "trace",
            format!(
                "{:?} ({}) and waits for nothing",
                plan.status.phase, plan.status.message
            ),
        ));
    }
    found
}

/// What is wrong with the routes: they say what the status says, all of them.
fn routes(plan: &Plan<RolloutStatus>, facts: &Facts) -> Option<String> {
    let invalid = |own: &api::RolloutCondition| own.type_ == condition::INVALID_SPEC;
    let rollout = facts.rollout.as_ref()?;
    rollout.spec.traffic_routing()?;
    if plan.status.conditions.iter().any(invalid) {
        return None;
    }
    if !facts.odd_ingresses.is_empty() {
        let odd = &facts.odd_ingresses;
        return Some(format!("{odd:?} have other weights than the first Ingress"));
    }
    let told = plan.status.canary.weights.as_ref()?.canary.weight;
    let live = facts.weight(facts.canary_service()?)?;
    (told != live).then(|| format!("the canary has {live}, and the status says {told}"))
}

/// The fields of a status that are not as stored.
fn difference(stored: &RolloutStatus, planned: &RolloutStatus) -> String {
    let (stored, planned) = (serde_json::json!(stored), serde_json::json!(planned));
    let none = serde_json::Map::new();
    let fields = |status: &serde_json::Value| {
        let fields = status.as_object().unwrap_or(&none);
        fields
            .keys()
            .cloned()
            .collect::<std::collections::BTreeSet<_>>()
    };
    let names = &fields(&stored) | &fields(&planned);
    let differing = names.iter().filter(|name| stored[*name] != planned[*name]);
    let told: Vec<String> = differing
        .map(|name| format!("{name} is {}, not {}", stored[name], planned[name]))
        .collect();
    format!("the status is not the one stored: {}", told.join("; "))
}

/// After everything was put right and the update promoted in full: one revision, all traffic.
pub fn healed(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let (Some(status), Some(rollout)) = (facts.status(), &facts.rollout) else {
        return vec![("recovery", "there is no Rollout".to_owned())];
    };
    if status.phase != Some(RolloutPhase::Healthy) {
        let what = format!("it is {:?} ({})", status.phase, status.message);
        return vec![("recovery", what)];
    }
    let stable = &status.stable_rs;
    if *stable != status.current_pod_hash {
        found.push((
            "recovery",
            "the stable revision is not the current one".to_owned(),
        ));
    }
    if rollout.metadata.generation.map(|own| own.to_string())
        != Some(status.observed_generation.clone())
    {
        found.push(("recovery", "the last generation is not observed".to_owned()));
    }
    let replicas = facts.replicas();
    for set in &facts.sets {
        let wanted = if set.hash == *stable { replicas } else { 0 };
        if set.size != wanted || set.ready != wanted {
            found.push((
                "recovery",
                format!(
                    "{} has {} pods, {} ready, instead of {wanted}",
                    set.hash, set.size, set.ready
                ),
            ));
        }
    }
    let canary = facts.canary_service();
    let swaps = rollout
        .spec
        .canary()
        .is_some_and(|own| own.ping_pong.is_some());
    for service in engine::snapshot::references(rollout).services {
        let selected = facts.selected(&service);
        // Of ping and pong, one leads to what was stable before.
        let idle = swaps && canary == Some(&service);
        if selected != Some(stable) && replicas > 0 && !idle {
            found.push(("recovery", format!("{service} selects {selected:?}")));
        }
    }
    if facts.managed_rules > 0 && rollout.spec.traffic_routing().is_some() {
        let left = facts.managed_rules;
        found.push(("recovery", format!("{left} rules of steps are left")));
    }
    if rollout.spec.traffic_routing().is_some()
        && let Some(weight) = facts
            .weight(canary.unwrap_or_default())
            .filter(|own| *own > 0)
    {
        found.push(("recovery", format!("the canary still has {weight}")));
    }
    found
}
