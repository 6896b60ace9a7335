//! Reviews. Authentication and authorization are stubs: everyone is an administrator and may do
//! everything.

use serde_json::{Value, json};
use structural::FieldError;

use crate::object::text;
use crate::registry::Resource;
use crate::status::Status;

const USER: &str = "system:admin";

fn user() -> Value {
    json!({"username": USER, "groups": ["system:masters", "system:authenticated"]})
}

/// What a review must ask.
pub(super) fn check(resource: &Resource, body: &Value) -> Result<(), Status> {
    let spec = &body["spec"];
    let kind = resource.gvk.kind.as_str();
    if kind == "SelfSubjectRulesReview" && text(spec, "/namespace").is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    if !kind.ends_with("SubjectAccessReview") {
        return Ok(());
    }
    let mut errors = Vec::new();
    let has = |field: &str| spec.get(field).is_some_and(|value| !value.is_null());
    if has("resourceAttributes") == has("nonResourceAttributes") {
        let value = spec.get("resourceAttributes").cloned().unwrap_or_default();
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(FieldError::invalid(
            "spec.resourceAttributes",
            value,
            detail,
        ));
    }
    if kind != "SelfSubjectAccessReview" && text(spec, "/user").is_empty() && !has("groups") {
        let detail = "at least one of user or group must be specified";
        errors.push(FieldError::invalid("spec.user", "", detail));
    }
    if errors.is_empty() {
        return Ok(());
    }
    // The real server names the group and no kind.
    Err(Status::invalid_kind("", &resource.gvk.group, "", &errors))
}

/// The answer to a POST of a create-only kind.
pub(super) fn answer(resource: &Resource, body: &Value, now: &str) -> Value {
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
        "SelfSubjectReview" => {
            answer["metadata"]["creationTimestamp"] = json!(now);
            json!({"userInfo": user()})
        }
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
