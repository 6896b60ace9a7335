use super::world::{World, config_map, establish, rollout};
use jiff::SignedDuration;
use plan::Next;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn in_wave(mut object: Value, wave: i64) -> Value {
    object["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-wave": wave.to_string()});
    object
}

fn healthy(world: &mut World) {
    world.edit("Rollout", "backend", |rollout| {
        let generation = rollout["metadata"]["generation"].to_string();
        rollout["status"] = json!({"phase": "Healthy", "observedGeneration": generation});
    });
}

#[test]
fn a_wave_waits_for_the_health_of_the_one_before() {
    let mut world = World::new(vec![
        in_wave(config_map("late", "1"), 5),
        in_wave(rollout("backend:v1"), -1),
        config_map("middle", "1"),
    ]);
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "Rollout/backend"]);
    assert_eq!(
        world.summary(),
        "OutOfSync Progressing Running: waiting for healthy state of argoproj.io/Rollout/backend"
    );
    healthy(&mut world);
    world.settle();
    assert_eq!(world.applied[2..], ["ConfigMap/middle", "ConfigMap/late"]);
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
}

#[test]
fn a_degraded_wave_ends_the_sync() {
    let mut world = World::new(vec![
        in_wave(rollout("backend:v1"), -1),
        config_map("later", "1"),
    ]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0}}),
    );
    world.settle();
    world.edit("Rollout", "backend", |rollout| {
        rollout["status"] =
            json!({"phase": "Degraded", "observedGeneration": "1", "message": "aborted"});
    });
    world.run_for(600);
    assert_eq!(world.applied, ["Namespace/production", "Rollout/backend"]);
    assert!(
        world.summary().contains(
            "completed unsuccessfully, reason: argoproj.io/Rollout:production/backend: aborted"
        ),
        "{}",
        world.summary()
    );
}

#[test]
fn the_last_wave_does_not_wait() {
    let mut world = World::new(vec![rollout("backend:v1")]);
    world.settle();
    assert_eq!(
        world.summary(),
        "Synced Progressing Succeeded: successfully synced (all tasks run)"
    );
}

#[test]
fn a_second_wave_does_not_take_the_health_from_before_the_apply() {
    let mut world = World::new(vec![
        in_wave(rollout("backend:v1"), -1),
        config_map("later", "1"),
    ]);
    world.settle();
    healthy(&mut world);
    world.settle();
    world.applied.clear();
    world.commit(
        "bbbbbbb",
        vec![in_wave(rollout("backend:v2"), -1), config_map("later", "2")],
    );
    world.settle();
    assert_eq!(world.applied, ["Rollout/backend"]);
    assert!(
        world.summary().contains("waiting for healthy state"),
        "{}",
        world.summary()
    );
}

#[test]
fn pruning_mirrors_the_waves_and_goes_before_what_is_applied() {
    let mut world = World::new(vec![
        in_wave(config_map("one", "1"), 1),
        in_wave(config_map("two", "1"), 2),
        in_wave(config_map("stays", "1"), 1),
    ]);
    world.settle();
    world.applied.clear();
    world.commit("bbbbbbb", vec![in_wave(config_map("stays", "2"), 1)]);
    world.settle();
    assert_eq!(
        world.applied,
        ["-ConfigMap/two", "ConfigMap/stays", "-ConfigMap/one"]
    );
}

#[test]
fn prune_last_goes_after_everything() {
    let mut world = World::new(vec![
        config_map("old", "1"),
        in_wave(config_map("new", "1"), 7),
    ]);
    world.settle();
    world.applied.clear();
    world.policy(json!({"automated": {"prune": true}, "syncOptions": ["PruneLast=true"]}));
    world.commit("bbbbbbb", vec![in_wave(config_map("new", "2"), 7)]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/new", "-ConfigMap/old"]);
}

#[test]
fn only_what_is_still_on_its_way_out_is_waited_for() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    let pruned = world.get("ConfigMap", "b").unwrap().clone();
    world.applied.clear();
    world.commit("bbbbbbb", vec![config_map("a", "1")]);
    while world.applied.is_empty() {
        assert!(world.step());
    }
    assert_eq!(world.applied, ["-ConfigMap/b"]);
    let waits = "Running: waiting for deletion of /ConfigMap/b";
    // A view that is older than the deletion.
    world.live.insert(Arc::new(pruned.clone()));
    world.step();
    assert!(world.summary().ends_with(waits), "{}", world.summary());
    let mut leaving = pruned;
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    world.live.insert(Arc::new(leaving.clone()));
    world.settle();
    assert!(world.summary().ends_with(waits), "{}", world.summary());
    // Another one has taken the name; one of that name goes somewhere else.
    let mut another = config_map("b", "1");
    another["metadata"]["namespace"] = json!("production");
    another["metadata"]["uid"] = json!("another");
    world.live.insert(Arc::new(another));
    leaving["metadata"]["namespace"] = json!("elsewhere");
    world.live.insert(Arc::new(leaving));
    world.settle();
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
}

fn things() -> (Value, Value) {
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Thing"}}});
    let thing = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}});
    (definition, thing)
}

#[test]
fn objects_wait_until_their_kind_is_served() {
    let (definition, thing) = things();
    let mut world = World::new(vec![config_map("a", "1"), thing, definition]);
    world.establishes = false;
    world.settle();
    let before = [
        "Namespace/production",
        "ConfigMap/a",
        "CustomResourceDefinition/things.example.com",
    ];
    assert_eq!(world.applied, before);
    assert!(
        world.summary().ends_with(
            "Running: waiting for healthy state of \
             apiextensions.k8s.io/CustomResourceDefinition/things.example.com"
        ),
        "{}",
        world.summary()
    );
    world.edit("CustomResourceDefinition", "things.example.com", establish);
    world.settle();
    assert_eq!(world.applied[3..], ["Thing/t"]);
    assert!(world.summary().contains("Succeeded"), "{}", world.summary());
}

#[test]
fn a_definition_whose_names_are_taken_ends_the_sync() {
    let (definition, thing) = things();
    let mut world = World::new(vec![config_map("a", "1"), thing, definition]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0}}),
    );
    world.establishes = false;
    world.settle();
    world.edit("CustomResourceDefinition", "things.example.com", |crd| {
        crd["status"] = json!({"conditions": [
            {"type": "NamesAccepted", "status": "False", "message": "taken"}]});
    });
    world.settle();
    assert!(
        world.summary().ends_with(
            "Failed: one or more synchronization tasks completed unsuccessfully, reason: \
             apiextensions.k8s.io/CustomResourceDefinition:things.example.com: taken"
        ),
        "{}",
        world.summary()
    );
    assert_eq!(world.applied.len(), 3, "{:?}", world.applied);
}

#[test]
fn a_definition_that_nothing_needs_is_not_waited_for() {
    let (definition, _) = things();
    let mut world = World::new(vec![definition, rollout("backend:v1")]);
    world.establishes = false;
    world.settle();
    assert!(world.summary().contains("Succeeded"), "{}", world.summary());
}

/// As [`things`], with the versions that are served.
fn versioned() -> (Value, Value) {
    let (mut definition, thing) = things();
    definition["spec"]["versions"] =
        json!([{"name": "v1", "served": true}, {"name": "v0", "served": false}]);
    (definition, thing)
}

const UNSERVED: &str = "Running: waiting until the API server serves Thing of example.com/v1";

#[test]
fn an_established_kind_is_waited_for_until_it_is_seen_to_be_served() {
    let (definition, thing) = versioned();
    let late = in_wave(thing.clone(), 3);
    // In the wave of its definition, and in a later one.
    for thing in [thing, late] {
        let mut world = World::new(vec![thing, definition.clone(), config_map("a", "1")]);
        world.serves = false;
        world.settle();
        assert!(world.summary().ends_with(UNSERVED), "{}", world.summary());
        assert!(!world.applied.contains(&"Thing/t".to_owned()));
        let look = Next::At(world.now + SignedDuration::from_secs(1));
        assert_eq!(world.plan().next, look);
        world.run_for(4);
        assert!(world.summary().ends_with(UNSERVED), "{}", world.summary());
        world.serves = true;
        world.run_for(1);
        assert!(world.applied.contains(&"Thing/t".to_owned()));
        assert!(world.summary().contains("Succeeded"), "{}", world.summary());
    }
}

#[test]
fn what_is_never_served_is_sent_after_a_minute() {
    let (definition, thing) = versioned();
    let mut world = World::new(vec![definition, thing]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0}}),
    );
    world.serves = false;
    world
        .refuse
        .insert("t".to_owned(), "no such kind".to_owned());
    world.run_for(59);
    assert!(world.summary().ends_with(UNSERVED), "{}", world.summary());
    world.run_for(2);
    assert!(
        world
            .summary()
            .ends_with("reason: example.com/Thing:t: no such kind"),
        "{}",
        world.summary()
    );
}

#[test]
fn a_version_that_its_definition_does_not_serve_is_not_waited_for() {
    let (definition, mut thing) = versioned();
    thing["apiVersion"] = json!("example.com/v0");
    let mut world = World::new(vec![definition, thing]);
    world.serves = false;
    world.settle();
    assert!(world.applied.contains(&"Thing/t".to_owned()));
}

#[test]
fn a_definition_that_is_not_established_in_a_minute_ends_the_sync() {
    let (definition, thing) = versioned();
    let late = in_wave(thing.clone(), 3);
    for thing in [thing, late] {
        let mut world = World::new(vec![definition.clone(), thing]);
        world.policy(
            json!({"automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0}}),
        );
        world.establishes = false;
        world.run_for(59);
        assert!(
            world
                .summary()
                .contains("Running: waiting for healthy state of "),
            "{}",
            world.summary()
        );
        world.run_for(2);
        assert!(
            world.summary().ends_with(
                "Failed: one or more synchronization tasks completed unsuccessfully, reason: \
                 apiextensions.k8s.io/CustomResourceDefinition:things.example.com: it is not established \
                 after 60 seconds, see its conditions"
            ),
            "{}",
            world.summary()
        );
        assert!(!world.applied.contains(&"Thing/t".to_owned()));
    }
}

fn manifests() -> impl Strategy<Value = Vec<Value>> {
    let one = ("[a-d]", -2_i64..3, 0_usize..4).prop_map(|(name, wave, kind)| {
        let (api, kind) = [
            ("v1", "ConfigMap"),
            ("v1", "Secret"),
            ("v1", "Service"),
            ("v1", "ServiceAccount"),
        ][kind];
        in_wave(
            json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}}),
            wave,
        )
    });
    prop::collection::vec(one, 1..10).prop_map(|objects| {
        let mut seen = std::collections::BTreeSet::new();
        let key = |o: &Value| (o["kind"].to_string(), o["metadata"]["name"].to_string());
        objects
            .into_iter()
            .filter(|object| seen.insert(key(object)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_order_of_files_has_no_influence(objects in manifests(), seed in any::<u64>()) {
        let mut shuffled = objects.clone();
        let mut state = seed | 1;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        let applied = |objects: Vec<Value>| {
            let mut world = World::new(objects);
            world.settle();
            world.applied
        };
        prop_assert_eq!(applied(objects), applied(shuffled));
    }
}
