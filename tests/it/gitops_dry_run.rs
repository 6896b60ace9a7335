//! A commit with one object that the API server refuses: nothing of it is applied, and nothing is
//! pruned.

use crate::git::{GitWorld, application, config_map};
use serde_json::{Value, json};

const BAD: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: UPPER}\nspec: {ports: [{port: 80}]}\n";

fn value(world: &GitWorld, name: &str) -> Option<String> {
    let map = world.get("ConfigMap", name)?;
    Some(map["data"]["k"].as_str().unwrap().to_owned())
}

/// In sync by hand with `a` and `gone`; the newest commit changes `a`, drops `gone` and adds a bad
/// Service.
async fn with_a_bad_commit() -> GitWorld {
    let world = GitWorld::start();
    world.repo.write("plain/a.yaml", &config_map("a", "one"));
    world
        .repo
        .write("plain/gone.yaml", &config_map("gone", "one"));
    let commit = world.repo.commit("Add a and gone");
    world.apply(&application("plain", "plain", "{}"));
    world.patch_app("plain", json!({"operation": {"sync": {}}}));
    world.until_synced("plain", &commit).await;
    world.repo.write("plain/a.yaml", &config_map("a", "two"));
    world.repo.remove("plain/gone.yaml");
    world.repo.write("plain/bad.yaml", BAD);
    seen(&world, "Change everything").await;
    world
}

/// Commits, until the Application is compared with that.
async fn seen(world: &GitWorld, subject: &str) {
    let commit = world.repo.commit(subject);
    world
        .until_app("plain", |app| app["status"]["sync"]["revision"] == commit)
        .await;
}

/// Asks for a sync; how that has ended.
async fn sync(world: &GitWorld, sync: &Value) -> Value {
    world.patch_app("plain", json!({"operation": {"sync": sync}}));
    let app = world
        .until_app("plain", |app| {
            let state = &app["status"]["operationState"];
            let is_over = app.get("operation").is_none() && state["phase"] != "Running";
            is_over && state["operation"]["sync"] == *sync
        })
        .await;
    app["status"]["operationState"].clone()
}

fn messages(state: &Value) -> Vec<String> {
    let results = state["syncResult"]["resources"].as_array().unwrap();
    let message = |result: &Value| {
        let text = |field: &str| result[field].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("name"), text("status"), text("message"))
    };
    results.iter().map(message).collect()
}

fn assert_untouched(world: &GitWorld) {
    assert_eq!(value(world, "a").as_deref(), Some("one"));
    assert_eq!(value(world, "gone").as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_refused_in_part_changes_nothing() {
    let world = with_a_bad_commit().await;
    let state = sync(&world, &json!({"prune": true})).await;
    assert_eq!(state["phase"], "Failed");
    let told = state["message"].as_str().unwrap();
    let wanted = "one or more objects failed to apply (dry run): Service:demo/UPPER: ";
    assert!(told.starts_with(wanted), "{told}");
    let messages = messages(&state);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with("UPPER SyncFailed "), "{messages:?}");
    assert_untouched(&world);

    world.repo.remove("plain/bad.yaml");
    seen(&world, "Mend").await;
    let state = sync(&world, &json!({"prune": true})).await;
    assert_eq!(state["phase"], "Succeeded");
    assert_eq!(value(&world, "a").as_deref(), Some("two"));
    assert_eq!(value(&world, "gone"), None);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_by_hand_asks_the_api_server_and_stores_nothing() {
    let world = with_a_bad_commit().await;
    let state = sync(&world, &json!({"prune": true, "dryRun": true})).await;
    assert_eq!(state["phase"], "Failed");
    let told = messages(&state);
    assert_eq!(told[0], "gone Pruned pruned (dry run)");
    assert_eq!(told[1], "a Synced configmap/a serverside-applied (dry run)");
    assert!(told[2].starts_with("UPPER SyncFailed "), "{told:?}");
    assert_untouched(&world);

    world.repo.remove("plain/bad.yaml");
    seen(&world, "Mend").await;
    let before = world.get("ConfigMap", "a").unwrap();
    world.sleep(2).await;
    let state = sync(&world, &json!({"dryRun": true})).await;
    assert_eq!(state["phase"], "Succeeded");
    assert_untouched(&world);
    assert_eq!(world.get("ConfigMap", "a").unwrap(), before);
}
