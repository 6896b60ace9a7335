//! What is pruned or deleted only once somebody has confirmed it.

use super::world::{World, config_map};
use jiff::SignedDuration;
use serde_json::{Value, json};

const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";

/// A map with a sync option of its own.
fn with_option(name: &str, option: &str) -> Value {
    let mut map = config_map(name, "1");
    map["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": option});
    map
}

/// Somebody confirms what is asked for, at the present time.
fn approve(world: &mut World) {
    let now = world.now.to_string();
    let annotations = world.app.metadata.annotations.get_or_insert_default();
    annotations.insert("argocd.argoproj.io/deletion-approved".to_owned(), now);
}

/// What the status says of the objects that somebody has to confirm the removal of.
fn to_confirm(world: &World) -> Vec<&str> {
    let resources = world.status().resources.iter();
    let marked = resources.filter(|resource| resource.requires_deletion_confirmation);
    marked.map(|resource| resource.name.as_str()).collect()
}

/// In sync with `a`, `gone` and `asked`; the next commit drops the latter two, and adds `new`.
fn dropping() -> World {
    let asked = with_option("asked", "Prune=confirm");
    let mut world = World::new(vec![config_map("a", "1"), config_map("gone", "1"), asked]);
    world.settle();
    assert_eq!(to_confirm(&world), ["asked"]);
    assert_eq!(world.conditions(), [""; 0], "the option is followed");
    world.commit(
        "bbbbbbb",
        vec![config_map("a", "1"), config_map("new", "1")],
    );
    world.applied.clear();
    world.now += SignedDuration::from_secs(60);
    world
}

const WAITING: &str = "Running: waiting for pruning confirmation of /ConfigMap/asked";

#[test]
fn a_sync_waits_for_the_confirmation_of_what_it_prunes() {
    let mut world = dropping();
    // Not later than the sync, so it is about something else.
    approve(&mut world);
    world.settle();
    assert!(world.summary().ends_with(WAITING), "{}", world.summary());
    assert_eq!(world.applied, Vec::<String>::new());
    world.run_for(3600);
    assert!(world.summary().ends_with(WAITING), "{}", world.summary());
    assert_eq!(world.applied, Vec::<String>::new());
    approve(&mut world);
    world.settle();
    let applied = ["-ConfigMap/gone", "-ConfigMap/asked", "ConfigMap/new"];
    assert_eq!(world.applied, applied);
    assert!(
        world.summary().starts_with("Synced Healthy Succeeded"),
        "{}",
        world.summary()
    );
    assert_eq!(to_confirm(&world), Vec::<&str>::new());
}

/// The next commit, while the operation keeps the one that it was started with.
fn commit_beside(world: &mut World, revision: &str, objects: Vec<Value>) {
    world.operation_target = Some(world.target.clone());
    world.commit(revision, objects);
}

#[test]
fn a_later_commit_is_not_held_back_by_what_nobody_confirms() {
    let mut world = dropping();
    world.settle();
    assert!(world.summary().ends_with(WAITING), "{}", world.summary());
    // It drops one of the two, and keeps the one that somebody has to be asked about.
    let asked = with_option("asked", "Prune=confirm");
    commit_beside(&mut world, "ccccccc", vec![config_map("a", "2"), asked]);
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/gone", "ConfigMap/a"]);
    assert!(
        world.summary().starts_with("Synced Healthy Succeeded"),
        "{}",
        world.summary()
    );
    let told = "OperationCompleted Sync operation to bbbbbbb failed: superseded by ccccccc while \
                waiting for pruning confirmation of /ConfigMap/asked";
    assert!(
        world.events.iter().any(|event| event == told),
        "{:?}",
        world.events
    );
}

#[test]
fn a_confirmation_is_about_what_was_asked_and_not_about_what_comes_later() {
    let mut world = dropping();
    world.settle();
    let objects = vec![config_map("a", "2"), config_map("new", "1")];
    commit_beside(&mut world, "ccccccc", objects);
    world.settle();
    assert!(world.summary().ends_with(WAITING), "{}", world.summary());
    assert_eq!(world.applied, Vec::<String>::new());
    world.now += SignedDuration::from_secs(60);
    approve(&mut world);
    world.settle();
    let applied = [
        "-ConfigMap/gone",
        "-ConfigMap/asked",
        "ConfigMap/a",
        "ConfigMap/new",
    ];
    assert_eq!(world.applied, applied);
}

#[test]
fn what_somebody_has_asked_for_waits_whatever_is_committed() {
    let mut world = dropping();
    let options = ["CreateNamespace=true"];
    world.policy(json!({"syncOptions": options}));
    world.ask(json!({"sync": {"prune": true, "syncOptions": options}}));
    world.settle();
    assert!(world.summary().ends_with(WAITING), "{}", world.summary());
    commit_beside(&mut world, "ccccccc", vec![config_map("a", "2")]);
    world.settle();
    assert!(world.summary().ends_with(WAITING), "{}", world.summary());
    assert_eq!(world.applied, Vec::<String>::new());
}

#[test]
fn a_sync_that_waits_for_a_confirmation_can_be_ended() {
    let mut world = dropping();
    world.settle();
    assert!(world.summary().ends_with(WAITING), "{}", world.summary());
    world.policy(json!({}));
    world.ends_when_terminated();
    assert!(world.get("ConfigMap", "asked").is_some());
    assert_eq!(world.applied, Vec::<String>::new());
}

#[test]
fn a_sync_that_does_not_prune_waits_for_nobody() {
    let mut world = dropping();
    world.policy(json!({}));
    world.ask(json!({"sync": {}}));
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/new"]);
    assert!(world.summary().contains("Succeeded"), "{}", world.summary());
}

#[test]
fn an_application_waits_for_the_confirmation_of_what_goes_with_it() {
    let cases = [
        ("PruneLast=true", vec!["b"]),
        ("Delete=confirm", vec!["a", "b"]),
    ];
    for (option, asked) in cases {
        let objects = vec![config_map("a", "1"), with_option("b", "Delete=confirm")];
        let mut world = World::new(objects);
        world.policy(json!({"automated": {}, "syncOptions": ["CreateNamespace=true", option]}));
        world.app.metadata.finalizers = Some(vec![CASCADE.to_owned()]);
        world.settle();
        assert_eq!(to_confirm(&world), asked, "{option}");
        world.app.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
        world.now += SignedDuration::from_secs(60);
        world.applied.clear();
        approve(&mut world);
        world.run_for(600);
        assert_eq!(world.applied, Vec::<String>::new(), "{option}");
        let [condition]: [String; 1] = world.conditions().try_into().unwrap();
        let told = "DeletionError: waiting for deletion confirmation of /ConfigMap/b";
        assert!(condition.starts_with(told), "{condition}");
        assert!(condition.contains("argocd.argoproj.io/deletion-approved"));
        approve(&mut world);
        world.settle();
        assert_eq!(world.applied, ["-ConfigMap/b", "-ConfigMap/a"], "{option}");
        let finalizers = world.app.metadata.finalizers.clone();
        assert_eq!(finalizers.unwrap_or_default(), Vec::<String>::new());
    }
}
