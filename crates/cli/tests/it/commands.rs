//! Every verb on the embedded API server.

use crate::world::{NOW, World, gvk, replica_set, rollout, template};
use apiserver::ApiServer;
use gocompat::hash::pod_template_hash;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn paused() -> Value {
    json!({
        "observedGeneration": "1", "phase": "Paused", "message": "CanaryPauseStep",
        "controllerPause": true, "currentStepIndex": 1, "currentPodHash": "new", "stableRS": "old",
        "replicas": 2, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2,
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": NOW}],
    })
}

/// A paused Rollout with two revisions.
pub(crate) fn world() -> World {
    let world = World::new();
    let owner = world.create(rollout(&paused()));
    world.create(replica_set(&owner, "old", 1, "demo:blue"));
    world.create(replica_set(&owner, "new", 2, "demo:green"));
    world
}

#[tokio::test]
async fn what_is_not_there_is_said_in_a_sentence() {
    let world = World::new();
    let not_found = "rollout \"nope\" not found in namespace \"demo\"";
    for args in [
        &["get", "rollout", "nope"][..],
        &["get", "ro", "nope", "-w"],
        &["status", "nope"],
        &["promote", "nope"],
        &["abort", "nope"],
        &["retry", "rollout", "nope"],
        &["pause", "nope"],
        &["restart", "nope"],
        &["undo", "nope"],
        &["set", "image", "nope", "web=x"],
    ] {
        assert_eq!(world.run(args).await.failed(), not_found, "{args:?}");
    }
    let failed = world.run(&["app", "get", "nope"]).await.failed();
    assert_eq!(
        failed,
        "application \"nope\" not found in namespace \"argocd\""
    );
    let failed = world
        .run(&["-n", "other", "get", "rollout", "nope"])
        .await
        .failed();
    assert_eq!(failed, "rollout \"nope\" not found in namespace \"other\"");
}

#[tokio::test]
async fn a_cluster_without_definitions_is_not_one_without_the_object() {
    let world = World {
        api: ApiServer::builder().build(),
    };
    for (args, what) in [
        (&["get", "rollout", "app"][..], "rollout \"app\""),
        (&["abort", "app"], "rollout \"app\""),
        (&["terminate", "ar", "run"], "analysis run \"run\""),
        (&["app", "get", "shop"], "application \"shop\""),
        (&["list", "rollouts"], "cannot list rollouts"),
        (&["list", "rollouts", "-w"], "cannot watch rollouts"),
    ] {
        let failed = world.run(args).await.failed();
        assert!(failed.starts_with(what), "{args:?}: {failed}");
        assert!(failed.contains("`weir install`"), "{args:?}: {failed}");
    }
}

#[tokio::test]
async fn a_reference_to_a_workload_without_its_name_is_said() {
    let world = World::new();
    let mut referring = rollout(&json!({}));
    let spec = referring["spec"].as_object_mut().unwrap();
    spec.remove("template");
    spec.insert(
        "workloadRef".to_owned(),
        json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
    );
    world.create(referring);
    let failed = world.run(&["set", "image", "app", "web=x"]).await.failed();
    assert!(
        failed.contains("rollout \"app\"") && failed.contains("spec.workloadRef"),
        "{failed}"
    );
}

#[tokio::test]
async fn programs_get_json() {
    let world = world();
    let read = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
    let shown = read(
        world
            .run(&["get", "rollout", "app", "-o", "json"])
            .await
            .ok(),
    );
    assert_eq!(shown["objectMeta"]["name"], "app");
    assert_eq!(shown["status"], "Paused");
    assert_eq!(shown["replicaSets"].as_array().map(Vec::len), Some(2));
    let listed = read(world.run(&["list", "rollouts", "--output=json"]).await.ok());
    let listed = &listed["rollouts"][0];
    assert_eq!(listed["objectMeta"]["name"], "app");
    assert_eq!(listed["replicaSets"], shown["replicaSets"]);
    for args in [
        &["list", "ro", "-A", "-o", "json"][..],
        &["get", "rollouts", "-o", "json", "--watch=false"],
    ] {
        let all = read(world.run(args).await.ok());
        assert_eq!(
            all["rollouts"][0]["replicaSets"], shown["replicaSets"],
            "{args:?}"
        );
    }
    for args in [
        &["get", "ro", "app", "-w", "-o", "json"][..],
        &["list", "ro", "--output=json", "--watch"],
    ] {
        let error = world.run(args).await.result.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{args:?}");
        assert!(error.to_string().contains("--output"), "{args:?}: {error}");
    }
    for kind in ["rollouts", "experiments"] {
        let none = World::new().run(&["list", kind, "-o", "json"]).await;
        assert_eq!(none.err, "");
        assert_eq!(read(none.ok()), json!({kind: []}));
    }
}

#[tokio::test]
async fn get_shows_the_tree() {
    let screen = world().run(&["get", "rollout", "app"]).await.ok();
    insta::assert_snapshot!(screen);
}

// Under a paused clock: on a busy machine the change could come before the first picture.
#[tokio::test(start_paused = true)]
async fn get_watch_redraws_and_ends_when_the_time_is_up() {
    let world = world();
    let api = World {
        api: world.api.clone(),
    };
    let change = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        api.patch(
            "Rollout",
            "app",
            &json!({"status": {"phase": "Healthy", "message": ""},}),
        );
    });
    let args = ["get", "rollout", "app", "--watch", "--timeout-seconds", "2"];
    let out = world.run(&args).await.ok();
    change.await.unwrap();
    assert!(out.starts_with("Name:"), "{out}");
    assert!(
        out.contains("॥ Paused") && out.contains("Status:          ✔ Healthy"),
        "{out}"
    );
}

#[tokio::test]
async fn list_has_a_line_for_each() {
    let world = world();
    let table = world.run(&["list", "rollouts"]).await.ok();
    insta::assert_snapshot!(table);
    let table = world.run(&["list", "ro", "-A", "--timestamps"]).await.ok();
    insta::assert_snapshot!(table);
    let none = world.run(&["list", "rollouts", "-n", "argocd"]).await;
    assert_eq!(
        (none.out.as_str(), none.err.as_str()),
        ("", "No resources found.\n")
    );
}

#[tokio::test]
async fn abort_and_retry_write_the_status() {
    let world = world();
    assert_eq!(
        world.run(&["abort", "app"]).await.ok(),
        "rollout 'app' aborted\n"
    );
    assert_eq!(world.get("Rollout", "app")["status"]["abort"], true);
    assert_eq!(
        world.run(&["retry", "rollout", "app"]).await.ok(),
        "rollout 'app' retried\n"
    );
    assert_ne!(world.get("Rollout", "app")["status"]["abort"], true);
}

#[tokio::test]
async fn without_a_status_subresource_the_object_itself_is_patched() {
    let world = World::with_definitions(|definition| {
        if definition["spec"]["names"]["kind"] == "Rollout" {
            let version = definition["spec"]["versions"][0].as_object_mut().unwrap();
            version.remove("subresources");
        }
    });
    let mut object = rollout(&Value::Null);
    object.as_object_mut().unwrap().remove("status");
    world.create(object);
    assert_eq!(
        world.run(&["abort", "app"]).await.ok(),
        "rollout 'app' aborted\n"
    );
    assert_eq!(world.get("Rollout", "app")["status"]["abort"], true);
}

#[tokio::test]
async fn promote_lifts_the_pause_or_skips_everything() {
    let world = world();
    assert_eq!(
        world.run(&["promote", "app"]).await.ok(),
        "rollout 'app' promoted\n"
    );
    let status = world.get("Rollout", "app")["status"].clone();
    assert!(status.get("pauseConditions").is_none());
    assert_eq!(
        (&status["controllerPause"], &status["currentStepIndex"]),
        (&json!(true), &json!(1))
    );
    let full = world.run(&["promote", "app", "--full"]).await.ok();
    assert_eq!(full, "rollout 'app' fully promoted\n");
    assert_eq!(world.get("Rollout", "app")["status"]["promoteFull"], true);
    let done = json!({"currentPodHash": "same", "stableRS": "same"});
    world.patch("Rollout", "app", &json!({"status": done}));
    let idle = world.run(&["promote", "app", "--full"]).await;
    assert_eq!(
        idle.err,
        "rollout 'app' stays as it is: there is no update to promote\n"
    );
    assert_eq!(idle.ok(), "rollout 'app' fully promoted\n");
    let both = world.run(&["promote", "app", "-c", "-a"]).await.failed();
    assert_eq!(
        both,
        "Cannot use skip-current-step and skip-all-steps flags at the same time"
    );
}

#[tokio::test]
async fn pause_and_restart_write_the_spec() {
    let world = world();
    assert_eq!(
        world.run(&["pause", "app"]).await.ok(),
        "rollout 'app' paused\n"
    );
    assert_eq!(world.get("Rollout", "app")["spec"]["paused"], true);
    world.run(&["promote", "app"]).await.ok();
    assert_eq!(world.get("Rollout", "app")["spec"]["paused"], false);
    assert_eq!(
        world.run(&["restart", "app"]).await.ok(),
        "rollout 'app' restarts in 0s\n"
    );
    assert_eq!(world.get("Rollout", "app")["spec"]["restartAt"], NOW);
    let later = world.run(&["restart", "app", "-i", "90s"]).await.ok();
    assert_eq!(later, "rollout 'app' restarts in 90s\n");
    assert_eq!(
        world.get("Rollout", "app")["spec"]["restartAt"],
        "2026-01-01T12:01:30Z"
    );
}

#[tokio::test]
async fn set_image_changes_the_rollout_or_its_workload() {
    let world = world();
    let out = world
        .run(&["set", "image", "app", "web=demo:red"])
        .await
        .ok();
    assert_eq!(out, "rollout \"app\" image updated\n");
    let image =
        |object: &Value| object["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_eq!(image(&world.get("Rollout", "app")), "demo:red");
    let wrong = world.run(&["set", "image", "app", "db=x"]).await.failed();
    assert_eq!(wrong, "unable to find container named \"db\"");

    world.create(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "work"},
        "spec": {"selector": {"matchLabels": {"app": "app"}}, "template": template("demo:blue")},
    }));
    world.create(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "ref"},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "work"},
            "strategy": {"canary": {}},
        },
    }));
    let out = world.run(&["set", "image", "ref", "*=demo:red"]).await.ok();
    assert_eq!(out, "deployment \"work\" image updated\n");
    assert_eq!(image(&world.get("Deployment", "work")), "demo:red");
}

/// A paused Rollout whose new ReplicaSet has the hash that the controller would give it.
fn reconciled() -> World {
    let world = World::new();
    let mut status = paused();
    let hash = pod_template_hash(&template("demo:green"), None);
    status["currentPodHash"] = json!(hash);
    let owner = world.create(rollout(&status));
    world.create(replica_set(&owner, "old", 1, "demo:blue"));
    world.create(replica_set(&owner, &hash, 2, "demo:green"));
    world
}

#[tokio::test]
async fn undo_goes_back_to_a_revision() {
    let world = reconciled();
    let gone = world
        .run(&["undo", "app", "--to-revision", "9"])
        .await
        .failed();
    assert_eq!(gone, "unable to find specified revision 9 in history");
    let same = world.run(&["undo", "app", "--to-revision", "2"]).await.ok();
    assert_eq!(
        same,
        "skipped rollback (current template already matches revision 2)\n"
    );
    assert_eq!(
        world.run(&["undo", "app"]).await.ok(),
        "rollout 'app' undo\n"
    );
    let template = world.get("Rollout", "app")["spec"]["template"].clone();
    assert_eq!(template["spec"]["containers"][0]["image"], "demo:blue");
    assert_eq!(template["metadata"]["labels"], json!({"app": "app"}));

    let young = World::new();
    young.create(rollout(&paused()));
    let none = young.run(&["undo", "app"]).await.failed();
    assert_eq!(none, "no revision found for rollout \"app\"");
}

#[tokio::test]
async fn undo_goes_by_the_template_and_not_by_a_status_that_may_be_of_another_one() {
    let world = reconciled();
    // Edited, and not reconciled yet: the status names the revision that the template was of.
    world
        .run(&["set", "image", "app", "web=demo:red"])
        .await
        .ok();
    let out = world.run(&["undo", "app", "--to-revision", "2"]).await.ok();
    assert_eq!(out, "rollout 'app' undo\n");
    let template = world.get("Rollout", "app")["spec"]["template"].clone();
    assert_eq!(template["spec"]["containers"][0]["image"], "demo:green");
}

#[tokio::test]
async fn status_answers_at_once_or_waits() {
    let world = world();
    let now = world.run(&["status", "app", "--watch=false"]).await.ok();
    assert_eq!(now, "Paused - CanaryPauseStep\n");
    let late = world.run(&["status", "app", "--timeout", "300ms"]).await;
    assert_eq!(late.out, "Paused - CanaryPauseStep\n");
    assert_eq!(
        late.err,
        "`kubectl weir explain rollout app` says what it waits for\n"
    );
    assert_eq!(late.failed(), "Rollout status watch exceeded timeout");
    let named = world
        .run(&["status", "app", "-n", "demo", "-t", "50ms"])
        .await;
    assert!(
        named.err.contains("rollout app --namespace demo`"),
        "{}",
        named.err
    );

    let api = World {
        api: world.api.clone(),
    };
    let controller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let status = json!({"phase": "Degraded", "message": "RolloutAborted: no"});
        api.patch(
            "Rollout",
            "app",
            &json!({"status": {"controllerPause": false}}),
        );
        api.patch("Rollout", "app", &json!({"status": status}));
    });
    let waited = world.run(&["status", "app"]).await;
    controller.await.unwrap();
    assert!(
        waited.out.starts_with("Paused - CanaryPauseStep\n"),
        "{}",
        waited.out
    );
    assert!(
        waited.out.ends_with("Degraded - RolloutAborted: no\n"),
        "{}",
        waited.out
    );
    assert_eq!(
        waited.failed(),
        "The rollout is in a degraded state with message: RolloutAborted: no"
    );
}

#[tokio::test]
async fn runs_and_experiments_are_terminated_and_retried() {
    let world = World::new();
    world.create(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "run"},
        "spec": {"metrics": []},
    }));
    let template = json!({
        "name": "a", "selector": {"matchLabels": {"app": "app"}}, "template": template("demo:blue"),
    });
    world.create(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "exp"},
        "spec": {"templates": [template], "duration": "5m"},
        "status": {"phase": "Failed", "message": "no luck"},
    }));
    let out = world.run(&["terminate", "analysisrun", "run"]).await.ok();
    assert_eq!(out, "analysisRun 'run' terminated\n");
    assert_eq!(world.get("AnalysisRun", "run")["spec"]["terminate"], true);
    let screen = world.run(&["get", "experiment", "exp"]).await.ok();
    insta::assert_snapshot!(screen);
    let table = world.run(&["list", "experiments"]).await.ok();
    insta::assert_snapshot!(table);
    assert_eq!(
        world.run(&["retry", "exp", "exp"]).await.ok(),
        "experiment 'exp' retried\n"
    );
    assert!(world.get("Experiment", "exp").get("status").is_none());
}

pub(crate) fn application() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "shop", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {"repoURL": "https://git.example/shop", "path": "deploy", "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
        },
        "status": {
            "sync": {"status": "OutOfSync", "revision": "abc123"},
            "health": {"status": "Degraded"},
            "history": [
                {"id": 0, "revision": "aaa", "deployedAt": "2026-01-01T10:00:00Z",
                 "initiatedBy": {"automated": true}},
                {"id": 1, "revision": "bbb", "deployedAt": "2026-01-01T11:00:00Z",
                 "initiatedBy": {"username": "ada"}},
            ],
            "conditions": [{
                "type": "SyncError", "message": "hook failed",
                "lastTransitionTime": "2026-01-01T11:30:00Z",
            }],
            "resources": [
                {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop",
                 "name": "web", "status": "OutOfSync", "health": {"status": "Degraded", "message": "0 of 1"}},
                {"version": "v1", "kind": "Service", "namespace": "shop", "name": "web", "status": "Synced"},
            ],
        },
    })
}

#[tokio::test]
async fn app_get_and_list_show_state_and_history() {
    let world = World::new();
    world.create(application());
    let screen = world.run(&["app", "get", "shop"]).await.ok();
    insta::assert_snapshot!(screen);
    let table = world.run(&["app", "list"]).await.ok();
    insta::assert_snapshot!(table);
}

/// Takes up the operation as the controller does, and ends it with `phase`.
pub(crate) async fn operate(world: World, phase: &'static str) {
    let operation = loop {
        let application = world
            .api
            .get(&gvk("Application"), Some("argocd"), "shop")
            .unwrap();
        if let Some(operation) = application.get("operation") {
            break operation.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut state = json!({"operation": operation, "phase": "Running", "startedAt": NOW});
    world.patch_in(
        "argocd",
        "Application",
        "shop",
        &json!({"operation": null, "status": {"operationState": state}}),
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    state["phase"] = json!(phase);
    state["finishedAt"] = json!(NOW);
    state["message"] = json!("one task");
    state["syncResult"] = json!({"revision": "abc123", "resources": [
        {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web",
         "status": "Synced", "message": "configured"},
    ]});
    world.patch_in(
        "argocd",
        "Application",
        "shop",
        &json!({"status": {"operationState": state}}),
    );
}

#[tokio::test]
async fn app_sync_writes_the_operation_and_waits_for_its_end() {
    let world = World::new();
    world.create(application());
    let controller = tokio::spawn(operate(
        World {
            api: world.api.clone(),
        },
        "Succeeded",
    ));
    let out = world.run(&["app", "sync", "shop", "--prune"]).await.ok();
    controller.await.unwrap();
    insta::assert_snapshot!(out);
    let application = world
        .api
        .get(&gvk("Application"), Some("argocd"), "shop")
        .unwrap();
    let operation = &application["status"]["operationState"]["operation"];
    assert_eq!(operation["sync"], json!({"prune": true}));
}

#[tokio::test]
async fn a_failed_sync_is_an_error_and_a_second_one_is_refused() {
    let world = World::new();
    world.create(application());
    let controller = tokio::spawn(operate(
        World {
            api: world.api.clone(),
        },
        "Failed",
    ));
    let failed = world.run(&["app", "sync", "shop"]).await.failed();
    controller.await.unwrap();
    assert_eq!(failed, "sync Failed: one task");
    let asked = world.run(&["app", "sync", "shop", "--async"]).await.ok();
    assert_eq!(asked, "application 'shop' sync requested\n");
    let refused = world.run(&["app", "sync", "shop"]).await.failed();
    assert_eq!(
        refused,
        "another operation of application 'shop' is in progress"
    );
}

#[tokio::test]
async fn get_rollouts_lists_and_with_a_name_shows_the_tree() {
    let world = World::new();
    let none = world.run(&["get", "rollouts"]).await;
    assert!(none.err.contains("No resources found."));
    none.ok();
    let absent = world.run(&["get", "rollouts", "app"]).await.failed();
    assert_eq!(absent, "rollout \"app\" not found in namespace \"demo\"");
}
