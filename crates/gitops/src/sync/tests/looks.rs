//! Looks at Git that find nothing, or nothing of the Application: what is written down of them, and
//! what they set in motion.

use super::world::{World, config_map};
use crate::sync::{Commit, Target, comparison_request};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::sync::Arc;

/// `main` names another commit, which touches none of the files that the Application names.
fn move_on(world: &mut World, revision: &str) {
    let Target::Rendered(rendered) = &world.target else {
        panic!("it is rendered: {:?}", world.target);
    };
    let commit = Commit {
        author: "Ann".to_owned(),
        date: world.now,
        subject: "Something else".to_owned(),
    };
    let carried = rendered.carried_to(revision, commit, world.now);
    world.target = Target::Rendered(Arc::new(carried));
}

fn revision(world: &World) -> String {
    world.status().sync.clone().unwrap().revision
}

#[test]
fn a_commit_of_others_starts_no_sync_of_what_has_drifted() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({"automated": {}, "syncOptions": ["CreateNamespace=true"]}));
    world.settle();
    world.edit("ConfigMap", "a", |map| map["data"]["k"] = json!("drifted"));
    world.applied.clear();
    for commit in ["bbbbbbb", "ccccccc"] {
        move_on(&mut world, commit);
        world.settle();
        assert_eq!(revision(&world), commit);
        assert!(
            world.summary().starts_with("OutOfSync"),
            "{}",
            world.summary()
        );
    }
    assert_eq!(world.applied, Vec::<String>::new());
    // One of its own does.
    world.commit("ddddddd", vec![config_map("a", "1")]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
}

#[test]
fn a_commit_of_others_is_no_new_try_of_what_has_failed() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"],
        "retry": {"limit": 0}}),
    );
    world.refuse.insert("a".to_owned(), "no".to_owned());
    world.settle();
    let failed = world.conditions();
    assert!(
        failed[0].starts_with("SyncError: Failed last sync attempt to aaaaaaa: "),
        "{failed:?}"
    );
    world.refuse.clear();
    move_on(&mut world, "bbbbbbb");
    world.settle();
    assert_eq!(world.conditions(), failed);
    assert!(world.get("ConfigMap", "a").is_none());
    assert_eq!(revision(&world), "bbbbbbb");
}

#[test]
fn drift_is_put_back_at_the_commit_that_others_have_made() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    world.edit("ConfigMap", "a", |map| map["data"]["k"] = json!("drifted"));
    world.applied.clear();
    move_on(&mut world, "bbbbbbb");
    world.run_for(60);
    assert_eq!(world.applied, ["ConfigMap/a"]);
    let state = world.status().operation_state.clone().unwrap();
    let sync = state.operation.sync.unwrap();
    assert_eq!(sync.revision.as_deref(), Some("bbbbbbb"));
    assert_eq!(sync.auto_heal_attempts_count, Some(1), "and not as a whole");
}

/// What goes along with what is asked for.
fn attempted(world: &World) -> Option<String> {
    comparison_request(&world.app).unwrap().attempted
}

#[test]
fn what_was_attempted_last_goes_along_for_who_knows_nothing_of_it() {
    let mut world = World::new(vec![config_map("a", "1")]);
    let options = json!(["CreateNamespace=true"]);
    let automated = json!({"automated": {}, "syncOptions": options, "retry": {"limit": 0}});
    world.policy(automated.clone());
    let paths = json!({"argocd.argoproj.io/manifest-generate-paths": "."});
    world.app.metadata.annotations = Some(serde_json::from_value(paths).unwrap());
    assert_eq!(attempted(&world), None);
    world.settle();
    assert_eq!(attempted(&world).as_deref(), Some("aaaaaaa"));
    // That it was looked at is no attempt.
    move_on(&mut world, "bbbbbbb");
    world.settle();
    assert_eq!(revision(&world), "bbbbbbb");
    assert_eq!(attempted(&world).as_deref(), Some("aaaaaaa"));
    // One that fails is.
    world.refuse.insert("a".to_owned(), "no".to_owned());
    world.commit("ccccccc", vec![config_map("a", "2")]);
    world.settle();
    assert!(world.summary().contains("Failed"), "{}", world.summary());
    assert_eq!(attempted(&world).as_deref(), Some("ccccccc"));
    // One that sends nothing is none.
    world.policy(json!({}));
    world.ask(json!({"sync": {"dryRun": true}}));
    world.settle();
    assert!(world.summary().contains("dry run"), "{}", world.summary());
    world.policy(automated.clone());
    assert_eq!(attempted(&world).as_deref(), Some("aaaaaaa"));

    world.policy(json!({"automated": {"enabled": false}}));
    assert_eq!(attempted(&world), None, "nothing depends on it");
    world.policy(automated);
    let source = world.app.spec.source.clone();
    world.app.spec.source.as_mut().unwrap().path = Some("elsewhere".to_owned());
    assert_eq!(attempted(&world), None, "it was another source");
    world.app.spec.source = source;
    assert_eq!(attempted(&world).as_deref(), Some("aaaaaaa"));
    world.app.metadata.annotations = None;
    assert_eq!(attempted(&world), None, "every commit is a new one");
}

fn reconciled(world: &World) -> Timestamp {
    world.status().reconciled_at.clone().unwrap().0
}

#[test]
fn looks_that_find_nothing_are_written_down_now_and_then() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    let first = reconciled(&world);
    assert_eq!(first, world.now);
    let stored = world.status().clone();
    world.run_for(29 * 60);
    assert_eq!(*world.status(), stored, "nothing is written");
    world.run_for(4 * 60);
    let second = reconciled(&world);
    assert!(second >= first + SignedDuration::from_mins(30), "{second}");
    // What else changes takes the time along.
    world.run_for(10 * 60);
    assert_eq!(reconciled(&world), second);
    world.edit("ConfigMap", "a", |map| map["data"]["k"] = json!("drifted"));
    world.run_for(60);
    assert!(reconciled(&world) > second);
}

#[test]
fn whoever_asks_for_a_look_sees_when_it_was() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    world.now += SignedDuration::from_mins(5);
    let asked = json!({"argocd.argoproj.io/refresh": "normal"});
    world.app.metadata.annotations = Some(serde_json::from_value(asked).unwrap());
    world.settle();
    assert!(world.has_no_annotations());
    assert_eq!(reconciled(&world), world.now);
}

#[test]
fn a_clock_that_was_set_back_leaves_no_time_that_is_to_come() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    world.now -= SignedDuration::from_mins(5);
    if let Target::Rendered(rendered) = &mut world.target {
        Arc::make_mut(rendered).at = world.now;
    }
    world.settle();
    assert_eq!(reconciled(&world), world.now);
}
