//! The Services of an Experiment's templates lead to the templates' pods while these are wanted,
//! whatever somebody does to them (rollouts.md §5, per template).

use crate::experiments::{at_experiment, backends, deployed, name, phase, weighed};
use crate::operations::user;
use crate::swarm::template;
use crate::world::{NAMESPACE, World};
use api::constants::{HASH_LABEL, MANAGED_BY_ANNOTATION};
use engine::service::{self, ServiceSnapshot};
use plan::{Action, ObjectKey};
use serde_json::{Value, json};
use std::sync::Arc;

fn service_key(name: &str) -> ObjectKey {
    ObjectKey::namespaced("v1", "Service", NAMESPACE, name)
}

fn set_key(name: &str) -> ObjectKey {
    ObjectKey::namespaced("apps/v1", "ReplicaSet", NAMESPACE, name)
}

fn selector(world: &World, service: &ObjectKey) -> Value {
    world.objects[service]["spec"]["selector"].clone()
}

fn labels(world: &World, set: &ObjectKey) -> Value {
    world.objects[set]["metadata"]["labels"].clone()
}

/// An update at an experiment whose templates have their share of the traffic, and the name that
/// the ReplicaSet and the Service of one of them have.
fn at_shares() -> (World, String) {
    let mut world = at_experiment(&weighed());
    world.settle();
    assert_eq!(backends(&world).len(), 4);
    let name = format!("{}-new", name(&world));
    (world, name)
}

/// Nobody writes anything any more.
fn assert_rests(world: &mut World, page: &str) {
    let done = world.actions_done;
    world.sleep(30.0);
    assert_eq!(world.actions_done, done, "{page}");
}

#[test]
fn one_that_somebody_leads_elsewhere_is_led_back_to_its_pods() {
    let ways = [
        json!({HASH_LABEL: null}),
        json!({HASH_LABEL: "other"}),
        json!({"app": "other"}),
        json!({"track": "beta"}),
        Value::Null,
    ];
    for way in ways {
        let page = format!("led to {way}");
        let (mut world, name) = at_shares();
        let service = service_key(&name);
        let made = selector(&world, &service);
        assert_eq!(made, labels(&world, &set_key(&name)), "{page}");
        world.user_patch(&service, &json!({"spec": {"selector": way}}));
        assert_ne!(selector(&world, &service), made, "{page}");
        world.settle();
        assert_eq!(selector(&world, &service), made, "{page}");
        assert_eq!(backends(&world).len(), 4, "{page}");
        assert_rests(&mut world, &page);
    }
}

/// It selects less than it was made with, and leads to the same pods.
#[test]
fn one_that_leads_to_its_pods_all_the_same_is_left_alone() {
    let (mut world, name) = at_shares();
    let service = service_key(&name);
    world.user_patch(&service, &json!({"spec": {"selector": {"app": null}}}));
    let edited = selector(&world, &service);
    assert_rests(&mut world, "without a label that all pods have");
    assert_eq!(selector(&world, &service), edited);
}

/// Pods do not get a label that somebody gives their ReplicaSet.
#[test]
fn one_that_somebody_deletes_is_made_anew_for_the_pods_that_are_there() {
    let (mut world, name) = at_shares();
    let (service, set) = (service_key(&name), set_key(&name));
    let made = selector(&world, &service);
    world.user_patch(&set, &json!({"metadata": {"labels": {"owner": "shop"}}}));
    assert_rests(&mut world, "a label of the ReplicaSet");
    world.delete_set(&service);
    world.settle();
    assert_eq!(selector(&world, &service), made);
    assert_eq!(backends(&world).len(), 4);
    assert_rests(&mut world, "made anew");
}

/// Pods that are there do not get a label that somebody changes in the ReplicaSet's template, and
/// new ones have no other.
#[test]
fn one_leads_to_old_and_new_pods_of_an_edited_template() {
    let mut world = deployed(&weighed());
    let mut pods = template(1);
    pods["metadata"]["labels"]["tier"] = json!("web");
    user(&mut world, &json!({"spec": {"template": pods}}));
    assert!(world.run_until(|world| phase(world, &name(world)) == "Running"));
    world.settle();
    let name = format!("{}-new", name(&world));
    let (service, set) = (service_key(&name), set_key(&name));
    assert_eq!(selector(&world, &service), labels(&world, &set));

    let edit = json!({"metadata": {"labels": {"tier": "data", "owner": "shop"}}});
    world.user_patch(&set, &json!({"spec": {"template": edit}}));
    world.settle();
    let mut of_all = labels(&world, &set);
    of_all.as_object_mut().unwrap().remove("tier");
    assert_eq!(selector(&world, &service), of_all);
    assert_rests(&mut world, "edited");
    world.delete_set(&service);
    world.settle();
    assert_eq!(selector(&world, &service), of_all);
    assert_eq!(backends(&world).len(), 4);
}

/// The ReplicaSet was deleted, and somebody else has taken its name and its labels: the one that
/// takes its place has another hash.
#[test]
fn one_with_a_name_of_its_own_follows_its_replica_set() {
    let mut strategy = weighed();
    let experiment = &mut strategy["canary"]["steps"][0]["experiment"];
    experiment["templates"][1]["service"] = json!({"name": "trial"});
    let mut world = at_experiment(&strategy);
    world.settle();
    let (experiment, service) = (name(&world), service_key("trial"));
    let taken = format!("{experiment}-new");
    let set = set_key(&taken);
    assert_eq!(selector(&world, &service), labels(&world, &set));

    let mut foreign = world.objects[&set].clone();
    foreign["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "x", "controller": true,
    }]);
    world.delete_set(&set);
    world.create(foreign).unwrap();
    assert!(world.run_until(|world| phase(world, &experiment) == "Running"));
    let made = labels(&world, &set_key(&format!("{taken}-1")));
    assert_ne!(made, labels(&world, &set));
    assert_eq!(selector(&world, &service), made);
    assert_eq!(backends(&world).len(), 4);
    assert_rests(&mut world, "with another hash");
}

/// What is done to a Service that no Rollout names.
pub(crate) fn let_go(world: &World, service: &ObjectKey) -> Vec<Action> {
    let live = serde_json::from_value(world.objects[service].clone());
    let snapshot = ServiceSnapshot {
        service: Arc::new(live.unwrap()),
        referenced_by: Vec::new(),
    };
    service::plan(&snapshot).actions
}

/// Two that lead one service would do so for ever.
#[test]
fn one_that_a_rollout_has_taken_is_left_to_it_until_that_lets_go() {
    let (mut world, name) = at_shares();
    let service = service_key(&name);
    let made = selector(&world, &service);
    assert!(let_go(&world, &service).is_empty(), "no Rollout had it");
    let taken = json!({
        "metadata": {"annotations": {MANAGED_BY_ANNOTATION: "shop"}},
        "spec": {"selector": {HASH_LABEL: "other"}},
    });
    world.user_patch(&service, &taken);
    assert_rests(&mut world, "taken");
    assert_eq!(selector(&world, &service)[HASH_LABEL], "other");

    let actions = let_go(&world, &service);
    assert_eq!(actions.len(), 1, "{actions:?}");
    world.act(&actions[0], "");
    world.settle();
    assert_eq!(selector(&world, &service), made);
    assert_rests(&mut world, "led back");
}

/// Somebody has taken the hash away as well, and the Rollout is gone.
#[test]
fn one_that_bears_the_name_of_a_rollout_that_is_gone_is_led_back_without_a_hash_too() {
    let (mut world, name) = at_shares();
    let service = service_key(&name);
    let made = selector(&world, &service);
    let taken = json!({
        "metadata": {"annotations": {MANAGED_BY_ANNOTATION: "shop"}},
        "spec": {"selector": {HASH_LABEL: null}},
    });
    world.user_patch(&service, &taken);
    assert_rests(&mut world, "taken");
    assert_ne!(selector(&world, &service), made);

    let actions = let_go(&world, &service);
    assert_eq!(actions.len(), 1, "{actions:?}");
    world.act(&actions[0], "");
    assert!(let_go(&world, &service).is_empty(), "it is let go once");
    world.settle();
    assert_eq!(selector(&world, &service), made);
    assert_rests(&mut world, "led back");
}
