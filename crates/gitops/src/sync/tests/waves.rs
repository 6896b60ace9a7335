use super::world::{World, config_map, rollout};
use proptest::prelude::*;
use serde_json::{Value, json};

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
        "OutOfSync Progressing Running: waiting for healthy state of argoproj.io/Rollout:production/backend"
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
