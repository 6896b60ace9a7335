use super::{plan, settled};
use crate::analysis::{AnalysisRunSnapshot, MetricDefaults, SecretValues};
use crate::metric::{Step, step};
use api::{AnalysisRun, Measurement};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{Action, Answer, EventKind, HttpAnswer, MetricTask, Next, Release};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One run and its shell: carries out plans, answers measurements from a script.
pub(super) struct World {
    pub(super) snapshot: AnalysisRunSnapshot,
    pub(super) now: Timestamp,
    /// What every metric answers next.
    script: BTreeMap<String, Vec<Value>>,
    /// Set: what the provider finds, documents by URL. Nobody listens anywhere else.
    network: Option<BTreeMap<String, String>>,
    /// The stored statuses, times masked.
    pub(super) statuses: Vec<Value>,
    events: Vec<Value>,
    pub(super) tasks: Vec<MetricTask>,
    deleted: bool,
}

pub(super) fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

impl World {
    pub(super) fn new(spec: &Value) -> Self {
        let run: AnalysisRun = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AnalysisRun",
            "metadata": { "name": "run", "namespace": "ns", "uid": "u1" },
            "spec": spec,
        }))
        .expect("a run");
        Self {
            snapshot: AnalysisRunSnapshot {
                run: Arc::new(run),
                rollout: None,
                secrets: BTreeMap::new(),
                pods: Vec::new(),
                jobs: Vec::new(),
                job_pods: Vec::new(),
                inbox: Vec::new(),
                defaults: MetricDefaults::default(),
            },
            now: start(),
            script: BTreeMap::new(),
            network: None,
            statuses: Vec::new(),
            events: Vec::new(),
            tasks: Vec::new(),
            deleted: false,
        }
    }

    pub(super) fn answers(mut self, metric: &str, answers: &[Value]) -> Self {
        self.script.insert(metric.to_owned(), answers.to_vec());
        self
    }

    fn secret(mut self, name: &str, key: &str, value: &str) -> Self {
        let secrets = self.snapshot.secrets.entry(name.to_owned());
        let keys = secrets.or_insert_with(|| Ok(SecretValues::default()));
        let keys = keys.as_mut().expect("it can be read");
        keys.insert(key.to_owned(), value.as_bytes().to_vec());
        self
    }

    pub(super) fn terminate(&mut self) {
        Arc::make_mut(&mut self.snapshot.run).spec.terminate = Some(true);
    }

    /// One pass; true if anything happened.
    pub(super) fn pass(&mut self) -> (bool, Next) {
        let planned = plan(&self.snapshot, self.now);
        assert_eq!(planned, plan(&self.snapshot, self.now), "planning twice");
        let mut busy = false;
        for action in &planned.actions {
            match action {
                Action::Measure(task) => busy |= self.measure(task),
                Action::Delete { .. } => self.deleted = true,
                other => panic!("no run does {other:?}"),
            }
        }
        let stored = self.snapshot.run.status.clone().unwrap_or_default();
        if planned.status != stored {
            busy = true;
            self.statuses
                .push(mask(serde_json::to_value(&planned.status).expect("JSON")));
            Arc::make_mut(&mut self.snapshot.run).status = Some(planned.status);
        }
        for release in planned.releases {
            let Release::Event {
                kind,
                reason,
                message,
                ..
            } = release
            else {
                panic!("no run releases {release:?}");
            };
            let event = json!({ "type": kind.as_str(), "reason": reason, "message": message });
            self.events.push(event);
        }
        let run = self.snapshot.run.clone();
        self.snapshot.inbox.retain(|(id, _)| !settled(&run, id));
        (busy, planned.next)
    }

    /// Answers a task from the script; without one it stays open.
    fn measure(&mut self, task: &MetricTask) -> bool {
        if !self.tasks.iter().any(|have| have.id == task.id) {
            self.tasks.push(task.clone());
        }
        if self.snapshot.inbox.iter().any(|(id, _)| *id == task.id) {
            return false;
        }
        if let Some(network) = &self.network {
            let measurement = measured(task, network, self.now);
            self.snapshot.inbox.push((task.id.clone(), measurement));
            return true;
        }
        let script = self.script.entry(task.id.metric.clone()).or_default();
        if script.is_empty() {
            return false;
        }
        let mut answer = script.remove(0);
        answer["startedAt"] = json!(self.now.to_string());
        answer["finishedAt"] = json!(self.now.to_string());
        let answer: Measurement = serde_json::from_value(answer).expect("a measurement");
        self.snapshot.inbox.push((task.id.clone(), answer));
        true
    }

    /// Passes until nothing happens any more, time jumping to where the plan wants it.
    pub(super) fn run(&mut self) {
        for _ in 0..200 {
            let (busy, next) = self.pass();
            match next {
                _ if busy => {}
                Next::At(at) if at > self.now && !self.deleted => self.now = at,
                _ => return,
            }
        }
        panic!("the run never rests");
    }

    pub(super) fn status(&self) -> Value {
        self.statuses.last().cloned().unwrap_or_default()
    }
}

/// What the provider itself makes of the network.
fn measured(task: &MetricTask, network: &BTreeMap<String, String>, now: Timestamp) -> Measurement {
    let (mut memo, mut answer) = (None, None);
    loop {
        match step(task, memo, answer, now) {
            Step::Send {
                requests,
                memo: kept,
            } => {
                let answers = requests.iter().map(|request| {
                    let body = network.get(request.url.reveal());
                    body.map_or_else(
                        || HttpAnswer::Failed {
                            error: "dial tcp 127.0.0.1:1: connect: connection refused".to_owned(),
                        },
                        |body| HttpAnswer::Response {
                            status: 200,
                            body: body.clone().into_bytes(),
                        },
                    )
                });
                answer = Some(Answer::Http(answers.collect()));
                memo = Some(kept);
            }
            Step::Wait { .. } => panic!("no provider here waits"),
            Step::Done(measurement) => return measurement,
        }
    }
}

fn mask(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let time = matches!(key.as_str(), "startedAt" | "finishedAt" | "completedAt");
                (key, if time { json!("<time>") } else { mask(value) })
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(mask).collect(),
        other => other,
    }
}

pub(super) fn metric(name: &str, more: &Value) -> Value {
    let mut metric = json!({ "name": name, "provider": { "web": { "url": "http://x" } } });
    for (key, value) in more.as_object().into_iter().flatten() {
        metric[key] = value.clone();
    }
    metric
}

pub(super) fn phase(name: &str) -> Value {
    json!({ "phase": name, "value": "1" })
}

fn replay(fixture: &str) {
    let fixture: Value = serde_json::from_str(fixture).expect("JSON");
    let mut world = World::new(&fixture["spec"]);
    world.network = serde_json::from_value(fixture["network"].clone()).expect("a network");
    for (name, keys) in fixture["secrets"].as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().into_iter().flatten() {
            world = world.secret(name, key, value.as_str().expect("text"));
        }
    }
    world.run();
    let recorded = fixture["statuses"].as_array().expect("statuses");
    // The first is what the creation left: no status yet.
    assert_eq!(world.statuses, recorded[1..]);
    assert_eq!(json!(world.events), fixture["events"]);
}

#[test]
fn recorded_runs_come_out_the_same() {
    replay(include_str!(
        "../../../tests/fixtures/analysis/analysis-args.json"
    ));
    replay(include_str!(
        "../../../tests/fixtures/analysis/analysis-error.json"
    ));
    replay(include_str!(
        "../../../tests/fixtures/analysis/analysis-inconclusive.json"
    ));
    replay(include_str!(
        "../../../tests/fixtures/analysis/analysis-inline-passes.json"
    ));
}

#[test]
fn an_unanswered_measurement_is_asked_for_again_and_leaves_the_status_alone() {
    let mut world = World::new(&json!({ "metrics": [metric("a", &json!({}))] }));
    for _ in 0..3 {
        assert_eq!(world.pass(), (false, Next::OnChange));
    }
    assert_eq!(world.tasks.len(), 1, "always the same id");
    assert_eq!(world.tasks[0].id.ordinal, 0);
    assert!(world.statuses.is_empty());
}

#[test]
fn a_pass_waits_for_all_that_is_due() {
    let spec = json!({ "metrics": [metric("a", &json!({})), metric("b", &json!({}))] });
    let mut world = World::new(&spec).answers("a", &[phase("Failed")]);
    world.pass();
    world.pass();
    assert!(world.statuses.is_empty(), "b has no answer yet");
    world = world.answers("b", &[phase("Successful")]);
    world.run();
    assert_eq!(world.status()["phase"], "Failed");
    assert_eq!(
        world.status()["runSummary"],
        json!({ "count": 2, "failed": 1, "successful": 1 })
    );
}

#[test]
fn one_failing_metric_ends_the_others_in_the_next_pass() {
    let spec = json!({ "metrics": [
        metric("bad", &json!({})),
        metric("long", &json!({ "interval": "1m" })),
        metric("late", &json!({ "initialDelay": "1h" })),
    ]});
    let mut world = World::new(&spec)
        .answers(
            "bad",
            &[json!({ "phase": "Failed", "message": "too slow" })],
        )
        .answers("long", &[phase("Successful"), phase("Successful")]);
    world.run();
    assert_eq!(world.statuses.len(), 2, "{:#?}", world.statuses);
    assert_eq!(world.statuses[0]["phase"], "Running");
    let last = world.status();
    assert_eq!(last["phase"], "Failed");
    assert_eq!(
        last["message"],
        "Metric \"bad\" assessed Failed due to failed (1) > failureLimit (0): \"Error Message: too slow\""
    );
    assert_eq!(last["metricResults"][1]["phase"], "Successful");
    assert_eq!(last["metricResults"].as_array().expect("results").len(), 2);
    assert_eq!(world.now, start());
}

#[test]
fn a_terminated_run_keeps_what_it_has() {
    let spec = json!({ "metrics": [metric("a", &json!({ "interval": "1m" }))] });
    let mut world = World::new(&spec).answers("a", &[phase("Successful")]);
    world.pass();
    world.pass();
    world.terminate();
    world.run();
    assert_eq!(world.status()["phase"], "Successful");
    assert_eq!(world.status()["message"], "Run Terminated");
    assert_eq!(world.status()["metricResults"][0]["phase"], "Successful");
}

#[test]
fn an_in_flight_measurement_is_stopped_on_termination() {
    let spec = json!({ "metrics": [metric("a", &json!({}))], "terminate": true });
    let mut world = World::new(&spec);
    Arc::make_mut(&mut world.snapshot.run).status = Some(
        serde_json::from_value(json!({
            "phase": "Running",
            "metricResults": [{ "name": "a", "phase": "Running", "measurements": [
                { "phase": "Running", "startedAt": "2026-01-01T00:00:00Z" },
            ]}],
        }))
        .expect("a status"),
    );
    world.run();
    let last = world.status();
    assert_eq!(
        last["metricResults"][0]["measurements"][0]["message"],
        "Metric Terminated"
    );
    assert_eq!(last["metricResults"][0]["inconclusive"], 1);
    assert_eq!(last["phase"], "Inconclusive");
}

#[test]
fn limits_decide_in_the_order_error_inconclusive_failed() {
    let ends = |more: &Value, phases: &[&str]| {
        let answers: Vec<Value> = phases.iter().map(|name| phase(name)).collect();
        let mut spec = json!({ "count": 9, "interval": "1s" });
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let mut world =
            World::new(&json!({ "metrics": [metric("a", &spec)] })).answers("a", &answers);
        world.run();
        let last = world.status();
        format!(
            "{} {}",
            last["phase"].as_str().unwrap_or(""),
            last["message"].as_str().unwrap_or("")
        )
    };
    let (s, f, i, e) = ("Successful", "Failed", "Inconclusive", "Error");
    assert_eq!(
        ends(&json!({ "failureLimit": 1 }), &[f, s, f]),
        "Failed Metric \"a\" assessed Failed due to failed (2) > failureLimit (1)"
    );
    assert_eq!(
        ends(&json!({ "inconclusiveLimit": 1 }), &[i, i]),
        "Inconclusive Metric \"a\" assessed Inconclusive due to inconclusive (2) > inconclusiveLimit (1)"
    );
    assert_eq!(
        ends(&json!({}), &[e, e, s, e, e, e, e, e]),
        "Error Metric \"a\" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4)"
    );
    assert_eq!(
        ends(
            &json!({ "failureLimit": -1, "consecutiveSuccessLimit": 2 }),
            &[f, s, f, s, s]
        ),
        "Successful "
    );
    assert_eq!(
        ends(
            &json!({ "failureLimit": -1, "consecutiveSuccessLimit": 2, "count": 2 }),
            &[f, s]
        ),
        "Failed "
    );
    assert_eq!(
        ends(
            &json!({ "failureLimit": 1, "consecutiveSuccessLimit": 2, "count": 3 }),
            &[s, f, s]
        ),
        "Inconclusive "
    );
    assert_eq!(ends(&json!({ "count": "2" }), &[s, s]), "Successful ");
}

#[test]
fn errors_are_retried_after_ten_seconds_and_do_not_count() {
    let spec = json!({ "metrics": [metric("a", &json!({ "count": 1, "interval": "5m" }))] });
    let mut world = World::new(&spec).answers("a", &[phase("Error"), phase("Successful")]);
    world.run();
    assert_eq!(world.now, start() + SignedDuration::from_secs(10));
    assert_eq!(
        world.tasks.iter().map(|t| t.id.ordinal).collect::<Vec<_>>(),
        [0, 1]
    );
    let result = &world.status()["metricResults"][0];
    assert_eq!((&result["count"], &result["error"]), (&json!(1), &json!(1)));
}

#[test]
fn an_initial_delay_counts_from_the_first_pass() {
    let spec = json!({ "metrics": [metric("a", &json!({ "initialDelay": "1m30s" }))] });
    let mut world = World::new(&spec).answers("a", &[phase("Successful")]);
    assert_eq!(
        world.pass().1,
        Next::At(start() + SignedDuration::from_secs(90))
    );
    assert_eq!(world.status()["phase"], "Running");
    world.run();
    assert_eq!(world.now, start() + SignedDuration::from_secs(90));
    assert_eq!(world.status()["phase"], "Successful");
}

#[test]
fn dry_run_metrics_are_told_apart() {
    let spec = json!({
        "metrics": [metric("good", &json!({})), metric("trial-a", &json!({}))],
        "dryRun": [{ "metricName": "trial-.*" }],
    });
    let mut world = World::new(&spec)
        .answers("good", &[phase("Successful")])
        .answers("trial-a", &[phase("Failed")]);
    world.run();
    let last = world.status();
    assert_eq!(last["phase"], "Successful");
    assert_eq!(last["runSummary"], json!({ "count": 1, "successful": 1 }));
    assert_eq!(last["dryRunSummary"], json!({ "count": 1, "failed": 1 }));
    assert_eq!(last["metricResults"][1]["dryRun"], true);
    assert_eq!(
        last["metricResults"][1]["message"],
        "Metric assessed Failed due to failed (1) > failureLimit (0)"
    );
}

/// The name of a metric may be an argument: rules are about what it comes to.
#[test]
fn rules_match_the_names_that_metrics_have_in_the_end() {
    let more = json!({ "count": 4, "interval": "1s", "failureLimit": 4 });
    let spec = json!({
        "metrics": [metric("{{ args.which }}-rate", &more)],
        "args": [{ "name": "which", "value": "error" }],
        "dryRun": [{ "metricName": "^error-rate$" }],
        "measurementRetention": [{ "metricName": "^error-rate$", "limit": 2 }],
    });
    let mut world = World::new(&spec).answers("error-rate", &vec![phase("Failed"); 4]);
    world.run();
    let last = world.status();
    assert_eq!(last["phase"], "Successful", "{last:#}");
    assert_eq!(last["dryRunSummary"]["count"], 1);
    let result = &last["metricResults"][0];
    assert_eq!(result["dryRun"], true);
    assert_eq!(result["measurements"].as_array().map(Vec::len), Some(2));
}

#[test]
fn an_empty_interval_is_none() {
    let more = json!({ "interval": "", "initialDelay": "" });
    let spec = json!({ "metrics": [metric("a", &more)] });
    let mut world = World::new(&spec).answers("a", &vec![phase("Successful"); 3]);
    world.run();
    assert_eq!(world.status()["phase"], "Successful");
    assert_eq!(world.status()["metricResults"][0]["count"], 1);
}

#[test]
fn old_measurements_are_trimmed() {
    let spec = |retention: Value| {
        json!({
            "metrics": [metric("a", &json!({ "count": 14, "interval": "1s" }))],
            "measurementRetention": retention,
        })
    };
    let kept = |retention: Value| {
        let answers: Vec<Value> = (0..14).map(|_| phase("Successful")).collect();
        let mut world = World::new(&spec(retention)).answers("a", &answers);
        world.run();
        let result = world.status()["metricResults"][0].clone();
        assert_eq!(result["count"], 14);
        result["measurements"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(kept(json!([])), 10);
    assert_eq!(kept(json!([{ "metricName": "a", "limit": 3 }])), 3);
    assert_eq!(kept(json!([{ "metricName": ".*", "limit": 0 }])), 10);
}

#[test]
fn early_errors_end_the_run_with_a_completion_time() {
    let ends = |spec: &Value| {
        let mut world = World::new(spec);
        world.run();
        assert_eq!(
            world.events,
            [json!({
                "type": EventKind::Warning.as_str(),
                "reason": "AnalysisRunError",
                "message": "Analysis Completed. Result: Error",
            })]
        );
        let last = world.status();
        assert_eq!(
            (&last["phase"], &last["completedAt"]),
            (&json!("Error"), &json!("<time>"))
        );
        last["message"].as_str().unwrap_or_default().to_owned()
    };
    let with = |condition: &str, args: Value| json!({ "metrics": [metric("a", &json!({ "successCondition": condition }))], "args": args });
    let secret =
        json!([{ "name": "s", "valueFrom": { "secretKeyRef": { "name": "n", "key": "k" } } }]);
    insta::assert_snapshot!(ends(&with("{{args.x}}", json!([]))), @"Unable to resolve metric arguments: failed to resolve {{args.x}}");
    insta::assert_snapshot!(ends(&with("{{ other }}", json!([]))), @"Unable to resolve metric arguments: failed to resolve {{other}}");
    insta::assert_snapshot!(ends(&with("{{args.x}}", json!([{ "name": "x" }]))), @r#"Unable to resolve metric arguments: argument "x" was not supplied"#);
    insta::assert_snapshot!(ends(&with("{{other}}", json!([{ "name": "unused" }]))), @r#"Unable to resolve metric arguments: argument "unused" was not supplied"#);
    insta::assert_snapshot!(ends(&with("true", secret)), @r#"Unable to resolve metric arguments: secrets "n" not found"#);
    insta::assert_snapshot!(ends(&json!({ "metrics": [] })), @"Analysis spec invalid: no metrics specified");
    insta::assert_snapshot!(
        ends(&json!({ "metrics": [metric("a", &json!({}))], "dryRun": [{ "metricName": "b" }] })),
        @"Analysis spec invalid: dryRun[0]: Rule didn't match any metric name(s)"
    );
    insta::assert_snapshot!(
        ends(&json!({ "metrics": [metric("a", &json!({}))], "measurementRetention": [{ "metricName": "(", "limit": 1 }] })),
        @"Analysis spec invalid: measurementRetention[0]: `(` is no regular expression: error: unclosed group"
    );
}

#[test]
fn a_missing_key_of_a_secret_is_named() {
    let spec = json!({
        "metrics": [metric("a", &json!({}))],
        "args": [{ "name": "s", "valueFrom": { "secretKeyRef": { "name": "n", "key": "k" } } }],
    });
    let mut world = World::new(&spec).secret("n", "other", "v");
    world.run();
    assert_eq!(
        world.status()["message"],
        "Unable to resolve metric arguments: key 'k' does not exist in secret 'n'"
    );
    let mut world = World::new(&spec).secret("n", "other", "v");
    let secret = world.snapshot.secrets.get_mut("n").expect("a secret");
    let values = secret.as_mut().expect("it can be read");
    values.insert("k".to_owned(), vec![b'a', 0xff]);
    world.run();
    assert_eq!(
        world.status()["message"],
        "Unable to resolve metric arguments: key 'k' in secret 'n' is not UTF-8 text"
    );
}

/// The API server would not take it as it is, and the run would never end.
#[test]
fn a_large_answer_is_evaluated_whole_and_recorded_in_part() {
    let spec = json!({ "metrics": [
        metric("a", &json!({ "successCondition": "result.text endsWith 'OK'" })),
        json!({ "name": "b", "provider": { "web": { "url": "http://x", "jsonPath": "{.none}" } } }),
    ]});
    let mut world = World::new(&spec);
    let document = json!({ "text": format!("{}OK", "é".repeat(100_000)) });
    let answer = ("http://x".to_owned(), document.to_string());
    world.network = Some(BTreeMap::from([answer]));
    world.pass();
    world.pass();
    let results = &world.status()["metricResults"];
    let first = &results[0]["measurements"][0];
    assert_eq!(first["phase"], "Successful");
    let value = first["value"].as_str().expect("a value");
    assert!(value.len() <= 2048, "{} bytes", value.len());
    assert!(value.ends_with(" more bytes left out)"), "{value}");
    let message = results[1]["measurements"][0]["message"].as_str();
    let message = message.expect("a message");
    assert!(message.starts_with("Could not find JSONPath in body: "));
    assert!(message.ends_with(" more bytes left out)"), "{message}");
}

#[test]
fn a_secret_that_may_not_be_read_ends_the_run_with_the_words_of_the_api_server() {
    let spec = json!({
        "metrics": [metric("a", &json!({}))],
        "args": [{ "name": "s", "valueFrom": { "secretKeyRef": { "name": "n", "key": "k" } } }],
    });
    let forbidden = "secrets \"n\" is forbidden: User \"weir\" cannot get resource";
    let mut world = World::new(&spec);
    let secrets = &mut world.snapshot.secrets;
    secrets.insert("n".to_owned(), Err(forbidden.to_owned()));
    world.run();
    assert_eq!(world.status()["phase"], "Error");
    assert_eq!(
        world.status()["message"],
        format!("Unable to resolve metric arguments: {forbidden}")
    );
}

/// A URL is quoted as Go does, one secret is the beginning of the other, and a file ends with a
/// newline.
#[test]
fn secrets_are_hidden_in_whatever_form_a_message_has_them() {
    let reference = |key: &str| json!({ "secretKeyRef": { "name": "n", "key": key } });
    let spec = json!({
        "metrics": [json!({
            "name": "a",
            "provider": { "web": { "url": "http://h/{{args.short}}/?key={{args.long}}" } },
        })],
        "args": [
            { "name": "short", "valueFrom": reference("short") },
            { "name": "long", "valueFrom": reference("long") },
            { "name": "none", "valueFrom": reference("none") },
        ],
    });
    let mut world = World::new(&spec)
        .secret("n", "short", "pass")
        .secret("n", "long", "pass\"w\\ord\n")
        .secret("n", "none", "");
    world.network = Some(BTreeMap::new());
    world.pass();
    world.pass();
    let measurement = &world.status()["metricResults"][0]["measurements"][0];
    assert_eq!(
        measurement["message"],
        "Get \"http://h/*****/?key=*****\": dial tcp 127.0.0.1:1: connect: connection refused"
    );

    let answer = json!({ "phase": "Error", "message": "no pass\"w\\ord, nor pass\"w\\ord\n" });
    world.network = None;
    world.script.insert("a".to_owned(), vec![answer]);
    world.now += SignedDuration::from_secs(10);
    world.pass();
    world.pass();
    let measurement = &world.status()["metricResults"][0]["measurements"][1];
    assert_eq!(measurement["message"], "no *****, nor *****");
}

#[test]
fn secrets_reach_the_task_and_nothing_else() {
    let spec = json!({
        "metrics": [json!({
            "name": "a",
            "provider": { "prometheus": { "address": "http://p", "query": "up{key=\"{{args.s}}\"}" } },
        })],
        "args": [{ "name": "s", "valueFrom": { "secretKeyRef": { "name": "n", "key": "k" } } }],
    });
    let answer = json!({ "phase": "Error", "message": "no route for hush\"hush", "metadata": { "m": "hush\"hush" } });
    let mut world = World::new(&spec)
        .secret("n", "k", "hush\"hush")
        .answers("a", &[answer]);
    world.pass();
    world.pass();
    let task = &world.tasks[0];
    assert_eq!(
        task.metric.reveal()["provider"]["prometheus"]["query"],
        "up{key=\"hush\"hush\"}"
    );
    let printed = format!("{task:?} {}", serde_json::to_string(task).expect("JSON"));
    assert!(!printed.contains("hush"), "{printed}");
    let result = &world.status()["metricResults"][0];
    assert!(!result.to_string().contains("hush"), "{result}");
    assert_eq!(result["measurements"][0]["message"], "no route for *****");
    assert_eq!(
        result["metadata"]["ResolvedPrometheusQuery"],
        "up{key=\"*****\"}"
    );
}

#[test]
fn a_finished_run_is_deleted_when_its_time_is_over() {
    let deleted_after = |phase_name: &str, ttl: Value| {
        let spec = json!({ "metrics": [metric("a", &json!({}))], "ttlStrategy": ttl });
        let mut world = World::new(&spec).answers("a", &[phase(phase_name)]);
        world.run();
        world
            .deleted
            .then(|| world.now.duration_since(start()).as_secs())
    };
    assert_eq!(
        deleted_after("Successful", json!({ "secondsAfterCompletion": 60 })),
        Some(61)
    );
    let all =
        json!({ "secondsAfterCompletion": 60, "secondsAfterSuccess": 5, "secondsAfterFailure": 7 });
    assert_eq!(deleted_after("Successful", all.clone()), Some(6));
    assert_eq!(deleted_after("Failed", all.clone()), Some(8));
    assert_eq!(deleted_after("Inconclusive", all), Some(61));
    assert_eq!(
        deleted_after("Failed", json!({ "secondsAfterSuccess": 5 })),
        None
    );
}

#[test]
fn a_run_that_is_being_deleted_is_left_alone() {
    let mut world = World::new(&json!({ "metrics": [] }));
    Arc::make_mut(&mut world.snapshot.run)
        .metadata
        .deletion_timestamp = Some(Time(start()));
    assert_eq!(world.pass(), (false, Next::OnChange));
}
