use super::*;
use crate::manifest::{Document, Manifest, Origin, PrepareContext, Scopes, prepare};
use crate::tracking::TRACKING_ANNOTATION;
use proptest::prelude::*;
use serde_json::{Value, json};

pub(super) fn manifest(object: Value) -> Manifest {
    let scopes = Scopes::default();
    let context = PrepareContext {
        app: "shop",
        namespace: "production",
        scopes: &scopes,
    };
    let origin = Origin {
        file: "a.yaml".to_owned(),
        document: 1,
    };
    let out = prepare(&[Document { origin, object }], &context);
    assert_eq!(out.errors, Vec::<String>::new());
    out.manifests[0].clone()
}

/// As the cluster would hold it after an apply, with the leaf fields `owned`.
#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
pub(super) fn applied(manifest: &Manifest, rules: &DiffRules, owned: Value) -> Value {
    let mut live = manifest.object.clone();
    crate::resource::set_annotation(
        &mut live,
        DIGEST_ANNOTATION,
        &target_digest(manifest, rules),
    );
    live["metadata"]["uid"] = json!("u-1");
    live["metadata"]["resourceVersion"] = json!("7");
    live["metadata"]["managedFields"] = json!([{
        "manager": FIELD_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": owned}]);
    live
}

pub(super) fn diff(manifest: &Manifest, live: Value, rules: &DiffRules) -> Vec<String> {
    let tree: LiveTree = [live].into_iter().collect();
    let comparison = compare(std::slice::from_ref(manifest), &tree, rules);
    comparison.resources[0]
        .differences
        .iter()
        .map(|diff| format!("{:?} {}", diff.what, diff.path))
        .collect()
}

pub(super) fn rules() -> DiffRules {
    DiffRules::new("shop", Vec::new(), false)
}

pub(super) fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "redis"},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "redis"}}, "template": {
        "metadata": {"labels": {"app": "redis"}, "creationTimestamp": null},
        "spec": {"containers": [{"name": "redis", "image": "redis:7",
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
            "env": [{"name": "A", "value": ""}, {"name": "B", "value": "b"}],
            "ports": [{"containerPort": 6379}]}]}}}})
}

pub(super) fn deployment_owned() -> Value {
    json!({"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"redis\"}": {".": {}, "f:name": {}, "f:image": {},
            "f:resources": {"f:limits": {"f:cpu": {}, "f:memory": {}}},
            "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}}, "k:{\"name\":\"B\"}": {".": {}, "f:name": {}, "f:value": {}}},
            "f:ports": {"k:{\"containerPort\":6379,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}})
}

/// What is said of an object that is as declared and does not say whose it is.
pub(super) const UNCLAIMED: &str = "Missing .metadata.annotations.argocd.argoproj.io/tracking-id";

#[test]
fn defaults_status_quantities_and_other_peoples_fields_are_no_drift() {
    let target = manifest(deployment());
    let mut live = applied(&target, &rules(), deployment_owned());
    live["status"] = json!({"readyReplicas": 1});
    live["spec"]["strategy"] = json!({"type": "RollingUpdate"});
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("3");
    let container = &mut live["spec"]["template"]["spec"]["containers"][0];
    container["resources"]["limits"] = json!({"cpu": "1", "memory": "1Gi"});
    container["imagePullPolicy"] = json!("IfNotPresent");
    container["ports"][0]["protocol"] = json!("TCP");
    container["env"] = json!([{"name": "B", "value": "b"}, {"name": "A"}]);
    let sidecar = json!({"name": "injected", "image": "proxy:1"});
    live["spec"]["template"]["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(sidecar);
    assert_eq!(diff(&target, live, &rules()), Vec::<String>::new());
}

#[test]
fn edits_of_declared_fields_are_drift() {
    let target = manifest(deployment());
    let mut live = applied(&target, &rules(), deployment_owned());
    live["spec"]["replicas"] = json!(3);
    live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("redis:8");
    live["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] =
        json!("2Gi");
    live["spec"]["template"]["metadata"]["labels"] = json!({});
    assert_eq!(
        diff(&target, live, &rules()),
        [
            "Differs .spec.replicas",
            "Missing .spec.template.metadata.labels.app",
            "Differs .spec.template.spec.containers[name=redis].image",
            "Differs .spec.template.spec.containers[name=redis].resources.limits.memory",
        ]
    );
}

#[test]
fn a_field_that_git_no_longer_declares_is_drift_while_we_own_it() {
    let before = manifest(deployment());
    let mut without = deployment();
    without["spec"].as_object_mut().unwrap().remove("replicas");
    without["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "value": ""}]);
    let target = manifest(without);
    let live = applied(&before, &rules(), deployment_owned());
    assert_eq!(
        diff(&target, live.clone(), &rules()),
        [
            "Removed .spec.replicas",
            "Removed .spec.template.spec.containers[name=redis].env[name=B]"
        ]
    );
    // Applied by nobody we know: what Git does not declare is not ours.
    let mut adopted = live;
    adopted["metadata"]["managedFields"][0]["manager"] = json!("kubectl");
    adopted["metadata"]["annotations"] = json!({});
    assert_eq!(diff(&target, adopted, &rules()), [UNCLAIMED]);
}

#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
fn rollout(steps: Value) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "backend"},
    "spec": {"strategy": {"canary": {"canaryService": "canary", "stableService": "stable", "steps": steps,
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "backend"}}}}}}})
}

#[test]
fn a_field_removed_inside_an_atomic_list_is_drift() {
    let before = manifest(rollout(
        json!([{"setWeight": 20}, {"pause": {"duration": "5m"}}]),
    ));
    let after = manifest(rollout(json!([{"setWeight": 20}, {"pause": {}}])));
    let owned = json!({"f:spec": {"f:strategy": {"f:canary": {"f:steps": {}}}}});
    let live = applied(&before, &rules(), owned);
    assert_eq!(diff(&before, live.clone(), &rules()), Vec::<String>::new());
    assert_eq!(diff(&after, live, &rules()), ["Changed "]);
}

#[test]
fn an_atomic_list_that_somebody_else_rewrote_counts_whole() {
    let target = manifest(rollout(json!([{"setWeight": 20}, {"pause": {}}])));
    let mut live = applied(&target, &rules(), json!({"f:spec": {"f:strategy": {}}}));
    live["spec"]["strategy"]["canary"]["steps"][1]["pause"] = json!({"duration": "1s"});
    live["metadata"]["managedFields"]
        .as_array_mut()
        .unwrap()
        .push(json!({
        "manager": "kubectl-edit", "operation": "Update",
        "fieldsV1": {"f:spec": {"f:strategy": {"f:canary": {"f:steps": {}}}}}}));
    live["metadata"]["managedFields"][0]["fieldsV1"] =
        json!({"f:spec": {"f:strategy": {"f:canary": {"f:canaryService": {}}}}});
    assert_eq!(
        diff(&target, live, &rules()),
        ["Extra .spec.strategy.canary.steps[1].pause.duration"]
    );
}

fn route(canary: i64, stable: i64) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "backend"},
    "spec": {"hostnames": ["shop.example"], "rules": [{"backendRefs": [
        {"name": "stable", "port": 80, "weight": stable}, {"name": "canary", "port": 80, "weight": canary}]}]}})
}

fn with_rollout() -> DiffRules {
    let mut rules = rules();
    rules.learn(&manifest(rollout(json!([]))).object);
    rules
}

/// F9: weights that Git declares, on a route that a Rollout moves.
#[test]
fn t36_declared_weights_of_a_managed_route_are_neither_drift_nor_reset() {
    let rules = with_rollout();
    let target = manifest(route(0, 100));
    let mut live = applied(
        &target,
        &rules,
        json!({"f:spec": {"f:hostnames": {}, "f:rules": {}}}),
    );
    live["spec"]["rules"][0]["backendRefs"] = json!([
        {"name": "stable", "port": 80, "weight": 80, "group": "", "kind": "Service"},
        {"name": "canary", "port": 80, "weight": 20, "group": "", "kind": "Service"}]);
    live["spec"]["rules"][0]["matches"] = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
    // The rollout controller wrote the list last.
    live["metadata"]["managedFields"] = json!([
        {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:hostnames": {}}}},
        {"manager": "weir", "operation": "Update", "fieldsV1": {"f:spec": {"f:rules": {}}}}]);
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());

    let mut object = target.object.clone();
    assert!(rules.keep(&target.id, &mut object, &live));
    let weights: Vec<_> = object["spec"]["rules"][0]["backendRefs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reference| reference["weight"].clone())
        .collect();
    assert_eq!(weights, [json!(80), json!(20)]);

    // Without a Rollout they are Git's.
    assert_eq!(
        diff(&target, live.clone(), &self::rules())
            .first()
            .map(String::as_str),
        Some("Differs .spec.rules[0].backendRefs[0].weight")
    );
    // And other fields of the list stay Git's even with one.
    live["spec"]["rules"][0]["backendRefs"][0]["port"] = json!(81);
    assert_eq!(
        diff(&target, live, &rules),
        ["Differs .spec.rules[0].backendRefs[0].port"]
    );
}

#[test]
fn header_rules_of_the_controller_are_kept() {
    let rules = with_rollout();
    let target = manifest(route(0, 100));
    let mut live = applied(
        &target,
        &rules,
        json!({"f:spec": {"f:hostnames": {}, "f:rules": {}}}),
    );
    let added = json!({"matches": [{"headers": [{"name": "x", "value": "1"}]}],
        "backendRefs": [{"name": "canary", "port": 80}]});
    live["spec"]["rules"]
        .as_array_mut()
        .unwrap()
        .insert(0, added.clone());
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    let mut object = target.object.clone();
    rules.keep(&target.id, &mut object, &live);
    assert_eq!(object["spec"]["rules"][0], added);
}

/// What the engine adds for `setHeaderRoute` and `setMirrorRoute`, with its record of them.
#[test]
fn recorded_rules_of_the_controller_are_kept_and_nothing_else_is() {
    let rules = with_rollout();
    let target = manifest(route(0, 100));
    let mut live = applied(
        &target,
        &rules,
        json!({"f:spec": {"f:hostnames": {}, "f:rules": {}}}),
    );
    let header = json!({"matches": [{"headers": [{"name": "x", "value": "1"}]}],
        "backendRefs": [{"name": "canary", "port": 80}]});
    let mirror = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "filters": [{"type": "RequestMirror"}],
        "backendRefs": [{"name": "stable", "port": 80}, {"name": "canary", "port": 80}]});
    live["metadata"]["annotations"]["weir.dev/managed-routes"] =
        json!(json!({"demo/app": [header, mirror]}).to_string());
    let mut stored = mirror.clone();
    stored["backendRefs"][1]["weight"] = json!(20);
    let list = live["spec"]["rules"].as_array_mut().unwrap();
    list.insert(0, header.clone());
    list.insert(1, stored.clone());
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    let mut object = target.object.clone();
    rules.keep(&target.id, &mut object, &live);
    let kept = object["spec"]["rules"].as_array().unwrap();
    assert_eq!((&kept[0], &kept[1], kept.len()), (&header, &stored, 3));

    // A rule that somebody else added is drift.
    let stray = json!({"backendRefs": [{"name": "canary", "port": 80}]});
    live["spec"]["rules"].as_array_mut().unwrap().push(stray);
    assert_ne!(diff(&target, live, &rules), Vec::<String>::new());
}

#[test]
fn backends_of_running_experiments_are_neither_drift_nor_dropped() {
    let steps = json!([{"experiment": {"templates": [
        {"name": "own", "specRef": "canary", "weight": 5, "service": {"name": "trial"}}]}}]);
    let mut owner = manifest(rollout(steps)).object;
    owner["status"] = json!({"currentPodHash": "abc"});
    let mut rules = rules();
    rules.learn(&owner);
    let target = manifest(route(0, 100));
    let mut live = applied(
        &target,
        &rules,
        json!({"f:spec": {"f:hostnames": {}, "f:rules": {}}}),
    );
    let guests = [
        json!({"name": "backend-abc-2-0-base", "port": 8080, "weight": 5}),
        json!({"name": "trial", "port": 8080, "weight": 5}),
    ];
    let backends = live["spec"]["rules"][0]["backendRefs"]
        .as_array_mut()
        .unwrap();
    backends.extend(guests.clone());
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    let mut object = target.object.clone();
    assert!(rules.keep(&target.id, &mut object, &live));
    let kept = object["spec"]["rules"][0]["backendRefs"]
        .as_array()
        .unwrap();
    assert_eq!(kept[2..], guests);
    // Anybody else's is drift.
    let backends = live["spec"]["rules"][0]["backendRefs"]
        .as_array_mut()
        .unwrap();
    backends.push(json!({"name": "stranger", "port": 80}));
    assert_ne!(diff(&target, live, &rules), Vec::<String>::new());
}

#[test]
fn t36_the_hash_in_a_service_selector_is_neither_drift_nor_dropped() {
    let rules = with_rollout();
    let target = manifest(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "stable"},
        "spec": {"selector": {"app": "backend"}, "ports": [{"port": 80}]}}),
    );
    let owned = json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}});
    let mut live = applied(&target, &rules, owned);
    live["spec"]["selector"]["rollouts-pod-template-hash"] = json!("6f64c8f868");
    live["spec"]["clusterIP"] = json!("10.0.0.1");
    live["metadata"]["managedFields"]
        .as_array_mut()
        .unwrap()
        .push(json!({
        "manager": "weir", "operation": "Update", "fieldsV1": {"f:spec": {"f:selector": {}}}}));
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    let mut object = target.object.clone();
    assert!(rules.keep(&target.id, &mut object, &live));
    assert_eq!(
        object["spec"]["selector"],
        json!({"app": "backend", "rollouts-pod-template-hash": "6f64c8f868"})
    );
    // A key that somebody else put into a selector is drift.
    live["spec"]["selector"]["tier"] = json!("x");
    assert_eq!(diff(&target, live, &rules), ["Extra .spec.selector.tier"]);
}

#[test]
fn a_workload_that_the_controller_scales_down_keeps_its_size() {
    let mut rules = rules();
    let mut owner = manifest(rollout(json!([]))).object;
    owner["spec"]["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "redis", "scaleDown": "onsuccess"});
    rules.learn(&owner);
    let target = manifest(deployment());
    let mut live = applied(&target, &rules, deployment_owned());
    live["spec"]["replicas"] = json!(0);
    assert_eq!(diff(&target, live.clone(), &rules), Vec::<String>::new());
    let mut object = target.object.clone();
    assert!(rules.keep(&target.id, &mut object, &live));
    assert_eq!(object["spec"]["replicas"], json!(0));
}

#[test]
fn ignored_differences_are_ignored_and_kept_only_on_demand() {
    let rule = |managers: &[&str], pointers: &[&str]| IgnoreRule {
        group: "apps".to_owned(),
        kind: "*".to_owned(),
        json_pointers: pointers.iter().map(|&p| p.to_owned()).collect(),
        managed_fields_managers: managers.iter().map(|&m| m.to_owned()).collect(),
        ..IgnoreRule::default()
    };
    let target = manifest(deployment());
    let by_pointer = DiffRules::new("shop", vec![rule(&[], &["/spec/replicas"])], true);
    let mut live = applied(&target, &by_pointer, deployment_owned());
    live["spec"]["replicas"] = json!(9);
    assert_eq!(
        diff(&target, live.clone(), &by_pointer),
        Vec::<String>::new()
    );
    let mut object = target.object.clone();
    assert!(by_pointer.keep(&target.id, &mut object, &live));
    assert_eq!(object["spec"]["replicas"], json!(9));

    let by_manager = DiffRules::new("shop", vec![rule(&["autoscaler"], &[])], false);
    let mut live = applied(&target, &by_manager, deployment_owned());
    live["spec"]["replicas"] = json!(9);
    live["metadata"]["managedFields"].as_array_mut().unwrap().push(
        json!({"manager": "autoscaler", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}));
    assert_eq!(
        diff(&target, live.clone(), &by_manager),
        Vec::<String>::new()
    );
    let mut object = target.object.clone();
    assert!(!by_manager.keep(&target.id, &mut object, &live));
}

#[test]
fn values_of_secrets_are_masked() {
    let target = manifest(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"password": "hunter2"}}),
    );
    let mut live = applied(
        &target,
        &rules(),
        json!({"f:data": {"f:password": {}, "f:old": {}}}),
    );
    live["data"] = json!({"password": "b3RoZXI=", "old": "c2VjcmV0"});
    let tree: LiveTree = [live].into_iter().collect();
    let comparison = compare(&[target], &tree, &rules());
    let text = serde_json::to_string(&comparison).unwrap();
    assert_eq!(comparison.resources[0].differences.len(), 2, "{text}");
    for secret in ["hunter2", "aHVudGVyMg", "b3RoZXI", "c2VjcmV0"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("++++++++"));
}

#[test]
fn only_objects_that_name_themselves_and_us_are_pruned() {
    let live = |name: &str, id: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n",
            "annotations": {TRACKING_ANNOTATION: id}}})
    };
    let tree: LiveTree = [
        live("ours", "shop:/ConfigMap:n/ours"),
        live("copy", "shop:/ConfigMap:n/ours"),
        live("theirs", "other:/ConfigMap:n/theirs"),
    ]
    .into_iter()
    .collect();
    let comparison = compare(&[], &tree, &rules());
    let names: Vec<_> = comparison
        .resources
        .iter()
        .map(|r| r.id.name.as_str())
        .collect();
    assert_eq!(names, ["ours"]);
    assert!(comparison.resources[0].requires_pruning());
}

#[test]
fn an_object_of_another_application_is_reported() {
    let target =
        manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}));
    let mut live = target.object.clone();
    live["metadata"]["annotations"][TRACKING_ANNOTATION] = json!("other:/ConfigMap:production/c");
    let tree: LiveTree = [live].into_iter().collect();
    assert_eq!(
        compare(&[target], &tree, &rules()).resources[0]
            .shared_with
            .as_deref(),
        Some("other")
    );
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Adds keys to maps, as defaults and other controllers do; lists keep their length.
fn grow(value: &mut Value, extra: &Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(|child| grow(child, extra));
            map.insert("zz".to_owned(), extra.clone());
        }
        Value::Array(list) => list.iter_mut().for_each(|child| grow(child, extra)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn what_was_applied_and_then_only_added_to_is_synced(spec in json_value(), extra in json_value()) {
        let target = manifest(json!({"apiVersion": "example.com/v1", "kind": "Thing",
            "metadata": {"name": "t"}, "spec": {"x": spec}}));
        let mut live = applied(&target, &rules(), json!({"f:spec": {"f:x": {}}}));
        live["metadata"].as_object_mut().unwrap().remove("managedFields");
        grow(&mut live["spec"], &extra);
        prop_assert_eq!(diff(&target, live, &rules()), Vec::<String>::new());
    }

    #[test]
    fn any_change_of_a_manifest_is_noticed(a in json_value(), b in json_value()) {
        let thing = |spec: &Value| manifest(json!({"apiVersion": "example.com/v1", "kind": "Thing",
            "metadata": {"name": "t"}, "spec": {"x": {"y": spec}}}));
        let (before, after) = (thing(&a), thing(&b));
        let live = applied(&before, &rules(), json!({"f:spec": {"f:x": {}}}));
        let same = digest::digest(&before.object) == digest::digest(&after.object);
        prop_assert_eq!(diff(&after, live, &rules()).is_empty(), same);
    }

    #[test]
    fn garbage_as_managed_fields_is_harmless(garbage in json_value()) {
        let target = manifest(deployment());
        let mut live = applied(&target, &rules(), garbage.clone());
        live["spec"]["selector"] = garbage;
        diff(&target, live, &rules());
    }
}

/// It is looked at at several versions where Git has moved it from one to another, or has both.
#[test]
fn an_object_is_compared_at_the_version_that_git_has_it_at() {
    let manifest = manifest(json!({"apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"},
        "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 80}}));
    let owned = json!({"f:spec": {"f:maxReplicas": {}, "f:targetCPUUtilizationPercentage": {}}});
    let old = applied(&manifest, &rules(), owned);
    let mut new = old.clone();
    new["apiVersion"] = json!("autoscaling/v2");
    new["spec"] = json!({"maxReplicas": 3, "metrics": [{"type": "Resource"}]});
    for both in [[old.clone(), new.clone()], [new.clone(), old]] {
        let tree: LiveTree = both.into_iter().collect();
        let comparison = compare(std::slice::from_ref(&manifest), &tree, &rules());
        assert_eq!(comparison.resources.len(), 1);
        assert!(comparison.is_synced(), "{comparison:?}");
    }
    // Where it is only seen at another one, that is what there is to compare with.
    let found = diff(&manifest, new, &rules());
    assert_eq!(found, ["Missing .spec.targetCPUUtilizationPercentage"]);
}

#[test]
fn what_an_object_was_at_a_version_before_is_forgotten() {
    let at = |version: &str, value: &str| {
        json!({"apiVersion": format!("x/{version}"), "kind": "Thing", "metadata": {"name": "a"},
            "spec": value})
    };
    let objects = [at("v1", "old"), at("v2", "other"), at("v1", "new")];
    let mut tree: LiveTree = objects.into_iter().collect();
    let id = crate::ResourceId::new("x", "Thing", "", "a");
    let spec = |tree: &LiveTree, version: &str| {
        let found = tree.at(&id, version);
        found.map(|object| object["spec"].clone())
    };
    assert_eq!(spec(&tree, "v1"), Some(json!("new")));
    assert_eq!(spec(&tree, "v2"), Some(json!("other")));
    assert_eq!(spec(&tree, "v3"), Some(json!("new")));
    tree.remove(&id);
    assert_eq!(spec(&tree, "v2"), None);
}
