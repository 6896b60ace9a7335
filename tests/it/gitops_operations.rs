//! Syncs by hand, refreshes, crashes in the middle, deletion.

use crate::git::{APPLICATION, AUTOMATED, CONTROL, GitWorld, application, config_map};
use crate::gitops::ROLLOUT;
use crate::world::gvk;
use apiserver::DeleteOptions;
use serde_json::{Value, json};

fn of_maps(policy: &str) -> (GitWorld, String) {
    let world = GitWorld::start();
    world.repo.write("plain/a.yaml", &config_map("a", "one"));
    world.repo.write("plain/b.yaml", &config_map("b", "one"));
    let commit = world.repo.commit("Add a and b");
    world.apply(&application("plain", "plain", policy));
    (world, commit)
}

fn value(world: &GitWorld, name: &str) -> Option<String> {
    let map = world.get("ConfigMap", name)?;
    Some(map["data"]["k"].as_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_sync_by_hand_of_a_branch_takes_the_commit_that_the_branch_has_then() {
    let (world, commit) = of_maps("{}");
    let sync = json!({"operation": {"sync": {"revision": "main"}}});
    world.patch_app("plain", sync.clone());
    world.until_synced("plain", &commit).await;
    world.repo.write("plain/a.yaml", &config_map("a", "two"));
    let commit = world.repo.commit("Change a");
    world
        .until_app("plain", |app| app["status"]["sync"]["revision"] == commit)
        .await;
    world.patch_app("plain", sync);
    world
        .until_app("plain", |app| {
            app["status"]["operationState"]["syncResult"]["revision"] == commit
        })
        .await;
    world.until_synced("plain", &commit).await;
    assert_eq!(value(&world, "a").as_deref(), Some("two"));
}

/// A repository of many: what others commit moves the revision, and sets nothing in motion.
#[tokio::test(start_paused = true)]
async fn a_commit_that_touches_none_of_the_paths_syncs_nothing() {
    let (world, commit) = of_maps("{automated: {}}");
    let paths = json!({"argocd.argoproj.io/manifest-generate-paths": "."});
    world.patch_app("plain", json!({"metadata": {"annotations": paths}}));
    world.until_synced("plain", &commit).await;
    // Nobody puts that back by itself.
    let drift = json!({"data": {"k": "drifted"}});
    world.merge_in("demo", "ConfigMap", "a", drift);
    world
        .until_app("plain", |app| {
            app["status"]["sync"]["status"] == "OutOfSync"
        })
        .await;
    world.repo.write("other/c.yaml", &config_map("c", "one"));
    let commit = world.repo.commit("Add c");
    world
        .until_app("plain", |app| app["status"]["sync"]["revision"] == commit)
        .await;
    world.sleep(120).await;
    assert_eq!(value(&world, "a").as_deref(), Some("drifted"));
    world.repo.write("plain/b.yaml", &config_map("b", "two"));
    let commit = world.repo.commit("Change b");
    world.until_synced("plain", &commit).await;
    assert_eq!(value(&world, "a").as_deref(), Some("one"));
    assert_eq!(value(&world, "b").as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn a_sync_by_hand_prunes_only_when_told_to() {
    let (world, commit) = of_maps("{}");
    world.patch_app("plain", json!({"operation": {"sync": {}}}));
    world.until_synced("plain", &commit).await;
    world.repo.remove("plain/b.yaml");
    let commit = world.repo.commit("Remove b");
    world
        .until_app("plain", |app| app["status"]["sync"]["revision"] == commit)
        .await;
    let done = |app: &Value| {
        app.get("operation").is_none() && app["status"]["operationState"]["phase"] == "Succeeded"
    };
    world.patch_app("plain", json!({"operation": {"sync": {"prune": false}}}));
    let app = world.until_app("plain", done).await;
    let results = app["status"]["operationState"]["syncResult"]["resources"]
        .as_array()
        .unwrap();
    assert!(
        results
            .iter()
            .any(|r| r["name"] == "b" && r["status"] == "PruneSkipped"),
        "{results:?}"
    );
    assert_eq!(value(&world, "b").as_deref(), Some("one"));
    world.patch_app("plain", json!({"operation": {"sync": {"prune": true}}}));
    world.until_synced("plain", &commit).await;
    assert_eq!(value(&world, "b"), None);
}

#[tokio::test(start_paused = true)]
async fn a_sync_by_hand_of_an_older_commit_goes_back_to_it() {
    let (world, first) = of_maps("{}");
    world.repo.write("plain/a.yaml", &config_map("a", "two"));
    let second = world.repo.commit("Change a");
    world.patch_app("plain", json!({"operation": {"sync": {}}}));
    world.until_synced("plain", &second).await;
    world.patch_app("plain", json!({"operation": {"sync": {"revision": first}}}));
    let app = world
        .until_app("plain", |app| {
            app["status"]["sync"]["status"] == "OutOfSync"
        })
        .await;
    assert_eq!(value(&world, "a").as_deref(), Some("one"));
    assert_eq!(
        app["status"]["sync"]["revision"], second,
        "compared is still with the branch"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_immediate_and_taken_off() {
    let (world, commit) = of_maps(AUTOMATED);
    world.until_synced("plain", &commit).await;
    world.sleep(2).await;
    world.repo.write("plain/a.yaml", &config_map("a", "two"));
    let commit = world.repo.commit("Change a");
    let asked = world.now();
    for kind in ["normal", "hard"] {
        let refresh = json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": kind}}});
        world.patch_app("plain", refresh);
        let app = world
            .until_app("plain", |app| {
                app["metadata"]["annotations"]
                    .get("argocd.argoproj.io/refresh")
                    .is_none()
            })
            .await;
        assert_eq!(app["status"]["sync"]["revision"], commit);
    }
    assert!(
        world.now().duration_since(asked).as_secs() < 5,
        "waited for the next poll"
    );
    world.until_synced("plain", &commit).await;
    assert_eq!(value(&world, "a").as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn self_heal_takes_longer_and_longer_with_somebody_who_does_not_stop() {
    let (world, commit) = of_maps(AUTOMATED);
    world.until_synced("plain", &commit).await;
    let mut heals = 0;
    for _ in 0..600 {
        world.sleep(1).await;
        if value(&world, "a").as_deref() != Some("mine") {
            heals += 1;
            world.merge_in("demo", "ConfigMap", "a", json!({"data": {"k": "mine"}}));
        }
    }
    assert!(
        (4..=8).contains(&heals),
        "healed {heals} times in ten minutes"
    );
}

/// Everything but times, versions and who asked: what must not depend on crashes.
fn end_of(world: &GitWorld) -> Vec<String> {
    let mut out = Vec::new();
    for kind in ["Rollout", "Service", "ReplicaSet", "Namespace"] {
        for object in world.api.list(&gvk(kind), None) {
            let meta = &object["metadata"];
            let mut spec = object["spec"].clone();
            // Drawn at random, by a dry run as well.
            for address in ["clusterIP", "clusterIPs"] {
                spec[address] = Value::Null;
            }
            out.push(format!(
                "{kind} {} {} {spec}",
                meta["namespace"], meta["name"]
            ));
        }
    }
    let app = world.app("backend-production");
    out.push(
        app["status"]["history"]
            .as_array()
            .unwrap()
            .len()
            .to_string(),
    );
    for result in app["status"]["operationState"]["syncResult"]["resources"]
        .as_array()
        .unwrap()
    {
        out.push(format!(
            "{} {} {}",
            result["kind"], result["name"], result["status"]
        ));
    }
    out
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_a_crash_interrupts_comes_to_the_same_end() {
    let mut ends = Vec::new();
    // After so many writes of the whole cluster the controller is killed, and started again later.
    for crash_after in [
        None,
        Some(1),
        Some(2),
        Some(3),
        Some(4),
        Some(5),
        Some(7),
        Some(9),
        Some(12),
    ] {
        let mut world = GitWorld::start();
        world
            .repo
            .write("apps/production/backend/rollout.yaml", ROLLOUT);
        let commit = world.repo.commit("Deploy v1.2.2");
        world.apply(APPLICATION);
        if let Some(writes) = crash_after {
            let target = world.api.revision() + writes;
            while world.api.revision() < target {
                let seen = world.api.revision();
                world.api.changed(seen).await;
            }
            world.kill_controller().await;
            world.sleep(7).await;
            world.start_controller();
        }
        world.until_synced("backend-production", &commit).await;
        world
            .until_app("backend-production", |app| {
                app["status"]["health"]["status"] == "Healthy"
            })
            .await;
        ends.push(end_of(&world));
    }
    for end in &ends[1..] {
        assert_eq!(*end, ends[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_an_application_takes_its_objects_along_if_it_has_the_finalizer() {
    let (world, commit) = of_maps(AUTOMATED);
    world.apply(&config_map("unmanaged", "1"));
    world.patch_app(
        "plain",
        json!({"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}}),
    );
    world.until_synced("plain", &commit).await;
    world
        .api
        .delete(
            &gvk("Application"),
            Some(CONTROL),
            "plain",
            &DeleteOptions::default(),
        )
        .unwrap();
    world.sleep(10).await;
    assert!(world.find("Application", CONTROL, "plain").is_none());
    assert_eq!((value(&world, "a"), value(&world, "b")), (None, None));
    assert_eq!(value(&world, "unmanaged").as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn deleting_an_application_without_the_finalizer_leaves_its_objects() {
    let (world, commit) = of_maps(AUTOMATED);
    world.until_synced("plain", &commit).await;
    world
        .api
        .delete(
            &gvk("Application"),
            Some(CONTROL),
            "plain",
            &DeleteOptions::default(),
        )
        .unwrap();
    let (before, looks) = (world.api.revision(), world.looks());
    world.sleep(600).await;
    assert_eq!(value(&world, "a").as_deref(), Some("one"));
    assert_eq!(world.api.revision(), before, "nobody works on it any more");
    assert_eq!(world.looks(), looks, "nor looks at Git for it");
}

#[tokio::test(start_paused = true)]
async fn deletion_with_a_controller_that_crashes_ends_all_the_same() {
    let (mut world, commit) = of_maps(AUTOMATED);
    world.patch_app(
        "plain",
        json!({"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}}),
    );
    world.until_synced("plain", &commit).await;
    let before = world.api.revision();
    world
        .api
        .delete(
            &gvk("Application"),
            Some(CONTROL),
            "plain",
            &DeleteOptions::default(),
        )
        .unwrap();
    while world.api.revision() < before + 2 {
        let seen = world.api.revision();
        world.api.changed(seen).await;
    }
    world.kill_controller().await;
    world.start_controller();
    world.sleep(10).await;
    assert!(world.find("Application", CONTROL, "plain").is_none());
    assert_eq!((value(&world, "a"), value(&world, "b")), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_replaces_leaves_nothing_of_what_git_is_silent_about() {
    let (world, commit) = of_maps("{syncOptions: [Replace=true]}");
    let sync = json!({"operation": {"sync": {"syncOptions": ["Replace=true"]}}});
    world.patch_app("plain", sync.clone());
    world.until_synced("plain", &commit).await;
    let by_hand = json!({"data": {"by-hand": "x"},
        "metadata": {"annotations": {"example.com/note": "x", "weir.dev/routes": "kept"}}});
    world.merge_in("demo", "ConfigMap", "a", by_hand);
    world.repo.write("plain/a.yaml", &config_map("a", "two"));
    let commit = world.repo.commit("Change a");
    world
        .until_app("plain", |app| app["status"]["sync"]["revision"] == commit)
        .await;
    let uid = world.get("ConfigMap", "a").unwrap()["metadata"]["uid"].clone();
    world.patch_app("plain", sync);
    world.until_synced("plain", &commit).await;
    let map = world.get("ConfigMap", "a").unwrap();
    assert_eq!(map["data"], json!({"k": "two"}));
    assert_eq!(map["metadata"]["uid"], uid);
    let annotations = &map["metadata"]["annotations"];
    assert_eq!(annotations.get("example.com/note"), None);
    assert_eq!(annotations["weir.dev/routes"], json!("kept"));
    // What is declared is ours as if it had only ever been applied.
    let entries = map["metadata"]["managedFields"].as_array().unwrap();
    let managers: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    assert!(managers.contains(&"argocd-controller"), "{managers:?}");
    assert!(!managers.contains(&"weir-replace"), "{managers:?}");
    world.sleep(10).await;
    let before = world.api.revision();
    world.sleep(30).await;
    assert_eq!(world.api.revision(), before, "it is at rest");
}

fn deployment(app: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {app}}}}}
  template:
    metadata: {{labels: {{app: {app}}}}}
    spec: {{containers: [{{name: web, image: 'web:v1'}}]}}
"
    )
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_changed_is_created_anew_when_somebody_forces_it() {
    let world = GitWorld::start();
    world.repo.write("plain/web.yaml", &deployment("one"));
    let commit = world.repo.commit("Add web");
    world.apply(&application("plain", "plain", "{}"));
    world.patch_app("plain", json!({"operation": {"sync": {}}}));
    world.until_synced("plain", &commit).await;
    let before = world.get("Deployment", "web").unwrap();
    world.repo.write("plain/web.yaml", &deployment("two"));
    let commit = world.repo.commit("Select others");
    world
        .until_app("plain", |app| app["status"]["sync"]["revision"] == commit)
        .await;
    world.patch_app("plain", json!({"operation": {"sync": {}}}));
    let failed = |app: &Value| app["status"]["operationState"]["phase"] == "Failed";
    let app = world.until_app("plain", failed).await;
    let message = app["status"]["operationState"]["message"].as_str().unwrap();
    assert!(message.contains("field is immutable"), "{message}");
    assert_eq!(
        world.get("Deployment", "web").unwrap()["metadata"]["uid"],
        before["metadata"]["uid"]
    );
    let forced = json!({"operation": {"sync": {"syncStrategy": {"apply": {"force": true}}}}});
    world.patch_app("plain", forced);
    world.until_synced("plain", &commit).await;
    let after = world.get("Deployment", "web").unwrap();
    assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(
        after["spec"]["selector"]["matchLabels"]["app"],
        json!("two")
    );
}
