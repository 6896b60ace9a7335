//! What a Rollout names may be there before its watch says so: everything may come by one `kubectl
//! apply`, the Rollout last, and the watches of what it names be behind.

use crate::replica::{Asked, Fault, Replica};
use crate::world::{World, analysis_template, condition, service};
use std::time::Duration;

const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  rules:
  - backendRefs: [{name: stable, port: 80}, {name: canary, port: 80}]
";

const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: nginx
  rules:
  - host: shop.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: stable, port: {number: 80}}}
";

const WORKLOAD: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: app, image: 'demo:blue'}]}
";

const OF_WORKLOAD: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: app
spec:
  replicas: 2
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  strategy: {canary: {}}
";

/// A canary whose strategy has this, too.
fn rollout(more: &str) -> String {
    format!(
        "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: app
spec:
  replicas: 2
  selector: {{matchLabels: {{app: app}}}}
  strategy:
    canary:
      stableService: stable
      canaryService: canary
      steps: [{{setWeight: 50}}, {{pause: {{}}}}]
      {more}
  template:
    metadata: {{labels: {{app: app}}}}
    spec: {{containers: [{{name: app, image: 'demo:blue'}}]}}
"
    )
}

/// Analysed by that template and what it names.
fn measured_by(template: &str) -> String {
    rollout(&format!(
        "analysis: {{templates: [{{templateName: {template}}}]}}"
    ))
}

/// A template that names others, as in YAML.
fn naming(name: &str, others: &str) -> String {
    let names = format!("spec:\n  templates: {others}\n");
    analysis_template(name).replacen("spec:\n", &names, 1)
}

fn of_cluster(template: &str) -> String {
    template.replacen("kind: Analysis", "kind: ClusterAnalysis", 1)
}

async fn start() -> (World, Replica) {
    let mut world = World::start();
    world.kill_controller().await;
    world.install_gateway_kinds();
    let replica = Replica::start(&world, "a");
    world.sleep(10).await;
    (world, replica)
}

/// From now on the watches of these resources hear of nothing.
async fn fall_behind(world: &World, replica: &Replica, resources: &[&'static str]) {
    let resources = resources.to_vec();
    replica.fail_with(Fault::Slow(Duration::from_mins(5)), move |_, asked| {
        asked.is_watch() && resources.contains(&resource(asked))
    });
    replica.cut();
    world.sleep(10).await;
}

fn resource(asked: &Asked) -> &str {
    asked.path.rsplit('/').next().unwrap_or_default()
}

/// The resources of what was looked for by name after so many requests.
fn looks(replica: &Replica, after: usize) -> Vec<String> {
    let asked = replica.asked();
    let by_name = |asked: &&Asked| asked.query.contains("metadata.name");
    let looks = asked.iter().skip(after).filter(by_name);
    let mut resources: Vec<String> = looks.map(|asked| resource(asked).to_owned()).collect();
    resources.sort();
    resources
}

/// Before the watches come back.
async fn is_out_without_having_been_invalid(world: &World) {
    let live = world
        .until("app", 60, |live| !live["status"]["phase"].is_null())
        .await;
    assert_eq!(live["status"]["phase"], "Progressing", "{live}");
    let live = world
        .until("app", 60, |live| live["status"]["phase"] == "Healthy")
        .await;
    assert_eq!(condition(&live, "InvalidSpec"), None);
}

#[tokio::test(start_paused = true)]
async fn what_a_rollout_names_may_be_there_before_its_watch_says_so() {
    let (world, replica) = start().await;
    fall_behind(&world, &replica, &["services", "analysistemplates"]).await;
    let named = [
        service("stable"),
        service("canary"),
        analysis_template("measured"),
        measured_by("measured"),
    ];
    world.apply(&named.join("---"));
    is_out_without_having_been_invalid(&world).await;
    // Once each: what was found is known.
    let once_each = ["analysistemplates", "services", "services"];
    assert_eq!(looks(&replica, 0), once_each);
}

#[tokio::test(start_paused = true)]
async fn templates_that_templates_name_are_looked_for_as_well() {
    let (world, replica) = start().await;
    let behind = ["analysistemplates", "clusteranalysistemplates"];
    fall_behind(&world, &replica, &behind).await;
    let of_outer = "[{templateName: inner}, {templateName: shared, clusterScope: true}]";
    let of_shared = "[{templateName: common, clusterScope: true}]";
    let named = [
        service("stable"),
        service("canary"),
        naming("outer", of_outer),
        analysis_template("inner"),
        of_cluster(&naming("shared", of_shared)),
        of_cluster(&analysis_template("common")),
        measured_by("outer"),
    ];
    world.apply(&named.join("---"));
    is_out_without_having_been_invalid(&world).await;
    let mut looks = looks(&replica, 0);
    looks.retain(|resource| resource != "services");
    assert_eq!(looks, [behind[0], behind[0], behind[1], behind[1]]);
}

#[tokio::test(start_paused = true)]
async fn templates_that_name_each_other_are_looked_for_once_and_told() {
    let (world, replica) = start().await;
    fall_behind(&world, &replica, &["analysistemplates"]).await;
    let named = [
        service("stable"),
        service("canary"),
        naming("outer", "[{templateName: inner}]"),
        naming("inner", "[{templateName: outer}, {templateName: gone}]"),
        measured_by("outer"),
    ];
    world.apply(&named.join("---"));
    world.until_phase("app", "Degraded").await;
    world.sleep(120).await;
    let live = world.rollout("app");
    let why = condition(&live, "InvalidSpec").unwrap()["message"].as_str();
    assert!(why.unwrap().contains("'gone' not found"), "{why:?}");
    let mut looks = looks(&replica, 0);
    looks.retain(|resource| resource != "services");
    assert_eq!(looks, ["analysistemplates"; 3]);
}

#[tokio::test(start_paused = true)]
async fn routes_and_workloads_may_be_there_before_their_watch_says_so() {
    let routed = |router: &str| rollout(&format!("trafficRouting: {router}"));
    let gateway = "{plugins: {argoproj-labs/gatewayAPI: {httpRoute: web}}}";
    let nginx = "{nginx: {stableIngress: web}}";
    for (resource, named, rollout) in [
        ("httproutes", ROUTE, routed(gateway)),
        ("ingresses", INGRESS, routed(nginx)),
        ("deployments", WORKLOAD, OF_WORKLOAD.to_owned()),
    ] {
        let (world, replica) = start().await;
        // The kind is watched since somebody named one, which is not there.
        world.apply(&rollout.replacen("  name: app\n", "  name: first\n", 1));
        world.until_phase("first", "Degraded").await;
        world.delete("Rollout", "first");
        fall_behind(&world, &replica, &[resource]).await;
        let before = replica.asked().len();
        let all = [
            service("stable"),
            service("canary"),
            named.to_owned(),
            rollout,
        ];
        world.apply(&all.join("---"));
        is_out_without_having_been_invalid(&world).await;
        // Once, and what the router makes itself is not looked for.
        let mut looks = looks(&replica, before);
        looks.retain(|looked| looked == resource);
        assert_eq!(looks, [resource]);
    }
}
