use super::world::{World, config_map, m2, rollout};
use crate::sync::{Target, operation_request};
use jiff::SignedDuration;
use plan::Next;
use serde_json::json;

#[test]
fn t32_t33_t38_m2_is_synced_with_its_namespace_and_remembered() {
    let mut world = World::new(vec![rollout("backend:v1.2.3"), config_map("settings", "1")]);
    world.settle();
    assert_eq!(
        world.applied,
        [
            "Namespace/production",
            "ConfigMap/settings",
            "Rollout/backend"
        ]
    );
    assert_eq!(
        world.summary(),
        "Synced Progressing Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(
        world.results(),
        [
            "settings Synced configmap/settings serverside-applied",
            "backend Synced rollout.argoproj.io/backend serverside-applied",
        ]
    );
    let status = world.status();
    assert_eq!(status.sync.as_ref().unwrap().revision, "aaaaaaa");
    assert_eq!(status.summary.images, ["backend:v1.2.3"]);
    assert_eq!(status.history.len(), 1);
    assert_eq!(status.history[0].revision, "aaaaaaa");
    assert_eq!(status.history[0].initiated_by.automated, Some(true));
    assert_eq!(
        world.events,
        [
            "OperationStarted Initiated automated sync to 'aaaaaaa'",
            "OperationCompleted Sync operation to aaaaaaa succeeded",
        ]
    );
    assert_eq!(world.conditions(), Vec::<String>::new());
}

#[test]
fn t38_without_create_namespace_the_sync_fails_and_says_what_to_do() {
    let mut world = World::new(vec![config_map("settings", "1")]);
    world.policy(json!({"automated": {}, "retry": {"limit": 0}}));
    world.settle();
    let text = "namespace \"production\" not found: create it, declare it in Git, or set the sync option CreateNamespace=true";
    assert_eq!(world.summary(), format!("OutOfSync Missing Failed: {text}"));
    assert_eq!(
        world.conditions(),
        [format!(
            "SyncError: Failed last sync attempt to aaaaaaa: {text}"
        )]
    );
    assert_eq!(world.applied, Vec::<String>::new());
}

#[test]
fn managed_namespace_metadata_goes_on_the_namespace() {
    let mut world = World::new(vec![config_map("settings", "1")]);
    world.policy(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"],
        "managedNamespaceMetadata": {"labels": {"team": "a"}}}),
    );
    world.settle();
    assert_eq!(
        world.get("Namespace", "production").unwrap()["metadata"]["labels"],
        json!({"team": "a"})
    );
}

#[test]
fn t34_a_manual_application_waits_to_be_asked() {
    let mut world = World::new(vec![config_map("settings", "1")]);
    world.policy(json!({"syncOptions": ["CreateNamespace=true"]}));
    world.run_for(600);
    assert_eq!(world.summary(), "OutOfSync Missing -");
    assert_eq!(world.applied, Vec::<String>::new());

    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}, "initiatedBy": {"username": "ann"}}));
    world.settle();
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(world.app.operation, None);
    assert_eq!(
        world.events[0],
        "OperationStarted Initiated manual sync to 'HEAD' by ann"
    );
    assert_eq!(
        world.status().history[0].initiated_by.username.as_deref(),
        Some("ann")
    );
    let state = world.status().operation_state.as_ref().unwrap();
    assert_eq!(state.sync_result.as_ref().unwrap().revision, "aaaaaaa");
}

/// Acceptance 23, users.md 1: nothing on an aborted Rollout is touched while Git stands still.
#[test]
fn t23_an_aborted_revision_is_not_applied_again_until_git_moves() {
    let mut world = World::new(vec![rollout("backend:v1.2.3"), config_map("settings", "1")]);
    world.settle();
    let message = "RolloutAborted: Rollout aborted update to revision 2: Metric \"success-rate\" assessed Failed";
    world.edit("Rollout", "backend", |rollout| {
        rollout["status"] = json!({"phase": "Degraded", "abort": true, "message": message,
            "observedGeneration": "1", "currentPodHash": "bad", "stableRS": "good"});
    });
    let aborted = world.get("Rollout", "backend").unwrap().clone();
    world.applied.clear();
    world.run_for(3600);
    assert_eq!(
        world.summary(),
        "Synced Degraded Succeeded: successfully synced (all tasks run)"
    );
    let health = world.status().health.clone().unwrap();
    assert_eq!(health.message, "argoproj.io/Rollout:production/backend");
    let listed = &world.status().resources;
    let listed = listed.iter().find(|one| one.name == "backend").unwrap();
    assert_eq!(listed.health.as_ref().unwrap().message, message);

    // Not by hand either, however often, nor by a commit that does not touch it.
    for _ in 0..3 {
        world.ask(json!({"sync": {}}));
        world.settle();
    }
    world.commit(
        "bbbbbbb",
        vec![rollout("backend:v1.2.3"), config_map("settings", "2")],
    );
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/settings"]);
    assert_eq!(world.get("Rollout", "backend"), Some(&aborted));

    world.commit(
        "ccccccc",
        vec![rollout("backend:v1.2.2"), config_map("settings", "2")],
    );
    world.settle();
    assert_eq!(world.applied, ["ConfigMap/settings", "Rollout/backend"]);
    let live = world.get("Rollout", "backend").unwrap();
    assert_eq!(live["metadata"]["generation"], json!(2));
    assert_eq!(
        live["status"], aborted["status"],
        "the status is the rollout controller's"
    );
}

#[test]
fn t37_what_git_no_longer_has_is_pruned_and_nothing_else() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.settle();
    world.live.insert(std::sync::Arc::new(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "foreign", "namespace": "production"}})));
    world.commit("bbbbbbb", vec![config_map("a", "1")]);
    world.applied.clear();
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/b"]);
    assert!(world.get("ConfigMap", "foreign").is_some());
    assert_eq!(
        world.summary(),
        "Synced Healthy Succeeded: successfully synced (all tasks run)"
    );
    assert_eq!(
        world.results(),
        ["a Synced configmap/a unchanged", "b Pruned pruned"]
    );
}

#[test]
fn t37_without_prune_it_stays_and_is_out_of_sync() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.policy(json!({"automated": {"selfHeal": true}, "syncOptions": ["CreateNamespace=true"]}));
    world.settle();
    world.commit("bbbbbbb", vec![config_map("a", "2")]);
    world.settle();
    assert!(world.get("ConfigMap", "b").is_some());
    assert_eq!(
        world.results(),
        [
            "b PruneSkipped ignored (requires pruning)",
            "a Synced configmap/a serverside-applied"
        ]
    );
    assert_eq!(
        world.summary(),
        "OutOfSync Healthy Succeeded: successfully synced (all tasks run)"
    );
    let b = &world.status().resources[2 - 1];
    assert!(b.requires_pruning);
}

#[test]
fn protected_objects_are_not_pruned() {
    let mut world = World::new(vec![config_map("a", "1")]);
    let mut kept = config_map("kept", "1");
    kept["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-options": "Prune=false"});
    world.track(kept, "production");
    world.settle();
    assert!(world.get("ConfigMap", "kept").is_some());
    assert!(
        world
            .results()
            .contains(&"kept PruneSkipped ignored (no prune)".to_owned())
    );
}

#[test]
fn a_terminated_operation_ends() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.step();
    world
        .app
        .status
        .as_mut()
        .unwrap()
        .operation_state
        .as_mut()
        .unwrap()
        .phase = api::OperationPhase::Terminating;
    world.policy(json!({}));
    world.settle();
    assert_eq!(
        world.summary(),
        "OutOfSync Missing Failed: Operation terminated"
    );
    assert_eq!(world.applied, Vec::<String>::new());
}

#[test]
fn a_request_that_came_meanwhile_is_kept_and_carried_out_next() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.step();
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"]}, "initiatedBy": {"username": "ann"}}));
    world.settle();
    assert_eq!(world.app.operation, None);
    let by = &world
        .status()
        .operation_state
        .as_ref()
        .unwrap()
        .operation
        .initiated_by;
    assert_eq!(by.username.as_deref(), Some("ann"));
    assert_eq!(world.status().history.len(), 2);
}

#[test]
fn a_selective_sync_touches_what_it_names_and_is_not_remembered() {
    let mut world = World::new(vec![config_map("a", "1"), config_map("b", "1")]);
    world.policy(json!({"syncOptions": ["CreateNamespace=true"]}));
    world.ask(json!({"sync": {"syncOptions": ["CreateNamespace=true"],
        "resources": [{"kind": "ConfigMap", "name": "b"}]}}));
    world.settle();
    assert_eq!(world.applied, ["Namespace/production", "ConfigMap/b"]);
    assert_eq!(world.status().history.len(), 0);
    assert_eq!(
        world.events[1],
        "OperationCompleted Partial sync operation to aaaaaaa succeeded"
    );
}

#[test]
fn a_dry_run_sends_nothing() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({}));
    world.ask(json!({"sync": {"dryRun": true}}));
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(
        world.results(),
        ["a Synced configmap/a serverside-applied (dry run, not checked by the API server)"]
    );
    assert_eq!(world.status().history.len(), 0);
}

#[test]
fn an_operation_says_which_revision_it_wants() {
    let mut app = m2();
    assert_eq!(operation_request(&app), None);
    app.operation = serde_json::from_value(json!({"sync": {"revision": "v1"}})).unwrap();
    assert_eq!(operation_request(&app).unwrap().revision, "v1");
    let mut world = World::new(vec![config_map("a", "1")]);
    world.policy(json!({"syncOptions": ["CreateNamespace=true"]}));
    world.ask(json!({"sync": {"revision": "v1"}}));
    world.settle();
    assert_eq!(world.summary(), "OutOfSync Missing Running: ");
    assert_eq!(world.applied, Vec::<String>::new(), "v1 is not there yet");
    assert!(!world.plan().trace.waiting_on.is_empty());
}

#[test]
fn history_is_trimmed() {
    let mut world = World::new(vec![config_map("a", "0")]);
    world.app.spec.revision_history_limit = Some(2);
    for n in 1..5 {
        world.settle();
        world.commit(&format!("rev{n}"), vec![config_map("a", &n.to_string())]);
    }
    world.settle();
    let ids: Vec<_> = world
        .status()
        .history
        .iter()
        .map(|entry| (entry.id, entry.revision.clone()))
        .collect();
    assert_eq!(ids, [(3, "rev3".to_owned()), (4, "rev4".to_owned())]);
}

#[test]
fn a_met_refresh_is_taken_off() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    world.app.metadata.annotations =
        Some([("argocd.argoproj.io/refresh".to_owned(), "normal".to_owned())].into());
    world.settle();
    assert!(world.has_no_annotations());
}

#[test]
fn the_time_of_a_refresh_is_taken_off_with_it_and_not_before() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    let texts = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<std::collections::BTreeMap<String, String>>()
    };
    let time = (
        "argocd.argoproj.io/refresh-timestamp",
        "2026-01-01T00:00:00Z",
    );
    world.app.metadata.annotations = Some(texts(&[time, ("argocd.argoproj.io/refresh", "hard")]));
    world.refreshed = false;
    world.settle();
    let annotations = world.app.metadata.annotations.clone();
    assert_eq!(annotations.unwrap().len(), 2, "it is not met yet");
    world.refreshed = true;
    world.settle();
    assert!(world.has_no_annotations());
}

#[test]
fn a_deleted_application_takes_its_objects_along_in_reverse() {
    let mut first = config_map("first", "1");
    first["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-wave": "-1"});
    let mut world = World::new(vec![first, config_map("second", "1")]);
    world.app.metadata.finalizers = Some(vec!["resources-finalizer.argocd.argoproj.io".to_owned()]);
    world.settle();
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    world.applied.clear();
    world.settle();
    assert_eq!(world.applied, ["-ConfigMap/second", "-ConfigMap/first"]);
    assert_eq!(
        world.app.metadata.finalizers.clone().unwrap_or_default(),
        Vec::<String>::new()
    );
    assert!(world.get("Namespace", "production").is_some());
}

#[test]
fn an_object_that_may_not_be_deleted_keeps_no_other_and_is_tried_again() {
    let maps = ["a", "b", "c"].map(|name| config_map(name, "1"));
    let mut world = World::new(maps.to_vec());
    world.app.metadata.finalizers = Some(vec!["resources-finalizer.argocd.argoproj.io".to_owned()]);
    world.settle();
    world.app.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap());
    world.applied.clear();
    let why = "configmaps \"b\" is forbidden".to_owned();
    world.refuse.insert("b".to_owned(), why);
    world.step();
    world.applied.sort();
    assert_eq!(world.applied, ["-ConfigMap/a", "-ConfigMap/c"]);
    let plan = world.plan();
    assert_eq!(plan.actions.len(), 1, "{:?}", plan.actions);
    assert_eq!(
        plan.next,
        Next::At(world.now + SignedDuration::from_secs(20))
    );
    world.refuse.clear();
    world.settle();
    assert_eq!(world.applied.last().unwrap(), "-ConfigMap/b");
    assert_eq!(
        world.app.metadata.finalizers.clone().unwrap_or_default(),
        Vec::<String>::new()
    );
}

#[test]
fn nothing_happens_before_git_was_seen() {
    let mut world = World::new(vec![]);
    world.target = Target::Pending;
    world.settle();
    assert_eq!(world.applied, Vec::<String>::new());
    assert_eq!(world.status().sync, None);
    assert_eq!(
        world.status().health,
        None,
        "nobody knows what is to be well"
    );
    assert_eq!(world.updates, [""; 0]);
}

#[test]
fn it_is_told_when_sync_and_health_are_others() {
    let mut world = World::new(vec![config_map("a", "1")]);
    world.settle();
    let told = [
        "sync status:  -> OutOfSync",
        "health status:  -> Missing",
        "sync status: OutOfSync -> Synced",
        "health status: Missing -> Healthy",
    ];
    let told = told.map(|text| format!("ResourceUpdated Updated {text}"));
    assert_eq!(world.updates, told);
    world.run_for(3600);
    assert_eq!(world.updates.len(), told.len(), "{:?}", world.updates);
}
