//! The synchronous interface of in-process actors.

use std::sync::Arc;

use apiserver::{
    ApiServer, ChangeKind, DeleteOptions, Gvk, ManualClock, Patch, PatchOptions, Propagation,
};
use serde_json::{Value, json};

pub(crate) fn server() -> ApiServer {
    let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    ApiServer::builder().clock(Arc::new(clock)).build()
}

fn config_map() -> Gvk {
    Gvk::new("", "v1", "ConfigMap")
}

fn config(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}

#[test]
fn writes_stamp_system_fields_and_are_seen_in_order_by_changes() {
    let api = server();
    let start = api.revision();
    let created = api
        .create(&config_map(), Some("default"), config("a"))
        .unwrap();
    assert_eq!(
        created["metadata"]["creationTimestamp"],
        "2026-01-01T00:00:00Z"
    );
    assert_eq!(created["metadata"]["uid"].as_str().unwrap().len(), 36);
    let patch = Patch::Merge(json!({"data": {"k": "w"}}));
    let options = PatchOptions::manager("test");
    let patched = api
        .patch(&config_map(), Some("default"), "a", None, &patch, &options)
        .unwrap();
    assert_eq!(patched["data"]["k"], "w");
    api.delete(
        &config_map(),
        Some("default"),
        "a",
        &DeleteOptions::default(),
    )
    .unwrap();
    let kinds: Vec<_> = api
        .changes_since(start)
        .unwrap()
        .iter()
        .map(|c| (c.kind, c.revision))
        .collect();
    assert_eq!(
        kinds,
        [
            (ChangeKind::Added, start + 1),
            (ChangeKind::Modified, start + 2),
            (ChangeKind::Deleted, start + 3)
        ]
    );
    assert!(
        api.get(&config_map(), Some("default"), "a")
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn a_stale_update_conflicts_and_a_void_one_writes_nothing() {
    let api = server();
    let first = api
        .create(&config_map(), Some("default"), config("a"))
        .unwrap();
    let mut second = Value::clone(&first);
    second["data"]["k"] = json!("w");
    let head = {
        api.update(&config_map(), Some("default"), second, None)
            .unwrap();
        api.revision()
    };
    let stale = api
        .update(&config_map(), Some("default"), Value::clone(&first), None)
        .unwrap_err();
    assert!(stale.is_conflict(), "{stale}");
    assert_eq!(
        stale.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let same = api.get(&config_map(), Some("default"), "a").unwrap();
    api.update(&config_map(), Some("default"), Value::clone(&same), None)
        .unwrap();
    assert_eq!(api.revision(), head);
}

#[test]
fn finalizers_hold_a_deleted_object_until_they_are_gone() {
    let api = server();
    api.create(&config_map(), Some("default"), config("a"))
        .unwrap();
    let options = DeleteOptions {
        propagation: Some(Propagation::Foreground),
        ..DeleteOptions::default()
    };
    let deleted = api
        .delete(&config_map(), Some("default"), "a", &options)
        .unwrap();
    assert!(!deleted.gone);
    assert_eq!(
        deleted.object["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
    assert_eq!(deleted.object["metadata"]["deletionGracePeriodSeconds"], 0);
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let options = PatchOptions::manager("gc");
    api.patch(&config_map(), Some("default"), "a", None, &patch, &options)
        .unwrap();
    assert!(api.get(&config_map(), Some("default"), "a").is_err());
}

#[test]
fn the_same_seed_gives_the_same_uids_and_names() {
    let names = || {
        let api = server();
        let object = json!({"metadata": {"generateName": "x-"}});
        let object = api.create(&config_map(), Some("default"), object).unwrap();
        (
            object["metadata"]["name"].clone(),
            object["metadata"]["uid"].clone(),
        )
    };
    assert_eq!(names(), names());
}

#[test]
fn restoring_a_snapshot_restores_what_is_served() {
    let api = server();
    let before = api.snapshot();
    let crd = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    });
    let definitions = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    api.create(&definitions, None, crd).unwrap();
    let widgets = Gvk::new("example.com", "v1", "Widget");
    assert!(api.serves(&widgets));
    api.create(
        &widgets,
        Some("default"),
        json!({"metadata": {"name": "w"}}),
    )
    .unwrap();
    api.restore(&before);
    assert!(!api.serves(&widgets));
    assert!(api.list(&widgets, None).is_empty());
}
