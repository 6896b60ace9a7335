//! What people and autoscalers do, at any moment and without asking.

use crate::ground::Patch;
use crate::object::{Id, Kind};
use crate::setup;
use crate::time::{stamp, whole};
use crate::world::Shared;
use plan::{Guard, PatchKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One thing that somebody does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Another pod template; the fourth image never starts.
    Image(u8),
    Abort,
    Retry,
    /// `promote`: ends the pause.
    Resume,
    PromoteFull,
    /// To the next step, as the command line does it.
    Skip,
    /// An autoscaler or a person changes `spec.replicas`.
    Scale(i32),
    Pause(bool),
    Restart,
    /// Other steps, in the middle of whatever is going on.
    Steps(u8),
    /// Other fields of the spec, as a merge patch of it.
    Edit(Value),
    /// A ReplicaSet is deleted by hand.
    DeleteSet(u8),
    /// The weights of the route are turned by hand.
    Turn(i32),
    /// A service is pointed at nobody, or at everybody.
    Repoint(u8, bool),
    /// An object goes and is back after so long.
    Lose {
        object: u8,
        for_ms: i64,
    },
    /// One that was lost comes back.
    Return(Value),
    /// A service of an Experiment is pointed at nobody, or at everybody.
    Mislead(bool),
    /// Looks for something that is not there all the time, and does that as soon as it is. (Nothing
    /// that [`crate::world::World::act`] takes note of.)
    Await {
        sight: Sight,
        /// How often to look again, a second apart.
        tries: u16,
        then: Box<Self>,
    },
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    /// The route has rules of header or mirror steps.
    StepRules,
    /// An Experiment has a service.
    ExperimentService,
}

/// Between two looks.
const LOOK_MS: i64 = 1_000;

/// Does it; what that leads to later, and when.
pub fn perform(act: &Act, rollout: &Id, shared: &mut Shared) -> Option<(i64, Act)> {
    let patch = match act {
        Act::Image(image) => match workload(rollout, shared) {
            Some(workload) => {
                let template = setup::workload_template(*image);
                write(shared, &workload, &json!({"spec": {"template": template}}));
                return None;
            }
            None => json!({"spec": {"template": template(*image, rollout, shared)}}),
        },
        Act::Abort => json!({"status": {"abort": true}}),
        Act::Retry => json!({"status": {"abort": false}}),
        Act::Resume => json!({"status": {"pauseConditions": null}}),
        Act::PromoteFull => json!({"status": {"promoteFull": true}}),
        Act::Skip => skip(rollout, shared)?,
        Act::Scale(replicas) => json!({"spec": {"replicas": replicas}}),
        Act::Pause(paused) => json!({"spec": {"paused": paused}}),
        Act::Restart => {
            let now = whole(stamp(shared.now_ms)).to_string();
            json!({"spec": {"restartAt": now}})
        }
        Act::Edit(spec) => json!({"spec": spec}),
        Act::Steps(variant) => other_steps(rollout, shared, *variant)?,
        Act::Await { sight, tries, then } => {
            if is_seen(*sight, shared) {
                return perform(then, rollout, shared);
            }
            let later = Act::Await {
                sight: *sight,
                tries: tries.checked_sub(1)?,
                then: then.clone(),
            };
            return Some((shared.now_ms + LOOK_MS, later));
        }
        meddling => return meddle(meddling, shared),
    };
    write(shared, rollout, &patch);
    None
}

fn is_seen(sight: Sight, shared: &Shared) -> bool {
    match sight {
        Sight::StepRules => {
            let route = shared.ground.get(&Id::new(Kind::HttpRoute, setup::ROUTE));
            let route = route.map_or(Value::Null, |object| object.json());
            // Its own one stands behind them.
            let rules = route["spec"]["rules"].as_array();
            rules.is_some_and(|rules| rules.len() > 1)
        }
        Sight::ExperimentService => service_of_experiment(shared).is_some(),
    }
}

/// The last one: of a step it is that of the stable pods, whose share is never nothing.
fn service_of_experiment(shared: &Shared) -> Option<Id> {
    let mut services = shared.ground.list(Kind::Service).into_iter();
    let last = services.rfind(|(_, object)| {
        let owner = object.controller();
        owner.is_some_and(|owner| owner.kind == "Experiment")
    });
    last.map(|(id, _)| id)
}

/// A template with ports, if the one that is there has some.
fn template(image: u8, rollout: &Id, shared: &Shared) -> Value {
    let live = shared.ground.get(rollout);
    let live = live.map_or(Value::Null, |object| object.json());
    match live.pointer("/spec/template/spec/containers/0/ports") {
        Some(_) => setup::template_with_ports(image),
        None => setup::template(image),
    }
}

/// The Deployment that has the template, if the Rollout has none of its own.
fn workload(rollout: &Id, shared: &Shared) -> Option<Id> {
    let object = shared.ground.get(rollout)?;
    let reference = object.rollout()?.spec.workload_ref.clone()?;
    Some(Id::new(Kind::Deployment, &reference.name?))
}

fn write(shared: &mut Shared, id: &Id, body: &Value) {
    let subresource = body.get("status").map(|_| "status");
    let patch = Patch {
        kind: PatchKind::Merge,
        body,
        guard: &Guard::default(),
        subresource,
    };
    // What is not there can't be patched, and that is the user's problem.
    drop(shared.ground.patch(shared.now_ms, id, patch));
}

fn skip(rollout: &Id, shared: &Shared) -> Option<Value> {
    let object = shared.ground.get(rollout)?;
    let rollout = object.rollout()?;
    let index = rollout.status.as_ref()?.current_step_index?;
    let count = rollout.spec.canary_steps().len() as i32;
    (index < count)
        .then(|| json!({"status": {"pauseConditions": null, "currentStepIndex": index + 1}}))
}

fn other_steps(rollout: &Id, shared: &Shared, variant: u8) -> Option<Value> {
    let object = shared.ground.get(rollout)?;
    let whole = object.rollout()?.spec.canary()?.max_traffic_weight();
    let mut steps = match variant {
        0 => json!([]),
        1 => json!([{"pause": {}}, {"pause": {}}, {"setWeight": 30}]),
        2 => {
            json!([{"setWeight": 0}, {"pause": {"duration": 5}}, {"setWeight": 100}, {"pause": {}}])
        }
        _ => {
            json!([{"setWeight": 60}, {"pause": {"duration": 20}}, {"setWeight": 10}, {"pause": {}}])
        }
    };
    for step in steps.as_array_mut().into_iter().flatten() {
        if let Some(weight) = step.get_mut("setWeight") {
            *weight = json!(weight.as_i64().unwrap_or(0) * i64::from(whole) / 100);
        }
    }
    Some(json!({"spec": {"strategy": {"canary": {"steps": steps}}}}))
}

/// What divides the traffic: an Ingress where there is one.
fn route(shared: &Shared) -> Id {
    let ingress = Id::new(Kind::Ingress, setup::INGRESSES[0]);
    match shared.ground.get(&ingress) {
        Some(_) => ingress,
        None => Id::new(Kind::HttpRoute, setup::ROUTE),
    }
}

/// Turns the weights by hand: of the rule that divides the traffic, which is the last one, or of
/// the canary Ingress.
fn turn(canary: i32, shared: &mut Shared) -> Option<()> {
    let name = format!("{}-{}-canary", setup::ROLLOUT, setup::INGRESSES[0]);
    let ingress = Id::new(Kind::Ingress, &name);
    if let Some(live) = shared.ground.get(&ingress) {
        let annotations = live.json()["metadata"]["annotations"].take();
        let weight = |name: &&String| name.ends_with("/canary-weight");
        let weight = annotations.as_object()?.keys().find(weight)?.clone();
        let patch = json!({"metadata": {"annotations": {weight: canary.to_string()}}});
        write(shared, &ingress, &patch);
        return Some(());
    }
    // The route divides nothing where Ingresses do.
    let rollout = Id::new(Kind::Rollout, setup::ROLLOUT);
    let rollout = shared.ground.get(&rollout)?.json();
    if !rollout["spec"]["strategy"]["canary"]["trafficRouting"]["nginx"].is_null() {
        return None;
    }
    let route = Id::new(Kind::HttpRoute, setup::ROUTE);
    let mut live = shared.ground.get(&route)?.json();
    let rule = live
        .pointer_mut("/spec/rules")?
        .as_array_mut()?
        .last_mut()?;
    let backends = rule.get_mut("backendRefs")?;
    backends[0]["weight"] = json!(100 - canary);
    backends[1]["weight"] = json!(canary);
    let rules = live["spec"]["rules"].take();
    write(shared, &route, &json!({"spec": {"rules": rules}}));
    Some(())
}

/// Points a service at everybody, or at nobody.
fn point(service: &Id, gone: bool, shared: &mut Shared) {
    let hash = if gone {
        Value::Null
    } else {
        json!(setup::NOBODY)
    };
    let patch = json!({"spec": {"selector": {"rollouts-pod-template-hash": hash}}});
    write(shared, service, &patch);
}

/// What happens behind the controller's back.
fn meddle(act: &Act, shared: &mut Shared) -> Option<(i64, Act)> {
    let now = shared.now_ms;
    match act {
        Act::DeleteSet(index) => {
            let sets = shared.ground.list(Kind::ReplicaSet);
            let (id, _) = sets.get(usize::from(*index) % sets.len().max(1))?;
            drop(shared.ground.delete(now, id, &Guard::default(), 0));
        }
        Act::Turn(canary) => {
            turn(*canary, shared);
        }
        Act::Repoint(index, gone) => point(&setup::service(*index), *gone, shared),
        Act::Mislead(gone) => point(&service_of_experiment(shared)?, *gone, shared),
        Act::Lose { object, for_ms } => {
            let id = match object {
                4 => route(shared),
                index => setup::service(*index),
            };
            let lost = shared.ground.get(&id)?.json();
            drop(shared.ground.delete(now, &id, &Guard::default(), 0));
            return Some((now + for_ms, Act::Return(lost)));
        }
        Act::Return(object) => {
            let mut object = object.clone();
            let id = Id::of_json(&object)?;
            let (api_version, kind) = id.kind.names();
            object["apiVersion"] = json!(api_version);
            object["kind"] = json!(kind);
            drop(shared.ground.create(now, object));
        }
        _ => {}
    }
    None
}
