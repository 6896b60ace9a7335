use super::*;
use crate::resource::{annotation, namespace};
use crate::tracking::TRACKING_ANNOTATION;
use serde_json::{Value, json};

fn prepare_all(objects: Vec<Value>) -> Prepared {
    let documents: Vec<Document> = objects
        .into_iter()
        .enumerate()
        .map(|(index, object)| Document {
            origin: Origin {
                file: "all.yaml".to_owned(),
                document: index + 1,
            },
            object,
        })
        .collect();
    let scopes = Scopes::default();
    prepare(
        &documents,
        &PrepareContext {
            app: "shop",
            namespace: "production",
            scopes: &scopes,
        },
    )
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

#[test]
fn namespaces_are_filled_in_and_stripped_and_everything_is_tracked() {
    let out = prepare_all(vec![
        config_map("a"),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "r", "namespace": "oops"}}),
    ]);
    assert_eq!(out.errors, Vec::<String>::new());
    let (role, map) = (&out.manifests[1].object, &out.manifests[0].object);
    assert_eq!(namespace(map), "production");
    assert_eq!(namespace(role), "");
    assert_eq!(
        annotation(map, TRACKING_ANNOTATION),
        Some("shop:/ConfigMap:production/a")
    );
    assert_eq!(
        annotation(role, TRACKING_ANNOTATION),
        Some("shop:rbac.authorization.k8s.io/ClusterRole:production/r")
    );
}

#[test]
fn a_crd_in_the_same_commit_says_whether_its_kind_has_a_namespace() {
    let out = prepare_all(vec![
        json!({"apiVersion": "example.com/v1", "kind": "Galaxy", "metadata": {"name": "g"}}),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "galaxies.example.com"},
            "spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Galaxy"}}}),
    ]);
    let galaxy = out
        .manifests
        .iter()
        .find(|m| m.id.kind == "Galaxy")
        .unwrap();
    assert_eq!(galaxy.id.namespace, "");
    let definition = &out.manifests[0];
    assert_eq!(definition.id.kind, "CustomResourceDefinition");
    assert_eq!(annotation(&definition.object, TRACKING_ANNOTATION), None);
    assert!(annotation(&galaxy.object, TRACKING_ANNOTATION).is_some());
}

/// A definition that is not even applied must not make a kind of the cluster look harmless.
#[test]
fn a_crd_has_no_say_about_kinds_that_the_cluster_serves() {
    let definition = |group: &str, kind: &str, scope: &str| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("x.{group}"), "annotations": {HOOK_ANNOTATION: "Skip"}},
            "spec": {"group": group, "scope": scope, "names": {"kind": kind}}})
    };
    let rbac = "rbac.authorization.k8s.io";
    let mut scopes = Scopes::default();
    scopes.insert("example.com", "Galaxy", false);
    scopes.insert("", "ConfigMap", true);
    for (group, kind, scope) in [
        (rbac, "ClusterRoleBinding", "Namespaced"),
        ("example.com", "Galaxy", "Namespaced"),
        ("", "ConfigMap", "Cluster"),
        ("example.com", "Star", "Cluster"),
        ("example.com", "Star", "Namespaced"),
        ("example.com", "Moon", "Namespaced"),
    ] {
        scopes.learn(&definition(group, kind, scope));
    }
    assert!(!scopes.is_namespaced(rbac, "ClusterRoleBinding"));
    assert!(!scopes.is_namespaced("example.com", "Galaxy"));
    assert!(scopes.is_namespaced("", "ConfigMap"));
    assert!(!scopes.is_namespaced("example.com", "Star"));
    assert!(scopes.is_namespaced("example.com", "Moon"));
    assert_eq!(scopes.served("example.com", "Moon"), None);
    let out = prepare_all(vec![
        definition(rbac, "ClusterRoleBinding", "Namespaced"),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "root"}}),
    ]);
    assert_eq!(out.manifests[0].id.namespace, "");
}

#[test]
fn lists_are_taken_apart_and_the_last_duplicate_wins() {
    let mut second = config_map("a");
    second["data"] = json!({"k": "v"});
    let out = prepare_all(vec![
        json!({"apiVersion": "v1", "kind": "List", "items": [config_map("a"), config_map("b"), null]}),
        Value::Null,
        second,
    ]);
    assert_eq!(out.manifests.len(), 2);
    assert_eq!(out.manifests[0].object["data"], json!({"k": "v"}));
    assert_eq!(
        out.repeated,
        [
            "Resource /ConfigMap/production/a appeared 2 times among application resources. ConfigMap \
             a (all.yaml, document 3) is used, ConfigMap a (all.yaml, document 1) not"
        ]
    );
}

#[test]
fn an_object_at_two_versions_of_its_api_is_one_object() {
    let autoscaler = |version: &str| {
        json!({"apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "a"}})
    };
    let out = prepare_all(["v2", "v2beta2", "v1"].map(autoscaler).to_vec());
    assert_eq!(out.manifests.len(), 1);
    assert_eq!(out.manifests[0].version(), "v1", "the last one");
    let said = "Resource autoscaling/HorizontalPodAutoscaler/production/a appeared 3 times among \
                application resources. ";
    assert_eq!(out.repeated.len(), 1);
    assert!(out.repeated[0].starts_with(said), "{:?}", out.repeated);
}

#[test]
fn a_broken_document_is_named_and_keeps_the_rest() {
    let out = prepare_all(vec![
        json!("just text"),
        json!({"kind": "ConfigMap", "metadata": {"name": "x"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "labels": {"a": 1}}}),
        json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": "none"}),
        config_map("good"),
    ]);
    assert_eq!(
        out.errors,
        [
            "all.yaml, document 5: items of a ConfigMapList is no list",
            "all.yaml, document 1: the document is no Kubernetes object",
            "all.yaml, document 2: apiVersion is missing",
            "all.yaml, document 3: ConfigMap: metadata.name is missing",
            "all.yaml, document 4: ConfigMap: metadata.labels[a] must be a string",
        ]
    );
    assert_eq!(out.manifests.len(), 1);
    assert_eq!(out.manifests[0].id.name, "good");
}

#[test]
fn hooks_are_set_apart_and_skip_means_skip() {
    let with = |key: &str, value: &str| {
        let mut object = config_map(value);
        object["metadata"]["annotations"] = json!({key: value});
        object
    };
    let out = prepare_all(vec![
        with(HOOK_ANNOTATION, "PreSync,PostSync"),
        with(HOOK_ANNOTATION, "Skip"),
        with("helm.sh/hook", "pre-install,pre-upgrade"),
        with("helm.sh/hook", "test"),
        with("helm.sh/hook", "crd-install"),
    ]);
    let hooks: Vec<_> = out.hooks.iter().map(|(_, phases)| phases.clone()).collect();
    assert_eq!(hooks, [vec!["PreSync", "PostSync"], vec!["PreSync"]]);
    assert_eq!(out.manifests.len(), 1);
    assert_eq!(out.manifests[0].id.name, "crd-install");
    let skipped: Vec<&str> = out.skipped.iter().map(|m| m.id.name.as_str()).collect();
    assert_eq!(skipped, ["Skip", "test"]);
}

#[test]
fn string_data_becomes_data_and_server_fields_vanish() {
    let out = prepare_all(vec![json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "s", "uid": "1", "resourceVersion": "2", "creationTimestamp": null},
        "data": {"a": "eA=="}, "stringData": {"b": "hello"}, "status": {}})]);
    let secret = &out.manifests[0].object;
    assert_eq!(secret["data"], json!({"a": "eA==", "b": "aGVsbG8="}));
    for gone in [
        "/stringData",
        "/status",
        "/metadata/uid",
        "/metadata/resourceVersion",
    ] {
        assert_eq!(secret.pointer(gone), None, "{gone}");
    }
}

#[test]
fn values_of_a_secret_that_are_no_strings_are_refused_by_their_keys() {
    let secret = |field: &str, value: Value| {
        let metadata = json!({"name": "s"});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, field: value})
    };
    let out = prepare_all(vec![
        secret("data", json!({"pin": 123_456})),
        secret("stringData", json!({"ok": "x", "on": true})),
        secret("data", json!("swordfish")),
        secret("data", json!({"gone": null})),
    ]);
    assert_eq!(
        out.errors,
        [
            "all.yaml, document 1: Secret: data[pin] must be a string: put it in quotes",
            "all.yaml, document 2: Secret: stringData[on] must be a string: put it in quotes",
            "all.yaml, document 3: Secret: data must be a map of strings",
        ]
    );
    assert_eq!(out.manifests.len(), 1);
}

#[test]
fn line_breaks_in_base64_are_no_part_of_a_value() {
    let out = prepare_all(vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": "aGVs\nbG8=\r\n"}, "stringData": {"b": "x\ny"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"},
            "data": {"text": "a\nb"}, "binaryData": {"a": "aGVs\nbG8=\n"}}),
    ]);
    let (map, secret) = (&out.manifests[0].object, &out.manifests[1].object);
    assert_eq!(secret["data"], json!({"a": "aGVsbG8=", "b": "eAp5"}));
    assert_eq!(map["binaryData"], json!({"a": "aGVsbG8="}));
    assert_eq!(map["data"], json!({"text": "a\nb"}));
}
