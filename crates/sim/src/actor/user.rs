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
}

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
        meddling => return meddle(meddling, shared),
    };
    write(shared, rollout, &patch);
    None
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
        Act::Repoint(index, gone) => {
            let hash = if *gone { Value::Null } else { json!("nobody") };
            let patch = json!({"spec": {"selector": {"rollouts-pod-template-hash": hash}}});
            write(shared, &setup::service(*index), &patch);
        }
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
