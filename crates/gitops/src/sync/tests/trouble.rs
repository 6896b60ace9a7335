//! An API server that is overloaded, or a webhook of it that is away: it is asked again for a
//! while, and what comes then is for the operation to say. Objects that others write at the same
//! time are looked at again at once.

use super::world::{World, config_map};
use api::OperationPhase;
use jiff::SignedDuration;
use plan::Next;
use serde_json::json;

const BUSY: &str = "too many requests, please try again later";

/// Three ConfigMaps, of which `a` and `b` can't be written; a sync is under way.
#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
fn busy(retry: serde_json::Value) -> World {
    let maps = ["a", "b", "c"].map(|name| config_map(name, "1"));
    let mut world = World::new(maps.to_vec());
    world.policy(json!({}));
    for name in ["a", "b"] {
        world.busy.insert(name.to_owned(), BUSY.to_owned());
    }
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}, "retry": retry}));
    world.settle();
    world
}

fn phase(world: &World) -> OperationPhase {
    let state = world.status().operation_state.as_ref();
    state.unwrap().phase
}

#[test]
fn what_is_waited_for_is_said_and_no_request_is_made_meanwhile() {
    let mut world = busy(json!({}));
    let waits = |tries| {
        format!(
            "OutOfSync Missing Running: waiting for the API server to answer for \
             ConfigMap:production/a: {BUSY} (tried {tries} of 7 times)"
        )
    };
    assert_eq!(world.summary(), waits(1));
    let start = world.now;
    let mut due = Vec::new();
    for tries in 1..7 {
        assert_eq!(world.summary(), waits(tries));
        let Next::At(next) = world.plan().next else {
            panic!("it is tried again");
        };
        due.push(next.duration_since(start).as_secs());
        world.now = next;
        world.settle();
    }
    assert_eq!(due, [1, 3, 7, 15, 31, 61]);
    // The others of its kind get their turn, and no minute each.
    assert_eq!(
        world.results(),
        [
            format!("a SyncFailed {BUSY} (7 times in a row)"),
            format!("b SyncFailed {BUSY} (8 times in a row)"),
            "c Synced configmap/c serverside-applied".to_owned(),
        ]
    );
    assert_eq!(phase(&world), OperationPhase::Failed);
    assert_eq!(world.app.operation, None);
}

#[test]
fn an_outage_that_is_over_soon_fails_nothing() {
    let mut world = busy(json!({}));
    world.run_for(20);
    assert_eq!(phase(&world), OperationPhase::Running);
    world.busy.clear();
    world.run_for(20);
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.applied.len(), 4, "{:?}", world.applied);
    // What was so in one operation is nothing to the next.
    world.busy.insert("a".to_owned(), BUSY.to_owned());
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    world.ask(json!({"sync": {}}));
    world.settle();
    assert!(
        world.summary().ends_with("(tried 1 of 7 times)"),
        "{}",
        world.summary()
    );
}

#[test]
fn an_answer_in_between_begins_the_count_anew() {
    let mut world = busy(json!({}));
    world.run_for(20);
    assert!(
        world.summary().ends_with("(tried 5 of 7 times)"),
        "{}",
        world.summary()
    );
    world.busy.remove("a");
    world.run_for(11);
    let waits = format!("ConfigMap:production/b: {BUSY} (tried 1 of 7 times)");
    assert!(world.summary().ends_with(&waits), "{}", world.summary());
}

#[test]
fn the_retries_of_the_operation_are_what_bounds_it() {
    let retry = json!({"limit": 2, "backoff": {"duration": "10s", "factor": 1}});
    let mut world = busy(retry);
    world.run_for(62);
    assert!(
        world.summary().contains("Retrying attempt #1"),
        "{}",
        world.summary()
    );
    world.run_for(15);
    assert!(
        world.summary().contains("waiting for the API server"),
        "patience begins anew: {}",
        world.summary()
    );
    world.run_for(200);
    assert_eq!(phase(&world), OperationPhase::Failed);
    assert!(
        world.summary().ends_with("(retried 2 times)."),
        "{}",
        world.summary()
    );
    let tells = |event: &&String| event.starts_with("OperationCompleted");
    assert_eq!(world.events.iter().filter(tells).count(), 1);
}

#[test]
fn a_request_to_terminate_gets_through_at_any_time() {
    for seconds in [0, 20, 65, 100] {
        let mut world = busy(json!({"limit": -1}));
        world.run_for(seconds);
        assert_eq!(phase(&world), OperationPhase::Running, "{seconds}");
        world.terminate();
        world.settle();
        assert!(
            world.summary().ends_with("Failed: Operation terminated"),
            "{seconds}: {}",
            world.summary()
        );
        assert_eq!(world.app.operation, None);
    }
}

#[test]
fn a_namespace_that_cannot_be_made_for_now_is_waited_for() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.busy.insert("production".to_owned(), BUSY.to_owned());
    world.settle();
    assert!(
        world
            .summary()
            .contains("waiting for the API server to answer for Namespace:production"),
        "{}",
        world.summary()
    );
    world.busy.clear();
    world.run_for(10);
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
}

/// Two ConfigMaps, of which somebody else writes `a` all the time; a sync has tried ten times.
fn contested() -> World {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.policy(json!({}));
    world.contested.insert("a".to_owned());
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    for _ in 0..12 {
        world.step();
    }
    assert_eq!(world.applied, ["Namespace/production"]);
    world
}

#[test]
fn what_was_written_by_somebody_else_meanwhile_is_written_again_at_once() {
    let mut world = contested();
    assert_eq!(phase(&world), OperationPhase::Running);
    assert_eq!(world.plan().actions.len(), 2, "nothing is waited for");
    world.contested.clear();
    world.settle();
    assert_eq!(world.applied[1..], ["ConfigMap/a", "ConfigMap/b"]);
    assert_eq!(phase(&world), OperationPhase::Succeeded);
}

#[test]
fn a_conflict_that_lasts_ends_the_attempt() {
    let mut world = contested();
    world.now += SignedDuration::from_secs(59);
    world.step();
    assert_eq!(world.plan().actions.len(), 2, "it may be over soon");
    world.now += SignedDuration::from_secs(1);
    world.step();
    world.settle();
    let told = "a SyncFailed it was another version than the one that was looked at, ";
    assert!(
        world.results()[0].starts_with(told),
        "{:?}",
        world.results()
    );
    assert!(world.results()[0].contains("(409 Conflict)"));
    assert_eq!(phase(&world), OperationPhase::Failed);
}

/// As when this process was away for a while: what was before does not count alone.
#[test]
fn two_conflicts_with_a_minute_between_them_are_no_verdict() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({}));
    world.contested.insert("a".to_owned());
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}}));
    for _ in 0..3 {
        world.step();
    }
    world.now += SignedDuration::from_secs(90);
    world.step();
    world.contested.clear();
    world.settle();
    assert_eq!(phase(&world), OperationPhase::Succeeded);
}
