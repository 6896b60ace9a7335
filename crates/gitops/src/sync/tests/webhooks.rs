//! Webhooks that keep out what would mend them.

use super::world::{World, config_map, sealed};
use crate::ResourceId;
use crate::sync::DryRun;
use serde_json::{Value, json};

const UNASKED: &str = "Internal error occurred: failed calling webhook \"guard.example.com\": failed \
                       to call webhook: Post \"https://guard.production.svc:443/judge?timeout=10s\": \
                       no endpoints available for service \"guard\"";
const DENIED: &str = "admission webhook \"guard.example.com\" denied the request: it is Monday";

fn configuration(policy: &str) -> Value {
    let service = json!({"name": "guard", "namespace": "production"});
    json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "guard"},
        "webhooks": [{"name": "guard.example.com", "failurePolicy": policy,
            "clientConfig": {"service": service}}]})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "guard"},
        "spec": {"ports": [{"port": 443}]}})
}

/// The webhook keeps out the map `a`, in the dry run and in earnest.
fn guarded(objects: Vec<Value>, why: &str) -> World {
    let mut world = World::new(objects);
    keep_out(&mut world, why);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"],
        "retry": {"limit": 1, "backoff": {"duration": "10s"}}}),
    );
    world
}

fn keep_out(world: &mut World, why: &str) {
    let id = ResourceId::new("", "ConfigMap", "production", "a");
    world.dry_run = DryRun::Done(vec![(id, why.to_owned())]);
    world.refuse.insert("a".to_owned(), why.to_owned());
}

const IN_DRY_RUN: &str = "one or more objects failed to apply (dry run)";

#[test]
fn what_mends_a_webhook_goes_out_though_others_are_refused_by_it() {
    for why in [UNASKED, DENIED] {
        let mut world = guarded(vec![config_map("a", "1"), configuration("Ignore")], why);
        world.settle();
        let sent = [
            "Namespace/production",
            "ValidatingWebhookConfiguration/guard",
        ];
        assert_eq!(world.applied, sent, "{why}");
        let told = "Retrying attempt #1";
        assert!(world.summary().contains(told), "{}", world.summary());
        // It is mended, and the next try finds it so.
        world.refuse.clear();
        world.dry_run = DryRun::Done(Vec::new());
        world.run_for(30);
        assert_eq!(world.applied[2..], ["ConfigMap/a"], "{why}");
        assert!(
            world.summary().starts_with("Synced Healthy Succeeded"),
            "{}",
            world.summary()
        );
    }
}

/// It would be too late to learn that the webhook still says no.
#[test]
fn what_would_be_deleted_first_waits_for_a_webhook_to_be_mended() {
    let id = ResourceId::new("", "ConfigMap", "production", "a");
    let denied = DENIED.to_owned();
    for (options, said) in [
        (json!(["Replace=true"]), vec![denied.clone()]),
        // The change is refused in any case, so the object would be deleted next.
        (json!([]), vec![sealed(&id), denied.clone()]),
    ] {
        let mut world = World::new(vec![config_map("a", "1"), configuration("Fail")]);
        world.settle();
        world.applied.clear();
        world.policy(json!({}));
        world.commit(
            "bbbbbbb",
            vec![config_map("a", "2"), configuration("Ignore")],
        );
        keep_out(&mut world, DENIED);
        let said = said.into_iter().map(|why| (id.clone(), why));
        world.dry_run = DryRun::Done(said.collect());
        let strategy = json!({"hook": {"force": true}});
        world.ask(json!({"sync": {"syncOptions": options, "syncStrategy": strategy}}));
        world.settle();
        assert_eq!(world.applied, [""; 0], "{options}");
        let summary = world.summary();
        assert!(summary.contains(IN_DRY_RUN), "{summary}");
    }
}

#[test]
fn who_answers_for_a_webhook_may_be_mended_as_well() {
    // Somebody else has registered it: its address tells whose it is.
    let mut world = guarded(vec![config_map("a", "1"), service()], UNASKED);
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "Service/guard"]);
}

fn service_at(port: u16) -> Value {
    let mut service = service();
    service["spec"]["ports"][0]["port"] = json!(port);
    service
}

fn account(mounts: bool) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "guard"},
        "automountServiceAccountToken": mounts})
}

#[test]
fn what_a_webhook_has_denied_is_mended_by_its_own_parts_alone() {
    let objects = |value: &str, account: Value, service: Value| {
        let map = config_map("a", value);
        vec![map, account, service, configuration("Fail")]
    };
    let mut world = World::new(objects("1", account(true), service()));
    world.settle();
    world.policy(json!({"automated": {}, "retry": {"limit": 0}}));
    let near = || objects("2", account(false), service());
    let part = || objects("3", account(false), service_at(8443));
    let cases = [
        ("bbbbbbb", DENIED, near(), vec![]),
        ("ccccccc", UNASKED, near(), vec!["ServiceAccount/guard"]),
        ("ddddddd", DENIED, part(), vec!["Service/guard"]),
    ];
    for (revision, why, objects, sent) in cases {
        world.applied.clear();
        keep_out(&mut world, why);
        world.commit(revision, objects);
        world.settle();
        assert_eq!(world.applied, sent, "{revision} {why}");
    }
}

fn selecting(app: &str) -> Value {
    let mut service = service();
    service["spec"]["selector"] = json!({"app": app});
    service
}

fn deployment(name: &str, app: &str, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": app}}, "template": {
            "metadata": {"labels": {"app": app}},
            "spec": {"containers": [{"name": "c", "image": image}]}}}})
}

#[test]
fn what_has_nothing_to_do_with_who_answers_mends_no_webhook_that_has_denied() {
    let other = |port: u16| {
        let mut service = service_at(port);
        service["metadata"]["name"] = json!("other");
        service
    };
    let cases = [
        (
            deployment("guard", "guard", "x:1"),
            deployment("guard", "guard", "x:2"),
            true,
        ),
        (
            deployment("other", "other", "x:1"),
            deployment("other", "other", "x:2"),
            false,
        ),
        // It becomes one of them.
        (
            deployment("late", "other", "x:1"),
            deployment("late", "guard", "x:1"),
            true,
        ),
        (other(443), other(8443), false),
        // Who answers may ask the API server for it.
        (config_map("rules", "1"), config_map("rules", "2"), true),
    ];
    for (before, after, mends) in cases {
        let objects = |value: &str, near: &Value| {
            let map = config_map("a", value);
            vec![map, near.clone(), selecting("guard"), configuration("Fail")]
        };
        let mut world = World::new(objects("1", &before));
        world.settle();
        world.policy(json!({"automated": {}, "retry": {"limit": 0}}));
        world.applied.clear();
        keep_out(&mut world, DENIED);
        world.commit("bbbbbbb", objects("2", &after));
        world.settle();
        assert_eq!(world.applied.len(), usize::from(mends), "{after}");
    }
}

#[test]
fn what_stays_as_it_is_mends_no_webhook_that_has_denied() {
    let mut world = World::new(vec![config_map("a", "1"), configuration("Fail")]);
    world.settle();
    world.policy(json!({"automated": {}, "retry": {"limit": 0}}));
    // It is as declared, and has never been applied.
    world.track(service(), "production");
    let cases = [
        ("bbbbbbb", DENIED, vec![]),
        ("ccccccc", UNASKED, vec!["Service/guard"]),
    ];
    for (revision, why, sent) in cases {
        world.applied.clear();
        keep_out(&mut world, why);
        let objects = vec![config_map("a", "2"), service(), configuration("Fail")];
        world.commit(revision, objects);
        world.settle();
        assert_eq!(world.applied, sent, "{revision} {why}");
    }
}

#[test]
fn what_mends_a_webhook_is_of_no_help_in_a_later_wave() {
    for (wave, is_sent) in [("-1", true), ("0", true), ("1", false)] {
        for why in [UNASKED, DENIED] {
            let mut later = configuration("Ignore");
            later["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-wave": wave});
            let mut world = guarded(vec![config_map("a", "1"), later], why);
            world.settle();
            let mut sent = vec!["Namespace/production"];
            if is_sent {
                sent.push("ValidatingWebhookConfiguration/guard");
            }
            assert_eq!(world.applied, sent, "{wave} {why}");
            let is_refused_before = world.summary().contains(IN_DRY_RUN);
            assert_eq!(is_refused_before, !is_sent, "{}", world.summary());
        }
    }
}

#[test]
fn the_refusals_of_other_webhooks_stop_everything() {
    let other = DENIED.replace("guard.example.com", "other.example.com");
    let elsewhere = UNASKED
        .replace("guard.example.com", "other.example.com")
        .replace("guard.production.svc", "other.elsewhere.svc");
    for why in [other, elsewhere, "it is invalid".to_owned()] {
        let objects = vec![config_map("a", "1"), service(), configuration("Ignore")];
        let mut world = guarded(objects, &why);
        world.settle();
        assert_eq!(world.applied, ["Namespace/production"], "{why}");
        assert!(world.summary().contains(IN_DRY_RUN), "{}", world.summary());
    }
}

#[test]
fn a_webhook_that_nothing_of_the_sync_changes_is_heeded() {
    let objects = |value: &str| vec![config_map("a", value), service(), configuration("Fail")];
    let mut world = World::new(objects("1"));
    world.settle();
    world.policy(json!({"automated": {}, "retry": {"limit": 0}}));
    world.applied.clear();
    for (revision, why) in [("bbbbbbb", UNASKED), ("ccccccc", DENIED)] {
        keep_out(&mut world, why);
        world.commit(revision, objects(revision));
        world.settle();
        assert_eq!(world.applied, Vec::<String>::new(), "{why}");
        assert!(world.summary().contains(IN_DRY_RUN), "{}", world.summary());
    }
}
