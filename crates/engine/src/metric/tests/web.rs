use super::driver::{failed, line, measure, ok, status, task};
use plan::{HttpAnswer, HttpRequest};
use serde_json::{Value, json};

fn web(spec: Value, conditions: Value) -> Value {
    let mut metric = conditions;
    let mut spec = spec;
    if spec.get("url").is_none() {
        spec["url"] = json!("http://shop/health");
    }
    metric["name"] = json!("m");
    metric["provider"] = json!({ "web": spec });
    metric
}

/// The outcome of one answer.
fn outcome(spec: Value, conditions: Value, answer: &HttpAnswer) -> String {
    let task = task(web(spec, conditions), json!(null));
    line(&measure(&task, |_, _| vec![answer.clone()]))
}

/// Every request of a measurement whose answers are these.
fn requests(spec: Value, answers: Vec<HttpAnswer>) -> (Vec<HttpRequest>, String) {
    let mut seen = Vec::new();
    let mut answers = answers.into_iter();
    let task = task(web(spec, json!({})), json!(null));
    let measured = measure(&task, |requests, _| {
        seen.extend(requests.to_vec());
        vec![answers.next().expect("as many answers as requests")]
    });
    (seen, line(&measured))
}

fn header(request: &HttpRequest, name: &str) -> Vec<String> {
    let of_name = |(have, _): &&(String, _)| have.eq_ignore_ascii_case(name);
    let headers = request.headers.iter().filter(of_name);
    headers
        .map(|(_, value): &(String, plan::Redacted<String>)| value.reveal().clone())
        .collect()
}

fn body(request: &HttpRequest) -> String {
    let body = request.body.as_ref().expect("a body");
    String::from_utf8(body.reveal().clone()).expect("text")
}

#[test]
fn the_value_is_where_the_path_says() {
    let document = ok(r#"{"b": 1.50, "a": {"ok": true, "list": [3, 4]}, "big": 12345678901}"#);
    for (path, condition, line) in [
        ("{$.a.ok}", "result", "Successful | true | "),
        ("{$.a.list}", "result[1] == 4", "Successful | [3,4] | "),
        ("{$.a.list[*]}", "result == 3", "Successful | 3 | "),
        ("{.b}", "result < 1", "Failed | 1.5 | "),
        (
            "{$.big}",
            "asInt(result) == 12345678901",
            "Successful | 12345678901 | ",
        ),
        (
            "",
            "result.a.ok && result.b > 1",
            r#"Successful | {"a":{"list":[3,4],"ok":true},"b":1.5,"big":12345678901} | "#,
        ),
    ] {
        let found = outcome(
            json!({"jsonPath": path}),
            json!({"successCondition": condition}),
            &document,
        );
        assert_eq!(found, line, "{path}");
    }
}

#[test]
fn conditions_decide_between_three_outcomes() {
    let conditions =
        json!({"successCondition": "result == 'a'", "failureCondition": "result == 'b'"});
    for (text, phase) in [("a", "Successful"), ("b", "Failed"), ("c", "Inconclusive")] {
        let answer = ok(&format!("{{\"x\": \"{text}\"}}"));
        let found = outcome(json!({"jsonPath": "{.x}"}), conditions.clone(), &answer);
        assert_eq!(found, format!("{phase} | \"{text}\" | "));
    }
}

#[test]
fn what_is_not_json_is_a_text() {
    let found = outcome(
        json!({"jsonPath": "{$.never.looked.at}"}),
        json!({"successCondition": "result contains 'OK'"}),
        &ok("all OK\n"),
    );
    assert_eq!(found, "Successful | all OK\n | ");
}

/// As Go's decoder does it; as a text, the body would have no parts.
#[test]
fn what_is_no_unicode_in_json_is_replaced() {
    let broken = HttpAnswer::Response {
        status: 200,
        body: b"{\"a\": 1, \"b\": \"\xff\"}".to_vec(),
    };
    let path = json!({"jsonPath": "{$.a}"});
    let one = json!({"successCondition": "result == 1"});
    assert_eq!(outcome(path.clone(), one, &broken), "Successful | 1 | ");
    for (text, value) in [
        (r"\ud800", "\u{fffd}"),
        (r"\uDC00!", "\u{fffd}!"),
        (r"\ud83d\ude00\ud83d", "\u{1f600}\u{fffd}"),
        (r"\ud800\u0041", "\u{fffd}A"),
        // Here a backslash stands before the second one, and not an escape.
        (r"\ud800\\udc00", "\u{fffd}\\\\udc00"),
    ] {
        let answer = ok(&format!("{{\"a\": \"{text}\"}}"));
        let found = outcome(path.clone(), json!({}), &answer);
        assert_eq!(found, format!("Successful | \"{value}\" | "), "{text}");
    }
}

#[test]
fn what_goes_wrong_is_an_error_that_says_so() {
    let told = |spec: Value, answer: HttpAnswer| outcome(spec, json!({}), &answer);
    assert_eq!(
        told(json!({}), status(503, "down")),
        "Error |  | received non 2xx response code: 503"
    );
    assert_eq!(
        told(json!({}), failed("connection refused")),
        "Error |  | Get \"http://shop/health\": connection refused"
    );
    assert_eq!(
        told(json!({"method": "PUT"}), failed("timeout")),
        "Error |  | Put \"http://shop/health\": timeout"
    );
    assert_eq!(
        told(json!({"jsonPath": "{$.a[?(@.b)]}"}), ok(r#"{"a": []}"#)),
        "Error |  | result of web metric produced no value"
    );
    let missing = told(json!({"jsonPath": "{$.nothing}"}), ok(r#"{"a": 1}"#));
    assert!(
        missing.starts_with("Error |  | Could not find JSONPath in body: "),
        "{missing}"
    );
    let empty = outcome(
        json!({}),
        json!({"successCondition": "result.a > 1"}),
        &ok("null"),
    );
    assert!(
        empty.ends_with("no data returned from the metric provider"),
        "{empty}"
    );
}

/// 3 MB, and many times that as values.
#[test]
fn more_values_than_a_condition_may_have_are_not_read() {
    let told = |body: &str| outcome(json!({"jsonPath": "{$[0]}"}), json!({}), &ok(body));
    let lists = |count: usize| format!("[{}[]]", "[],".repeat(count - 1));
    assert_eq!(told(&lists(100_000)), "Successful | [] | ");
    assert_eq!(
        told(&lists(1_000_000)),
        "Error |  | the answer has more than 1000000 JSON values"
    );
    let words = format!("[\"{}\"]", ",".repeat(2_000_000));
    assert!(told(&words).starts_with("Successful | \",,,"));
}

#[test]
fn wrong_settings_are_told_before_anything_is_sent() {
    let both = "use either Body or JSONBody; both cannot exists for WebMetric payload";
    let get = "Body/JSONBody can only be used with POST or PUT WebMetric Method types";
    for (spec, message) in [
        (
            json!({"method": "POST", "body": "a", "jsonBody": {"a": 1}}),
            both,
        ),
        (json!({"body": "a"}), get),
        (json!({"method": "GET", "jsonBody": {"a": 1}}), get),
        (
            json!({"method": "DELETE"}),
            "DELETE is not one of the methods GET, POST and PUT",
        ),
        (
            json!({"authentication": {"oauth2": {"tokenUrl": "http://t"}}}),
            "missing mandatory parameter in metric for OAuth2 setup",
        ),
    ] {
        let (sent, line) = requests(spec, Vec::new());
        assert_eq!(sent, []);
        assert_eq!(line, format!("Error |  | {message}"));
    }
    let (sent, line) = requests(json!({"jsonPath": "{$.a"}), Vec::new());
    assert_eq!(sent, []);
    assert!(line.starts_with("Error |  | "), "{line}");
}

#[test]
fn the_request_is_as_the_metric_says() {
    let spec = json!({
        "method": "POST", "jsonBody": {"b": [1], "a": "<x>"}, "timeoutSeconds": 3, "insecure": true,
        "headers": [
            {"key": "X-A", "value": "1"}, {"key": "x-a", "value": "2"},
            {"key": "content-type", "value": "text/plain"},
        ],
    });
    let (sent, _) = requests(spec, vec![ok("1")]);
    let request = &sent[0];
    assert_eq!(
        (request.method, request.timeout_s, request.insecure),
        ("POST", 3, true)
    );
    assert_eq!(request.url.reveal(), "http://shop/health");
    assert_eq!(header(request, "X-A"), ["2"]);
    assert_eq!(header(request, "Content-Type"), ["application/json"]);
    assert_eq!(body(request), r#"{"a":"\u003cx\u003e","b":[1]}"#);

    let (sent, _) = requests(json!({"method": "PUT", "body": "raw"}), vec![ok("1")]);
    assert_eq!(body(&sent[0]), "raw");
    let (sent, _) = requests(json!({}), vec![ok("1")]);
    let request = &sent[0];
    assert_eq!(
        (request.method, request.timeout_s, request.insecure),
        ("GET", 10, false)
    );
    assert_eq!((&request.headers, &request.body), (&Vec::new(), &None));
}

#[test]
fn a_token_is_asked_for_first() {
    let spec = json!({
        "headers": [{"key": "Authorization", "value": "mine"}],
        "authentication": {"oauth2": {
            "tokenUrl": "http://login/token", "clientId": "id", "clientSecret": "secret",
            "scopes": ["a", "b"],
        }},
    });
    let (sent, line) = requests(spec.clone(), vec![ok(r#"{"access_token": "T"}"#), ok("1")]);
    assert_eq!(line, "Successful | 1 | ");
    assert_eq!(
        (sent[0].method, sent[0].url.reveal().as_str()),
        ("POST", "http://login/token")
    );
    assert_eq!(body(&sent[0]), "grant_type=client_credentials&scope=a+b");
    assert_eq!(header(&sent[0], "Authorization"), ["Basic aWQ6c2VjcmV0"]);
    assert_eq!(header(&sent[1], "Authorization"), ["Bearer T"]);
    let (sent, line) = requests(spec, vec![failed("connection refused")]);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        line,
        "Error |  | Post \"http://login/token\": connection refused"
    );
}

/// Messages go into statuses and events.
#[test]
fn a_password_in_a_url_is_sent_and_not_told() {
    let url = "https://ann:hunter2@shop/health?of=web";
    let (sent, line) = requests(json!({"url": url}), vec![failed("connection refused")]);
    assert_eq!(sent[0].url.reveal(), url);
    assert_eq!(
        line,
        "Error |  | Get \"https://ann:***@shop/health?of=web\": connection refused"
    );
    let token_url = "https://ann:hunter2@login/token";
    let spec = json!({"authentication": {"oauth2": {
        "tokenUrl": token_url, "clientId": "id", "clientSecret": "secret",
    }}});
    let (sent, line) = requests(spec, vec![failed("connection refused")]);
    assert_eq!(sent[0].url.reveal(), token_url);
    assert_eq!(
        line,
        "Error |  | Post \"https://ann:***@login/token\": connection refused"
    );
}

/// There are servers that do not look for credentials in the header.
#[test]
fn a_token_that_is_refused_is_asked_for_with_the_credentials_in_the_form() {
    let spec = json!({
        "authentication": {"oauth2": {
            "tokenUrl": "http://login/token", "clientId": "id", "clientSecret": "s&t",
            "scopes": ["a"],
        }},
    });
    let answers = vec![
        status(400, "invalid_client"),
        ok(r#"{"access_token": "T"}"#),
        ok("1"),
    ];
    let (sent, line) = requests(spec.clone(), answers);
    assert_eq!(line, "Successful | 1 | ");
    assert_eq!(sent[1].url.reveal(), "http://login/token");
    assert!(header(&sent[1], "Authorization").is_empty());
    let form = "client_id=id&client_secret=s%26t&grant_type=client_credentials&scope=a";
    assert_eq!(body(&sent[1]), form);
    assert_eq!(header(&sent[2], "Authorization"), ["Bearer T"]);

    let answers = vec![status(401, "secret"), status(403, "secret")];
    let (sent, line) = requests(spec, answers);
    assert_eq!(sent.len(), 2);
    assert_eq!(line, "Error |  | oauth2: cannot fetch token: status 403");
}
