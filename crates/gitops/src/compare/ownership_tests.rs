//! Whose a field is, where that is not only between Git and somebody else; and which values are not written.

use super::resource::handed_over;
use super::tests::{applied, deployment, deployment_owned, diff, manifest, rules};
use super::{DiffRules, FIELD_MANAGER, IgnoreRule};
use serde_json::{Value, json};

const KUBECTL: &str = "kubectl-client-side-apply";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An entry of `managedFields`, of an update.
#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
fn updated(manager: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": "Update", "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn entries(live: &mut Value) -> &mut Vec<Value> {
    live["metadata"]["managedFields"].as_array_mut().unwrap()
}

fn ignoring(manager: &str) -> DiffRules {
    let rule = IgnoreRule {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        managed_fields_managers: vec![manager.to_owned()],
        ..IgnoreRule::default()
    };
    DiffRules::new("shop", vec![rule], true)
}

#[test]
fn what_a_manager_wrote_through_a_subresource_is_ignored_and_kept() {
    let rules = ignoring("autoscaler");
    let target = manifest(deployment());
    let mut live = applied(&target, &rules, deployment_owned());
    live["spec"]["replicas"] = json!(9);
    let mut entry = updated("autoscaler", json!({"f:spec": {"f:replicas": {}}}));
    entry["subresource"] = json!("scale");
    entries(&mut live).push(entry);
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    let mut object = target.object.clone();
    assert!(rules.keep(&target.id, &mut object, &live));
    assert_eq!(object["spec"]["replicas"], json!(9));

    // What is said of the status is not about the spec.
    entries(&mut live)[1]["subresource"] = json!("status");
    assert_eq!(
        diff(&target, live.clone(), &rules),
        ["Differs .spec.replicas"]
    );
    let mut object = target.object.clone();
    assert!(!rules.keep(&target.id, &mut object, &live));
}

#[test]
fn fields_of_a_manager_are_kept_inside_lists_and_only_where_git_declares_them() {
    let rules = ignoring("image-updater");
    let target = manifest(deployment());
    let mut live = applied(&target, &rules, deployment_owned());
    let container = &mut live["spec"]["template"]["spec"]["containers"][0];
    container["image"] = json!("redis:8");
    container["workingDir"] = json!("/data");
    let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
        "k:{\"name\":\"redis\"}": {"f:image": {}, "f:workingDir": {}}}}}}});
    entries(&mut live).push(updated("image-updater", fields));
    let mut object = target.object.clone();
    assert!(rules.keep(&target.id, &mut object, &live));
    let kept = &object["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(kept["image"], json!("redis:8"));
    assert_eq!(kept.get("workingDir"), None);
}

/// Applied by kubectl with `replicas`, which Git does not declare any more. What the API server has defaulted
/// is owned by kubectl as well.
fn left_by_kubectl() -> (crate::Manifest, Value) {
    let before = manifest(deployment());
    let mut without = deployment();
    without["spec"].as_object_mut().unwrap().remove("replicas");
    let mut live = applied(&before, &rules(), json!({}));
    live["metadata"]["annotations"] = json!({LAST_APPLIED: deployment().to_string()});
    live["spec"]["revisionHistoryLimit"] = json!(10);
    let mut annotations = json!({".": {}});
    annotations[format!("f:{LAST_APPLIED}")] = json!({});
    let mut fields = deployment_owned();
    fields["f:metadata"] = json!({"f:annotations": annotations});
    fields["f:spec"]["f:revisionHistoryLimit"] = json!({});
    *entries(&mut live) = vec![updated(KUBECTL, fields)];
    (manifest(without), live)
}

fn migrating() -> DiffRules {
    let mut rules = rules();
    rules.migrate(&[KUBECTL, FIELD_MANAGER]);
    rules
}

#[test]
fn what_client_side_apply_left_is_drift_until_the_first_apply() {
    let (target, mut live) = left_by_kubectl();
    assert_eq!(
        diff(&target, live.clone(), &migrating()),
        ["Removed .spec.replicas"]
    );
    assert_eq!(diff(&target, live.clone(), &rules()), Vec::<String>::new());
    // Once we have applied it, the rest is somebody else's.
    let own = json!({"manager": FIELD_MANAGER, "operation": "Apply",
        "fieldsV1": {"f:spec": {"f:selector": {}}}});
    entries(&mut live).push(own);
    assert_eq!(
        diff(&target, live.clone(), &migrating()),
        Vec::<String>::new()
    );
    assert_eq!(handed_over(&live, &migrating()), None);
}

#[test]
fn what_client_side_apply_owns_is_handed_over_in_one_entry() {
    let (_, mut live) = left_by_kubectl();
    let first = entries(&mut live)[0]["fieldsV1"].clone();
    let own = updated(FIELD_MANAGER, json!({"f:spec": {"f:paused": {}}}));
    let other = updated("somebody", json!({"f:spec": {"f:replicas": {}}}));
    let mut scaled = updated(KUBECTL, json!({"f:spec": {"f:replicas": {}}}));
    scaled["subresource"] = json!("scale");
    let mut older = updated(KUBECTL, json!({"f:spec": {"f:old": {}}}));
    older["apiVersion"] = json!("apps/v1beta1");
    entries(&mut live).extend([own, other.clone(), scaled.clone(), older.clone()]);
    let mut fields = first;
    fields["f:spec"]["f:paused"] = json!({});
    let mut all = updated(FIELD_MANAGER, fields);
    all["operation"] = json!("Apply");
    assert_eq!(
        handed_over(&live, &migrating()),
        Some(json!([other, scaled, older, all]))
    );
    assert_eq!(handed_over(&live, &rules()), None);
    live["metadata"]["managedFields"] = json!("garbage");
    assert_eq!(handed_over(&live, &migrating()), None);
}

#[test]
fn a_zero_that_is_not_there_is_a_difference_unless_it_is_never_written() {
    let mut object = deployment();
    let pod = &mut object["spec"]["template"]["spec"];
    pod["hostNetwork"] = json!(false);
    pod["automountServiceAccountToken"] = json!(false);
    let target = manifest(object);
    let live = manifest(deployment()).object;
    assert_eq!(
        diff(&target, live, &rules()),
        ["Missing .spec.template.spec.automountServiceAccountToken"]
    );
    let thing = |spec: Value| {
        json!({"apiVersion": "example.com/v1", "kind": "Thing",
            "metadata": {"name": "t", "finalizers": []}, "spec": spec})
    };
    let target = manifest(thing(json!({"on": false, "size": 0, "none": null})));
    let mut live = manifest(thing(json!({}))).object;
    live["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("finalizers");
    assert_eq!(
        diff(&target, live, &rules()),
        ["Missing .spec.on", "Missing .spec.size"]
    );
}

#[test]
fn wrapped_base64_is_the_same_secret() {
    let secret = |text: &str| {
        let data = json!({"a": text});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data})
    };
    let target = manifest(secret("aGVs\nbG8=\n"));
    let owned = json!({"f:data": {"f:a": {}}});
    let mut live = applied(&target, &rules(), owned);
    live["data"]["a"] = json!("aGVsbG8=");
    assert_eq!(diff(&target, live, &rules()), Vec::<String>::new());
}
