//! More of what `explain` says: other objects that stand in the way, states that are rare, and what
//! is not to be said. The pages are beside those of [`crate::explain`].

use crate::explain::{basic, golden, golden_of, page, snapshot, updated};
use crate::operations::{
    blue_green, current, deployed, routed, status, take_name_of_next_set, update, user,
};
use crate::swarm::{manifests, template};
use crate::world::World;
use engine::snapshot::WorkloadUser;
use jiff::SignedDuration;
use plan::ObjectKey;
use serde_json::{Value, json};
use std::path::Path;

/// The page of this moment.
fn text(world: &World) -> String {
    page(world, &snapshot(world))
}

fn shows(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

/// An update whose new pods never start, two seconds after it began.
fn starting(strategy: &Value, replicas: i32) -> World {
    let mut world = deployed(strategy, replicas);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(2.0);
    world
}

#[test]
fn a_name_that_somebody_else_has_taken() {
    let mut world = deployed(&routed(), 2);
    update(&mut world, 1);
    let name = take_name_of_next_set(&mut world);
    golden("name_taken", &world);
    let describe = format!("kubectl describe replicaset {name} -n demo");
    shows(&text(&world), &["another hash is tried", &describe]);
}

#[test]
fn a_router_that_could_not_be_told() {
    let mut strategy = routed();
    strategy["canary"]["trafficRouting"] = json!({"nginx": {"stableIngress": "app"}});
    let mut world = updated(&strategy, 5, "Paused");
    let mut ingresses = world.keys("Ingress").into_iter();
    let canary = ingresses.find(|key| key.name == "app-app-canary").unwrap();
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "x", "controller": true,
    }]);
    world.user_patch(&canary, &json!({"metadata": {"ownerReferences": owner}}));
    golden("router_error", &world);
    shows(
        &text(&world),
        &[
            "trafficRouting: canary ingress `app-app-canary` controlled by different object",
            "- the Rollout is looked at again by itself, at ",
        ],
    );
}

#[test]
fn a_service_of_ping_pong_that_gets_too_much() {
    let mut world = starting(&crate::ping_pong::ping_pong(), 5);
    // The stable pods are behind ping, so that this gives pong what is theirs.
    world.turn_route(40);
    golden("ping_pong_excess", &world);
    let what = "Service stable: the route gives it what the stable pods shall have";
    shows(&text(&world), &[what]);
}

/// All pods of the step are there, but somebody has turned the route, and more is sent to the
/// service than they could take.
#[test]
fn a_service_that_needs_more_pods_than_the_step_has() {
    let mut world = updated(&routed(), 5, "Paused");
    let selector = json!({"rollouts-pod-template-hash": status(&world, "stableRS")});
    let service = ObjectKey::namespaced("v1", "Service", "demo", "canary");
    world.user_patch(&service, &json!({"spec": {"selector": selector}}));
    world.turn_route(80);
    golden("service_at_its_gate", &world);
    let what = format!(
        "Service canary: it moves to app-{} once that has 4 available pods; it has 2",
        current(&world)
    );
    let text = text(&world);
    shows(&text, &[&what]);
    assert!(!text.contains("to come down to"), "{text}");
}

#[test]
fn an_experiment_that_makes_no_sense() {
    let step = json!({"experiment": {"templates": [
        {"name": "base", "specRef": "stable"},
        {"name": "new", "specRef": "canary", "selector": {}},
    ]}});
    let mut world = deployed(&basic(&json!([step, {"pause": {}}])), 3);
    update(&mut world, 1);
    world.sleep(5.0);
    golden("experiment_invalid", &world);
    let edit = "# corrects step 1 here; correct its manifest too";
    shows(&text(&world), &["templates[1].selector", edit]);
}

#[test]
fn an_experiment_without_the_stable_pods() {
    let step = json!({"experiment": {"templates": [
        {"name": "base", "specRef": "stable"},
        {"name": "new", "specRef": "canary"},
    ]}});
    let mut world = deployed(&basic(&json!([step, {"pause": {}}])), 3);
    let stable = world.keys("ReplicaSet").remove(0);
    update(&mut world, 1);
    world.delete_set(&stable);
    world.settle();
    golden("experiment_without_stable", &world);
    shows(
        &text(&world),
        &[
            "the experiment needs the stable ReplicaSet, which is gone",
            "# skips step 1: goes on with step 2 (pause)",
            "$ kubectl weir promote app --full -n demo",
        ],
    );
}

/// Its template comes from the Deployment `shop` from now on.
pub(crate) fn of_workload(image: u8) -> World {
    let mut world = deployed(&routed(), 3);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
        "spec": {"replicas": 0, "template": template(image)},
    });
    world.create(deployment).unwrap();
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
    let spec = json!({"template": null, "workloadRef": reference});
    user(&mut world, &json!({"spec": spec}));
    world
}

#[test]
fn a_workload_that_two_rollouts_refer_to() {
    let world = of_workload(0);
    let mut seen = snapshot(&world);
    seen.workload_users = vec![WorkloadUser {
        created: None,
        name: "older".to_owned(),
    }];
    golden_of("workload_of_two", &world, &seen);
    let detail = "is referred to by another Rollout, \"older\", which is older";
    shows(&page(&world, &seen), &[detail]);
}

#[test]
fn what_is_not_there_is_looked_for_first() {
    let mut world = updated(&routed(), 5, "Paused");
    let route = world.keys("HTTPRoute").remove(0);
    world.objects.remove(&route).unwrap();
    world.settle();
    golden("route_missing", &world);
    let page = text(&world);
    shows(
        &page,
        &[
            "$ kubectl get httproute app -n demo ",
            "# names another one here; correct its manifest too",
            "- the Rollout is looked at again by itself, at ",
        ],
    );
    assert!(
        page.find("get httproute") < page.find("edit rollout"),
        "{page}"
    );
}

/// A template that its controller does not see may be there all the same.
#[test]
fn a_template_that_another_instance_may_have() {
    let templates = json!([{"templateName": "common", "clusterScope": true}]);
    let steps = json!([{"analysis": {"templates": templates}}]);
    let mut world = World::new(&manifests(&basic(&steps), 3));
    let label = json!({"argo-rollouts.argoproj.io/controller-instance-id": "blue"});
    user(&mut world, &json!({"metadata": {"labels": label}}));
    world.sleep(5.0);
    golden("cluster_template_missing", &world);
    shows(
        &text(&world),
        &[
            "$ kubectl get clusteranalysistemplate common -n demo ",
            "only with the label argo-rollouts.argoproj.io/controller-instance-id=blue",
        ],
    );
}

#[test]
fn a_users_pause_of_an_aborted_update() {
    let mut world = updated(&routed(), 5, "Paused");
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.settle();
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(10.0);
    golden("paused_and_aborted", &world);
    let page = text(&world);
    shows(&page, &["# ends the pause; the update stays aborted"]);
    assert!(!page.contains("weir promote"), "{page}");
}

#[test]
fn a_blue_green_update_begins_again_with_its_preview() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    let mut world = updated(&strategy, 2, "Paused");
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(10.0);
    golden("aborted_blue_green", &world);
    shows(
        &text(&world),
        &["# begins the update again, with the preview"],
    );
}

#[test]
fn a_threshold_is_for_the_new_pods_of_a_step_only() {
    let mut strategy = routed();
    strategy["canary"]["replicaProgressThreshold"] = json!({"type": "Percent", "value": 50});
    let page = text(&starting(&strategy, 5));
    shows(&page, &["- 50 % are enough (replicaProgressThreshold)"]);
    let mut world = updated(&strategy, 5, "Paused");
    let stable = status(&world, "stableRS").as_str().unwrap().to_owned();
    world.kill_pods(&stable);
    let page = text(&world);
    shows(&page, &["(revision 1) to have 5 available pods; it has 0"]);
    assert!(!page.contains("replicaProgressThreshold"), "{page}");
}

/// What a pod is stamped with is the end of its grace period.
#[test]
fn a_pod_on_its_way_out_says_until_when_and_is_not_the_one_to_look_at() {
    let mut world = starting(&routed(), 3);
    let hash = current(&world);
    let mut pods = world.keys("Pod");
    pods.retain(|key| key.name.contains(&hash));
    let after = |seconds| SignedDuration::from_secs(seconds);
    let end = world.now.checked_add(after(30)).unwrap();
    let stamp = json!({"metadata": {"deletionTimestamp": end.to_string()}});
    world.user_patch(&pods[0], &stamp);
    golden("terminating_pod", &world);
    let until = format!(
        "pod {}: on its way out until 2030-01-01T00:00:3",
        pods[0].name
    );
    let describe = format!("kubectl describe pod {} -n demo", pods[1].name);
    shows(&text(&world), &[&until, &describe]);
    world.now = end.checked_add(after(10)).unwrap();
    shows(
        &text(&world),
        &["its grace period ended at 2030-01-01T00:00:3"],
    );
}

/// No page is left over.
#[test]
fn every_page_belongs_to_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
    let sources = [
        include_str!("explain.rs"),
        include_str!("explain_analyses.rs"),
        include_str!("explain_more.rs"),
    ];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let quoted = format!("\"{name}\"");
        assert!(
            sources.iter().any(|source| source.contains(&quoted)),
            "{name}.txt has no test"
        );
    }
}
