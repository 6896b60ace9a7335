//! Objects that are deleted and created anew, since they can't be changed.

use super::replace::{ask, claim, forced, marked, succeeded, with};
use super::windows::{project, window};
use super::world::{World, config_map, rollout, sealed};
use crate::ResourceId;
use crate::sync::{DryRun, dry_run_objects};
use jiff::SignedDuration;
use plan::{Action, Propagation};
use serde_json::{Value, json};

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
            assert_eq!(world.results(), ["a Synced configmap/a configured"]);
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
    assert_eq!(world.results(), ["a Synced configmap/a replaced"]);
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
    assert_eq!(world.results(), ["a Synced configmap/a configured"]);
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
    let name = "things.example.com";
    for told in [
        "production Synced Namespace/production updated".to_owned(),
        format!("{name} Synced CustomResourceDefinition/{name} updated"),
        "child Synced application.argoproj.io/child replaced".to_owned(),
    ] {
        assert!(world.results().contains(&told), "{:?}", world.results());
    }
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
    assert_eq!(world.results()[0], "a Synced configmap/a configured");
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
    // What may have to be created anew must be valid as a new object, too.
    assert_eq!(shown(&[], &forced()), ["apply", "create", "apply"]);
    // What is created anew in any case is not changed.
    assert_eq!(shown(&["Replace=true"], &forced()), ["create", "apply"]);
}

/// `a` is to be changed by force, and the API server has refused it so in the dry run.
fn rehearsed(whys: &[&str], options: &[&str]) -> World {
    let mut world = with(vec![config_map("a", "1")], options);
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    let id = ResourceId::new("", "ConfigMap", "production", "a");
    let said = whys.iter().map(|why| (id.clone(), (*why).to_owned()));
    world.dry_run = DryRun::Done(said.collect());
    ask(&mut world, &forced());
    world
}

#[test]
fn a_change_that_is_refused_beforehand_is_forced_if_a_new_object_would_be_taken() {
    let sealed = sealed(&ResourceId::new("", "ConfigMap", "", "a"));
    let immutable = sealed.as_str();
    let odd = "ConfigMap \"a\" is invalid: data.k: Invalid value: \"2\": must be odd";
    let full = "configmaps \"a\" is forbidden: exceeded quota";
    let cases = [
        (vec![immutable], None),
        (vec![full], None),
        (vec![full, immutable], None),
        // No new one would be taken, or it is refused for what no force helps against.
        (vec![immutable, odd], Some(odd)),
        (vec![odd], Some(odd)),
    ];
    for (whys, refused) in cases {
        let mut world = rehearsed(&whys, &[]);
        world.sealed.insert("a".to_owned());
        world.settle();
        if let Some(why) = refused {
            assert_eq!(world.applied, [""; 0], "{whys:?}");
            assert_eq!(world.results(), [format!("a SyncFailed {why}")]);
        } else {
            assert_eq!(world.applied, ["-ConfigMap/a", "ConfigMap/a"], "{whys:?}");
            succeeded(&world);
        }
    }
}

/// A rule for the fields of an object may say so in the words of one for its changes.
/// After these answers to its rehearsal nothing is sent for an object that can't be changed, and
/// the result begins with these words.
#[track_caller]
fn is_left_alone(said: [&str; 2], words: &str) {
    let mut world = rehearsed(&said, &[]);
    world.sealed.insert("a".to_owned());
    world.settle();
    assert_eq!(world.applied, [""; 0]);
    let told = format!("a SyncFailed {words}");
    let results = world.results();
    assert!(results[0].starts_with(&told), "{results:?}");
}

#[test]
fn what_is_refused_as_unchangeable_even_as_a_new_object_is_not_deleted() {
    let immutable = sealed(&ResourceId::new("", "ConfigMap", "", "a"));
    let rule = "ConfigMap \"a\" is invalid: data.k: Invalid value: \"2\": must be an immutable tag";
    for said in [[immutable.as_str(), rule], [rule, rule]] {
        is_left_alone(
            said,
            &format!("{}: a new object would be refused, too", said[0]),
        );
    }
}

#[test]
fn what_can_not_be_changed_is_not_deleted_for_a_new_object_that_nobody_can_judge() {
    let immutable = sealed(&ResourceId::new("", "ConfigMap", "", "a"));
    let why = "admission webhook \"x\" does not support dry run";
    for said in [[immutable.as_str(), why], [why, immutable.as_str()]] {
        is_left_alone(
            said,
            &format!("{why}: whether a new object would be taken can't be"),
        );
    }
}

#[test]
fn what_is_refused_beforehand_is_told_what_it_lacks_to_be_forced() {
    let id = ResourceId::new("", "ConfigMap", "production", "a");
    let mut world = with(vec![config_map("a", "1")], &[]);
    world.commit("bbbbbbb", vec![marked("a", "2", "Prune=false")]);
    let why = sealed(&id);
    world.dry_run = DryRun::Done(vec![(id, why)]);
    ask(&mut world, &forced());
    world.settle();
    assert_eq!(world.applied, [""; 0]);
    let told = "(to be deleted and created anew it needs Force=true in its own manifest)";
    assert!(world.results()[0].ends_with(told), "{:?}", world.results());
}

#[test]
fn what_nobody_can_judge_beforehand_is_not_deleted_untried() {
    let why = "admission webhook \"x\" does not support dry run";
    let mut world = rehearsed(&[why], &["Replace=true"]);
    world.settle();
    assert_eq!(world.applied, [""; 0]);
    let told = format!("a SyncFailed {why}: whether a new object would be taken can't be known");
    assert!(
        world.results()[0].starts_with(&told),
        "{:?}",
        world.results()
    );
    // Without Replace=true a change is tried before.
    let mut world = rehearsed(&[why, why], &[]);
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/a"]);
    succeeded(&world);
}
