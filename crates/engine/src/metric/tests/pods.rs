use super::driver::{failed, line, measure, now, ok, status, task};
use crate::metric::pods::context;
use api::{Measurement, PodsMetric};
use k8s_openapi::api::core::v1::Pod;
use plan::HttpAnswer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn pod(name: &str, hash: &str, ip: &str, ports: &Value) -> Arc<Pod> {
    let pod = json!({
        "metadata": { "name": name, "labels": { "rollouts-pod-template-hash": hash } },
        "spec": { "containers": [{ "name": "app", "ports": ports }] },
        "status": { "podIP": ip, "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn two_ports() -> Value {
    json!([{ "containerPort": 8080 }, { "name": "metrics", "containerPort": 9100 }])
}

fn pods() -> Vec<Arc<Pod>> {
    vec![
        pod("c1", "new", "10.0.0.1", &two_ports()),
        pod("s1", "old", "10.0.0.2", &two_ports()),
        pod("s2", "old", "10.0.0.3", &two_ports()),
    ]
}

fn spec() -> Value {
    json!({
        "window": "30s",
        "counters": {
            "errors": { "metric": "http_requests_total", "matching": { "code": "5.." } },
            "total": { "metric": "http_requests_total" },
        },
    })
}

const CONDITION: &str = "result.canary.errors / result.canary.total < 0.05";

/// What each address answers: first, and after the window.
type Pages = BTreeMap<&'static str, [HttpAnswer; 2]>;

fn page(good: u32, bad: u32) -> HttpAnswer {
    ok(&format!(
        "# TYPE http_requests_total counter\n\
         http_requests_total{{code=\"200\",path=\"/a,b{{c}}\"}} {good}\n\
         http_requests_total{{code=\"503\",path=\"/\"}} {bad}\nother 1\n"
    ))
}

fn pages() -> Pages {
    BTreeMap::from([
        ("10.0.0.1:9100", [page(100, 5), page(196, 9)]),
        ("10.0.0.2:9100", [page(1000, 10), page(1900, 10)]),
        ("10.0.0.3:9100", [page(0, 0), page(500, 1)]),
    ])
}

fn run_with(spec: &Value, condition: &str, pods: &[Arc<Pod>], pages: &Pages) -> Measurement {
    let typed: PodsMetric = serde_json::from_value(spec.clone()).expect("a spec");
    let arms = (Some("new".to_owned()), Some("old".to_owned()));
    let context = context(&typed, arms.0, arms.1, pods);
    let metric =
        json!({ "name": "m", "successCondition": condition, "provider": { "pods": spec } });
    measure(&task(metric, context), |requests, at| {
        let round = usize::from(at > now());
        requests
            .iter()
            .map(|request| {
                let url = request.url.reveal();
                let page = pages.iter().find(|(address, _)| url.contains(*address));
                page.map_or_else(|| failed("no route"), |(_, answers)| answers[round].clone())
            })
            .collect()
    })
}

fn run(pages: &Pages) -> String {
    line(&run_with(&spec(), CONDITION, &pods(), pages))
}

#[test]
fn increases_are_summed_per_version() {
    let measured = run_with(&spec(), CONDITION, &pods(), &pages());
    assert_eq!(
        line(&measured),
        r#"Successful | {"canary":{"errors":4,"total":100},"stable":{"errors":1,"total":1401}} | "#
    );
    assert_eq!(measured.metadata["canaryPods"], "1");
    assert_eq!(measured.metadata["stablePods"], "2");
    let ended = measured.finished_at.expect("it is finished").0;
    assert_eq!(ended.duration_since(now()).as_secs(), 30);
}

#[test]
fn a_bad_canary_fails() {
    let mut pages = pages();
    pages.insert("10.0.0.1:9100", [page(0, 0), page(94, 6)]);
    assert!(run(&pages).starts_with("Failed | "), "{}", run(&pages));
}

#[test]
fn a_reset_counter_counts_from_zero() {
    let mut pages = pages();
    pages.insert("10.0.0.1:9100", [page(1000, 50), page(20, 1)]);
    assert!(
        run(&pages).contains(r#""canary":{"errors":1,"total":21}"#),
        "{}",
        run(&pages)
    );
}

#[test]
fn a_series_that_is_new_counts_from_zero() {
    let mut pages = pages();
    let before = ok("http_requests_total{code=\"200\"} 10\n");
    let after = ok("http_requests_total{code=\"200\"} 30\nhttp_requests_total{code=\"500\"} 2\n");
    pages.insert("10.0.0.1:9100", [before, after]);
    assert!(
        run(&pages).contains(r#""canary":{"errors":2,"total":22}"#),
        "{}",
        run(&pages)
    );
}

#[test]
fn no_traffic_is_inconclusive() {
    let mut pages = pages();
    pages.insert("10.0.0.1:9100", [page(7, 1), page(7, 1)]);
    assert_eq!(
        run(&pages),
        r#"Inconclusive | {"canary":{"errors":0,"total":0},"stable":{"errors":1,"total":1401}} | no traffic: the counter total of the canary did not increase within 30s"#
    );
}

#[test]
fn a_pod_that_vanishes_within_the_window_is_an_error() {
    let mut pages = pages();
    pages.insert("10.0.0.3:9100", [page(0, 0), failed("connection refused")]);
    assert_eq!(
        run(&pages),
        "Error |  | pod s2 of the stable can't be scraped: connection refused at the end of the window"
    );
}

#[test]
fn pods_that_answer_nonsense_are_an_error() {
    let first = |answer: HttpAnswer| {
        let mut pages = pages();
        pages.insert("10.0.0.1:9100", [answer.clone(), answer]);
        run(&pages)
    };
    insta::assert_snapshot!(first(status(404, "")), @"Error |  | pod c1 of the canary can't be scraped: it answered with status 404");
    insta::assert_snapshot!(first(ok("<html>no</html>")), @"Error |  | pod c1 of the canary answered with something that is no metrics text: line 1: there is no metric name");
    insta::assert_snapshot!(first(ok("http_requests_total NaN\n")), @"Error |  | pod c1 of the canary has NaN for http_requests_total, which is no count");
    insta::assert_snapshot!(first(ok("http_requests_total -1\n")), @"Error |  | pod c1 of the canary has -1 for http_requests_total, which is no count");
    insta::assert_snapshot!(
        first(HttpAnswer::Response { status: 200, body: vec![0xff, 0xfe] }),
        @"Error |  | pod c1 of the canary answered with something that is no metrics text: it is not UTF-8"
    );
}

#[test]
fn a_counter_that_nobody_exposes_is_an_error_unless_optional() {
    let mut spec = spec();
    spec["counters"]["panics"] = json!({ "metric": "panics_total" });
    let measured = run_with(&spec, "result.canary.panics == 0", &pods(), &pages());
    assert_eq!(
        line(&measured),
        "Error |  | no pod exposes a metric named panics_total (counter panics); if that is fine, set \
         `optional: true`"
    );
    spec["counters"]["panics"]["optional"] = json!(true);
    let measured = run_with(&spec, "result.canary.panics == 0", &pods(), &pages());
    assert_eq!(measured.phase, api::AnalysisPhase::Successful);
}

#[test]
fn without_pods_of_the_canary_there_is_no_measurement() {
    let only_old: Vec<_> = pods().into_iter().skip(1).collect();
    assert_eq!(
        line(&run_with(&spec(), CONDITION, &only_old, &pages())),
        "Error |  | the canary (pod template hash new) has no ready pods"
    );
}

#[test]
fn without_pods_of_the_stable_version_conditions_on_it_are_errors() {
    let only_new = &pods()[..1];
    assert!(
        line(&run_with(&spec(), CONDITION, only_new, &pages())).starts_with("Successful | "),
        "the condition is about the canary only"
    );
    let condition = "result.canary.errors <= result.stable.errors";
    let measured = run_with(&spec(), condition, only_new, &pages());
    assert_eq!(measured.phase, api::AnalysisPhase::Error);
    assert!(
        measured.message.contains("cannot fetch errors from <nil>"),
        "{}",
        measured.message
    );
    assert!(
        measured
            .message
            .ends_with("(the stable version has no ready pods)")
    );
}

#[test]
fn wrong_settings_are_told() {
    let told = |changes: Value| {
        let mut spec = spec();
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        line(&run_with(&spec, CONDITION, &pods(), &pages()))
    };
    assert_eq!(
        told(json!({ "counters": {} })),
        "Error |  | the metric names no counters"
    );
    assert_eq!(
        told(json!({ "window": "soon" })),
        "Error |  | invalid window: time: invalid duration \"soon\""
    );
    assert_eq!(
        told(json!({ "window": "0s" })),
        "Error |  | the window must be longer than 0"
    );
    assert_eq!(
        told(json!({ "scheme": "ftp" })),
        "Error |  | the scheme must be http or https, not 'ftp'"
    );
    assert_eq!(
        told(json!({ "timeout": -1 })),
        "Error |  | the timeout must not be negative"
    );
    assert_eq!(
        told(json!({ "traffic": "nope" })),
        "Error |  | `traffic` names nope, which is none of the counters"
    );
    assert_eq!(
        told(json!({ "port": "web" })),
        "Error |  | pod c1 of the canary can't be scraped: it has no port named 'web'"
    );
    assert_eq!(
        told(json!({ "counters": { "x": { "metric": "m", "matching": { "code": "(" } } } })),
        "Error |  | counter x: `(` is no regular expression"
    );
}

#[test]
fn the_port_is_named_numbered_or_guessed() {
    let url = |spec: Value, ports: Value| {
        let typed: PodsMetric = serde_json::from_value(spec).expect("a spec");
        let pods = [pod("p", "new", "10.0.0.9", &ports)];
        let context = context(&typed, Some("new".to_owned()), None, &pods);
        context["canary"]["pods"][0]["address"].to_string()
    };
    assert_eq!(url(json!({}), two_ports()), r#"{"Ok":"10.0.0.9:9100"}"#);
    assert_eq!(
        url(json!({}), json!([{ "containerPort": 8080 }])),
        r#"{"Ok":"10.0.0.9:8080"}"#
    );
    assert_eq!(
        url(json!({ "port": 81 }), two_ports()),
        r#"{"Ok":"10.0.0.9:81"}"#
    );
    assert_eq!(
        url(json!({ "port": "82" }), two_ports()),
        r#"{"Ok":"10.0.0.9:82"}"#
    );
    assert_eq!(
        url(json!({}), json!([])),
        r#"{"Err":"it has no container port, and the metric names none"}"#
    );
}

#[test]
fn only_ready_pods_of_the_version_are_scraped() {
    let typed: PodsMetric = serde_json::from_value(spec()).expect("a spec");
    let mut leaving = (*pod("leaving", "new", "10.0.0.4", &two_ports())).clone();
    leaving.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    let mut starting = (*pod("starting", "new", "10.0.0.5", &two_ports())).clone();
    starting.status.as_mut().expect("a status").conditions = None;
    let mut all = pods();
    all.extend([Arc::new(leaving), Arc::new(starting)]);
    let context = context(&typed, Some("new".to_owned()), Some("old".to_owned()), &all);
    let names = |arm: &str| {
        let pods = context[arm]["pods"].as_array().expect("pods").iter();
        pods.map(|pod| pod["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("canary"), ["c1"]);
    assert_eq!(names("stable"), ["s1", "s2"]);
}
