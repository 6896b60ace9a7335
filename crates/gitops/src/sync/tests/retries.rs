//! Attempts after the first, and the commit that they take.

use super::world::{World, config_map};
use jiff::SignedDuration;
use plan::Next;
use serde_json::json;

fn refused(objects: Vec<serde_json::Value>) -> World {
    let mut world = World::new(objects);
    world.policy(json!({}));
    world.refuse.insert("a".to_owned(), "no".to_owned());
    world
}

fn ask(world: &mut World, limit: i64, refresh: bool) {
    world.ask(json!({
        "sync": {"revision": "aaaaaaa", "syncOptions": ["CreateNamespace=true"]},
        "retry": {"limit": limit, "refresh": refresh},
    }));
}

#[test]
fn a_request_is_taken_off_after_retries_that_took_the_newest_commit() {
    let mut world = refused(vec![config_map("a", "1")]);
    ask(&mut world, 1, true);
    world.run_for(60);
    assert_eq!(world.app.operation, None);
    assert!(
        world.summary().ends_with("(retried 1 times)."),
        "{}",
        world.summary()
    );
    assert_eq!(world.events.len(), 2, "{:?}", world.events);
}

#[test]
fn a_retry_takes_the_newest_commit_only_where_that_is_asked_for() {
    for (refresh, revision) in [(true, "bbbbbbb"), (false, "aaaaaaa")] {
        let mut world = refused(vec![config_map("a", "1")]);
        ask(&mut world, 3, refresh);
        world.settle();
        world.refuse.clear();
        world.operation_target = Some(world.target.clone());
        world.commit("bbbbbbb", vec![config_map("a", "2")]);
        world.run_for(10);
        let state = world.status().operation_state.clone().unwrap();
        assert_eq!(state.phase, api::OperationPhase::Succeeded, "{refresh}");
        assert_eq!(state.sync_result.unwrap().revision, revision);
        assert_eq!(world.app.operation, None);
    }
}

#[test]
fn a_retry_does_not_wipe_out_everything_either() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    world.policy(json!({"automated": {"prune": true}, "retry": {"limit": 3, "refresh": true}}));
    world.refuse.insert("a".to_owned(), "no".to_owned());
    world.commit("bbbbbbb", vec![config_map("a", "2"), config_map("b", "1")]);
    world.settle();
    world.refuse.clear();
    world.commit("ccccccc", vec![]);
    world.run_for(60);
    for name in ["a", "b"] {
        assert!(world.get("ConfigMap", name).is_some(), "{name}");
    }
    let text = "Skipping sync attempt to ccccccc: auto-sync will wipe out all resources";
    assert!(
        world.summary().ends_with(&format!("Failed: {text}")),
        "{}",
        world.summary()
    );
    assert_eq!(world.conditions(), [format!("SyncError: {text}")]);
}

#[test]
fn an_automated_operation_keeps_the_source_that_it_was_started_for() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    world.commit("bbbbbbb", vec![config_map("a", "2"), config_map("b", "1")]);
    world.step();
    let state = world.status().operation_state.clone().unwrap();
    let sync = state.operation.sync.unwrap();
    assert_eq!(sync.source, world.app.spec.source);

    // The same commit has another path, with nothing in it.
    let before = world.target.clone();
    world.app.spec.source.as_mut().unwrap().path = Some("empty".to_owned());
    world.commit("bbbbbbb", vec![]);
    world.operation_target = Some(before);
    world.settle();
    assert_eq!(
        world.get("ConfigMap", "a").unwrap()["data"]["k"],
        json!("2")
    );
    assert!(world.get("ConfigMap", "b").is_some());
    assert_eq!(
        world.conditions(),
        ["SyncError: Skipping sync attempt to bbbbbbb: auto-sync will wipe out all resources"]
    );
}

#[test]
fn a_duration_without_a_unit_counts_seconds() {
    for (backoff, waits) in [
        (json!({"duration": "1", "maxDuration": "1"}), 1),
        (json!({"duration": " 7 ", "factor": 1}), 7),
        (json!({"duration": "7s", "factor": 1}), 7),
        (json!({"duration": "90", "maxDuration": "1m"}), 60),
        (json!({"duration": "soon"}), 5),
    ] {
        let mut world = refused(vec![config_map("a", "1")]);
        world.ask(json!({
            "sync": {"syncOptions": ["CreateNamespace=true"]},
            "retry": {"limit": 1, "backoff": backoff},
        }));
        world.settle();
        let due = world.now + SignedDuration::from_secs(waits);
        assert_eq!(world.plan().next, Next::At(due), "{waits}");
    }
}
