//! Whose a field is, where that is not only between Git and somebody else; and which values are not
//! written.

use super::resource::handed_over;
use super::tests::{UNCLAIMED, applied, deployment, deployment_owned, diff, manifest, rules};
use super::{DiffRules, FIELD_MANAGER, IgnoreRule, REPLACE_MANAGER};
use crate::tracking::TRACKING_ANNOTATION;
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

/// Applied by kubectl with `replicas`, which Git does not declare any more. What the API server has
/// defaulted is owned by kubectl as well.
fn left_by_kubectl() -> (crate::Manifest, Value) {
    let before = manifest(deployment());
    let mut without = deployment();
    without["spec"].as_object_mut().unwrap().remove("replicas");
    let mut live = applied(&before, &rules(), json!({}));
    let id = live["metadata"]["annotations"][TRACKING_ANNOTATION].clone();
    live["metadata"]["annotations"] =
        json!({LAST_APPLIED: deployment().to_string(), TRACKING_ANNOTATION: id});
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
fn what_we_have_replaced_is_handed_over_to_what_we_have_applied() {
    let entry = |manager: &str, operation: &str, fields: Value| {
        let mut entry = updated(manager, json!({"f:spec": fields}));
        entry["operation"] = json!(operation);
        entry
    };
    let own = entry(FIELD_MANAGER, "Apply", json!({"f:selector": {}}));
    let replaced = entry(REPLACE_MANAGER, "Update", json!({"f:paused": {}}));
    let theirs = entry(KUBECTL, "Update", json!({"f:replicas": {}}));
    let mut live = deployment();
    live["metadata"]["managedFields"] = json!([own, theirs]);
    assert_eq!(handed_over(&live, &migrating()), None);
    entries(&mut live).push(replaced);
    let both = json!({"f:selector": {}, "f:paused": {}});
    let all = entry(FIELD_MANAGER, "Apply", both);
    // Also where nothing is to be taken over of what others have made.
    for rules in [migrating(), rules()] {
        assert_eq!(handed_over(&live, &rules), Some(json!([theirs, all])));
    }
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

/// As declared, with labels and annotations, and made by somebody else.
fn found(labels: Value, annotations: Value) -> Value {
    let mut live = manifest(deployment()).object;
    live["metadata"]["uid"] = json!("u-1");
    live["metadata"]["labels"] = labels;
    live["metadata"]["annotations"] = annotations;
    live
}

const OTHERS: &str = "other:apps/Deployment:production/redis";

#[test]
fn what_is_as_declared_and_not_ours_is_out_of_sync() {
    let target = manifest(deployment());
    let plain = found(json!({}), json!({}));
    assert_eq!(diff(&target, plain.clone(), &rules()), [UNCLAIMED]);
    let mut bare = plain.clone();
    let metadata = bare["metadata"].as_object_mut().unwrap();
    metadata.remove("annotations");
    metadata.remove("labels");
    assert_eq!(diff(&target, bare, &rules()), [UNCLAIMED]);
    let taken = found(json!({}), json!({TRACKING_ANNOTATION: OTHERS}));
    let differs = UNCLAIMED.replace("Missing", "Differs");
    assert_eq!(
        diff(&target, taken, &rules()),
        std::slice::from_ref(&differs)
    );
    // Copied along with another object.
    let copied = found(
        json!({}),
        json!({TRACKING_ANNOTATION: "shop:apps/Deployment:production/another"}),
    );
    assert_eq!(diff(&target, copied, &rules()), [differs]);
    // What only stands for it: an object that can't be looked at.
    let mut stand_in = plain;
    stand_in["metadata"].as_object_mut().unwrap().remove("uid");
    assert_eq!(diff(&target, stand_in, &rules()), Vec::<String>::new());
}

#[test]
fn what_is_tracked_by_label_is_ours_as_it_is() {
    let target = manifest(deployment());
    for key in ["app.kubernetes.io/instance", "argocd.argoproj.io/instance"] {
        let ours = found(json!({key: "shop"}), json!({}));
        assert_eq!(diff(&target, ours, &rules()), Vec::<String>::new(), "{key}");
        // The label of a chart, or of another Application.
        let other = found(json!({key: "release"}), json!({}));
        assert_eq!(diff(&target, other, &rules()), [UNCLAIMED], "{key}");
        let taken = found(json!({key: "shop"}), json!({TRACKING_ANNOTATION: OTHERS}));
        assert_eq!(diff(&target, taken, &rules()).len(), 1, "{key}");
    }
}

#[test]
fn an_id_that_no_apply_would_change_is_no_drift() {
    let ignoring = |managers: &[&str], pointers: &[&str], respect| {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let rule = IgnoreRule {
            group: "*".to_owned(),
            kind: "*".to_owned(),
            json_pointers: texts(pointers),
            managed_fields_managers: texts(managers),
            ..IgnoreRule::default()
        };
        DiffRules::new("shop", vec![rule], respect)
    };
    let target = manifest(deployment());
    let mut taken = found(json!({}), json!({TRACKING_ANNOTATION: OTHERS}));
    let mut fields = json!({});
    fields[format!("f:{TRACKING_ANNOTATION}")] = json!({});
    let fields = json!({"f:metadata": {"f:annotations": fields}});
    taken["metadata"]["managedFields"] = json!([updated("other-controller", fields)]);
    for pointer in [
        "/metadata/annotations",
        "/metadata/annotations/argocd.argoproj.io~1tracking-id",
    ] {
        let rules = ignoring(&[], &[pointer], true);
        assert_eq!(diff(&target, taken.clone(), &rules), Vec::<String>::new());
        // Applied all the same, it is ours from then on.
        let rules = ignoring(&[], &[pointer], false);
        assert_eq!(diff(&target, taken.clone(), &rules).len(), 1, "{pointer}");
    }
    let rules = ignoring(&["other-controller"], &[], true);
    assert_eq!(diff(&target, taken, &rules), Vec::<String>::new());
}

#[test]
fn a_definition_is_nobodys_and_compared_all_the_same() {
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"}, "spec": {"group": "example.com", "scope": "Cluster"}});
    let target = manifest(definition);
    let mut live = target.object.clone();
    live["metadata"]["uid"] = json!("u-1");
    assert_eq!(diff(&target, live.clone(), &rules()), Vec::<String>::new());
    live["metadata"]["annotations"] = json!({TRACKING_ANNOTATION:
        "other:apiextensions.k8s.io/CustomResourceDefinition:n/things.example.com"});
    assert_eq!(diff(&target, live.clone(), &rules()), Vec::<String>::new());
    // Written down in Git, it means as little.
    let mut exported = target.clone();
    exported.object["metadata"]["annotations"] = live["metadata"]["annotations"].clone();
    assert_eq!(
        diff(&exported, live.clone(), &rules()),
        Vec::<String>::new()
    );
    live["spec"]["scope"] = json!("Namespaced");
    assert_eq!(diff(&target, live, &rules()), ["Differs .spec.scope"]);
}
