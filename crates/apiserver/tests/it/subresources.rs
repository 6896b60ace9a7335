//! Subresources that answer in a way of their own: scales, streams and tokens.

use apiserver::ApiServer;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::robust::server;

const POD: &str = "/api/v1/namespaces/default/pods/a";
const SCALE: &str = "/apis/example.com/v1/namespaces/default/widgets/a/scale";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// `METHOD PATH` with a body, which is a merge patch for PATCH; the status and the answer, null if
/// there is none.
async fn send(api: &ApiServer, line: &str, accept: &str, body: &Value) -> (u16, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let content_type = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("accept", accept)
        .header("content-type", content_type)
        .body(Full::new(bytes::Bytes::from(body)))
        .unwrap();
    let response = api.handle(request).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The status of a GET and what its answer says.
async fn refused(api: &ApiServer, path: &str) -> (u16, String) {
    let (status, answer) = send(api, &format!("GET {path}"), "*/*", &Value::Null).await;
    (
        status,
        answer["message"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn a_custom_resource_has_a_scale_while_it_says_how_many_it_wants() {
    let api = server();
    let words =
        "Internal error occurred: the spec replicas field \".spec.replicas\" does not exist";
    assert_eq!(refused(&api, SCALE).await, (500, words.to_owned()));
    let two = json!({"spec": {"replicas": 2}});
    let (status, _) = send(&api, &format!("PATCH {SCALE}"), "*/*", &two).await;
    assert_eq!(status, 200);
    let (status, table) = send(&api, &format!("GET {SCALE}"), TABLE, &Value::Null).await;
    assert_eq!(status, 200);
    let columns = table["columnDefinitions"].as_array().unwrap().iter();
    let names: Vec<_> = columns.map(|column| column["name"].clone()).collect();
    assert_eq!(names, ["Name", "Desired", "Available", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..3], [json!("a"), json!(2), json!(0)]);
}

#[tokio::test]
async fn a_stream_into_a_pod_without_a_node_is_refused_as_a_real_server_does() {
    let api = server();
    let homeless = (400, "pod a does not have a host assigned".to_owned());
    for stream in ["exec?command=true&container=a", "attach", "portforward"] {
        let path = format!("{POD}/{stream}");
        assert_eq!(refused(&api, &path).await, homeless, "{stream}");
    }
    let words = "container b is not valid for pod a";
    let unknown = refused(&api, &format!("{POD}/log?container=b")).await;
    assert_eq!(unknown, (400, words.to_owned()));
    let log = format!("{POD}/log");
    assert_eq!(refused(&api, &log).await, (204, String::new()));
    let node = json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "node-1"}});
    let (status, _) = send(&api, &format!("POST {POD}/binding"), "*/*", &node).await;
    assert_eq!(status, 201);
    let words = "this API server has no kubelets behind it: pods/log is not implemented";
    assert_eq!(refused(&api, &log).await, (501, words.to_owned()));
}

#[tokio::test]
async fn a_token_is_for_the_account_and_for_a_while() {
    let api = server();
    let account = json!({"metadata": {"name": "robot"}});
    let accounts = "POST /api/v1/namespaces/default/serviceaccounts";
    let (status, account) = send(&api, accounts, "*/*", &account).await;
    assert_eq!(status, 201);
    let line = format!("{accounts}/robot/token");
    let ask = async |body: Value| send(&api, &line, "*/*", &body).await;
    let (status, answer) = ask(json!({"spec": {}})).await;
    assert_eq!(status, 201);
    assert_eq!(answer["metadata"]["uid"], account["metadata"]["uid"]);
    assert_eq!(answer["spec"]["expirationSeconds"], 3600);
    assert_eq!(
        answer["spec"]["audiences"],
        json!(["https://kubernetes.default.svc.cluster.local"])
    );
    for body in [
        json!({"spec": {"expirationSeconds": 599}}),
        json!({"spec": {"expirationSeconds": 5_000_000_000_i64}}),
        json!({"metadata": {"name": "other"}, "spec": {}}),
        json!({"metadata": {"namespace": "other"}, "spec": {}}),
    ] {
        assert_eq!(ask(body.clone()).await.0, 422, "{body}");
    }
}
