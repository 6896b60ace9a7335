//! Disruption budgets.

use super::*;

#[test]
fn a_disruption_budget_follows_its_pods() {
    let mut world = World::new();
    world.create(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    }));
    world.run(0);
    let numbers = |world: &World| -> [Value; 3] {
        let status = &world.get(&Kind::POD_DISRUPTION_BUDGET, "web").unwrap()["status"];
        ["expectedPods", "currentHealthy", "disruptionsAllowed"].map(|name| status[name].clone())
    };
    let seen = |numbers: [i32; 3]| numbers.map(|number| json!(number));
    assert_eq!(numbers(&world), seen([0, 0, 0]));
    world.create(deployment(3, "weir/demo:blue"));
    world.run(10);
    assert_eq!(numbers(&world), seen([3, 3, 1]));
    let budget = world.get(&Kind::POD_DISRUPTION_BUDGET, "web").unwrap();
    assert_eq!(budget["status"]["observedGeneration"], 1);
    let name = world.pods()[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    world.delete(&Kind::POD, &name, None);
    world.run(0);
    assert_eq!(
        numbers(&world),
        seen([3, 2, 0]),
        "one is going, its successor is not up"
    );
    world.run(60);
    assert_eq!(numbers(&world), seen([3, 3, 1]));
    assert_eq!(world.run(3_600), 1, "no wake-ups at rest");
}
