//! Rows of the acceptance table (scope G) on a plain directory: the test's name begins with the
//! row's number.

use crate::git::{APPLICATION, AUTOMATED, GitWorld, URL, application, config_map, message_of};
use crate::world::gvk;
use serde_json::{Value, json};

const PRODUCTION: &str = "apps/production/backend";
pub const APP: &str = "backend-production";

/// The Rollout of the request, completed, and its two Services.
pub const ROLLOUT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: backend}
spec:
  replicas: 5
  selector: {matchLabels: {app: backend}}
  template:
    metadata: {labels: {app: backend}}
    spec:
      containers:
      - name: backend
        image: backend:v1.2.2
        ports: [{containerPort: 8080}]
  strategy:
    canary:
      stableService: stable
      canaryService: canary
      steps:
      - setWeight: 20
      - pause: {duration: 5m}
      - setWeight: 40
      - pause: {duration: 5m}
      - setWeight: 60
      - pause: {duration: 5m}
      - setWeight: 80
      - pause: {duration: 5m}
---
apiVersion: v1
kind: Service
metadata: {name: stable}
spec: {selector: {app: backend}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: canary}
spec: {selector: {app: backend}, ports: [{port: 80, targetPort: 8080}]}
";

/// `backend-production` follows a Rollout of v1.2.2, which is out.
pub async fn deployed() -> GitWorld {
    let world = GitWorld::start();
    world
        .repo
        .write(&format!("{PRODUCTION}/rollout.yaml"), ROLLOUT);
    let commit = world.repo.commit("Deploy v1.2.2");
    world.apply(APPLICATION);
    world.until_synced(APP, &commit).await;
    world
        .until_app(APP, |app| app["status"]["health"]["status"] == "Healthy")
        .await;
    world
}

pub fn rollout(world: &GitWorld) -> std::sync::Arc<Value> {
    world.find("Rollout", "production", "backend").unwrap()
}

pub fn image(rollout: &Value) -> &str {
    rollout["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
}

pub fn bump(world: &GitWorld, from: &str, to: &str) -> String {
    world
        .repo
        .replace(&format!("{PRODUCTION}/rollout.yaml"), from, to);
    world.repo.commit(&format!("Change {from} to {to}"))
}

/// Sets of pods of the Rollout by image, as `kubectl` would find them.
pub fn sets(world: &GitWorld) -> Vec<std::sync::Arc<Value>> {
    world.api.list(&gvk("ReplicaSet"), Some("production"))
}

#[tokio::test(start_paused = true)]
async fn row_031_033_053_a_commit_to_a_bare_repository_changes_the_cluster() {
    let world = deployed().await;
    let started = world.now();
    let commit = bump(&world, "v1.2.2", "v1.2.3");
    world
        .until_app(APP, |_| image(&rollout(&world)) == "backend:v1.2.3")
        .await;
    let took = world.now().duration_since(started);
    println!("a commit was applied after {took:#}");
    assert!(took.as_secs() <= crate::git::POLL_S + 2, "{took:#}");
    let app = world.until_synced(APP, &commit).await;
    assert_eq!(
        app["status"]["sync"]["revision"],
        world.repo.git(&["rev-parse", "main"])
    );
}

#[tokio::test(start_paused = true)]
async fn row_032_079_the_application_of_the_request_is_taken_word_for_word() {
    let world = deployed().await;
    let asked = gocompat::yaml::from_str(APPLICATION).unwrap().remove(0);
    let app = world.app(APP);
    assert_eq!(app["spec"], asked["spec"], "nothing is lost or added");
    let sync = &app["status"]["sync"];
    assert_eq!(
        (&sync["status"], &app["status"]["health"]["status"]),
        (&json!("Synced"), &json!("Healthy"))
    );
    let request = http::Request::get(format!(
        "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{APP}"
    ))
    .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
    .body(Vec::new());
    let answer = world.api.client().request_text(request.unwrap()).await;
    let table: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        columns,
        ["Name", "Sync Status", "Health Status", "Revision", "Age"]
    );
    let cells = &table["rows"][0]["cells"];
    assert_eq!(
        cells.as_array().unwrap()[..4],
        [
            json!(APP),
            json!("Synced"),
            json!("Healthy"),
            sync["revision"].clone()
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn row_034_without_automation_drift_is_told_and_nothing_is_applied_until_somebody_says_so() {
    let world = GitWorld::start();
    world
        .repo
        .write("plain/map.yaml", &config_map("settings", "one"));
    let commit = world.repo.commit("Add settings");
    world.apply(&application("plain", "plain", "{}"));
    world
        .until_app("plain", |app| {
            app["status"]["sync"]["status"] == "OutOfSync"
        })
        .await;
    world.sleep(300).await;
    assert!(world.get("ConfigMap", "settings").is_none());
    world.patch_app(
        "plain",
        json!({"operation": {"sync": {}, "initiatedBy": {"username": "ann"}}}),
    );
    let app = world.until_synced("plain", &commit).await;
    assert!(world.get("ConfigMap", "settings").is_some());
    assert_eq!(
        app.get("operation"),
        None,
        "what was asked for is taken off"
    );
    assert_eq!(app["status"]["operationState"]["phase"], "Succeeded");
    assert_eq!(
        app["status"]["history"][0]["initiatedBy"]["username"],
        "ann"
    );
}

#[tokio::test(start_paused = true)]
async fn row_035_self_heal_puts_back_what_was_edited_by_hand() {
    let world = deployed().await;
    let edit = json!({"spec": {"replicas": 2}});
    world.merge_in("production", "Rollout", "backend", edit.clone());
    world
        .until_app(APP, |_| rollout(&world)["spec"]["replicas"] == 5)
        .await;
    world
        .until_app(APP, |app| app["status"]["sync"]["status"] == "Synced")
        .await;
    let off = json!({"spec": {"syncPolicy": {"automated": {"selfHeal": false}}}});
    world.patch_app(APP, off);
    world.merge_in("production", "Rollout", "backend", edit);
    world
        .until_app(APP, |app| app["status"]["sync"]["status"] == "OutOfSync")
        .await;
    world.sleep(900).await;
    assert_eq!(rollout(&world)["spec"]["replicas"], 2, "it stays");
    assert_eq!(world.app(APP)["status"]["sync"]["status"], "OutOfSync");
}

#[tokio::test(start_paused = true)]
async fn row_037_what_git_loses_is_pruned_and_what_it_never_had_is_not() {
    let world = GitWorld::start();
    world.repo.write("plain/a.yaml", &config_map("a", "1"));
    world.repo.write("plain/b.yaml", &config_map("b", "1"));
    world.repo.write("plain/c.yaml", &config_map("c", "1"));
    let commit = world.repo.commit("Add a, b and c");
    world.apply(&config_map("unmanaged", "1"));
    world.apply(&application("plain", "plain", AUTOMATED));
    world.until_synced("plain", &commit).await;
    world.repo.remove("plain/b.yaml");
    let commit = world.repo.commit("Remove b");
    world.until_synced("plain", &commit).await;
    assert!(world.get("ConfigMap", "b").is_none());
    world.patch_app(
        "plain",
        json!({"spec": {"syncPolicy": {"automated": {"prune": false}}}}),
    );
    world.repo.remove("plain/a.yaml");
    let commit = world.repo.commit("Remove a");
    let app = world
        .until_app("plain", |app| app["status"]["sync"]["revision"] == commit)
        .await;
    world.sleep(300).await;
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync");
    let kept: Vec<&Value> = app["status"]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert!(
        kept.iter()
            .any(|resource| resource["name"] == "a" && resource["requiresPruning"] == true),
        "{kept:?}"
    );
    for name in ["a", "c", "unmanaged"] {
        assert!(world.get("ConfigMap", name).is_some(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_038_a_namespace_is_made_only_where_that_is_asked_for() {
    let world = GitWorld::start();
    world.repo.write(
        &format!("{PRODUCTION}/map.yaml"),
        &config_map("settings", "one"),
    );
    let commit = world.repo.commit("Add settings");
    let without = APPLICATION
        .replace("    - CreateNamespace=true\n", "")
        .replace("    syncOptions:\n", "");
    world.apply(&without);
    world
        .until_app(APP, |app| {
            app["status"]["operationState"]["phase"] == "Running"
        })
        .await;
    let app = world
        .until_app(APP, |app| {
            let message = app["status"]["operationState"]["message"]
                .as_str()
                .unwrap_or_default();
            message.contains("namespace \"production\" not found")
                && message.contains("CreateNamespace=true")
        })
        .await;
    assert!(world.find("Namespace", "", "production").is_none());
    assert_eq!(app["status"]["resources"][0]["health"]["status"], "Missing");
    world.patch_app(
        APP,
        json!({"spec": {"syncPolicy": {"syncOptions": ["CreateNamespace=true"]}}}),
    );
    world.patch_app(
        APP,
        json!({"operation": {"sync": {"syncOptions": ["CreateNamespace=true"]}}}),
    );
    world.until_synced(APP, &commit).await;
    assert!(world.find("Namespace", "", "production").is_some());
}

#[tokio::test(start_paused = true)]
async fn row_039_other_branches_and_paths_cause_nothing() {
    let world = deployed().await;
    let before = rollout(&world)["metadata"]["resourceVersion"].clone();
    world.repo.git(&["checkout", "--quiet", "-b", "feature"]);
    bump(&world, "v1.2.2", "v9");
    world.repo.git(&["checkout", "--quiet", "main"]);
    world
        .repo
        .write("apps/staging/backend/map.yaml", &config_map("other", "1"));
    let commit = world.repo.commit("Change staging");
    world.until_synced(APP, &commit).await;
    world.sleep(120).await;
    assert_eq!(rollout(&world)["metadata"]["resourceVersion"], before);
    assert_eq!(
        world.app(APP)["status"]["history"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn row_040_the_cluster_itself_is_the_only_destination() {
    let world = deployed().await;
    world.patch_app(
        APP,
        json!({"spec": {"destination": {"server": "https://elsewhere.example"}}}),
    );
    let message = world.until_condition(APP, "InvalidSpecError").await;
    assert!(
        message.contains("https://elsewhere.example")
            && message.contains("https://kubernetes.default.svc"),
        "{message}"
    );
    assert!(world.find("Rollout", "production", "backend").is_some());
    world.patch_app(
        APP,
        json!({"spec": {"destination": {"server": null, "name": "in-cluster"}}}),
    );
    world
        .until_app(APP, |app| {
            app["status"]["sync"]["status"] == "Synced"
                && message_of(app, "InvalidSpecError").is_none()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn row_042_applications_kept_in_git_are_made_by_an_application() {
    let world = GitWorld::start();
    world
        .repo
        .write("argocd/applications/backend.yaml", APPLICATION);
    world
        .repo
        .write(&format!("{PRODUCTION}/rollout.yaml"), ROLLOUT);
    let commit = world.repo.commit("Declare the application");
    let root = application("root", "argocd/applications", AUTOMATED)
        .replace("namespace: demo", "namespace: argocd");
    world.apply(&root);
    world.until_synced("root", &commit).await;
    world.until_synced(APP, &commit).await;
    world
        .until_app("root", |app| app["status"]["health"]["status"] == "Healthy")
        .await;
    assert_eq!(world.app("root")["status"]["summary"]["isAppOfApps"], true);
    world.assert_at_rest(2).await;
}

#[tokio::test(start_paused = true)]
async fn row_050_057_history_says_which_commit_when_and_by_whom() {
    let world = deployed().await;
    let first = world.repo.git(&["rev-parse", "HEAD"]);
    world
        .repo
        .replace(&format!("{PRODUCTION}/rollout.yaml"), "v1.2.2", "v1.2.3");
    let second = world.repo.commit_as("Bob", "Release v1.2.3");
    world.until_synced(APP, &second).await;
    let app = world.app(APP);
    let history = app["status"]["history"].as_array().unwrap();
    let revisions: Vec<&Value> = history.iter().map(|entry| &entry["revision"]).collect();
    assert_eq!(revisions, [&json!(first), &json!(second)]);
    assert!(
        history
            .iter()
            .all(|entry| entry["deployedAt"].is_string() && entry["source"]["repoURL"] == URL)
    );
    let events = world.api.list(&gvk("Event"), Some("argocd"));
    let messages: Vec<&str> = events
        .iter()
        .filter_map(|event| event["message"].as_str())
        .collect();
    for text in ["Deploy v1.2.2 by Ann", "Release v1.2.3 by Bob"] {
        assert!(
            messages.iter().any(|message| message.contains(text)),
            "{text}: {messages:?}"
        );
    }
    let images = &app["status"]["summary"]["images"];
    assert!(
        images
            .as_array()
            .unwrap()
            .contains(&json!("backend:v1.2.3")),
        "{images}"
    );
}
