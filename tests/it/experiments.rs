//! Experiments, as steps and on their own: the controller makes their pods, services and analyses,
//! and takes them away again.

use crate::world::World;
use futures::FutureExt;
use futures::future::BoxFuture;
use plan::{HttpAnswer, HttpRequest};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A Prometheus that says the same to everybody.
#[derive(Debug)]
struct Says(&'static str);

impl weir::act::Fetch for Says {
    fn fetch<'a>(&'a self, _: &'a HttpRequest) -> BoxFuture<'a, HttpAnswer> {
        let sample = json!({"metric": {}, "value": [1_767_225_600.0, self.0]});
        let data = json!({"resultType": "vector", "result": [sample]});
        let body = json!({"status": "success", "data": data}).to_string();
        let answer = HttpAnswer::Response {
            status: 200,
            body: body.into_bytes(),
        };
        async move { answer }.boxed()
    }
}

const TEMPLATE: &str = "
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success-rate}
spec:
  args: [{name: hash}]
  metrics:
  - name: success-rate
    count: 2
    interval: 5s
    successCondition: result[0] >= 0.95
    provider: {prometheus: {address: 'http://prometheus', query: 'up{hash=\"{{args.hash}}\"}'}}
";

const ROLLOUT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  strategy:
    canary:
      steps:
      - experiment:
          scaleDownDelaySeconds: 10
          templates:
          - {name: base, specRef: stable}
          - {name: new, specRef: canary, service: {}}
          analyses:
          - name: check
            templateName: success-rate
            requiredForCompletion: true
            args:
            - {name: hash, value: '{{templates.new.podTemplateHash}}'}
      - pause: {}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - {name: shop, image: 'shop:v1', ports: [{containerPort: 8080}]}
";

const EXPERIMENT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Experiment
metadata: {name: alone}
spec:
  duration: 20s
  scaleDownDelaySeconds: 5
  templates:
  - name: one
    replicas: 2
    selector: {matchLabels: {app: alone}}
    service: {name: alone}
    template:
      metadata: {labels: {app: alone}}
      spec:
        containers:
        - {name: main, image: 'alone:v1', ports: [{containerPort: 8080}]}
";

/// Waits, for at most ten virtual minutes.
async fn until<T>(world: &World, what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        let now = tokio::time::Instant::now();
        let experiments = world.list("Experiment");
        assert!(
            now < deadline,
            "not within ten minutes: {what}; {experiments:#?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn phase_is(world: &World, name: &str, phase: &str) -> Option<Arc<Value>> {
    let experiment = world.get("Experiment", name)?;
    (experiment["status"]["phase"] == phase).then_some(experiment)
}

fn events(world: &World, kind: &str) -> Vec<String> {
    let events = world.list("Event");
    let of_kind = events
        .iter()
        .filter(|event| event["involvedObject"]["kind"] == kind);
    of_kind
        .map(|event| {
            let text = |field: &str| event[field].as_str().unwrap_or_default();
            format!("{} {} {}", text("type"), text("reason"), text("message"))
        })
        .collect()
}

async fn at_experiment(world: &World) -> String {
    world.apply(TEMPLATE);
    world.apply(ROLLOUT);
    world.until_phase("shop", "Healthy").await;
    world.set_image("shop", "shop:v2");
    let named = |live: &Value| {
        let name = live["status"]["canary"]["currentExperiment"].as_str();
        name.map(str::to_owned)
    };
    let live = world.until("shop", 60, |live| named(live).is_some()).await;
    named(&live).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_good_experiment_lets_the_update_go_on_and_leaves_nothing_running() {
    let world = World::answered_by(Arc::new(Says("0.99")));
    let name = at_experiment(&world).await;
    until(&world, "it runs", || phase_is(&world, &name, "Running")).await;
    let run = until(&world, "its analysis runs", || {
        world.get("AnalysisRun", &format!("{name}-check"))
    });
    let run = run.await;
    let set = world.get("ReplicaSet", &format!("{name}-new")).unwrap();
    let hash = &set["metadata"]["labels"]["rollouts-pod-template-hash"];
    assert_eq!(&run["spec"]["args"][0]["value"], hash);
    let service = world.get("Service", &format!("{name}-new")).unwrap();
    assert_eq!(
        &service["spec"]["selector"]["rollouts-pod-template-hash"],
        hash
    );

    let live = world.until_phase("shop", "Paused").await;
    assert_eq!(live["status"]["currentStepIndex"], 1);
    assert_eq!(live["status"]["canary"]["currentExperiment"], Value::Null);
    let experiment = phase_is(&world, &name, "Successful").unwrap();
    assert_eq!(
        experiment["status"]["message"],
        "Required AnalysisRuns completed"
    );
    until(&world, "its pods and its service go", || {
        let gone = |template: &str| {
            let set = world.get("ReplicaSet", &format!("{name}-{template}"));
            set.is_some_and(|set| set["status"]["replicas"] == 0)
        };
        let service = world.get("Service", &format!("{name}-new"));
        (gone("base") && gone("new") && service.is_none()).then_some(())
    })
    .await;
    assert!(
        world
            .events("shop")
            .contains(&"ExperimentCreated".to_owned())
    );
    let told = events(&world, "Experiment");
    for event in [
        "Normal ExperimentPending Experiment transitioned from  -> Pending",
        "Normal ExperimentRunning Experiment transitioned from Pending -> Running",
        "Normal ExperimentSuccessful Experiment transitioned from Running -> Successful",
        "Normal TemplateSuccessful Template 'base' transitioned from Running -> Successful",
    ] {
        assert!(told.iter().any(|one| one == event), "{event}: {told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_experiment_aborts_the_update_and_the_rollout_tells_why() {
    let world = World::answered_by(Arc::new(Says("0.5")));
    let name = at_experiment(&world).await;
    let live = world.until_phase("shop", "Degraded").await;
    let message = live["status"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("Experiment analysis phase is error/failed: Metric \"success-rate\""),
        "{message}"
    );
    phase_is(&world, &name, "Failed").unwrap();
    let told = events(&world, "Rollout");
    let failed =
        |event: &String| event.starts_with("Warning AnalysisRunFailed AnalysisRun 'check'");
    assert!(told.iter().any(failed), "{told:#?}");
    world.sleep(60).await;
    for template in ["base", "new"] {
        let set = world.get("ReplicaSet", &format!("{name}-{template}"));
        assert_eq!(set.unwrap()["spec"]["replicas"], 0, "{template}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_dies_in_the_middle_goes_on_with_the_same_experiment() {
    let mut world = World::answered_by(Arc::new(Says("0.99")));
    let name = at_experiment(&world).await;
    until(&world, "it runs", || phase_is(&world, &name, "Running")).await;
    world.kill_controller().await;
    world.sleep(60).await;
    world.start_controller();
    world.until_phase("shop", "Paused").await;
    assert_eq!(world.list("Experiment").len(), 1);
    assert_eq!(world.list("AnalysisRun").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_experiment_needs_no_rollout() {
    let world = World::start();
    world.apply(EXPERIMENT);
    let running = until(&world, "it runs", || phase_is(&world, "alone", "Running")).await;
    assert_eq!(
        running["status"]["templateStatuses"][0]["availableReplicas"],
        2
    );
    assert_eq!(
        running["status"]["templateStatuses"][0]["serviceName"],
        "alone"
    );
    world.sleep(10).await;
    assert!(world.get("Service", "alone").is_some());
    until(&world, "it ends", || {
        phase_is(&world, "alone", "Successful")
    })
    .await;
    until(&world, "its service goes", || {
        world.get("Service", "alone").is_none().then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_the_api_server_will_not_have_are_an_error() {
    let world = World::start();
    let wrong = EXPERIMENT.replace("{matchLabels: {app: alone}}", "{matchLabels: {app: other}}");
    world.apply(&wrong);
    let experiment = until(&world, "it says so", || phase_is(&world, "alone", "Error")).await;
    let message = experiment["status"]["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("Failed to create ReplicaSet for template 'one': "),
        "{message}"
    );
    assert!(message.contains("selector"), "{message}");
    let told = events(&world, "Experiment");
    assert!(
        told.iter()
            .any(|event| event.contains("ReplicaSetCreateError")),
        "{told:#?}"
    );
}

/// One refusal after the other: each is told.
#[tokio::test(start_paused = true)]
async fn several_sets_of_pods_that_the_api_server_will_not_have_are_an_error() {
    let world = World::start();
    let wrong = EXPERIMENT.replace("{matchLabels: {app: alone}}", "{matchLabels: {app: other}}");
    let (_, one) = wrong.split_once("  templates:\n").unwrap();
    let two = one
        .replace("name: one", "name: two")
        .replace("service: {name: alone}", "service: {}");
    world.apply(&format!("{wrong}{}", two.trim_start_matches('\n')));
    let experiment = until(&world, "it says so", || phase_is(&world, "alone", "Error")).await;
    for (index, template) in ["one", "two"].iter().enumerate() {
        let status = &experiment["status"]["templateStatuses"][index];
        let message = status["message"].as_str().unwrap_or_default();
        let words = format!("Failed to create ReplicaSet for template '{template}': ");
        assert!(message.starts_with(&words), "{status}");
    }
}
