//! Nothing that a client sends makes the server panic.

use apiserver::{ApiServer, Gvk};
use http_body_util::{BodyExt as _, Full};
use proptest::prelude::*;
use serde_json::{Value, json};

const KEYS: [&str; 22] = [
    "metadata",
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "managedFields",
    "generateName",
    "uid",
    "resourceVersion",
    "spec",
    "status",
    "conditions",
    "ports",
    "containers",
    "selector",
    "template",
    "replicas",
    "data",
    "versions",
    "type",
    "clusterIP",
];
const PATHS: [&str; 19] = [
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/pods/a",
    "/api/v1/namespaces/default/pods/a/status",
    "/api/v1/namespaces/default/pods/a/binding",
    "/api/v1/namespaces/default/pods/a/eviction",
    "/api/v1/namespaces/default/pods/a/exec",
    "/api/v1/namespaces/default/pods/a/log",
    "/api/v1/namespaces/default/serviceaccounts/default/token",
    "/api/v1/namespaces/default/services",
    "/api/v1/namespaces/default/services/kubernetes",
    "/api/v1/namespaces/default/secrets",
    "/api/v1/namespaces/a/finalize",
    "/api/v1/namespaces",
    "/apis/apps/v1/namespaces/default/daemonsets",
    "/apis/batch/v1/namespaces/default/jobs",
    "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/example.com/v1/namespaces/default/widgets",
    "/apis/example.com/v1/namespaces/default/widgets/a/scale",
];
const TYPES: [&str; 7] = [
    "application/json",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

fn body() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop_oneof![Just("a"), Just(""), Just("None"), Just("x/y")].prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}

/// With a custom resource `widgets/a` that has a scale and no replicas, and a pod `a`.
pub(super) fn server() -> ApiServer {
    let api = ApiServer::builder().build();
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    let definitions = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    api.create(&definitions, None, definition).unwrap();
    api.create(
        &Gvk::new("example.com", "v1", "Widget"),
        Some("default"),
        json!({"metadata": {"name": "a"}}),
    )
    .unwrap();
    let pod =
        json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
    api.create(&Gvk::new("", "v1", "Pod"), Some("default"), pod)
        .unwrap();
    api
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_answered(
        requests in prop::collection::vec(
            (
                prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]),
                prop::sample::select(PATHS.to_vec()),
                prop::sample::select(TYPES.to_vec()),
                prop_oneof![
                    4 => body().prop_map(|body| body.to_string().into_bytes()),
                    1 => prop::collection::vec(any::<u8>(), 0..40),
                ],
            ),
            1..30,
        ),
    ) {
        let api = server();
        for (method, path, content_type, body) in requests {
            let uri = format!("{path}?fieldManager=fuzz&force=true");
            let uri = if content_type.contains("apply") { uri.as_str() } else { path };
            let request = http::Request::builder().method(method).uri(uri).header("content-type", content_type);
            let request = request.body(Full::new(bytes::Bytes::from(body))).unwrap();
            let status = futures::executor::block_on(async {
                let response = api.handle(request).await;
                let status = response.status().as_u16();
                response.into_body().collect().await.unwrap();
                status
            });
            prop_assert!((200..600).contains(&status));
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let api = ApiServer::builder().body_limit(100).build();
    let body = Full::new(bytes::Bytes::from(vec![b' '; 101]));
    let request = http::Request::post("/api/v1/namespaces")
        .body(body)
        .unwrap();
    assert_eq!(api.handle(request).await.status(), 413);
}
