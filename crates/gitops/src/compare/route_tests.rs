//! Routes whose weights are moved for Rollouts of other namespaces, and for some that can't be
//! seen.

use super::tests::{applied, diff, manifest, rules};
use super::{DiffRules, FIELD_MANAGER};
use serde_json::{Value, json};

const RECORD: &str = "weir.dev/managed-routes";

fn backend(name: &str, weight: i64) -> Value {
    json!({"name": name, "namespace": "team", "port": 80, "weight": weight})
}

/// The first rule shares the traffic of a Rollout, the second that of nobody.
fn route(stable: i64, canary: i64) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "shared"},
        "spec": {"rules": [
            {"matches": [{"path": {"value": "/shop"}}],
                "backendRefs": [backend("stable", stable), backend("canary", canary)]},
            {"matches": [{"path": {"value": "/docs"}}],
                "backendRefs": [backend("docs", 1), backend("docs-new", 0)]}]}})
}

/// In the namespace `team`, with a route in `production`, which is that of the Application.
fn of_another_namespace() -> Value {
    let gateway = json!({"httpRoute": "shared", "namespace": "production"});
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "team"},
        "spec": {"strategy": {"canary": {"stableService": "stable", "canaryService": "canary",
            "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": gateway}}}}}})
}

/// As the cluster holds the route in the middle of a canary.
fn moved(rules: &DiffRules) -> Value {
    let owned = json!({"f:spec": {"f:rules": {}}});
    let mut live = applied(&manifest(route(100, 0)), rules, owned);
    live["spec"] = route(80, 20)["spec"].clone();
    live["metadata"]["managedFields"] = json!([
        {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {}},
        {"manager": "weir", "operation": "Update", "fieldsV1": {"f:spec": {"f:rules": {}}}}]);
    live
}

fn header_rule() -> Value {
    let mut backend = backend("canary", 0);
    backend.as_object_mut().unwrap().remove("weight");
    json!({"matches": [{"headers": [{"name": "x", "value": "1"}]}], "backendRefs": [backend]})
}

/// The same with a header route of a Rollout, and the record of it.
fn recorded(rules: &DiffRules, owner: &str) -> Value {
    let mut live = moved(rules);
    let list = live["spec"]["rules"].as_array_mut().unwrap();
    list.insert(0, header_rule());
    live["metadata"]["annotations"][RECORD] = json!(json!({owner: [header_rule()]}).to_string());
    live
}

fn weights(route: &Value, rule: usize) -> Vec<i64> {
    let backends = route["spec"]["rules"][rule]["backendRefs"].as_array();
    let backends = backends.unwrap().iter();
    backends
        .map(|one| one["weight"].as_i64().unwrap())
        .collect()
}

#[test]
fn weights_of_a_rollout_of_another_namespace_are_left_alone() {
    let mut rules = rules();
    rules.learn(&of_another_namespace());
    let target = manifest(route(100, 0));
    let mut live = moved(&rules);
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    let mut object = target.object.clone();
    assert!(rules.keep(&target.id, &mut object, &live));
    assert_eq!(weights(&object, 0), [80, 20]);
    assert!(rules.is_shared_with_controller(&target.id, &live));
    // What no Rollout moves is Git's.
    live["spec"]["rules"][1]["backendRefs"][1]["weight"] = json!(1);
    let drift = diff(&target, live, &rules);
    assert_eq!(
        drift,
        ["Differs .spec.rules[1].backendRefs[1].weight"],
        "{drift:?}"
    );
}

#[test]
fn the_record_at_the_route_tells_of_rollouts_that_cannot_be_seen() {
    let rules = rules();
    let target = manifest(route(100, 0));
    assert_ne!(diff(&target, moved(&rules), &rules), Vec::<String>::new());

    let mut live = recorded(&rules, "team/shop");
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    assert!(rules.is_shared_with_controller(&target.id, &live));
    let mut object = target.object.clone();
    assert!(rules.keep(&target.id, &mut object, &live));
    assert_eq!(object["spec"]["rules"][0], header_rule());
    assert_eq!(weights(&object, 1), [80, 20]);
    assert_eq!(weights(&object, 2), [1, 0]);
    // The other rule is nobody's.
    live["spec"]["rules"][2]["backendRefs"][1]["weight"] = json!(1);
    assert_ne!(diff(&target, live, &rules), Vec::<String>::new());
}

#[test]
fn a_record_of_one_rollout_does_not_hide_the_weights_of_another() {
    let mut rules = rules();
    rules.learn(&of_another_namespace());
    let target = manifest(route(100, 0));
    // That of the known one is not taken for more than the Rollout says.
    let mut live = recorded(&rules, "team/shop");
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    live["spec"]["rules"][2]["backendRefs"][0]["weight"] = json!(2);
    assert_ne!(diff(&target, live, &rules), Vec::<String>::new());
    let live = recorded(&rules, "other/docs");
    assert_eq!(diff(&target, live, &rules), Vec::<String>::new());
}

#[test]
fn what_is_no_record_tells_nothing() {
    let rules = rules();
    let target = manifest(route(100, 0));
    for text in ["", "{", "[]", "{\"team/shop\": 1}"] {
        let mut live = moved(&rules);
        live["metadata"]["annotations"][RECORD] = json!(text);
        assert_ne!(diff(&target, live.clone(), &rules), Vec::<String>::new());
        assert!(!rules.is_shared_with_controller(&target.id, &live));
    }
    // Nor does one at an object that is no route.
    let map = manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}));
    let mut live = map.object.clone();
    live["metadata"]["annotations"][RECORD] = json!("{}");
    assert!(!rules.is_shared_with_controller(&map.id, &live));
}
