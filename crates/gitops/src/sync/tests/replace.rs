//! Objects that are replaced before they are applied, or deleted and created anew.

use super::windows::{project, window};
use super::world::{World, config_map, rollout, sealed};
use crate::ResourceId;
use crate::sync::dry_run_objects;
use jiff::SignedDuration;
use plan::{Action, ObjectKey, Propagation};
use serde_json::{Value, json};

/// In sync with `a`, under these options of the Application. Nothing starts by itself.
fn with(objects: Vec<Value>, options: &[&str]) -> World {
    let mut world = World::new(objects);
    world.settle();
    let mut all = vec!["CreateNamespace=true"];
    all.extend(options);
    world.policy(json!({"syncOptions": all}));
    world.applied.clear();
    world
}

/// Somebody asks for a sync, by this strategy.
fn ask(world: &mut World, strategy: &Value) {
    let options = world.app.spec.sync_policy.clone().unwrap().sync_options;
    world.ask(json!({"sync": {"syncOptions": options, "syncStrategy": strategy}}));
}

fn forced() -> Value {
    json!({"hook": {"force": true}})
}

fn marked(name: &str, value: &str, options: &str) -> Value {
    let mut map = config_map(name, value);
    map["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": options});
    map
}

fn claim(size: &str, options: &str) -> Value {
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

fn succeeded(world: &World) {
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
            "new Synced configmap/new serverside-applied",
            "a Synced configmap/a serverside-applied"
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
fn what_cannot_be_changed_is_created_anew_where_that_is_forced() {
    let option = "Force=true";
    let cases = [
        (config_map("a", "2"), json!(null), false),
        (config_map("a", "2"), forced(), true),
        (
            config_map("a", "2"),
            json!({"apply": {"force": true}}),
            true,
        ),
        (marked("a", "2", option), json!(null), true),
    ];
    for (changed, strategy, is_forced) in cases {
        let mut world = with(vec![config_map("a", "1")], &[]);
        world.sealed.insert("a".to_owned());
        world.commit("bbbbbbb", vec![changed]);
        ask(&mut world, &strategy);
        world.settle();
        if is_forced {
            assert_eq!(world.applied, ["-ConfigMap/a", "ConfigMap/a"]);
            succeeded(&world);
        } else {
            assert_eq!(world.applied, [""; 0]);
            let why = sealed(&ResourceId::new("", "ConfigMap", "", "a"));
            assert_eq!(world.results(), [format!("a SyncFailed {why}")]);
        }
    }
}

#[test]
fn what_is_refused_for_anything_else_is_never_deleted() {
    for why in [
        "ConfigMap \"a\" is invalid: data.k: Invalid value: \"2\": must be odd",
        // One of these would be the same for a new one.
        "ConfigMap \"a\" is invalid: [data: Forbidden: immutable, data.x: Required value]",
        "admission webhook \"x\" denied the request: maps are immutable",
        "configmaps \"a\" is forbidden: no",
    ] {
        let mut world = with(vec![config_map("a", "1")], &[]);
        world.refuse.insert("a".to_owned(), why.to_owned());
        world.commit("bbbbbbb", vec![config_map("a", "2")]);
        ask(&mut world, &forced());
        world.settle();
        assert_eq!(world.applied, [""; 0]);
        assert_eq!(world.results(), [format!("a SyncFailed {why}")]);
    }
}

#[test]
fn what_is_replaced_by_force_is_created_anew_in_any_case() {
    let mut world = with(vec![config_map("a", "1")], &["Replace=true"]);
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &forced());
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/a", "ConfigMap/a"]);
    succeeded(&world);
}

#[test]
fn what_is_to_stay_has_to_ask_itself_for_being_deleted_to_be_created_anew() {
    let map = |value: &str, options: &str| marked("a", value, options);
    let kept = [
        "Prune=false",
        "Prune=confirm",
        "Delete=false",
        "Delete=confirm",
    ];
    let mut cases: Vec<[Value; 2]> = kept.map(|own| [map("1", own), map("2", own)]).to_vec();
    // Or as somebody has said by hand, or an earlier manifest has.
    cases.push([map("1", "Prune=false"), config_map("a", "2")]);
    cases.push([claim("1Gi", ""), claim("2Gi", "")]);
    for [before, after] in cases {
        let mut world = with(vec![before], &[]);
        world.sealed.insert("a".to_owned());
        world.commit("bbbbbbb", vec![after.clone()]);
        ask(&mut world, &forced());
        world.settle();
        assert_eq!(world.applied, [""; 0], "{after}");
        let told = "(to be deleted and created anew it needs Force=true in its own manifest)";
        assert!(world.results()[0].ends_with(told), "{:?}", world.results());
    }
    for [before, after] in [
        [map("1", ""), map("2", "Prune=false,Force=true")],
        [claim("1Gi", ""), claim("2Gi", "Force=true")],
    ] {
        let kind = after["kind"].as_str().unwrap().to_owned();
        let mut world = with(vec![before], &[]);
        world.sealed.insert("a".to_owned());
        world.commit("bbbbbbb", vec![after]);
        ask(&mut world, &json!(null));
        world.settle();
        assert_eq!(world.applied, [format!("-{kind}/a"), format!("{kind}/a")]);
    }
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
fn what_is_of_another_application_is_not_deleted_to_be_created_anew() {
    let mut world = with(vec![config_map("a", "1")], &[]);
    world.sealed.insert("a".to_owned());
    world.edit("ConfigMap", "a", |map| {
        map["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
            json!("other:/ConfigMap:production/a");
    });
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &forced());
    world.settle();
    assert_eq!(world.applied, [""; 0]);
    let why = sealed(&world.id("ConfigMap", "a"));
    let told = format!("a SyncFailed {why} (it is never deleted to be created anew)");
    assert_eq!(world.results(), [told]);
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

#[test]
fn what_was_created_anew_before_a_crash_is_told_of_as_applied() {
    let mut world = with(vec![config_map("a", "1")], &[]);
    world.sealed.insert("a".to_owned());
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &forced());
    while world.applied.len() < 2 {
        world.step();
    }
    assert_eq!(world.applied, ["-ConfigMap/a", "ConfigMap/a"]);
    world.forget_results();
    world.settle();
    assert_eq!(world.applied.len(), 2);
    assert_eq!(world.results(), ["a Synced configmap/a serverside-applied"]);
    succeeded(&world);
}

/// In which `a` was deleted to be created anew, and is not gone yet.
fn with_a_hole() -> World {
    let mut world = with(vec![config_map("a", "1")], &[]);
    world.sealed.insert("a".to_owned());
    world.lingering.insert("a".to_owned());
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &forced());
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/a"]);
    world
}

#[test]
fn who_ends_an_operation_is_told_what_it_leaves_deleted() {
    let mut world = with_a_hole();
    world.terminate();
    world.settle();
    let told = "Failed: Operation terminated while waiting for the creation of /ConfigMap/a";
    assert!(world.summary().ends_with(told), "{}", world.summary());
}

#[test]
fn what_was_deleted_is_created_though_a_window_has_closed() {
    let mut world = with_a_hole();
    let always = window("deny", "* * * * *");
    world.project = Some(project(&json!([always])));
    let id = world.id("ConfigMap", "a");
    world.live.remove(&id);
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/a", "ConfigMap/a"]);
    let blocked = "Running: Sync operation blocked by sync window";
    assert!(world.summary().ends_with(blocked), "{}", world.summary());
    world.project = None;
    world.settle();
    assert_eq!(world.applied.len(), 2);
    succeeded(&world);
}

#[test]
fn what_has_others_in_it_is_not_deleted_to_be_created_anew() {
    let namespace = |team: &str| {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "production", "labels": {"team": team}}})
    };
    let definition = |kind: &str| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": kind},
                "versions": [{"name": "v1", "served": true}]}})
    };
    let application = |path: &str| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "child"},
            "spec": {"project": "default", "destination": {"namespace": "x"},
                "source": {"repoURL": "https://example.com/x", "path": path}}})
    };
    let all =
        |value: &str, kind: &str| vec![namespace(value), definition(kind), application(value)];
    let mut world = with(all("a", "Thing"), &["Replace=true"]);
    world.commit("bbbbbbb", all("b", "Gadget"));
    ask(&mut world, &forced());
    world.settle();
    let is_deletion = |sent: &&String| sent.starts_with('-');
    assert_eq!(world.applied.iter().filter(is_deletion).count(), 0);
    assert_eq!(world.applied[0], "=Namespace/production");
    let is_replaced = |sent: &String| sent == "=Application/child";
    assert!(world.applied.iter().any(is_replaced), "{:?}", world.applied);
    succeeded(&world);
}

#[test]
fn what_is_on_its_way_out_is_waited_for_and_so_is_what_comes_after_it() {
    let objects = |value: &str| vec![config_map("a", value), rollout(&format!("x:{value}"))];
    let mut world = with(objects("1"), &[]);
    world.sealed.insert("a".to_owned());
    world.lingering.insert("a".to_owned());
    world.commit("bbbbbbb", objects("2"));
    ask(&mut world, &forced());
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/a"]);
    let waiting = "Running: waiting for deletion of /ConfigMap/a";
    assert!(world.summary().ends_with(waiting), "{}", world.summary());
    assert_eq!(world.results(), ["a - deleted, to be created anew"]);
    world.now += SignedDuration::from_secs(60);
    // Who has begun it may have died since.
    world.forget_results();
    world.settle();
    assert_eq!(world.applied.len(), 1);
    let id = world.id("ConfigMap", "a");
    world.live.remove(&id);
    world.settle();
    assert_eq!(world.applied[1..], ["ConfigMap/a", "Rollout/backend"]);
    assert_eq!(
        world.results()[0],
        "a Synced configmap/a serverside-applied"
    );
}

#[test]
fn an_object_is_deleted_once_in_an_attempt_whoever_puts_it_back() {
    let mut world = with(vec![config_map("a", "1")], &[]);
    world.sealed.insert("a".to_owned());
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    ask(&mut world, &forced());
    let id = world.id("ConfigMap", "a");
    let mut back = (**world.live.get(&id).unwrap()).clone();
    while world.applied.is_empty() {
        world.step();
    }
    assert_eq!(world.applied, ["-ConfigMap/a"]);
    back["metadata"]["uid"] = json!("another");
    world.live.insert(std::sync::Arc::new(back));
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/a"]);
    assert_eq!(world.results(), [format!("a SyncFailed {}", sealed(&id))]);
}

/// The failure of another object must not leave a hole where one was deleted.
#[test]
fn what_was_deleted_is_created_though_another_has_failed() {
    let maps = |value: &str| vec![config_map("a", value), config_map("b", value)];
    let mut objects = maps("1");
    objects.push(rollout("x:1"));
    let mut world = with(objects, &[]);
    world.sealed.insert("b".to_owned());
    world.lingering.insert("b".to_owned());
    world.refuse.insert("a".to_owned(), "no".to_owned());
    let mut objects = maps("2");
    objects.push(rollout("x:2"));
    world.commit("bbbbbbb", objects);
    ask(&mut world, &forced());
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/b"]);
    assert!(world.summary().contains("Running"), "{}", world.summary());
    let id = world.id("ConfigMap", "b");
    world.live.remove(&id);
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/b", "ConfigMap/b"]);
    assert!(world.summary().contains("Failed"), "{}", world.summary());
}

#[test]
fn a_policy_that_is_named_says_how_what_is_created_anew_is_deleted() {
    let cases = [
        ("Replace=true", Propagation::Background),
        ("PrunePropagationPolicy=foreground", Propagation::Foreground),
        ("PrunePropagationPolicy=background", Propagation::Background),
        ("PrunePropagationPolicy=orphan", Propagation::Orphan),
    ];
    for (option, wanted) in cases {
        let mut world = with(vec![config_map("a", "1")], &["Replace=true", option]);
        world.commit("bbbbbbb", vec![config_map("a", "2")]);
        ask(&mut world, &forced());
        world.step();
        let plan = world.plan();
        let [Action::Delete { propagation, .. }] = plan.actions.as_slice() else {
            panic!("{:?}", plan.actions);
        };
        assert_eq!(*propagation, wanted, "{option}");
    }
}

#[test]
fn the_api_server_is_shown_what_will_be_done() {
    let shown = |options: &[&str], strategy: &Value| {
        let mut world = with(vec![config_map("a", "1")], options);
        world.commit(
            "bbbbbbb",
            vec![config_map("a", "2"), config_map("new", "1")],
        );
        ask(&mut world, strategy);
        world.step();
        let actions = dry_run_objects(&world.snapshot(), &world.config, world.now).unwrap();
        let verb = |action: &Action| match action {
            Action::Apply { object, .. } => {
                assert_eq!(object["metadata"].get("resourceVersion"), None);
                "apply"
            }
            Action::Replace { guard, .. } => {
                assert!(guard.resource_version.is_some());
                "replace"
            }
            Action::Create { .. } => "create",
            other => panic!("unexpected {other:?}"),
        };
        actions.iter().map(verb).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[], &json!(null)), ["apply", "apply"]);
    assert_eq!(shown(&["Replace=true"], &json!(null)), ["replace", "apply"]);
    // What may have to be created anew must be valid as a new object.
    assert_eq!(shown(&[], &forced()), ["create", "apply"]);
    assert_eq!(shown(&["Replace=true"], &forced()), ["create", "apply"]);
}
