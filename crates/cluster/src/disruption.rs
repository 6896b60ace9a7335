//! PodDisruptionBudget: how many of its pods may be evicted now.
//!
//! Mirrors kube-controller-manager's disruption controller: a share is one of what the pods'
//! controllers want, a number one of the pods that are there; pods whose eviction was granted count
//! as gone for two minutes. A budget that can't be worked out allows nothing, and says why.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{
    PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use crate::{Kind, Step, Write, meta, pods};

/// How long a granted eviction is believed to come.
const DELETION_TIMEOUT_S: i64 = 120;
const ALLOWED: &str = "DisruptionAllowed";

/// What one step may look at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub budget: &'a PodDisruptionBudget,
    /// Pods of the namespace that the budget selects.
    pub pods: &'a [Arc<Pod>],
    /// By uid of a pod's controller: the object whose size counts (a Deployment for its
    /// ReplicaSets) and that size.
    pub scales: &'a BTreeMap<String, Scale>,
}

/// A controller's desired size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    pub uid: String,
    pub replicas: i32,
}

/// One step of one budget.
pub fn step(view: &View<'_>, now: Timestamp) -> Step {
    let mut step = Step::default();
    let live = view.budget.status.clone().unwrap_or_default();
    let Some(spec) = &view.budget.spec else {
        return step;
    };
    let want = match expected(spec, view) {
        Ok(sizes) => {
            let (disrupted, recheck) = disrupted(&live, view.pods, now);
            if let Some(at) = recheck {
                step.wake(at);
            }
            status(view, &live, sizes, disrupted, now)
        }
        Err(why) => failed(&live, &why, now),
    };
    if want != live {
        let mut object = view.budget.clone();
        object.status = Some(want);
        step.writes.push(Write::Update {
            kind: Kind::POD_DISRUPTION_BUDGET,
            object: json!(object),
            subresource: Some("status"),
        });
    }
    step
}

/// How many pods there should be, and how many of them healthy.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    expected: i32,
    healthy: i32,
}

fn expected(spec: &PodDisruptionBudgetSpec, view: &View<'_>) -> Result<Sizes, String> {
    if let Some(unavailable) = &spec.max_unavailable {
        let expected = scale(view)?;
        let unavailable = meta::scaled(unavailable, expected, true);
        let healthy = expected.saturating_sub(unavailable).max(0);
        return Ok(Sizes { expected, healthy });
    }
    match &spec.min_available {
        None => Ok(Sizes {
            expected: 0,
            healthy: 0,
        }),
        Some(IntOrString::Int(number)) => Ok(Sizes {
            expected: i32::try_from(view.pods.len()).unwrap_or(i32::MAX),
            healthy: *number,
        }),
        Some(share) => {
            let expected = scale(view)?;
            let healthy = meta::scaled(share, expected, true);
            Ok(Sizes { expected, healthy })
        }
    }
}

/// What the controllers of the pods want in sum. Pods of nobody are left out.
fn scale(view: &View<'_>) -> Result<i32, String> {
    let mut sizes: BTreeMap<&str, i32> = BTreeMap::new();
    for pod in view.pods {
        let Some(owner) = meta::controller_of(&pod.metadata) else {
            continue;
        };
        match view.scales.get(&owner.uid) {
            Some(scale) => {
                sizes.insert(&scale.uid, scale.replicas);
            }
            None if owner.kind == "Job" => {
                return Err("jobs.batch does not implement the scale subresource".to_owned());
            }
            None => {
                let name = meta::name(&pod.metadata);
                return Err(format!("found no controllers for pod \"{name}\""));
            }
        }
    }
    Ok(sizes.into_values().fold(0, i32::saturating_add))
}

type Disrupted = BTreeMap<String, Time>;

/// The granted evictions that are still to come, and when the first of them is given up.
fn disrupted(
    live: &PodDisruptionBudgetStatus,
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> (Disrupted, Option<Timestamp>) {
    let (mut kept, mut recheck): (Disrupted, Option<Timestamp>) = Default::default();
    let Some(granted) = &live.disrupted_pods else {
        return (kept, recheck);
    };
    for pod in pods.iter().filter(|pod| !meta::is_deleting(&pod.metadata)) {
        let name = meta::name(&pod.metadata);
        let Some(at) = granted.get(name) else {
            continue;
        };
        let end = meta::after(at.0, DELETION_TIMEOUT_S);
        if end > now {
            recheck = Some(recheck.map_or(end, |first| first.min(end)));
            kept.insert(name.to_owned(), at.clone());
        }
    }
    (kept, recheck)
}

fn status(
    view: &View<'_>,
    live: &PodDisruptionBudgetStatus,
    sizes: Sizes,
    disrupted: Disrupted,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let healthy = view.pods.iter().filter(|pod| {
        pods::is_ready(pod)
            && !meta::is_deleting(&pod.metadata)
            && !disrupted.contains_key(meta::name(&pod.metadata))
    });
    let healthy = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
    let allowed = if sizes.expected > 0 {
        healthy.saturating_sub(sizes.healthy).max(0)
    } else {
        // Its first pods may have come already, and are not counted yet.
        0
    };
    let generation = view.budget.metadata.generation;
    let (status, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let condition = condition(status, reason, "", generation);
    PodDisruptionBudgetStatus {
        conditions: Some(set(live, condition, now)),
        current_healthy: healthy,
        desired_healthy: sizes.healthy,
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        disruptions_allowed: allowed,
        expected_pods: sizes.expected,
        observed_generation: generation,
    }
}

/// Nothing may be evicted while the numbers are not known.
fn failed(
    live: &PodDisruptionBudgetStatus,
    why: &str,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let condition = condition("False", "SyncFailed", why, live.observed_generation);
    PodDisruptionBudgetStatus {
        conditions: Some(set(live, condition, now)),
        disruptions_allowed: 0,
        ..live.clone()
    }
}

fn condition(status: &str, reason: &str, message: &str, generation: Option<i64>) -> Condition {
    Condition {
        type_: ALLOWED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// The conditions with this one in its place; its time moves with its status.
fn set(live: &PodDisruptionBudgetStatus, want: Condition, now: Timestamp) -> Vec<Condition> {
    let mut conditions = live.conditions.clone().unwrap_or_default();
    let old = conditions
        .iter_mut()
        .find(|condition| condition.type_ == want.type_);
    if let Some(old) = old {
        let since = if old.status == want.status {
            old.last_transition_time.clone()
        } else {
            meta::time(now)
        };
        *old = Condition {
            last_transition_time: since,
            ..want
        };
    } else {
        conditions.push(Condition {
            last_transition_time: meta::time(now),
            ..want
        });
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn budget(spec: &Value) -> PodDisruptionBudget {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "generation": 3 },
            "spec": spec,
            "status": { "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 },
        }))
        .unwrap()
    }

    /// A pod of the ReplicaSet `rs`.
    fn pod(name: &str, ready: bool) -> Arc<Pod> {
        let pod = json!({
            "metadata": { "name": name, "namespace": "default", "uid": name, "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "rs", "controller": true,
            }] },
            "status": { "phase": "Running", "conditions": [
                { "type": "Ready", "status": if ready { "True" } else { "False" } },
            ] },
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn run(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], now: i64) -> Step {
        let scale = Scale {
            uid: "deployment".to_owned(),
            replicas: 10,
        };
        let view = View {
            budget,
            pods,
            scales: &BTreeMap::from([("rs".to_owned(), scale)]),
        };
        step(&view, at(now))
    }

    fn stored(step: &Step) -> PodDisruptionBudgetStatus {
        let [Write::Update { object, .. }] = &step.writes[..] else {
            panic!("{step:?}");
        };
        serde_json::from_value(object["status"].clone()).unwrap()
    }

    /// Healthy, desired, expected, allowed.
    fn numbers(spec: &Value, pods: &[Arc<Pod>]) -> [i32; 4] {
        let status = stored(&run(&budget(spec), pods, 0));
        [
            status.current_healthy,
            status.desired_healthy,
            status.expected_pods,
            status.disruptions_allowed,
        ]
    }

    #[test]
    fn shares_are_of_what_controllers_want_and_numbers_of_what_is_there() {
        let mut pods: Vec<_> = (0..8).map(|n| pod(&format!("p{n}"), true)).collect();
        pods.push(pod("slow", false));
        assert_eq!(numbers(&json!({ "minAvailable": 5 }), &pods), [8, 5, 9, 3]);
        assert_eq!(
            numbers(&json!({ "minAvailable": 20 }), &pods),
            [8, 20, 9, 0]
        );
        assert_eq!(
            numbers(&json!({ "minAvailable": "75%" }), &pods),
            [8, 8, 10, 0]
        );
        assert_eq!(
            numbers(&json!({ "maxUnavailable": 3 }), &pods),
            [8, 7, 10, 1]
        );
        assert_eq!(
            numbers(&json!({ "maxUnavailable": "25%" }), &pods),
            [8, 7, 10, 1]
        );
        assert_eq!(numbers(&json!({ "maxUnavailable": 1 }), &[]), [0, 0, 0, 0]);
    }

    #[test]
    fn a_granted_eviction_counts_as_gone_for_two_minutes() {
        let mut budget = budget(&json!({ "minAvailable": 1 }));
        let status = budget.status.as_mut().unwrap();
        status.disrupted_pods = Some(BTreeMap::from([
            ("a".to_owned(), Time(at(0))),
            ("gone".to_owned(), Time(at(0))),
        ]));
        let pods = [pod("a", true), pod("b", true), pod("c", true)];
        let first = run(&budget, &pods, 10);
        let status = stored(&first);
        assert_eq!((status.current_healthy, status.disruptions_allowed), (2, 1));
        let left: Vec<_> = status.disrupted_pods.as_ref().unwrap().keys().collect();
        assert_eq!(left, ["a"]);
        assert_eq!(first.next, Some(at(120)));
        budget.status = Some(status);
        assert!(run(&budget, &pods, 60).writes.is_empty());
        let late = run(&budget, &pods, 120);
        assert_eq!((stored(&late).disruptions_allowed, late.next), (2, None));
    }

    #[test]
    fn the_condition_says_whether_anything_may_go_and_rests() {
        let mut budget = budget(&json!({ "minAvailable": 1 }));
        let pods = [pod("a", true), pod("b", true)];
        let status = stored(&run(&budget, &pods, 5));
        let condition = &status.conditions.as_ref().unwrap()[0];
        assert_eq!(
            (condition.type_.as_str(), condition.reason.as_str()),
            ("DisruptionAllowed", "SufficientPods")
        );
        assert_eq!(condition.last_transition_time, Time(at(5)));
        assert_eq!(status.observed_generation, Some(3));
        budget.status = Some(status);
        assert_eq!(run(&budget, &pods, 50), Step::default(), "at rest");
        let status = stored(&run(&budget, &pods[..1], 50));
        let condition = &status.conditions.as_ref().unwrap()[0];
        assert_eq!(
            (condition.status.as_str(), &condition.last_transition_time),
            ("False", &Time(at(50)))
        );
    }

    #[test]
    fn a_budget_over_pods_of_an_unknown_size_allows_nothing() {
        let mut stray = Arc::unwrap_or_clone(pod("stray", true));
        stray.metadata.owner_references.as_mut().unwrap()[0].uid = "other".to_owned();
        let pods = [pod("a", true), Arc::new(stray)];
        let status = stored(&run(&budget(&json!({ "maxUnavailable": 1 })), &pods, 0));
        let condition = &status.conditions.as_ref().unwrap()[0];
        assert_eq!(
            (condition.reason.as_str(), status.disruptions_allowed),
            ("SyncFailed", 0)
        );
        assert_eq!(condition.message, "found no controllers for pod \"stray\"");
        let mut alone = Arc::unwrap_or_clone(pod("alone", true));
        alone.metadata.owner_references = None;
        assert_eq!(
            numbers(&json!({ "maxUnavailable": 1 }), &[Arc::new(alone)]),
            [1, 0, 0, 0]
        );
    }
}
