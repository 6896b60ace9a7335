//! Objects that are replaced before they are applied.

use super::world::{World, config_map, rollout};
use crate::sync::{DryRun, dry_run_objects};
use plan::{Action, ObjectKey};
use serde_json::{Value, json};

/// In sync with `a`, under these options of the Application. Nothing starts by itself.
pub(super) fn with(objects: Vec<Value>, options: &[&str]) -> World {
    let mut world = World::new(objects);
    world.settle();
    let mut all = vec!["CreateNamespace=true"];
    all.extend(options);
    world.policy(json!({"syncOptions": all}));
    world.applied.clear();
    world
}

/// Somebody asks for a sync, by this strategy.
pub(super) fn ask(world: &mut World, strategy: &Value) {
    let options = world.app.spec.sync_policy.clone().unwrap().sync_options;
    world.ask(json!({"sync": {"syncOptions": options, "syncStrategy": strategy}}));
}

pub(super) fn forced() -> Value {
    json!({"hook": {"force": true}})
}

pub(super) fn marked(name: &str, value: &str, options: &str) -> Value {
    let mut map = config_map(name, value);
    map["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": options});
    map
}

pub(super) fn claim(size: &str, options: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "a",
            "annotations": {"argocd.argoproj.io/sync-options": options}},
        "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}}}})
}

/// The patch that replaces the only object that is sent.
fn patch_of(world: &mut World) -> Value {
    ask(world, &json!(null));
    world.step();
    let plan = world.plan();
    let [Action::Replace { patch, .. }] = plan.actions.as_slice() else {
        panic!("{:?}", plan.actions);
    };
    (**patch).clone()
}

pub(super) fn succeeded(world: &World) {
    let summary = world.summary();
    assert!(summary.starts_with("Synced"), "{summary}");
    assert!(summary.contains("Succeeded"), "{summary}");
}

#[test]
fn what_git_is_silent_about_is_gone_from_an_object_that_is_replaced() {
    let mut world = with(vec![config_map("a", "1")], &["Replace=true"]);
    world.edit("ConfigMap", "a", |map| map["data"]["other"] = json!("x"));
    world.commit(
        "bbbbbbb",
        vec![config_map("a", "2"), config_map("new", "1")],
    );
    ask(&mut world, &json!(null));
    world.settle();
    let sent = [
        "=ConfigMap/a",
        "ConfigMap/new",
        "~ConfigMap/a",
        "ConfigMap/a",
    ];
    assert_eq!(world.applied, sent);
    assert_eq!(
        world.get("ConfigMap", "a").unwrap()["data"],
        json!({"k": "2"})
    );
    assert_eq!(
        world.results(),
        [
            "a Synced configmap/a replaced",
            "new Synced configmap/new serverside-applied"
        ]
    );
    succeeded(&world);
    assert_eq!(world.conditions(), [""; 0], "the option is followed");
    // What is as it should be is not replaced for the sake of it.
    world.applied.clear();
    ask(&mut world, &json!(null));
    world.settle();
    assert_eq!(world.applied, [""; 0]);
}

#[test]
fn what_an_object_says_itself_goes_before_the_option_of_the_application() {
    let cases = [
        ("Replace=false", &["Replace=true"][..], false),
        ("Replace=true", &[][..], true),
        ("Prune=false", &["Replace=true"][..], true),
    ];
    for (own, options, is_replaced) in cases {
        let mut world = with(vec![marked("a", "1", own)], options);
        world.commit("bbbbbbb", vec![marked("a", "2", own)]);
        ask(&mut world, &json!(null));
        world.settle();
        let replaced = ["=ConfigMap/a", "~ConfigMap/a", "ConfigMap/a"];
        let sent = if is_replaced {
            &replaced[..]
        } else {
            &replaced[2..]
        };
        assert_eq!(world.applied, sent, "{own} {options:?}");
    }
}

#[test]
fn a_replacement_is_a_patch_of_all_that_differs_but_for_what_the_api_server_keeps_by_itself() {
    let mut world = with(vec![config_map("a", "1")], &["Replace=true"]);
    world.edit("ConfigMap", "a", |map| {
        map["data"]["other"] = json!("x");
        map["immutable"] = json!(false);
        map["status"] = json!({"phase": "Active"});
        map["metadata"]["labels"] = json!({"team": "x"});
        map["metadata"]["selfLink"] = json!("/api/v1/namespaces/production/configmaps/a");
    });
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &json!(null));
    world.step();
    let plan = world.plan();
    let [
        Action::Replace {
            target,
            patch,
            manager,
            guard,
        },
    ] = plan.actions.as_slice()
    else {
        panic!("{:?}", plan.actions);
    };
    let key = ObjectKey::namespaced("v1", "ConfigMap", "production", "a");
    assert_eq!(*target, key);
    assert_eq!(manager, "weir-replace");
    let seen = &world.get("ConfigMap", "a").unwrap()["metadata"];
    assert_eq!(guard.uid.as_deref(), seen["uid"].as_str());
    let version = seen["resourceVersion"].as_str();
    assert_eq!(guard.resource_version.as_deref(), version);
    let mark = &patch["metadata"]["annotations"]["weir.dev/applied-digest"];
    let is_mark = |text: &str| text.starts_with("replaced sha256:");
    assert!(mark.as_str().is_some_and(is_mark), "{mark}");
    let wanted = json!({
        "data": {"k": "2", "other": null},
        "immutable": null,
        "metadata": {"annotations": {"weir.dev/applied-digest": mark}, "labels": null},
    });
    assert_eq!(**patch, wanted);
}

/// As after somebody has taken off, or changed, what tells that it was applied.
#[test]
fn what_is_as_it_would_be_replaced_is_only_applied() {
    let mut world = with(vec![config_map("a", "1")], &["Replace=true"]);
    world.edit("ConfigMap", "a", |map| {
        map["metadata"]["annotations"]["weir.dev/applied-digest"] = json!("sha256:another");
    });
    ask(&mut world, &json!(null));
    world.step();
    let shown = dry_run_objects(&world.snapshot(), &world.config, world.now).unwrap();
    assert!(matches!(&shown[..], [Action::Apply { .. }]), "{shown:?}");
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
    succeeded(&world);
}

/// Two thirds of a replacement are made when the controller dies: the rest follows.
#[test]
fn a_replacement_that_was_cut_short_is_ended_by_the_apply() {
    let mut world = with(vec![config_map("a", "1")], &["Replace=true"]);
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &json!(null));
    while world.applied.is_empty() {
        world.step();
    }
    assert_eq!(world.applied, ["=ConfigMap/a"]);
    world.forget_results();
    world.settle();
    assert_eq!(world.applied[1..], ["~ConfigMap/a", "ConfigMap/a"]);
    assert_eq!(world.results(), ["a Synced configmap/a replaced"]);
    succeeded(&world);
}

#[test]
fn what_was_applied_at_last_before_a_crash_is_told_of_as_replaced() {
    let mut world = with(vec![config_map("a", "1")], &["Replace=true"]);
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &json!(null));
    while world.applied.len() < 3 {
        world.step();
    }
    assert_eq!(world.results(), ["a - replaced, to be applied"]);
    world.forget_results();
    world.settle();
    assert_eq!(world.applied.len(), 3);
    assert_eq!(world.results(), ["a Synced configmap/a replaced"]);
    succeeded(&world);
}

/// A replacement takes off what Git is silent about. What a Rollout's controller keeps at it is not
/// Git's to take.
#[test]
fn a_rollout_that_is_replaced_keeps_what_its_controller_and_its_users_have_written() {
    let silent = |image: &str| {
        let mut object = rollout(image);
        object["spec"].as_object_mut().unwrap().remove("replicas");
        object
    };
    let mut world = with(vec![silent("backend:v1")], &["Replace=true"]);
    let status = json!({"phase": "Healthy", "stableRS": "good", "currentPodHash": "good"});
    world.edit("Rollout", "backend", |live| {
        live["status"] = status.clone();
        live["spec"]["replicas"] = json!(7);
        live["spec"]["paused"] = json!(true);
        live["spec"]["minReadySeconds"] = json!(30);
        live["metadata"]["finalizers"] = json!(["example.com/own"]);
        let annotations = &mut live["metadata"]["annotations"];
        annotations["rollout.argoproj.io/revision"] = json!("4");
        annotations["example.com/note"] = json!("x");
    });
    world.commit("bbbbbbb", vec![silent("backend:v2")]);
    ask(&mut world, &json!(null));
    world.settle();
    assert_eq!(world.applied[0], "=Rollout/backend");
    let live = world.get("Rollout", "backend").unwrap();
    assert_eq!(live["status"], status);
    assert_eq!(live["spec"]["replicas"], json!(7));
    assert_eq!(live["spec"]["paused"], json!(true));
    assert_eq!(live["spec"].get("minReadySeconds"), None);
    assert_eq!(live["metadata"]["finalizers"], json!(["example.com/own"]));
    let annotations = &live["metadata"]["annotations"];
    assert_eq!(annotations["rollout.argoproj.io/revision"], json!("4"));
    assert_eq!(annotations.get("example.com/note"), None);
    succeeded(&world);
}

#[test]
fn what_an_object_has_said_before_is_not_followed() {
    for (said, now) in [("Force=true", "Force=false"), ("Replace=true", "")] {
        let mut world = with(vec![marked("a", "1", said)], &[]);
        if said == "Force=true" {
            world.sealed.insert("a".to_owned());
        }
        world.commit("bbbbbbb", vec![marked("a", "2", now)]);
        ask(&mut world, &json!(null));
        world.settle();
        let is_other_than_apply = |sent: &String| !sent.starts_with('C');
        assert!(!world.applied.iter().any(is_other_than_apply), "{said}");
    }
}

#[test]
fn finalizers_of_others_stay_beside_those_of_git() {
    let map = |value: &str| {
        let mut map = config_map("a", value);
        map["metadata"]["finalizers"] = json!(["example.com/git"]);
        map
    };
    let (git, other) = ("example.com/git", "example.com/other");
    for (live, wanted) in [
        (json!([other, git]), None),
        (json!([other]), Some(json!([other, git]))),
    ] {
        let mut world = with(vec![map("1")], &["Replace=true"]);
        world.edit("ConfigMap", "a", |map| {
            map["metadata"]["finalizers"] = live.clone();
        });
        world.commit("bbbbbbb", vec![map("2")]);
        let patch = patch_of(&mut world);
        let finalizers = patch.pointer("/metadata/finalizers");
        assert_eq!(finalizers, wanted.as_ref(), "{live}");
    }
}

#[test]
fn what_a_claim_is_bound_to_and_what_controllers_label_is_kept() {
    let mut world = with(vec![claim("1Gi", "")], &["Replace=true"]);
    world.edit("PersistentVolumeClaim", "a", |live| {
        for field in ["storageClassName", "volumeMode", "volumeName"] {
            live["spec"][field] = json!("set");
        }
        live["metadata"]["labels"] =
            json!({"rollouts.argoproj.io/gatewayapi-canary": "in-progress", "team": "x"});
    });
    world.commit("bbbbbbb", vec![claim("2Gi", "")]);
    let patch = patch_of(&mut world);
    let wanted = json!({"resources": {"requests": {"storage": "2Gi"}}});
    assert_eq!(patch["spec"], wanted);
    assert_eq!(patch["metadata"]["labels"], json!({"team": null}));
}

/// What was answered is forgotten with the status of each pass.
#[test]
fn how_far_a_replacement_has_come_is_written_down() {
    let mut world = with(vec![config_map("a", "1")], &["Replace=true"]);
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &json!(null));
    while world.applied.len() < 2 {
        world.step();
    }
    assert_eq!(world.applied, ["=ConfigMap/a", "~ConfigMap/a"]);
    assert_eq!(world.results(), ["a - replaced, to be applied"]);
    // The apply that follows may be refused, and that is not forgotten either.
    world.refuse.insert("a".to_owned(), "no".to_owned());
    world.settle();
    assert_eq!(world.results(), ["a SyncFailed no"]);
    assert!(world.summary().contains("Failed"), "{}", world.summary());
}

#[test]
fn a_dry_run_by_hand_tells_of_what_would_be_replaced() {
    let mut world = with(vec![config_map("a", "1")], &["Replace=true"]);
    world.commit(
        "bbbbbbb",
        vec![config_map("a", "2"), config_map("new", "1")],
    );
    world.dry_run = DryRun::Done(Vec::new());
    let options = json!(["CreateNamespace=true", "Replace=true"]);
    world.ask(json!({"sync": {"dryRun": true, "syncOptions": options}}));
    world.settle();
    assert_eq!(
        world.results(),
        [
            "a Synced configmap/a replaced (dry run)",
            "new Synced configmap/new serverside-applied (dry run)"
        ]
    );
    assert_eq!(world.applied, [""; 0]);
}
