//! Reviews. Authentication and authorization are stubs: everyone is an administrator and may do
//! everything.

use serde_json::{Value, json};
use structural::FieldError;

use crate::object::{items, meta, set_meta, text};
use crate::registry::Resource;
use crate::status::Status;

const USER: &str = "system:admin";
const AUTHENTICATION: &str = "authentication.k8s.io";
const TOKEN: &str = "TokenRequest";
/// Whom a token is for that names nobody.
const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

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

/// Whether a request for a token names the service account that it is sent to, or none.
pub(super) fn check_token(body: &Value, namespace: &str, name: &str) -> Result<(), Status> {
    let places = [
        ("name", meta(body, "name"), name),
        ("namespace", meta(body, "namespace"), namespace),
    ];
    for (field, given, wanted) in places {
        if !given.is_empty() && given != wanted {
            let path = format!("metadata.{field}");
            let detail = format!("must match the service account {field} if specified");
            let error = FieldError::invalid(path, given, detail);
            return Err(Status::invalid_kind(TOKEN, AUTHENTICATION, name, &[error]));
        }
    }
    Ok(())
}

/// How long a token is to be good for.
pub(super) fn lifetime_s(body: &Value) -> Result<i64, Status> {
    let path = "spec.expirationSeconds";
    let asked = body.pointer("/spec/expirationSeconds");
    let lifetime_s = asked.and_then(Value::as_i64).unwrap_or(3_600);
    let detail = if lifetime_s < 600 {
        "may not specify a duration less than 10 minutes"
    } else if lifetime_s > 1 << 32 {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(lifetime_s);
    };
    let error = FieldError::invalid(path, lifetime_s, detail);
    Err(Status::invalid_kind(TOKEN, AUTHENTICATION, "", &[error]))
}

/// The answer to `serviceaccounts/NAME/token`: a token that this server accepts (it accepts any).
pub(super) fn token(
    mut answer: Value,
    account: &Value,
    lifetime_s: i64,
    (now, expires): (&str, &str),
) -> Value {
    answer["kind"] = json!(TOKEN);
    answer["apiVersion"] = json!(format!("{AUTHENTICATION}/v1"));
    for field in ["name", "namespace", "uid"] {
        set_meta(&mut answer, field, json!(meta(account, field)));
    }
    set_meta(&mut answer, "creationTimestamp", json!(now));
    if !answer["spec"].is_object() {
        answer["spec"] = json!({});
    }
    answer["spec"]["expirationSeconds"] = json!(lifetime_s);
    if items(&answer, "/spec/audiences").is_empty() {
        answer["spec"]["audiences"] = json!([AUDIENCE]);
    }
    let (namespace, name) = (meta(account, "namespace"), meta(account, "name"));
    let token = format!("system:serviceaccount:{namespace}:{name}");
    answer["status"] = json!({"token": token, "expirationTimestamp": expires});
    answer
}
