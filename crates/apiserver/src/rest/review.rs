//! Reviews. Authentication and authorization are stubs: everyone is an administrator and may do everything.

use serde_json::{Value, json};

use crate::object::text;
use crate::registry::Resource;

const USER: &str = "system:admin";

fn user() -> Value {
    json!({"username": USER, "groups": ["system:masters", "system:authenticated"]})
}

/// The answer to a POST of a create-only kind.
pub(super) fn answer(resource: &Resource, body: &Value) -> Value {
    let mut answer = body.clone();
    answer["kind"] = json!(resource.gvk.kind);
    answer["apiVersion"] = json!(resource.api_version());
    if !answer["metadata"].is_object() {
        answer["metadata"] = json!({});
    }
    answer["status"] = match resource.gvk.kind.as_str() {
        "TokenReview" => {
            json!({"authenticated": !text(body, "/spec/token").is_empty(), "user": user()})
        }
        "SelfSubjectReview" => json!({"userInfo": user()}),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => json!({"allowed": true}),
    };
    answer
}

/// The answer to `serviceaccounts/NAME/token`: a token that this server accepts (it accepts any).
pub(super) fn token(body: &Value, namespace: &str, name: &str, expires: &str) -> Value {
    let mut answer = body.clone();
    answer["kind"] = json!("TokenRequest");
    answer["apiVersion"] = json!("authentication.k8s.io/v1");
    if !answer["metadata"].is_object() {
        answer["metadata"] = json!({});
    }
    answer["metadata"]["name"] = json!(name);
    answer["metadata"]["namespace"] = json!(namespace);
    let token = format!("system:serviceaccount:{namespace}:{name}");
    answer["status"] = json!({"token": token, "expirationTimestamp": expires});
    answer
}
