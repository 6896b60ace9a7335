//! Rollouts that are measured: acceptance rows 19 and 20, and what happens to measurements when
//! controllers, Rollouts and providers go away.

use crate::world::World;
use futures::FutureExt;
use futures::future::BoxFuture;
use plan::{HttpAnswer, HttpRequest};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

enum Reply {
    Status(u16, String),
    Never,
}

type Script = Box<dyn Fn(&str, usize) -> Reply + Send + Sync>;

/// Answers by URL, with how often it was asked before; counts what is under way.
struct Scripted {
    script: Script,
    asked: Mutex<BTreeMap<String, usize>>,
    under_way: AtomicI64,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

impl Scripted {
    fn new(script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            asked: Mutex::default(),
            under_way: AtomicI64::new(0),
        })
    }

    fn total(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }

    fn urls(&self) -> Vec<String> {
        self.asked.lock().unwrap().keys().cloned().collect()
    }

    fn under_way(&self) -> i64 {
        self.under_way.load(Ordering::SeqCst)
    }
}

struct Counted<'a>(&'a AtomicI64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl weir::act::Fetch for Scripted {
    fn fetch<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, HttpAnswer> {
        async move {
            self.under_way.fetch_add(1, Ordering::SeqCst);
            let _counted = Counted(&self.under_way);
            let url = request.url.reveal().clone();
            let nth = {
                let mut asked = self.asked.lock().unwrap();
                let count = asked.entry(url.clone()).or_default();
                *count += 1;
                *count
            };
            match (self.script)(&url, nth) {
                Reply::Status(status, body) => HttpAnswer::Response {
                    status,
                    body: body.into_bytes(),
                },
                Reply::Never => std::future::pending().await,
            }
        }
        .boxed()
    }
}

/// What Prometheus answers to an instant query with one sample per value.
fn vector(values: &[&str]) -> Reply {
    let sample = |value: &&str| json!({"metric": {}, "value": [1_767_225_600.0, value]});
    let result: Vec<Value> = values.iter().map(sample).collect();
    let body = json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    Reply::Status(200, body.to_string())
}

/// A metric that measures `address`, with `rest` as its other fields.
fn metric(address: &str, rest: &str) -> String {
    format!(
        "{{name: success-rate, {rest} successCondition: 'result[0] >= 0.95', \
         failureCondition: 'result[0] < 0.9', \
         provider: {{prometheus: {{address: 'http://{address}', query: up}}}}}}"
    )
}

fn template(metric: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\n\
         metadata: {{name: success-rate}}\nspec: {{metrics: [{metric}]}}\n"
    )
}

/// A Rollout of five pods with that strategy.
fn rollout(strategy: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: shop}}
spec:
  replicas: 5
  selector: {{matchLabels: {{app: shop}}}}
  strategy: {strategy}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      containers:
      - name: shop
        image: shop:v1
        ports: [{{name: http, containerPort: 8080}}]
"
    )
}

const REFERENCE: &str = "{templates: [{templateName: success-rate}]}";

async fn measured(fetch: Arc<Scripted>, metric: &str, strategy: &str) -> World {
    let world = World::answered_by(fetch);
    world.apply(&template(metric));
    world.apply(&rollout(strategy));
    world.until_phase("shop", "Healthy").await;
    world
}

/// Waits, for at most ten virtual minutes.
async fn until<T>(world: &World, what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        let runs = || -> Vec<Value> {
            let runs = world.list("AnalysisRun");
            runs.iter().map(|run| run["status"].clone()).collect()
        };
        let now = tokio::time::Instant::now();
        assert!(
            now < deadline,
            "not within ten minutes: {what}; runs: {:#?}",
            runs()
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn run_phase(run: &Value) -> &str {
    run["status"]["phase"].as_str().unwrap_or_default()
}

fn is_back(world: &World) -> bool {
    let sizes = world.sizes();
    sizes["shop:v1"] == 5 && sizes["shop:v2"] == 0
}

fn selector(world: &World, service: &str) -> Value {
    let service = world.get("Service", service).unwrap();
    service["spec"]["selector"]["rollouts-pod-template-hash"].clone()
}

#[tokio::test(start_paused = true)]
async fn row_020_every_answer_of_prometheus_has_its_documented_outcome() {
    let world = World::answered_by(Scripted::new(|url, _| match url {
        url if url.contains("pass") => vector(&["0.99"]),
        url if url.contains("fail") => vector(&["0.5"]),
        url if url.contains("between") => vector(&["0.92"]),
        url if url.contains("nan") => vector(&["NaN"]),
        url if url.contains("empty") => vector(&[]),
        url if url.contains("garbage") => Reply::Status(200, "<html>".into()),
        url if url.contains("broken") => Reply::Status(500, "out of order".into()),
        _ => Reply::Never,
    }));
    let cases = [
        ("pass", "Successful", ""),
        ("fail", "Failed", "failed (1) > failureLimit (0)"),
        (
            "between",
            "Inconclusive",
            "inconclusive (1) > inconclusiveLimit (0)",
        ),
        (
            "nan",
            "Inconclusive",
            "inconclusive (1) > inconclusiveLimit (0)",
        ),
        ("empty", "Error", "metric result is nil or empty"),
        (
            "garbage",
            "Error",
            "consecutiveErrors (5) > consecutiveErrorLimit (4)",
        ),
        ("broken", "Error", "500"),
        ("silent", "Error", "no answer within"),
    ];
    for (name, _, _) in cases {
        world.apply(&format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisRun\nmetadata: {{name: {name}}}\n\
             spec: {{metrics: [{}]}}\n",
            metric(name, "")
        ));
    }
    for (name, phase, text) in cases {
        let done = until(&world, name, || {
            let run = world.get("AnalysisRun", name)?;
            run["status"]["completedAt"].is_string().then_some(run)
        });
        let run = done.await;
        let message = run["status"]["message"].as_str().unwrap_or_default();
        assert_eq!(run_phase(&run), phase, "{name}: {message}");
        assert!(message.contains(text), "{name}: {message}");
        assert_eq!(
            message.contains("success-rate"),
            phase != "Successful",
            "{name}: {message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn row_019_a_failing_background_query_gives_the_traffic_back() {
    let strategy = format!(
        "{{canary: {{analysis: {REFERENCE}, steps: [{{setWeight: 40}}, {{pause: {{}}}}]}}}}"
    );
    let fetch = Scripted::new(|_, nth| vector(&[if nth < 3 { "0.99" } else { "0.5" }]));
    let world = measured(fetch, &metric("prometheus", "interval: 20s,"), &strategy).await;
    world.set_image("shop", "shop:v2");
    let live = world
        .until("shop", 600, |live| live["status"]["abort"] == true)
        .await;
    let message = live["status"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let live = world
        .until("shop", 600, |live| live["status"]["phase"] == "Degraded")
        .await;
    let message = live["status"]["message"]
        .as_str()
        .map_or(message, str::to_owned);
    assert!(message.contains("success-rate"), "{message}");
    until(&world, "the stable version is back", || {
        is_back(&world).then_some(())
    })
    .await;
    let run = world.list("AnalysisRun").remove(0);
    assert_eq!(run_phase(&run), "Failed");
    let result = &run["status"]["metricResults"][0];
    assert_eq!(result["name"], "success-rate");
    assert_eq!(result["successful"], 2);
    assert_eq!(result["measurements"][2]["value"], "[0.5]");
}

#[tokio::test(start_paused = true)]
async fn row_019_an_inline_analysis_lets_pass_aborts_or_pauses() {
    let strategy = format!(
        "{{canary: {{steps: [{{setWeight: 40}}, {{analysis: {REFERENCE}}}, {{setWeight: 80}}]}}}}"
    );
    for (value, phase) in [("0.99", "Healthy"), ("0.5", "Degraded"), ("0.92", "Paused")] {
        let fetch = Scripted::new(move |_, _| vector(&[value]));
        let world = measured(fetch.clone(), &metric("prometheus", ""), &strategy).await;
        world.set_image("shop", "shop:v2");
        let live = world.until_phase("shop", phase).await;
        assert_eq!(fetch.total(), 1, "{value}");
        if phase == "Degraded" {
            let message = live["status"]["message"].as_str().unwrap();
            assert!(
                message.contains("Step-based analysis phase error/failed"),
                "{message}"
            );
            until(&world, "stable is back", || is_back(&world).then_some(())).await;
        }
        if phase == "Paused" {
            let reason = &live["status"]["pauseConditions"][0]["reason"];
            assert_eq!(reason, "InconclusiveAnalysisRun");
            assert_eq!(live["status"]["currentStepIndex"], 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn row_019_the_counters_of_the_pods_themselves_abort_a_canary() {
    let metric = "{name: error-rate, successCondition: 'result.canary.errors / result.canary.total < 0.05', \
        provider: {pods: {port: http, window: 10s, counters: {\
        total: {metric: requests_total}, errors: {metric: requests_total, matching: {code: 5..}}}}}}";
    let strategy = format!("{{canary: {{steps: [{{setWeight: 40}}, {{analysis: {REFERENCE}}}]}}}}");
    let fetch = Scripted::new(|_, nth| {
        let text = "# TYPE requests_total counter\n";
        let lines = format!(
            "requests_total{{code=\"200\"}} {0}\nrequests_total{{code=\"500\"}} {0}\n",
            50 * nth
        );
        Reply::Status(200, format!("{text}{lines}"))
    });
    let world = measured(fetch.clone(), metric, &strategy).await;
    world.set_image("shop", "shop:v2");
    world.until_phase("shop", "Degraded").await;
    let run = world.list("AnalysisRun").remove(0);
    let measurement = &run["status"]["metricResults"][0]["measurements"][0];
    assert_eq!(measurement["phase"], "Failed", "{measurement:#}");
    let value = measurement["value"].as_str().unwrap();
    assert!(value.contains("100") && value.contains("200"), "{value}");
    // Two canary and three stable pods, each at its own address, before and after the window.
    assert_eq!(
        (fetch.urls().len(), fetch.total()),
        (5, 10),
        "{:?}",
        fetch.urls()
    );
    assert!(
        fetch
            .urls()
            .iter()
            .all(|url| url.ends_with(":8080/metrics")),
        "{:?}",
        fetch.urls()
    );
}

const BLUE_GREEN_SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: active}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: preview}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
";

async fn blue_green(when: &str) -> (World, Value) {
    let world = World::answered_by(Scripted::new(|_, _| vector(&["0.5"])));
    world.apply(BLUE_GREEN_SERVICES);
    world.apply(&template(&metric("prometheus", "")));
    let strategy = format!(
        "{{blueGreen: {{activeService: active, previewService: preview, {when}: {REFERENCE}}}}}"
    );
    world.apply(&rollout(&strategy));
    world.until_phase("shop", "Healthy").await;
    let stable = selector(&world, "active");
    assert!(stable.is_string());
    world.set_image("shop", "shop:v2");
    (world, stable)
}

/// Every selector that the Service `active` has from now on.
fn watch_active(world: &World) -> (Arc<Mutex<Vec<Value>>>, tokio::task::JoinHandle<()>) {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let (api, out) = (world.api.clone(), seen.clone());
    let task = tokio::spawn(async move {
        let mut revision = api.revision();
        loop {
            api.changed(revision).await;
            for change in api.changes_since(revision).unwrap() {
                revision = change.revision;
                if change.gvk.kind == "Service" && change.object["metadata"]["name"] == "active" {
                    let hash = &change.object["spec"]["selector"]["rollouts-pod-template-hash"];
                    out.lock().unwrap().push(hash.clone());
                }
            }
        }
    });
    (seen, task)
}

#[tokio::test(start_paused = true)]
async fn a_failing_pre_promotion_analysis_never_switches_the_active_service() {
    let (world, stable) = blue_green("prePromotionAnalysis").await;
    let (seen, watching) = watch_active(&world);
    let live = world.until_phase("shop", "Degraded").await;
    world.sleep(120).await;
    watching.abort();
    assert!(seen.lock().unwrap().iter().all(|hash| *hash == stable));
    assert_eq!(selector(&world, "active"), stable);
    let message = live["status"]["message"].as_str().unwrap();
    assert!(message.contains("success-rate"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_post_promotion_analysis_switches_back() {
    let (world, stable) = blue_green("postPromotionAnalysis").await;
    let (seen, watching) = watch_active(&world);
    world.until_phase("shop", "Degraded").await;
    until(&world, "the active service is back", || {
        (selector(&world, "active") == stable).then_some(())
    })
    .await;
    watching.abort();
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter().any(|hash| *hash != stable),
        "it was never promoted: {seen:?}"
    );
    assert_eq!(seen.last(), Some(&stable));
}

#[tokio::test(start_paused = true)]
async fn a_killed_controller_takes_the_measurement_again_and_counts_it_once() {
    let strategy = format!("{{canary: {{steps: [{{setWeight: 40}}, {{analysis: {REFERENCE}}}]}}}}");
    let fetch = Scripted::new(|_, nth| {
        if nth == 2 {
            Reply::Never
        } else {
            vector(&["0.99"])
        }
    });
    let rest = "count: 3, interval: 30s,";
    let mut world = measured(fetch.clone(), &metric("prometheus", rest), &strategy).await;
    world.set_image("shop", "shop:v2");
    until(&world, "the second measurement is under way", || {
        (fetch.under_way() == 1).then_some(())
    })
    .await;
    world.kill_controller().await;
    tokio::task::yield_now().await;
    assert_eq!(fetch.under_way(), 0, "a dead controller goes on measuring");
    world.start_controller();
    world.until_phase("shop", "Healthy").await;
    let runs = world.list("AnalysisRun");
    assert_eq!(runs.len(), 1);
    let result = &runs[0]["status"]["metricResults"][0];
    assert_eq!(
        (&result["count"], &result["successful"]),
        (&json!(3), &json!(3)),
        "{result:#}"
    );
    assert_eq!(result["measurements"].as_array().unwrap().len(), 3);
    assert_eq!(fetch.total(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_run_of_a_deleted_rollout_goes_and_its_measurement_stops() {
    let strategy = format!("{{canary: {{steps: [{{setWeight: 40}}, {{analysis: {REFERENCE}}}]}}}}");
    let fetch = Scripted::new(|_, _| Reply::Never);
    let world = measured(fetch.clone(), &metric("prometheus", ""), &strategy).await;
    world.set_image("shop", "shop:v2");
    until(&world, "a measurement is under way", || {
        (fetch.under_way() == 1).then_some(())
    })
    .await;
    let kind = apiserver::Gvk::new("argoproj.io", "v1alpha1", "Rollout");
    world
        .api
        .delete(
            &kind,
            Some(crate::world::NAMESPACE),
            "shop",
            &apiserver::DeleteOptions::default(),
        )
        .unwrap();
    world.sleep(2).await;
    assert_eq!(world.list("AnalysisRun").len(), 0);
    assert_eq!(fetch.under_way(), 0);
    let (asked, revision) = (fetch.total(), world.api.revision());
    world.sleep(300).await;
    assert_eq!((fetch.total(), world.api.revision()), (asked, revision));
}
