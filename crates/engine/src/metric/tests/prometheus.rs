use super::driver::{failed, line, measure, now, ok, status, task};
use plan::HttpRequest;
use serde_json::{Value, json};
use std::fmt::Write;

fn metric(prometheus: &Value, condition: &str) -> Value {
    json!({ "name": "m", "successCondition": condition, "provider": { "prometheus": prometheus } })
}

fn query() -> Value {
    json!({ "address": "http://p:9090/", "query": "sum(rate(x{a=\"b\"}[1m]))" })
}

/// A request as text, secrets and all.
fn shown(request: &HttpRequest) -> String {
    let mut text = format!("{} {}\n", request.method, request.url.reveal());
    for (name, value) in &request.headers {
        let _ = writeln!(text, "{name}: {}", value.reveal());
    }
    if let Some(body) = &request.body {
        let _ = writeln!(text, "{}", String::from_utf8_lossy(body.reveal()));
    }
    let _ = write!(
        text,
        "{} s, insecure {}",
        request.timeout_s, request.insecure
    );
    text
}

fn answered(condition: &str, body: &str) -> String {
    line(&measure(
        &task(metric(&query(), condition), Value::Null),
        |_, _| vec![ok(body)],
    ))
}

fn data(kind: &str, result: &Value) -> String {
    json!({ "status": "success", "data": { "resultType": kind, "result": result } }).to_string()
}

#[test]
fn a_query_is_a_post_with_a_form() {
    let mut sent = Vec::new();
    let measured = measure(
        &task(metric(&query(), "true"), Value::Null),
        |requests, _| {
            sent.extend(requests.iter().map(shown));
            vec![ok(&data("vector", &json!([])))]
        },
    );
    assert_eq!(line(&measured), "Successful | [] | ");
    assert_eq!(measured.started_at.map(|time| time.0), Some(now()));
    assert_eq!(sent.len(), 1);
    insta::assert_snapshot!(sent[0], @r"
    POST http://p:9090/api/v1/query
    Content-Type: application/x-www-form-urlencoded
    query=sum%28rate%28x%7Ba%3D%22b%22%7D%5B1m%5D%29%29&time=1767225600
    30 s, insecure false
    ");
}

#[test]
fn get_is_tried_where_post_is_not_allowed() {
    let mut sent = Vec::new();
    let measured = measure(
        &task(metric(&query(), "result[0] > 1"), Value::Null),
        |requests, _| {
            sent.extend(requests.iter().map(shown));
            if requests[0].method == "POST" {
                vec![status(405, "")]
            } else {
                vec![ok(&data(
                    "vector",
                    &json!([{ "metric": {}, "value": [0, "2"] }]),
                ))]
            }
        },
    );
    assert_eq!(line(&measured), "Successful | [2] | ");
    insta::assert_snapshot!(sent[1], @r"
    GET http://p:9090/api/v1/query?query=sum%28rate%28x%7Ba%3D%22b%22%7D%5B1m%5D%29%29&time=1767225600
    30 s, insecure false
    ");
}

/// So the cluster version of VictoriaMetrics keeps tenants apart.
#[test]
fn the_query_part_of_an_address_stays_one() {
    let mut spec = query();
    let mut urls = |address: &str| {
        spec["address"] = json!(address);
        let mut sent = Vec::new();
        let measured = measure(&task(metric(&spec, "true"), Value::Null), |requests, _| {
            sent.push(requests[0].url.reveal().clone());
            if requests[0].method == "POST" {
                vec![status(405, "")]
            } else {
                vec![failed("connection refused")]
            }
        });
        (sent, line(&measured))
    };
    let query = "query=sum%28rate%28x%7Ba%3D%22b%22%7D%5B1m%5D%29%29&time=1767225600";
    let (sent, line) = urls("http://vm:8481/select/0/prometheus/?extra_label=ns=a/#top");
    let post = "http://vm:8481/select/0/prometheus/api/v1/query?extra_label=ns=a/";
    assert_eq!(sent, [post.to_owned(), format!("{post}&{query}")]);
    assert_eq!(
        line,
        format!("Error |  | Get \"{post}\": connection refused")
    );
    let (sent, _) = urls("http://p?");
    let post = "http://p/api/v1/query";
    assert_eq!(sent, [post.to_owned(), format!("{post}?{query}")]);
}

/// Messages go into statuses and events. The operator's address is no exception.
#[test]
fn a_password_in_an_address_is_sent_and_not_told() {
    let address = "http://ann:hunter2@p:9090";
    let told = |spec: Value, context: Value, answers: [plan::HttpAnswer; 2]| {
        let mut answers = answers.into_iter();
        let measured = measure(&task(metric(&spec, "true"), context), |requests, _| {
            let url = requests[0].url.reveal();
            assert!(url.starts_with("http://ann:hunter2@"), "{url}");
            vec![answers.next().expect("two questions at most")]
        });
        line(&measured)
    };
    let refused = || failed("connection refused");
    let mut spec = query();
    spec["address"] = json!(address);
    assert_eq!(
        told(spec.clone(), Value::Null, [refused(), refused()]),
        "Error |  | Post \"http://ann:***@p:9090/api/v1/query\": connection refused"
    );
    assert_eq!(
        told(spec, Value::Null, [status(405, ""), refused()]),
        "Error |  | Get \"http://ann:***@p:9090/api/v1/query\": connection refused"
    );
    let default = json!({ "prometheusAddress": address });
    assert_eq!(
        told(json!({ "query": "up" }), default, [refused(), refused()]),
        "Error |  | Post \"http://ann:***@p:9090/api/v1/query\": connection refused"
    );
    let oauth2 = json!({ "tokenUrl": "http://ann:hunter2@sso/token", "clientId": "me", "clientSecret": "s" });
    let mut spec = query();
    spec["authentication"] = json!({ "oauth2": oauth2 });
    assert_eq!(
        told(spec, Value::Null, [refused(), refused()]),
        "Error |  | Post \"http://ann:***@sso/token\": connection refused"
    );
}

#[test]
fn a_range_query_has_times_from_expressions() {
    let mut spec = query();
    spec["rangeQuery"] =
        json!({ "start": "now() - duration('5m')", "end": "now()", "step": "1m30s" });
    spec["timeout"] = json!(7);
    spec["insecure"] = json!(true);
    let mut sent = Vec::new();
    let matrix = json!([
        { "metric": {}, "values": [[0, "1"], [1, "2.5"]] },
        { "metric": {}, "values": [[0, "3"]] },
    ]);
    let measured = measure(
        &task(metric(&spec, "sum(result) == 6.5"), Value::Null),
        |requests, _| {
            sent.extend(requests.iter().map(shown));
            vec![ok(&data("matrix", &matrix))]
        },
    );
    assert_eq!(line(&measured), "Successful | [1,2.5,3] | ");
    insta::assert_snapshot!(sent[0], @r"
    POST http://p:9090/api/v1/query_range
    Content-Type: application/x-www-form-urlencoded
    end=1767225600&query=sum%28rate%28x%7Ba%3D%22b%22%7D%5B1m%5D%29%29&start=1767225300&step=90
    7 s, insecure true
    ");
}

#[test]
fn results_become_values() {
    let vector =
        json!([{ "value": [0, "0.97"] }, { "value": [0, "NaN"] }, { "value": [0, "+Inf"] }]);
    assert_eq!(
        answered("len(result) == 3", &data("vector", &vector)),
        "Successful | [0.97,NaN,+Inf] | "
    );
    assert_eq!(
        answered("result < 1", &data("scalar", &json!([0, "0.5"]))),
        "Successful | 0.5 | "
    );
    let large = data("scalar", &json!([0, "1e21"]));
    assert_eq!(
        answered("result > 1", &large),
        "Successful | 1000000000000000000000 | "
    );
    assert_eq!(
        answered("true", &data("string", &json!([0, "x"]))),
        "Error |  | Prometheus metric type not supported"
    );
}

#[test]
fn no_data_is_an_error_for_a_condition_that_needs_some() {
    assert_eq!(
        answered("result[0] >= 0.95", &data("vector", &json!([]))),
        "Error | [] | could not evaluate successCondition \"result[0] >= 0.95\": metric result is nil or \
         empty: no data returned from the metric provider"
    );
    assert_eq!(
        answered(
            "len(result) == 0 || result[0] >= 0.95",
            &data("vector", &json!([]))
        ),
        "Successful | [] | "
    );
}

#[test]
fn warnings_become_metadata() {
    let body = json!({
        "status": "success", "warnings": ["slow", "partial"],
        "data": { "resultType": "scalar", "result": [0, "1"] },
    });
    let measured = measure(&task(metric(&query(), "true"), Value::Null), |_, _| {
        vec![ok(&body.to_string())]
    });
    assert_eq!(measured.metadata["warnings"], "\"slow\", \"partial\"");
}

#[test]
fn failures_are_told() {
    let fails = |answer: plan::HttpAnswer| {
        line(&measure(
            &task(metric(&query(), "true"), Value::Null),
            |_, _| vec![answer.clone()],
        ))
    };
    insta::assert_snapshot!(fails(failed("dial tcp: connection refused")), @r#"Error |  | Post "http://p:9090/api/v1/query": dial tcp: connection refused"#);
    let bad = r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#;
    insta::assert_snapshot!(fails(status(400, bad)), @"Error |  | bad_data: parse error at char 3");
    insta::assert_snapshot!(fails(status(404, "<html>")), @"Error |  | client_error: client error: 404");
    insta::assert_snapshot!(fails(status(502, "")), @"Error |  | server_error: server error: 502");
    insta::assert_snapshot!(fails(status(302, "")), @"Error |  | bad_response: bad response code 302");
    let lists = "[],".repeat(1_000_000);
    let many = format!("{{\"status\":\"success\",\"data\":[{lists}[]]}}");
    insta::assert_snapshot!(fails(ok(&many)), @"Error |  | bad_response: the answer has more than 1000000 JSON values");
    insta::assert_snapshot!(fails(ok("<html>")), @"Error |  | bad_response: expected value at line 1 column 1");
    insta::assert_snapshot!(fails(ok(r#"{"status":"success"}"#)), @"Error |  | bad_response: the answer has no data");
}

#[test]
fn a_null_is_as_good_as_nothing() {
    let body = json!({
        "status": "success", "warnings": null, "error": null, "errorType": null,
        "data": { "resultType": "scalar", "result": [0, "1"] },
    });
    assert_eq!(answered("true", &body.to_string()), "Successful | 1 | ");
    let body = json!({ "status": "error", "error": "down", "errorType": null, "data": null });
    assert_eq!(answered("true", &body.to_string()), "Error |  | : down");
}

fn refused(spec: &Value, context: Value) -> String {
    let measured = measure(&task(metric(spec, "true"), context), |_, _| {
        vec![ok(&data("scalar", &json!([0, "1"])))]
    });
    line(&measured)
}

#[test]
fn settings_are_checked_before_anything_is_sent() {
    let none = || Value::Null;
    assert_eq!(
        refused(&json!({}), none()),
        "Error |  | prometheus address is not configured"
    );
    assert_eq!(
        refused(&json!({ "address": "p:9090" }), none()),
        "Error |  | prometheus address is not is url format"
    );
    assert_eq!(
        refused(&json!({ "address": "http://" }), none()),
        "Error |  | prometheus address is not is url format"
    );
    assert_eq!(
        refused(&json!({}), json!({ "prometheusAddress": "http://default" })),
        "Successful | 1 | "
    );
    let with = |key: &str, value: Value| {
        let mut spec = query();
        spec[key] = value;
        refused(&spec, Value::Null)
    };
    assert_eq!(
        with("timeout", json!(-1)),
        "Error |  | prometheus timeout should not be negative"
    );
    assert_eq!(
        with(
            "authentication",
            json!({ "basicAuth": { "username": "u" } })
        ),
        "Error |  | missing mandatory parameter in metric for basic auth setup: password"
    );
    assert_eq!(
        with("authentication", json!({ "oauth2": { "clientId": "u" } })),
        "Error |  | missing mandatory parameter in metric for OAuth2 setup"
    );
    let range = with(
        "rangeQuery",
        json!({ "start": "1", "end": "now()", "step": "1m" }),
    );
    assert_eq!(
        range,
        "Error |  | failed to parse rangeQuery.start as time: expected time.Time, but got int"
    );
    let sigv4 = json!({
        "address": "https://aps-workspaces.eu-west-1.amazonaws.com/w",
        "authentication": { "sigv4": { "region": "eu-west-1" } },
    });
    assert_eq!(
        refused(&sigv4, none()),
        "Error |  | request signing for AWS (sigv4) is not supported yet"
    );
}

#[test]
fn a_token_is_fetched_first_and_headers_win_over_it() {
    let mut spec = query();
    spec["authentication"] = json!({ "oauth2": {
        "tokenUrl": "https://sso/token", "clientId": "me", "clientSecret": "s&t", "scopes": ["a", "b"],
    }});
    spec["headers"] = json!([{ "key": "X-Scope-OrgID", "value": "team" }]);
    let mut sent = Vec::new();
    let mut talk = |spec: &Value, token: &str| {
        measure(&task(metric(spec, "true"), Value::Null), |requests, _| {
            sent.extend(requests.iter().map(shown));
            if requests[0].url.reveal().contains("sso") {
                vec![status(if token.is_empty() { 401 } else { 200 }, token)]
            } else {
                vec![ok(&data("scalar", &json!([0, "1"])))]
            }
        })
    };
    assert_eq!(
        line(&talk(&spec, r#"{"access_token":"tok"}"#)),
        "Successful | 1 | "
    );
    assert_eq!(
        line(&talk(&spec, "")),
        "Error |  | oauth2: cannot fetch token: status 401"
    );
    assert_eq!(
        line(&talk(&spec, "{}")),
        "Error |  | oauth2: server response missing access_token"
    );
    spec["authentication"]["basicAuth"] = json!({ "username": "u", "password": "p" });
    talk(&spec, r#"{"access_token":"tok"}"#);
    insta::assert_snapshot!(sent[0], @r"
    POST https://sso/token
    Authorization: Basic bWU6cyUyNnQ=
    Content-Type: application/x-www-form-urlencoded
    grant_type=client_credentials&scope=a+b
    30 s, insecure false
    ");
    insta::assert_snapshot!(sent[1], @r"
    POST http://p:9090/api/v1/query
    Authorization: Bearer tok
    X-Scope-OrgID: team
    Content-Type: application/x-www-form-urlencoded
    query=sum%28rate%28x%7Ba%3D%22b%22%7D%5B1m%5D%29%29&time=1767225600
    30 s, insecure false
    ");
    // The token that was refused was asked for in two ways.
    insta::assert_snapshot!(sent[3], @r"
    POST https://sso/token
    Content-Type: application/x-www-form-urlencoded
    client_id=me&client_secret=s%26t&grant_type=client_credentials&scope=a+b
    30 s, insecure false
    ");
    assert!(
        sent[6].contains("Authorization: Basic dTpw\n"),
        "{}",
        sent[6]
    );
}

#[test]
fn other_providers_are_named() {
    let unsupported = |provider: Value| {
        let metric = json!({ "name": "m", "provider": provider });
        line(&measure(&task(metric, Value::Null), |_, _| Vec::new()))
    };
    assert_eq!(
        unsupported(json!({ "graphite": { "address": "http://x", "query": "y" } })),
        "Error |  | the metric provider graphite is not supported yet"
    );
    assert_eq!(
        unsupported(json!({ "plugin": { "a/b": {} } })),
        "Error |  | the metric provider plugin a/b is not supported yet"
    );
}
