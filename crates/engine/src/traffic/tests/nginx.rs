use super::{Live, body, object, refused, routed, want};
use crate::traffic::nginx::leftovers;
use crate::traffic::{Arms, observed, required, whole_parts};
use plan::{Action, Guard, ObjectKey, PatchKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const V1: &str = "networking.k8s.io/v1";

fn path(service: &str) -> Value {
    json!({
        "path": "/", "pathType": "Prefix",
        "backend": {"service": {"name": service, "port": {"number": 80}}},
    })
}

fn rule(host: &str, services: &[&str]) -> Value {
    let paths: Vec<Value> = services.iter().map(|service| path(service)).collect();
    json!({"host": host, "http": {"paths": paths}})
}

fn stable(name: &str) -> (ObjectKey, Arc<Value>) {
    object(
        V1,
        "Ingress",
        name,
        json!({
            "metadata": {"annotations": {"kubernetes.io/ingress.class": "nginx", "own": "x"}},
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{"secretName": "cert"}],
                "rules": [rule("a", &["stable", "other"]), rule("b", &["other"])],
            },
        }),
    )
}

fn nginx(more: Value) -> Value {
    let mut nginx = more;
    if nginx.get("stableIngresses").is_none() {
        nginx["stableIngress"] = json!("web");
    }
    json!({ "nginx": nginx })
}

/// The canary Ingress as `routing` makes it at that weight, as the cluster would hold it.
fn made(routing: &Value, weight: i32) -> (ObjectKey, Arc<Value>) {
    let change = routed(routing, &Live::from([stable("web")]), &want(weight));
    let mut made = body(&change.actions[0]).clone();
    made["metadata"]["uid"] = json!("i1");
    object(V1, "Ingress", "app-web-canary", made)
}

#[test]
fn the_canary_ingress_is_made_from_the_stable_one() {
    let routing = nginx(json!({
        "additionalIngressAnnotations": {
            "canary-by-header": "X-Canary", "nginx.ingress.kubernetes.io/full": "1",
        },
        "canaryIngressAnnotations": {"example.com/as-is": "2"},
    }));
    let change = routed(&routing, &Live::from([stable("web")]), &want(5));
    assert_eq!(
        body(&change.actions[0]),
        &json!({
            "apiVersion": V1,
            "kind": "Ingress",
            "metadata": {
                "name": "app-web-canary",
                "namespace": "demo",
                "annotations": {
                    "example.com/as-is": "2",
                    "kubernetes.io/ingress.class": "nginx",
                    "nginx.ingress.kubernetes.io/canary": "true",
                    "nginx.ingress.kubernetes.io/canary-by-header": "X-Canary",
                    "nginx.ingress.kubernetes.io/canary-weight": "5",
                    "nginx.ingress.kubernetes.io/full": "1",
                },
                "ownerReferences": [{
                    "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app",
                    "uid": "u1", "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{"secretName": "cert"}],
                "rules": [rule("a", &["canary", "other"])],
            },
        })
    );
    let events = [(
        ObjectKey::namespaced(V1, "Ingress", "demo", "app-web-canary"),
        "CreatingCanaryIngress",
        "Creating canary ingress `app-web-canary` with weight `5`".to_owned(),
    )];
    assert_eq!(change.events, events);
}

#[test]
fn only_what_differs_is_patched() {
    let routing = nginx(json!({}));
    let mut live = Live::from([stable("web"), made(&routing, 5)]);
    assert_eq!(
        routed(&routing, &live, &want(5)),
        crate::traffic::Change::default()
    );
    let change = routed(&routing, &live, &want(20));
    let Action::Patch {
        kind, patch, guard, ..
    } = &change.actions[0]
    else {
        panic!("no patch: {change:?}");
    };
    assert_eq!(*kind, PatchKind::Merge);
    let weight = json!({"nginx.ingress.kubernetes.io/canary-weight": "20"});
    assert_eq!(*patch, json!({"metadata": {"annotations": weight}}));
    let held = Guard {
        uid: Some("i1".to_owned()),
        resource_version: Some("7".to_owned()),
    };
    assert_eq!(*guard, held);
    assert_eq!(
        change.events[0].2,
        "Updating Ingress `app-web-canary` to desiredWeight '20'"
    );
    // The stable Ingress loses its TLS, and so does the canary one.
    for object in live
        .values_mut()
        .filter(|object| object["metadata"]["name"] == "web")
    {
        let spec = Arc::make_mut(object)["spec"].as_object_mut();
        spec.expect("a spec").remove("tls");
    }
    let change = routed(&routing, &live, &want(5));
    assert_eq!(body(&change.actions[0]), &json!({"spec": {"tls": null}}));
}

#[test]
fn a_weight_that_may_not_move_stays() {
    let routing = nginx(json!({}));
    let mut want = want(20);
    want.moves_weights = false;
    let live = Live::from([stable("web"), made(&routing, 5)]);
    assert!(routed(&routing, &live, &want).actions.is_empty());
}

#[test]
fn the_total_is_said_only_where_it_is_set() {
    let mut routing = nginx(json!({"annotationPrefix": "corp.example"}));
    routing["maxTrafficWeight"] = json!(1000);
    let (key, live) = made(&routing, 100);
    let annotations = &live["metadata"]["annotations"];
    assert_eq!(annotations["corp.example/canary"], "true");
    assert_eq!(annotations["corp.example/canary-weight"], "100");
    assert_eq!(annotations["corp.example/canary-weight-total"], "1000");
    // Without it the weight would mean something else if the annotation stayed.
    routing["maxTrafficWeight"] = json!(null);
    let live = Live::from([stable("web"), (key, live)]);
    let change = routed(&routing, &live, &want(100));
    let gone = json!({"corp.example/canary-weight-total": null});
    assert_eq!(
        body(&change.actions[0]),
        &json!({"metadata": {"annotations": gone}})
    );
}

#[test]
fn every_stable_ingress_gets_its_canary_once() {
    let routing = nginx(json!({"stableIngresses": ["web", "admin", "web"]}));
    let live = Live::from([stable("web"), stable("admin")]);
    let change = routed(&routing, &live, &want(5));
    let names: Vec<&Value> = change
        .actions
        .iter()
        .map(|a| &body(a)["metadata"]["name"])
        .collect();
    assert_eq!(names, ["app-web-canary", "app-admin-canary"]);
}

#[test]
fn what_has_to_be_there_is_not_what_is_made() {
    let routing = super::routing(&nginx(json!({"stableIngresses": ["web", "admin"]})));
    let names = |keys: Vec<ObjectKey>| -> Vec<String> {
        let names = keys.into_iter().map(|key| key.name);
        names.collect()
    };
    assert_eq!(names(required(&routing, "demo")), ["web", "admin"]);
    let made = crate::traffic::made(&routing, "demo", "app");
    assert_eq!(names(made), ["app-web-canary", "app-admin-canary"]);
}

#[test]
fn long_names_are_cut_before_the_suffix() {
    let name = "ä".repeat(150);
    let routing = nginx(json!({"stableIngresses": [name]}));
    let change = routed(&routing, &Live::from([stable(&name)]), &want(5));
    let name = body(&change.actions[0])["metadata"]["name"]
        .as_str()
        .expect("a name");
    assert!(name.len() <= 253 && name.ends_with("ä-canary"), "{name}");
}

#[test]
fn what_does_not_fit_is_told() {
    let routing = nginx(json!({}));
    assert_eq!(
        refused(&routing, &Live::new(), &want(5)),
        "Ingress `web` not found"
    );
    let mut want = want(5);
    want.stable_service = "nobody";
    assert_eq!(
        refused(&routing, &Live::from([stable("web")]), &want),
        "ingress `web` has no rules using service nobody backend"
    );
    let (key, foreign) = made(&routing, 5);
    let mut foreign = (*foreign).clone();
    foreign["metadata"]["ownerReferences"][0]["uid"] = json!("u2");
    want.stable_service = "stable";
    assert_eq!(
        refused(
            &routing,
            &Live::from([stable("web"), (key, Arc::new(foreign))]),
            &want
        ),
        "canary ingress `app-web-canary` controlled by different object"
    );
}

#[test]
fn a_canary_ingress_that_is_no_longer_asked_for_goes() {
    let (key, live) = made(&nginx(json!({})), 5);
    let live = Live::from([stable("web"), (key.clone(), live)]);
    let gone = |wanted: &BTreeSet<ObjectKey>, uid: &str| -> Vec<ObjectKey> {
        let gone = leftovers(&live, wanted, uid).into_iter();
        gone.map(|(key, _)| key).collect()
    };
    assert_eq!(gone(&BTreeSet::new(), "u1"), std::slice::from_ref(&key));
    assert_eq!(gone(&BTreeSet::from([key]), "u1"), []);
    assert_eq!(gone(&BTreeSet::new(), "u2"), []);
}

/// Whoever reads annotations of the old prefix would go on by the old weight.
#[test]
fn an_edited_prefix_takes_the_old_annotations_away() {
    let before = nginx(json!({"annotationPrefix": "old.example.com"}));
    let (key, live) = made(&before, 40);
    let live = Live::from([stable("web"), (key, live)]);
    let change = routed(&nginx(json!({})), &live, &want(40));
    let annotations = &body(&change.actions[0])["metadata"]["annotations"];
    assert_eq!(
        *annotations,
        json!({
            "nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-weight": "40",
            "old.example.com/canary": null,
            "old.example.com/canary-weight": null,
        })
    );
    // Until then its weight is the one that counts.
    let arms = Arms {
        namespace: "demo",
        rollout: "app",
        canary_service: "canary",
        stable_service: "stable",
        max_weight: 100,
    };
    let seen = observed(&super::routing(&nginx(json!({}))), &live, arms);
    assert_eq!(seen.map(|seen| (seen.canary, seen.stable)), Some((40, 60)));
}

/// After an edit of `maxTrafficWeight`: 39 of 100 are no whole parts of 50.
#[test]
fn parts_of_another_whole_are_seen_rounded_up_and_counted_whole_rounded_down() {
    let spec = nginx(json!({}));
    let live = Live::from([stable("web"), made(&spec, 39)]);
    let arms = Arms {
        namespace: "demo",
        rollout: "app",
        canary_service: "canary",
        stable_service: "stable",
        max_weight: 50,
    };
    let routing = super::routing(&spec);
    let seen = observed(&routing, &live, arms);
    assert_eq!(seen.map(|seen| (seen.canary, seen.stable)), Some((20, 31)));
    assert_eq!(whole_parts(&routing, &live, arms), Some(19));
    let none = Live::from([stable("web")]);
    assert_eq!(
        whole_parts(&routing, &none, arms),
        observed(&routing, &none, arms).map(|_| 0)
    );
}
