//! The rules of rest: what a world is like that nobody disturbs.

use super::facts::stable_ingresses;
use super::{Facts, reasons, rules, step_routes};
use crate::ground::Ground;
use crate::object::{Id, Kind};
use crate::setup;
use api::constants::condition;
use api::{AnalysisPhase, PauseReason, Rollout, RolloutPhase, RolloutStatus};
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
    found.extend(history(plan, facts).map(|what| ("history at rest", what)));
    found.extend(services(plan, facts).map(|what| ("services at rest", what)));
    found.extend(aborted(plan, facts).map(|what| ("an abort at rest", what)));
    found.extend(counts(plan, facts).map(|what| ("counts at rest", what)));
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
    if !healthy && !plan.trace.waiting_on.is_empty() && !reasons::is_founded(plan, facts) {
        let (status, waits) = (&plan.status, &plan.trace.waiting_on);
        let what = format!("{:?} ({}): {waits:?}", status.phase, status.message);
        found.push(("a wait for nothing", what));
    }
    let left = step_routes::surplus(&plan.status, facts);
    found.extend(left.map(|what| ("rules of steps at rest", what)));
    found
}

pub(super) fn is_invalid(status: &RolloutStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|own| own.type_ == condition::INVALID_SPEC)
}

/// Of revisions that have no pods and that nothing leads to, no more are kept than
/// `revisionHistoryLimit` says.
fn history(plan: &Plan<RolloutStatus>, facts: &Facts) -> Option<String> {
    let status = &plan.status;
    let limit = facts
        .rollout
        .as_ref()?
        .spec
        .revision_history_limit_or_default();
    let in_use = |hash: &String| *hash == status.stable_rs || *hash == status.current_pod_hash;
    let others = facts.sets.iter().filter(|set| !in_use(&set.hash));
    let others: Vec<_> = others.collect();
    let selected = |hash: &str| facts.services.iter().any(|(_, own)| own == hash);
    let mut kept = others.iter();
    // A weight that could not be written anew yet names its revision (rollouts.md §3.4).
    let arms = status.canary.weights.iter();
    let arms: Vec<_> = arms.flat_map(|own| [&own.canary, &own.stable]).collect();
    let weighed = |hash: &str| arms.iter().any(|arm| arm.pod_template_hash == hash);
    let needed = kept.any(|set| set.size > 0 || selected(&set.hash) || weighed(&set.hash));
    let surplus = others.len() as i32 > limit.max(0);
    (surplus && !needed && !is_invalid(status))
        .then(|| format!("{} old revisions are kept of {limit}", others.len()))
}

/// The preview service leads to the current revision unless a pause keeps it, and the status says
/// where both services lead.
fn services(plan: &Plan<RolloutStatus>, facts: &Facts) -> Option<String> {
    let status = &plan.status;
    let rollout = facts.rollout.as_ref()?;
    let strategy = rollout.spec.blue_green()?;
    if is_invalid(status) {
        return None;
    }
    let active = facts.selected(&strategy.active_service).unwrap_or_default();
    if active != status.blue_green.active_selector {
        let told = &status.blue_green.active_selector;
        return Some(format!(
            "the active service selects {active:?}, not {told:?}"
        ));
    }
    let service = strategy.preview_service.as_deref()?;
    let preview = facts.selected(service);
    let mut pauses = status.pause_conditions.iter();
    let halted = rollout.spec.is_paused()
        || pauses.any(|pause| pause.reason == PauseReason::InconclusiveAnalysisRun);
    let current = &status.current_pod_hash;
    let held = halted || is_kept_for_a_router(service, current, facts);
    (!held && preview != Some(current))
        .then(|| format!("the preview service selects {preview:?} instead of {current}"))
}

/// Whether a router that the spec no longer names gives the preview service a part of its own, and
/// the current revision has fewer pods to answer it than what the service leads to.
fn is_kept_for_a_router(service: &str, current: &str, facts: &Facts) -> bool {
    let Some(hash) = facts.selected(service) else {
        return false;
    };
    let divides = |weights: &Vec<(String, i32)>| {
        let mut own = weights.iter().filter(|(name, _)| name == service);
        let mut others = weights.iter().filter(|(name, _)| name != service);
        own.any(|(_, weight)| *weight > 0)
            && others.all(|(other, _)| facts.selected(other) != Some(hash))
    };
    let mut routers = facts.left.iter().chain([&facts.weights]);
    routers.any(divides) && facts.ready_of(current) < facts.ready_of(hash)
}

/// The status counts the pods that answer: of what the active service leads to, or all.
fn counts(plan: &Plan<RolloutStatus>, facts: &Facts) -> Option<String> {
    let status = &plan.status;
    if is_invalid(status) {
        return None;
    }
    let strategy = facts.rollout.as_ref()?.spec.blue_green();
    let active = strategy.and_then(|own| facts.selected(&own.active_service));
    let active = active.and_then(|hash| facts.set(hash));
    let there = active.map_or_else(|| facts.available(), |set| set.available);
    let told = status.available_replicas;
    (told != there).then(|| format!("{there} pods are available, and the status says {told}"))
}

/// Analysis runs that have ended and that nobody needs: more than the limits of the history, or of
/// revisions that are gone.
pub fn surplus_runs(ground: &dyn Ground, facts: &Facts) -> Option<(&'static str, String)> {
    let (rollout, status) = (facts.rollout.as_ref()?, facts.status()?);
    let (canary, blue_green) = (&status.canary, &status.blue_green);
    let current = [
        &canary.current_step_analysis_run_status,
        &canary.current_background_analysis_run_status,
        &blue_green.pre_promotion_analysis_run_status,
        &blue_green.post_promotion_analysis_run_status,
    ];
    let current: Vec<&str> = current
        .into_iter()
        .flatten()
        .map(|own| own.name.as_str())
        .collect();
    let (mut successful, mut others, mut orphans) = (0, 0, 0);
    for (id, object) in ground.list(Kind::AnalysisRun) {
        let Some(run) = object.analysis_run() else {
            continue;
        };
        let is_ours = object.controller_uid() == rollout.metadata.uid.as_deref();
        let labels = run.metadata.labels.as_ref();
        let hash = labels.and_then(|all| all.get(api::constants::HASH_LABEL));
        let phase = run.status.as_ref().and_then(|status| status.phase);
        match phase {
            _ if !is_ours || current.contains(&&*id.name) => {}
            None | Some(AnalysisPhase::Pending | AnalysisPhase::Running) => {}
            _ if hash.is_none_or(|own| facts.set(own).is_none()) => orphans += 1,
            Some(AnalysisPhase::Successful) => successful += 1,
            Some(_) => others += 1,
        }
    }
    let spec = &rollout.spec;
    let is_much = successful > spec.successful_run_history_limit().max(0)
        || others > spec.unsuccessful_run_history_limit().max(0)
        || orphans > 0;
    let what = || format!("{successful} runs that passed, {others} others, {orphans} of nobody");
    (is_much && !is_invalid(status)).then(|| ("history at rest", what()))
}

/// What an update that was given up still gets, though all stable pods answer.
fn aborted(plan: &Plan<RolloutStatus>, facts: &Facts) -> Option<String> {
    let status = &plan.status;
    let rollout = facts.rollout.as_ref()?;
    let stable = facts.set(&status.stable_rs)?;
    let answers = stable.size > 0 && stable.available >= stable.size;
    let is_given_up = status.abort && status.stable_rs != status.current_pod_hash;
    if !is_given_up || !answers || facts.replicas() == 0 || is_invalid(status) {
        return None;
    }
    let leads_elsewhere = |service: &str| {
        let selected = facts.selected(service).filter(|own| *own != stable.hash);
        selected.map(|own| format!("{service} leads to {own} after an abort"))
    };
    if let Some(strategy) = rollout.spec.blue_green() {
        return leads_elsewhere(&strategy.active_service);
    }
    if rollout.spec.traffic_routing().is_none() {
        return leads_elsewhere(facts.canary_service()?);
    }
    let weight = status.canary.weights.as_ref()?.canary.weight;
    (weight > 0).then(|| format!("the canary has {weight} after an abort"))
}

/// What is wrong with the routes: they say what the status says, all of them.
fn routes(plan: &Plan<RolloutStatus>, facts: &Facts) -> Option<String> {
    let rollout = facts.rollout.as_ref()?;
    rollout.spec.traffic_routing()?;
    if is_invalid(&plan.status) {
        return None;
    }
    if !facts.odd_ingresses.is_empty() {
        let odd: Vec<&String> = facts.odd_ingresses.iter().map(|(name, _)| name).collect();
        let what = || format!("{odd:?} have other weights than the first Ingress");
        return (!is_left_to_few(&plan.status, facts)).then(what);
    }
    let told = plan.status.canary.weights.as_ref()?.canary.weight;
    let whole = rollout.spec.canary()?.max_traffic_weight();
    let live = facts.share(facts.canary_service()?, whole)?;
    // Parts of another whole have to be rounded.
    let slack = i32::from(facts.weight(facts.canary_service()?) != Some(live));
    ((told - live).abs() > slack)
        .then(|| format!("the canary has {live}, and the status says {told}"))
}

/// Whether there is no weight of an Ingress that all of them could have: too few stable pods answer
/// for what the least of them leaves, and the canary's service leads to others, of which too few
/// answer for the most, as far as the step gives that. What somebody has turned stays there until
/// they are back. Of an update that was given up, and on the way back to the stable template, no
/// Ingress gives the canary more again. While nobody answers at all, every weight will do.
fn is_left_to_few(status: &RolloutStatus, facts: &Facts) -> bool {
    let (Some(rollout), Some(stable)) = (facts.rollout.as_ref(), facts.set(&status.stable_rs))
    else {
        return false;
    };
    let service = facts.canary_service();
    let selected = service.and_then(|own| facts.selected(own));
    let is_shared = selected == Some(stable.hash.as_str());
    let canary = rollout.spec.canary();
    let whole = canary.map_or(100, api::CanaryStrategy::max_traffic_weight);
    let first = service.and_then(|own| facts.share(own, whole));
    let first = first.unwrap_or(0);
    let others = facts.odd_ingresses.iter().map(|(_, weight)| *weight);
    let (least, most) = others.fold((first, first), |(least, most), weight| {
        (least.min(weight), most.max(weight))
    });
    let is_too_few = |pods: i32, weight: i32| {
        let least = i32::from(weight > 0 && facts.replicas() > 0);
        pods < (facts.replicas() * weight / whole.max(1)).max(least)
    };
    let is_going_back = rules::is_given_up(status) || status.stable_rs == status.current_pod_hash;
    let given = most.min(weight_of_steps(status, facts, rollout));
    let behind = selected.map_or(0, |hash| facts.available_of(hash));
    let is_held = is_going_back
        || given <= least
        || is_too_few(behind, given)
        || (given < most && is_too_few(stable.available, whole - given));
    !is_shared && facts.ready() > 0 && is_too_few(stable.available, whole - least) && is_held
}

/// What the steps give the canary now; in a halt, no more than those before the one that it is at.
fn weight_of_steps(status: &RolloutStatus, facts: &Facts, rollout: &Rollout) -> i32 {
    let allowed = rules::allowed_weight(facts, rollout);
    if !rules::is_halted(rollout, status) {
        return allowed;
    }
    let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
    let steps = rollout.spec.canary_steps();
    let mut before = steps[..steps.len().min(index)].iter().rev();
    allowed.min(before.find_map(|step| step.set_weight).unwrap_or(0))
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
/// `turned`: somebody has turned the weights of the route by hand, which nobody puts right without
/// a router.
pub fn healed(facts: &Facts, turned: bool) -> Vec<(&'static str, String)> {
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
    if !facts.managed.is_empty() {
        let left = facts.managed.len();
        found.push(("recovery", format!("{left} rules of steps are left")));
    }
    let canary = canary.unwrap_or(setup::CANARY);
    // The route of a router that the spec no longer names must not lead to another revision of
    // ours.
    let selected = facts.selected(canary);
    let misleads = rollout.spec.traffic_routing().is_some()
        || (!turned && selected.is_some_and(|own| own != stable && facts.set(own).is_some()));
    if let Some(weight) = facts.weight(canary).filter(|own| *own > 0 && misleads) {
        found.push(("recovery", format!("the canary still has {weight}")));
    }
    found
}

/// Canary Ingresses of a router that the spec does not name any more.
pub fn left_ingresses(ground: &dyn Ground, facts: &Facts) -> Vec<(&'static str, String)> {
    let rollout = facts.rollout.as_ref();
    if rollout.is_none_or(|rollout| !stable_ingresses(rollout).is_empty()) {
        return Vec::new();
    }
    let name = |stable: &str| format!("{}-{stable}-canary", setup::ROLLOUT);
    let names = setup::INGRESSES.map(name).into_iter();
    let left = names.filter(|name| ground.get(&Id::new(Kind::Ingress, name)).is_some());
    left.map(|name| {
        (
            "recovery",
            format!("the Ingress {name} is left of a router that has gone"),
        )
    })
    .collect()
}
