//! What the API server is shown before anything is sent, and what comes of its answer.

use super::world::{World, config_map, rollout};
use crate::ResourceId;
use crate::sync::{DryRun, dry_run_objects};
use jiff::SignedDuration;
use plan::Action;
use serde_json::{Value, json};

/// The kinds of what is shown; `None` if nothing is asked.
fn shown(world: &World) -> Option<Vec<String>> {
    let actions = dry_run_objects(&world.snapshot(), &world.config, world.now)?;
    let kind = |action: &Action| action.target().unwrap().kind;
    Some(actions.iter().map(kind).collect())
}

fn refusal(kind: &str, name: &str, why: &str) -> DryRun {
    let id = ResourceId::new("", kind, "production", name);
    DryRun::Done(vec![(id, why.to_owned())])
}

fn definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Thing"},
            "versions": [{"name": "v1", "served": true}]}})
}

fn thing(size: u32) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"},
        "spec": {"size": size}})
}

#[test]
fn what_would_be_sent_and_can_be_judged_is_shown() {
    let mut world = World::new(vec![config_map("a", "1"), definition(), thing(1)]);
    assert_eq!(shown(&world), None, "nothing runs");
    world.step();
    assert_eq!(shown(&world), None, "the namespace is made first");
    world.step();
    assert_eq!(world.applied, ["Namespace/production"]);
    let kinds = ["ConfigMap", "CustomResourceDefinition"];
    assert_eq!(shown(&world).unwrap(), kinds, "the kind comes as well");
    world.settle();
    assert_eq!(shown(&world), None, "nothing runs any more");
    // The definition is there, and is not changed.
    let objects = vec![config_map("a", "1"), definition(), thing(2)];
    world.commit("bbbbbbb", objects);
    world.step();
    assert_eq!(shown(&world).unwrap(), ["Thing"]);
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    assert_eq!(shown(&world), None, "it is being deleted");
}

#[test]
fn kinds_that_may_be_missing_are_not_shown_while_they_are() {
    let skip = "SkipDryRunOnMissingResource=true";
    let mut marked = thing(1);
    marked["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": skip});
    let cases = [
        (thing(1), "PruneLast=true", vec!["ConfigMap", "Thing"]),
        (marked, "PruneLast=true", vec!["ConfigMap"]),
        (thing(1), skip, vec!["ConfigMap"]),
    ];
    for (thing, option, kinds) in cases {
        let mut world = World::new(vec![config_map("a", "1"), thing]);
        world.policy(json!({"automated": {}, "syncOptions": ["CreateNamespace=true", option]}));
        world.step();
        world.step();
        assert_eq!(shown(&world).unwrap(), kinds, "{option}");
    }
}

#[test]
fn nothing_is_shown_that_is_refused_here_already() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.step();
    world.step();
    assert!(shown(&world).is_some());
    world.app.spec.project = "nowhere".to_owned();
    assert_eq!(shown(&world), None);
}

/// In sync with `a` and `gone`; the next commit changes the one, drops the other, and adds `bad`.
fn with_a_bad_commit() -> World {
    let mut world = World::new(vec![config_map("a", "1"), config_map("gone", "1")]);
    world.settle();
    world.policy(json!({}));
    world.commit(
        "bbbbbbb",
        vec![config_map("a", "2"), config_map("bad", "1")],
    );
    world.applied.clear();
    world.dry_run = refusal("ConfigMap", "bad", "it is invalid");
    world
}

const REFUSED: &str = "Failed: one or more objects failed to apply (dry run)";

#[test]
fn one_object_that_is_refused_keeps_everything_as_it_is() {
    let mut world = with_a_bad_commit();
    world.ask(json!({"sync": {"prune": true}}));
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.results(), ["bad SyncFailed it is invalid"]);
    let told = format!("{REFUSED}: ConfigMap:production/bad: it is invalid");
    assert!(world.summary().ends_with(&told), "{}", world.summary());
    assert!(world.get("ConfigMap", "gone").is_some());
}

#[test]
fn a_dry_run_by_hand_says_what_would_be_refused() {
    let mut world = with_a_bad_commit();
    world.ask(json!({"sync": {"prune": true, "dryRun": true}}));
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(world.summary().ends_with(REFUSED), "{}", world.summary());
    assert_eq!(
        world.results(),
        [
            "gone Pruned pruned (dry run)",
            "a Synced configmap/a serverside-applied (dry run)",
            "bad SyncFailed it is invalid",
        ]
    );
    world.dry_run = DryRun::Done(Vec::new());
    world.ask(json!({"sync": {"dryRun": true}}));
    world.settle();
    let told = "Succeeded: successfully synced (dry run)";
    assert!(world.summary().ends_with(told), "{}", world.summary());
    assert_eq!(world.applied, Vec::<String>::new());
}

#[test]
fn what_could_not_be_asked_is_told_apart_in_a_dry_run() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({}));
    world.dry_run = DryRun::Done(Vec::new());
    world.ask(json!({"sync": {"dryRun": true, "syncOptions": ["CreateNamespace=true"]}}));
    world.settle();
    let told = "a Synced configmap/a serverside-applied (dry run, not checked by the API server)";
    assert_eq!(world.results(), [told], "its namespace is not there yet");
}

#[test]
fn nothing_is_sent_before_there_is_an_answer() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.dry_run = DryRun::Pending;
    world.run_for(60);
    assert_eq!(world.applied, ["Namespace/production"]);
    let told = "Running: waiting for the dry run";
    assert!(world.summary().ends_with(told), "{}", world.summary());
    world.dry_run = DryRun::Done(Vec::new());
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/a"]);
}

#[test]
fn a_refusal_for_the_lack_of_what_comes_along_is_passed_over() {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    let pod = |image: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"serviceAccountName": "robot", "containers": [{"name": "c", "image": image}]}})
    };
    let why = "pods \"p\" is forbidden: error looking up service account production/robot: \
               serviceaccount \"robot\" not found";
    let mut world = World::new(vec![account.clone(), pod("x:1")]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"],
        "retry": {"limit": 0}}),
    );
    world.dry_run = refusal("Pod", "p", why);
    world.settle();
    assert_eq!(
        world.applied,
        ["Namespace/production", "ServiceAccount/robot", "Pod/p"]
    );
    // It is there now, so that this is no reason any more.
    world.commit("bbbbbbb", vec![account, pod("x:2")]);
    world.applied.clear();
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert!(world.summary().contains(REFUSED), "{}", world.summary());
}

#[test]
fn what_comes_in_a_later_wave_comes_too_late() {
    let why = "pods \"p\" is forbidden: error looking up service account production/robot: \
               serviceaccount \"robot\" not found";
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "x:1"}]}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot",
        "annotations": {"argocd.argoproj.io/sync-wave": "1"}}});
    let mut world = World::new(vec![account, pod]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"],
        "retry": {"limit": 0}}),
    );
    world.dry_run = refusal("Pod", "p", why);
    world.settle();
    assert_eq!(world.applied, ["Namespace/production"]);
    assert!(world.summary().contains(REFUSED), "{}", world.summary());
}

#[test]
fn a_quota_may_have_room_once_something_is_pruned() {
    let cases = [
        (json!({"prune": true}), true),
        (json!({"prune": false}), false),
        // It is pruned when everything else is there.
        (
            json!({"prune": true, "syncOptions": ["PruneLast=true"]}),
            false,
        ),
    ];
    for (sync, is_sent) in cases {
        let mut world = World::new(vec![config_map("a", "1"), config_map("gone", "1")]);
        world.settle();
        world.policy(json!({}));
        world.commit(
            "bbbbbbb",
            vec![config_map("a", "1"), config_map("new", "1")],
        );
        world.applied.clear();
        world.dry_run = refusal("ConfigMap", "new", "forbidden: exceeded quota: two");
        world.ask(json!({"sync": sync}));
        world.settle();
        assert_eq!(world.get("ConfigMap", "new").is_some(), is_sent, "{sync}");
    }
}

#[test]
fn the_next_try_asks_anew_when_it_is_due() {
    let mut world = World::new(vec![config_map("a", "1"), rollout("backend:v1")]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"],
        "retry": {"limit": 1, "backoff": {"duration": "10s"}}}),
    );
    world.dry_run = refusal("ConfigMap", "a", "the webhook says no");
    world.settle();
    assert_eq!(world.applied, ["Namespace/production"]);
    let told = "Retrying attempt #1";
    assert!(world.summary().contains(told), "{}", world.summary());
    assert_eq!(shown(&world), None, "it is not due");
    world.now += SignedDuration::from_secs(10);
    assert_eq!(shown(&world).unwrap(), ["ConfigMap", "Rollout"]);
    world.dry_run = DryRun::Done(Vec::new());
    world.settle();
    assert_eq!(world.applied[1..], ["ConfigMap/a", "Rollout/backend"]);
}

#[test]
fn what_was_said_before_the_first_write_is_not_held_against_what_comes_after() {
    let mut world = with_a_bad_commit();
    world.dry_run = DryRun::Done(Vec::new());
    world.busy.insert("bad".to_owned(), "try again".to_owned());
    world.ask(json!({"sync": {"prune": true}}));
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/gone", "ConfigMap/a"]);
    assert_eq!(shown(&world), None, "it has begun");
    world.busy.clear();
    world.dry_run = DryRun::Pending;
    world.run_for(10);
    assert_eq!(world.applied[2..], ["ConfigMap/bad"]);
}

#[test]
fn a_namespace_that_has_to_wait_is_no_reason_not_to_ask() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0},
        "managedNamespaceMetadata": {"labels": {"team": "web"}}}),
    );
    world.commit(
        "bbbbbbb",
        vec![config_map("a", "1"), config_map("bad", "1")],
    );
    world.applied.clear();
    world.dry_run = refusal("ConfigMap", "bad", "it is invalid");
    world
        .busy
        .insert("production".to_owned(), "try again".to_owned());
    world.settle();
    assert!(
        world.summary().contains("answer for Namespace:production"),
        "{}",
        world.summary()
    );
    assert!(shown(&world).is_some(), "of the objects nothing was sent");
    world.busy.clear();
    world.run_for(30);
    assert_eq!(world.applied, ["Namespace/production"]);
    assert!(world.summary().contains(REFUSED), "{}", world.summary());
}
