use super::world::{World, config_map, rollout};
use serde_json::json;

#[test]
fn t35_self_heal_puts_drift_back_with_growing_patience_and_selectively() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    world.applied.clear();
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.edit("ConfigMap", "a", |map| map["data"]["k"] = json!("edited"));
        let from = world.now;
        world.settle();
        assert!(world.summary().starts_with("OutOfSync"));
        while world.applied.is_empty() {
            world.run_for(1);
        }
        waits.push(from.duration_until(world.now).as_secs());
        assert_eq!(world.applied, ["ConfigMap/a"]);
        world.applied.clear();
    }
    assert_eq!(waits, [2, 6, 18, 54]);
    assert_eq!(world.status().history.len(), 1, "healing is no deployment");
    let sync = world
        .status()
        .operation_state
        .as_ref()
        .unwrap()
        .operation
        .sync
        .clone()
        .unwrap();
    assert_eq!(sync.auto_heal_attempts_count, Some(4));
    // Left alone for long, patience is forgotten.
    world.run_for(1000);
    world.edit("ConfigMap", "a", |map| map["data"]["k"] = json!("edited"));
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
}

#[test]
fn t35_without_self_heal_drift_stays_and_is_shown() {
    let mut world = World::new(vec![rollout("backend:v1.2.3")]);
    world.policy(json!({"automated": {"prune": true}, "syncOptions": ["CreateNamespace=true"]}));
    world.settle();
    world.edit("Rollout", "backend", |rollout| {
        rollout["spec"]["replicas"] = json!(9);
    });
    world.run_for(3600);
    assert!(
        world
            .summary()
            .starts_with("OutOfSync Progressing Succeeded"),
        "{}",
        world.summary()
    );
    assert_eq!(
        world.get("Rollout", "backend").unwrap()["spec"]["replicas"],
        json!(9)
    );
}

/// A canary is under way: hash in selectors, weights in routes, status everywhere.
#[test]
fn t36_self_heal_leaves_the_rollout_controller_alone() {
    let mut owner = rollout("backend:v1.2.3");
    owner["spec"]["strategy"]["canary"]["stableService"] = json!("stable");
    owner["spec"]["strategy"]["canary"]["canaryService"] = json!("canary");
    owner["spec"]["strategy"]["canary"]["trafficRouting"] =
        json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "backend"}}});
    let service = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": "backend"}, "ports": [{"port": 80}]}})
    };
    let route = |port: u16| {
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "backend"}, "spec": {"rules": [{"backendRefs": [
            {"name": "stable", "port": port, "weight": 100}, {"name": "canary", "port": port, "weight": 0}]}]}})
    };
    let objects = |port| {
        vec![
            owner.clone(),
            service("stable"),
            service("canary"),
            route(port),
        ]
    };
    let mut world = World::new(objects(80));
    world.settle();
    world.applied.clear();
    for (name, hash) in [("stable", "aaa"), ("canary", "bbb")] {
        world.edit("Service", name, |s| {
            s["spec"]["selector"]["rollouts-pod-template-hash"] = json!(hash);
        });
    }
    world.edit("HTTPRoute", "backend", |route| {
        route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(80);
        route["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(20);
        route["metadata"]["labels"] =
            json!({"rollouts.argoproj.io/gatewayapi-canary": "in-progress"});
    });
    world.run_for(3600);
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(world.summary().starts_with("Synced"), "{}", world.summary());

    // A commit that changes the route, and a hand that changes a service, in the middle of it.
    world.commit("bbbbbbb", objects(81));
    world.edit("Service", "canary", |s| {
        s["spec"]["selector"]["app"] = json!("oops");
    });
    world.run_for(60);
    assert_eq!(world.applied, ["Service/canary", "HTTPRoute/backend"]);
    let references = &world.get("HTTPRoute", "backend").unwrap()["spec"]["rules"][0]["backendRefs"];
    assert_eq!(
        (&references[0]["weight"], &references[1]["weight"]),
        (&json!(80), &json!(20))
    );
    assert_eq!(references[0]["port"], json!(81));
    assert_eq!(
        world.get("Service", "canary").unwrap()["spec"]["selector"],
        json!({"app": "backend", "rollouts-pod-template-hash": "bbb"})
    );
    assert!(world.summary().starts_with("Synced"), "{}", world.summary());
}

#[test]
fn a_failed_revision_is_tried_once_and_again_only_when_git_moves() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({"automated": {"prune": true, "selfHeal": true},
        "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0}}));
    world
        .refuse
        .insert("a".to_owned(), "admission webhook denied it".to_owned());
    world.run_for(3600);
    let text = "one or more objects failed to apply, reason: ConfigMap:production/a: admission webhook denied it";
    assert_eq!(world.summary(), format!("OutOfSync Missing Failed: {text}"));
    assert_eq!(
        world.conditions(),
        [format!(
            "SyncError: Failed last sync attempt to aaaaaaa: {text}"
        )]
    );
    assert_eq!(world.events.len(), 2, "{:?}", world.events);

    world.refuse.clear();
    world.run_for(3600);
    assert!(
        world.summary().contains("Failed"),
        "still the same revision: {}",
        world.summary()
    );
    world.commit("bbbbbbb", vec![config_map("a", "1")]);
    world.run_for(1);
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.conditions(), Vec::<String>::new());
}

#[test]
fn automated_syncs_retry_five_times_with_doubling_waits() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.refuse.insert("a".to_owned(), "no".to_owned());
    world.settle();
    let start = world.now;
    let state = world.status().operation_state.clone().unwrap();
    assert_eq!(state.phase, api::OperationPhase::Running);
    assert!(
        state.message.ends_with("Retrying attempt #1 at 12:00AM."),
        "{}",
        state.message
    );
    let mut ended = None;
    for _ in 0..400 {
        world.run_for(1);
        if ended.is_none() && world.summary().contains("Failed") {
            ended = Some(start.duration_until(world.now).as_secs());
        }
    }
    assert_eq!(ended, Some(5 + 10 + 20 + 40 + 80));
    assert!(
        world.summary().ends_with("(retried 5 times)."),
        "{}",
        world.summary()
    );
    assert_eq!(world.events.len(), 2, "{:?}", world.events);
}

#[test]
fn a_retry_that_works_ends_well() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.refuse.insert("a".to_owned(), "no".to_owned());
    world.settle();
    world.refuse.clear();
    world.run_for(10);
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
}

#[test]
fn everything_gone_from_git_is_not_taken_at_its_word() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    world.commit("bbbbbbb", vec![]);
    world.run_for(600);
    assert!(world.get("ConfigMap", "a").is_some());
    assert_eq!(
        world.conditions(),
        ["SyncError: Skipping sync attempt to bbbbbbb: auto-sync will wipe out all resources"]
    );
    world.policy(json!({"automated": {"prune": true, "allowEmpty": true}}));
    world.settle();
    assert!(world.get("ConfigMap", "a").is_none());
}

#[test]
fn enabled_false_turns_it_off() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({"automated": {"enabled": false, "prune": true}}));
    world.run_for(600);
    assert_eq!(world.summary(), "OutOfSync Missing -");
}

#[test]
fn t22_a_reverted_commit_is_a_revision_like_any_other() {
    let mut world = World::new(vec![rollout("backend:v1.2.2")]);
    world.settle();
    world.commit("bbbbbbb", vec![rollout("backend:v1.2.3")]);
    world.settle();
    world.commit("aaaaaaa", vec![rollout("backend:v1.2.2")]);
    world.settle();
    assert_eq!(world.applied.len(), 4, "{:?}", world.applied);
    let image = &world.get("Rollout", "backend").unwrap()["spec"]["template"]["spec"]["containers"]
        [0]["image"];
    assert_eq!(image, &json!("backend:v1.2.2"));
    let revisions: Vec<_> = world
        .status()
        .history
        .iter()
        .map(|entry| entry.revision.as_str())
        .collect();
    assert_eq!(revisions, ["aaaaaaa", "bbbbbbb", "aaaaaaa"]);
}
