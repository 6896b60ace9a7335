//! Git and the rollout controller on the same objects: neither undoes what the other one does.

use crate::git::GitWorld;
use crate::gitops::{APP, ROLLOUT, bump, deployed, image, rollout, sets};
use crate::world::gvk;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn row_036_f9_self_heal_leaves_the_canarys_selectors_alone() {
    let world = deployed().await;
    let commit = bump(&world, "v1.2.2", "v1.2.3");
    world
        .until_app(APP, |_| rollout(&world)["status"]["currentStepIndex"] == 3)
        .await;
    let status = rollout(&world)["status"].clone();
    let selected = |service: &str| {
        let service = world.find("Service", "production", service).unwrap();
        service["spec"]["selector"]["rollouts-pod-template-hash"].clone()
    };
    for _ in 0..20 {
        world.sleep(10).await;
        assert_eq!(selected("stable"), status["stableRS"]);
        assert_eq!(selected("canary"), status["currentPodHash"]);
        assert_eq!(world.app(APP)["status"]["sync"]["status"], "Synced");
    }
    let app = world.app(APP);
    assert_eq!(app["status"]["history"].as_array().unwrap().len(), 2);
    assert_eq!(
        app["status"]["operationState"]["syncResult"]["revision"],
        commit
    );
    assert_eq!(
        app["status"]["operationState"]["operation"]["sync"].get("autoHealAttemptsCount"),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn row_051_a_pushed_rollout_behaves_as_a_synced_one() {
    let pulled = deployed().await;
    bump(&pulled, "v1.2.2", "v1.2.3");
    let pushed = GitWorld::start();
    let namespace = json!({"metadata": {"name": "production"}});
    pushed
        .api
        .create(&gvk("Namespace"), None, namespace)
        .unwrap();
    let of_production = |text: &str| {
        text.replace(
            "metadata: {name: ",
            "metadata: {namespace: production, name: ",
        )
    };
    pushed.apply(&of_production(ROLLOUT));
    let deadline = pushed.now();
    while rollout(&pushed)["status"]["phase"] != "Healthy" {
        pushed.sleep(1).await;
        assert!(pushed.now().duration_since(deadline).as_secs() < 300);
    }
    pushed.apply(&of_production(ROLLOUT).replace("v1.2.2", "v1.2.3"));
    for step in [1, 3] {
        for world in [&pulled, &pushed] {
            let deadline = world.now();
            while rollout(world)["status"]["currentStepIndex"] != step {
                world.sleep(1).await;
                assert!(world.now().duration_since(deadline).as_secs() < 900);
            }
        }
        let shape = |world: &GitWorld| {
            let mut out: Vec<(Value, Value)> = sets(world)
                .iter()
                .map(|set| {
                    (
                        set["metadata"]["name"].clone(),
                        set["spec"]["replicas"].clone(),
                    )
                })
                .collect();
            out.sort_by_key(|(name, _)| name.to_string());
            out
        };
        assert_eq!(shape(&pulled), shape(&pushed), "at step {step}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_062_abort_and_promote_are_not_undone_by_self_heal() {
    let world = deployed().await;
    let commit = bump(&world, "v1.2.2", "v1.2.3");
    world
        .until_app(APP, |_| rollout(&world)["status"]["currentStepIndex"] == 1)
        .await;
    let status = |patch: Value| {
        let options = apiserver::PatchOptions::manager("weir");
        let patch = apiserver::Patch::Merge(json!({"status": patch}));
        world
            .api
            .patch(
                &gvk("Rollout"),
                Some("production"),
                "backend",
                Some("status"),
                &patch,
                &options,
            )
            .unwrap();
    };
    status(json!({"pauseConditions": null, "controllerPause": false, "currentStepIndex": 2}));
    world
        .until_app(APP, |_| rollout(&world)["status"]["currentStepIndex"] == 3)
        .await;
    status(json!({"abort": true}));
    world
        .until_app(APP, |app| app["status"]["health"]["status"] == "Degraded")
        .await;
    world.sleep(1800).await;
    let live = rollout(&world);
    assert_eq!(
        (&live["status"]["abort"], &live["status"]["phase"]),
        (&json!(true), &json!("Degraded"))
    );
    assert_eq!(
        image(&live),
        "backend:v1.2.3",
        "Git's revision is what is declared"
    );
    let app = world.app(APP);
    assert_eq!(app["status"]["sync"]["status"], "Synced");
    assert_eq!(app["status"]["history"].as_array().unwrap().len(), 2);
    assert_eq!(app["status"]["history"][1]["revision"], commit);
    world.assert_at_rest(1).await;
}

#[tokio::test(start_paused = true)]
async fn f10_after_an_abort_only_a_new_commit_moves_and_a_revert_returns_to_the_old_replica_set() {
    let world = deployed().await;
    let stable = rollout(&world)["status"]["stableRS"].clone();
    bump(&world, "v1.2.2", "v1.2.3");
    world
        .until_app(APP, |_| rollout(&world)["status"]["currentStepIndex"] == 1)
        .await;
    let options = apiserver::PatchOptions::manager("weir");
    let abort = apiserver::Patch::Merge(json!({"status": {"abort": true}}));
    world
        .api
        .patch(
            &gvk("Rollout"),
            Some("production"),
            "backend",
            Some("status"),
            &abort,
            &options,
        )
        .unwrap();
    world
        .until_app(APP, |app| app["status"]["health"]["status"] == "Degraded")
        .await;
    // Syncing the same commit again by hand starts nothing either.
    world.patch_app(APP, json!({"operation": {"sync": {"revision": "main"}}}));
    world.sleep(120).await;
    assert_eq!(
        world.app(APP)["status"]["operationState"]["phase"],
        "Succeeded"
    );
    assert_eq!(rollout(&world)["status"]["abort"], true);
    world.repo.git(&["revert", "--no-edit", "HEAD"]);
    world.repo.push();
    let commit = world.repo.git(&["rev-parse", "HEAD"]);
    world.until_synced(APP, &commit).await;
    world
        .until_app(APP, |app| app["status"]["health"]["status"] == "Healthy")
        .await;
    assert_eq!(rollout(&world)["status"]["stableRS"], stable);
    assert_eq!(rollout(&world)["status"]["currentPodHash"], stable);
    assert_eq!(sets(&world).len(), 2, "no new one");
}

#[tokio::test(start_paused = true)]
async fn row_052_rollouts_need_no_kinds_of_gitops() {
    let mut world = GitWorld::start();
    world.kill_controller().await;
    for name in ["applications.argoproj.io", "appprojects.argoproj.io"] {
        let options = apiserver::DeleteOptions::default();
        let kind = gvk("CustomResourceDefinition");
        world.api.delete(&kind, None, name, &options).unwrap();
    }
    world.sleep(10).await;
    world.start_controller();
    world.apply(ROLLOUT);
    world.until_phase("backend", "Healthy").await;
}
