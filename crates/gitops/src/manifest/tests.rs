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
            "resource ConfigMap:production/a appeared more than once among the manifests: ConfigMap a \
          (all.yaml, document 3) is used, ConfigMap a (all.yaml, document 1) is not"
        ]
    );
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
