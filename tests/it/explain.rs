//! `weir explain rollout`: the sentences about a live Rollout, and that it writes nothing.

use crate::replica::{Fault, Replica};
use crate::world::{NAMESPACE, World};
use cli::{Context, Program, Term};
use http::Method;
use serde_json::{Value, json};

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: stable}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: canary}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: nginx
  rules:
  - host: shop.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: stable, port: {number: 80}}}}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: shop}}
  strategy:
    canary:
      canaryService: canary
      stableService: stable
      steps: [{setWeight: 25}, {pause: {}}, {setWeight: 50}]
      trafficRouting: {nginx: {stableIngress: web}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: shop, image: 'shop:v1'}]}
";

async fn run(world: &World, args: &[&str]) -> Result<String, String> {
    let (term, captured) = Term::captured();
    let client = world.api.client();
    let mut cx = Context::with_client(client, NAMESPACE, term, Program::Weir)
        .at(world.now())
        .observing(weir::explain::observe);
    let args = ["weir", "explain", "rollout"].iter().chain(args);
    match cli::execute(&mut cx, args).await {
        Ok(()) => Ok(captured.out()),
        Err(error) => Err(error.sentence()),
    }
}

/// The page, which is made without a write.
async fn page(world: &World) -> String {
    let before = world.api.revision();
    let page = run(world, &["shop"]).await.unwrap();
    assert_eq!(
        world.api.revision(),
        before,
        "explain has written something"
    );
    page
}

async fn deployed() -> World {
    let world = World::start();
    world.apply(SHOP);
    world.until_phase("shop", "Healthy").await;
    // Whatever the last pass wants has been written.
    world.sleep(60).await;
    world
}

fn shows(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.contains(line), "no {line:?} in\n{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_explained_as_the_controller_plans_it() {
    let world = deployed().await;
    let text = page(&world).await;
    shows(
        &text,
        &[
            "Rollout demo/shop is Healthy",
            "traffic 100/100",
            "It waits for nothing.",
        ],
    );
    world.set_image("shop", "shop:v2");
    world.until_phase("shop", "Paused").await;
    world.sleep(90).await;
    let text = page(&world).await;
    shows(
        &text,
        &[
            "Rollout demo/shop is Paused: canary update to revision 2, step 2 of 3 (pause).",
            "1 of 1 pods available, traffic 25/100, selected by Service canary",
            "1. somebody to promote it: step 2 is a pause without a duration",
            "$ weir promote shop -n demo  # goes on with step 3 (setWeight: 50)",
            "$ weir abort shop -n demo    # gives everything back to revision 1",
        ],
    );
    // The controller is at rest, and so is the plan that was thrown away: they see the same.
    assert!(!text.contains("Not written yet"), "{text}");
    let json: Value =
        serde_json::from_str(&run(&world, &["shop", "-o", "json"]).await.unwrap()).unwrap();
    assert_eq!(
        json["waits"][0]["remedies"][0]["command"],
        json!({"weir": "promote shop"})
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_controller_it_says_what_nobody_writes() {
    let mut world = deployed().await;
    world.kill_controller().await;
    world.set_image("shop", "shop:v2");
    shows(
        &page(&world).await,
        &[
            "Not written yet (if this stays, no controller is at work, or the API server refuses",
            "  create ReplicaSet shop-",
            "the stored one is of generation 1, the Rollout has 2",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn pods_that_do_not_start_are_named() {
    let world = deployed().await;
    world.set_image("shop", "registry.example/shop:does-not-exist");
    world.sleep(45).await;
    let pods = world.list("Pod").into_iter();
    let mut broken = pods.filter(|pod| {
        let image = pod["spec"]["containers"][0]["image"].as_str();
        image.is_some_and(|image| image.ends_with("does-not-exist"))
    });
    let name = broken.next().unwrap()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    shows(
        &page(&world).await,
        &[
            "(revision 2) to have 1 available pod; it has 0",
            &format!(
                "pod {name}: container shop cannot get its image \"registry.example/shop:does-not-exist\""
            ),
            "$ weir set image shop shop=IMAGE -n demo  # names an image that exists",
            "$ weir abort shop -n demo                 # gives everything back to revision 1",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_said_plainly() {
    let world = deployed().await;
    let error = run(&world, &["nobody"]).await.unwrap_err();
    assert_eq!(error, "rollout \"nobody\" not found in namespace \"demo\"");
    world.delete("Ingress", "web");
    world.sleep(60).await;
    shows(
        &page(&world).await,
        &[
            "is Degraded",
            "1. somebody to correct this: The Rollout \"shop\" is invalid:",
            "web",
        ],
    );
}

/// In the middle of an update: the controller may not write the kind that the path names.
async fn refused(path: &'static str) -> (World, Replica) {
    let mut world = World::start();
    world.kill_controller().await;
    let replica = Replica::start(&world, "a");
    world.apply(SHOP);
    world.until_phase("shop", "Healthy").await;
    replica.fail_with(Fault::Status(403), move |_, asked| {
        asked.method != Method::GET && asked.path.contains(path)
    });
    world.set_image("shop", "shop:v2");
    // For longer than the controller waits before it tries again.
    world.sleep(120).await;
    (world, replica)
}

#[tokio::test(start_paused = true)]
async fn a_replica_set_that_is_refused_is_explained_in_the_words_of_the_api_server() {
    let (world, _replica) = refused("/replicasets").await;
    shows(
        &run(&world, &["shop"]).await.unwrap(),
        &[
            "somebody to correct this: Failed to create new replica set \"shop-",
            "the test says 403",
            "- it is tried again by then",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_refused_is_told_of_as_the_controller_has_warned() {
    let (world, _replica) = refused("/ingresses").await;
    shows(
        &run(&world, &["shop"]).await.unwrap(),
        &[
            "The controller has warned of\n  TrafficRoutingError at ",
            "Ingress demo/shop-web-canary was refused: ",
            "the test says 403",
        ],
    );
}
