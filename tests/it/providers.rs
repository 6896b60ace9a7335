//! The metric providers `web` and `job` in a cluster.

use crate::world::World;
use futures::FutureExt;
use futures::future::BoxFuture;
use plan::{HttpAnswer, HttpRequest};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Health;

impl weir::act::Fetch for Health {
    fn fetch<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, HttpAnswer> {
        let token = request
            .headers
            .iter()
            .any(|(name, value)| name == "Authorization" && value.reveal() == "Bearer s3cret");
        let (status, body) = if token {
            (200, r#"{"data": {"ok": true}}"#)
        } else {
            (401, "who are you")
        };
        let body = body.as_bytes().to_vec();
        async move { HttpAnswer::Response { status, body } }.boxed()
    }
}

fn run(metric: &str, rest: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisRun\nmetadata: {{name: check}}\n\
         spec: {{metrics: [{metric}], {rest}}}\n"
    )
}

async fn until(world: &World, look: impl Fn(&Value) -> bool) -> Arc<Value> {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(5);
    loop {
        let run = world.get("AnalysisRun", "check").expect("it was applied");
        if look(&run["status"]) {
            return run;
        }
        let now = tokio::time::Instant::now();
        assert!(
            now < deadline,
            "not within five minutes: {:#}",
            run["status"]
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ended(world: &World) -> Value {
    until(world, |status| !status["completedAt"].is_null()).await["status"].clone()
}

fn job(command: &str) -> String {
    format!(
        "{{name: smoke, provider: {{job: {{metadata: {{labels: {{team: shop}}}}, spec: {{backoffLimit: 0, \
         template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: 'alpine:3', \
         command: [sh, -c, '{command}']}}]}}}}}}}}}}}}"
    )
}

fn jobs(world: &World) -> Vec<Arc<Value>> {
    let kind = apiserver::Gvk::new("batch", "v1", "Job");
    world.api.list(&kind, Some("demo"))
}

#[tokio::test(start_paused = true)]
async fn a_web_page_is_asked_with_a_secret_header() {
    let world = World::answered_by(Arc::new(Health));
    world.apply("{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {t: s3cret}}");
    let metric = "{name: health, successCondition: result, provider: {web: {url: 'http://shop/health', \
                  headers: [{key: Authorization, value: 'Bearer {{args.token}}'}], jsonPath: '{$.data.ok}'}}}";
    let args = "args: [{name: token, valueFrom: {secretKeyRef: {name: s, key: t}}}]";
    world.apply(&run(metric, args));
    let status = ended(&world).await;
    assert_eq!(status["phase"], "Successful", "{status:#}");
    assert_eq!(
        status["metricResults"][0]["measurements"][0]["value"],
        "true"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_measures_by_how_it_ends() {
    for (command, phase) in [("sleep 2", "Successful"), ("sleep 2; exit 1", "Failed")] {
        let world = World::start();
        world.apply(&run(&job(command), ""));
        let begun = until(&world, |status| status["phase"] == "Running").await;
        let uid = begun["metadata"]["uid"].as_str().unwrap();
        let live = jobs(&world);
        let live = &live[0];
        assert_eq!(live["metadata"]["name"], format!("{uid}.smoke.1"));
        let label = "analysisrun.argoproj.io/uid";
        assert_eq!(
            live["metadata"]["labels"],
            json!({"team": "shop", label: uid})
        );
        assert_eq!(live["spec"]["template"]["metadata"]["labels"][label], uid);
        assert_eq!(
            live["metadata"]["annotations"]["analysisrun.argoproj.io/metric-name"],
            "smoke"
        );
        let status = ended(&world).await;
        assert_eq!(status["phase"], phase, "{status:#}");
        let measurement = &status["metricResults"][0]["measurements"][0];
        assert_eq!(
            measurement["metadata"],
            json!({"job-name": format!("{uid}.smoke.1"), "job-namespace": "demo"})
        );
        // Seen when it ends, not at the next look.
        let at = |field: &str| -> jiff::Timestamp {
            measurement[field].as_str().unwrap().parse().unwrap()
        };
        let took = at("finishedAt").duration_since(at("startedAt")).as_secs();
        assert!((2..=8).contains(&took), "{took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminated_run_takes_its_job_along() {
    let world = World::start();
    world.apply(&run(&job("sleep 600"), ""));
    until(&world, |status| status["phase"] == "Running").await;
    world.merge(
        "AnalysisRun",
        "check",
        None,
        json!({"spec": {"terminate": true}}),
    );
    let status = ended(&world).await;
    assert_eq!(
        status["metricResults"][0]["measurements"][0]["message"],
        "Metric Terminated"
    );
    world.sleep(60).await;
    assert_eq!(jobs(&world).len(), 0);
    assert_eq!(world.list("Pod").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_exist_ends_the_measurement() {
    let world = World::start();
    world.apply(&run(&job("true").replace("alpine:3", "alpine:missing"), ""));
    let status = ended(&world).await;
    assert_eq!(status["phase"], "Inconclusive", "{status:#}");
    let message = status["metricResults"][0]["measurements"][0]["message"]
        .as_str()
        .unwrap();
    assert!(
        message.contains("container c has terminal error (ErrImagePull)"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_refused_is_an_error_that_says_why() {
    let world = World::start();
    let metric = job("true").replace("name: smoke", "name: smoke, consecutiveErrorLimit: 0");
    world.apply(&run(
        &metric.replace("restartPolicy: Never", "restartPolicy: Always"),
        "",
    ));
    let status = ended(&world).await;
    assert_eq!(status["phase"], "Error", "{status:#}");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("restartPolicy"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_was_killed_makes_no_second_job() {
    let mut world = World::start();
    world.apply(&run(&job("sleep 20"), ""));
    until(&world, |status| status["phase"] == "Running").await;
    world.kill_controller().await;
    // As if it had died between the Job and the status.
    world.merge("AnalysisRun", "check", None, json!({"status": null}));
    world.start_controller();
    assert_eq!(ended(&world).await["phase"], "Successful");
    assert_eq!(jobs(&world).len(), 1);
}
