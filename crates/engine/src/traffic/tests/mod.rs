#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` literals read best without an ampersand on each"
)]

mod gateway_api;
mod nginx;

use super::{Change, RouteError, Want, apply};
use api::RolloutTrafficRouting;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use plan::{Action, ObjectKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

type Live = BTreeMap<ObjectKey, Arc<Value>>;

static NO_PORTS: BTreeMap<i64, i64> = BTreeMap::new();

fn want(weight: i32) -> Want<'static> {
    Want {
        namespace: "demo",
        owner: OwnerReference {
            api_version: "argoproj.io/v1alpha1".to_owned(),
            kind: "Rollout".to_owned(),
            name: "app".to_owned(),
            uid: "u1".to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        },
        canary_service: "canary",
        stable_service: "stable",
        weight,
        max_weight: 100,
        additional: &[],
        former: &[],
        target_ports: &NO_PORTS,
        moves_weights: true,
        routes: &[],
    }
}

fn routing(spec: &Value) -> RolloutTrafficRouting {
    serde_json::from_value(spec.clone()).expect("trafficRouting")
}

fn routed(spec: &Value, live: &Live, want: &Want<'_>) -> Change {
    apply(&routing(spec), live, want).expect("a change")
}

fn refused(spec: &Value, live: &Live, want: &Want<'_>) -> String {
    let error: RouteError = apply(&routing(spec), live, want).expect_err("an error");
    error.to_string()
}

fn object(api_version: &str, kind: &str, name: &str, rest: Value) -> (ObjectKey, Arc<Value>) {
    let mut object = rest;
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"]["name"] = json!(name);
    object["metadata"]["namespace"] = json!("demo");
    object["metadata"]["resourceVersion"] = json!("7");
    let key = ObjectKey::namespaced(api_version, kind, "demo", name);
    (key, Arc::new(object))
}

/// The object that an action creates, or the patch.
fn body(action: &Action) -> &Value {
    match action {
        Action::Create { object } => object,
        Action::Patch { patch, .. } => patch,
        other => panic!("neither a creation nor a patch: {other:?}"),
    }
}
