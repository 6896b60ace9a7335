//! What metric providers are answered: by Prometheus, by any web server, by the pods themselves, by
//! a server of tokens. The first byte chooses a metric, the rest is the body of every answer.
#![no_main]

use engine::metric::{Step, step};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use plan::{Answer, HttpAnswer, HttpRequest, MetricTask, ObjectKey, Redacted, TaskId};
use serde_json::{Value, json};

/// Rounds of requests and pauses after which a measurement has ended, whatever it was answered.
const ROUNDS_MAX: usize = 10;

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let task = task(*choice);
    let (mut memo, mut answer, mut now) = (None, None, Timestamp::UNIX_EPOCH);
    for _ in 0..ROUNDS_MAX {
        match step(&task, memo, answer, now) {
            Step::Send {
                requests,
                memo: kept,
            } => {
                memo = Some(kept);
                answer = Some(Answer::Http(answers(&requests, body)));
            }
            Step::Wait { until, memo: kept } => {
                assert!(until > now, "a pause that is over");
                memo = Some(kept);
                answer = Some(Answer::Woken);
                now = until;
            }
            Step::Done(_) => return,
        }
    }
    panic!("the measurement never ends");
});

fn answers(requests: &[HttpRequest], body: &[u8]) -> Vec<HttpAnswer> {
    let one = |_| HttpAnswer::Response {
        status: 200,
        body: body.to_vec(),
    };
    requests.iter().map(one).collect()
}

fn task(choice: u8) -> MetricTask {
    let web = |spec: Value| json!({"web": spec});
    let provider = match choice % 5 {
        0 => json!({"prometheus": {"address": "http://p", "query": "up"}}),
        1 => web(json!({"url": "http://w"})),
        2 => web(json!({"url": "http://w", "jsonPath": "{$..a[?(@.b > 1)]}"})),
        3 => web(json!({"url": "http://w", "authentication": {"oauth2": {
            "tokenUrl": "http://t", "clientId": "a", "clientSecret": "b",
        }}})),
        _ => json!({"pods": {"counters": {
            "errors": {"metric": "requests_total", "matching": {"code": "5.."}},
            "total": {"metric": "requests_total"},
        }}}),
    };
    let arm = |hash: &str, address: &str| {
        let pods = json!([{"name": hash, "address": {"Ok": address}}]);
        json!({"hash": hash, "pods": pods})
    };
    MetricTask {
        id: TaskId {
            run_uid: "uid".to_owned(),
            metric: "metric".to_owned(),
            ordinal: 0,
        },
        run: ObjectKey::namespaced("argoproj.io/v1alpha1", "AnalysisRun", "demo", "run"),
        metric: Redacted::new(json!({
            "name": "metric",
            "successCondition": "result.canary.errors < 1 or result[0] > 0.9 or result > 0",
            "provider": provider,
        })),
        context: Redacted::new(json!({
            "canary": arm("new", "10.0.0.1:80"),
            "stable": arm("old", "10.0.0.2:80"),
        })),
    }
}
