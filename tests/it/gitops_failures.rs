//! Bad input by way of Git: the Application says what is wrong, what was good stays, others go on,
//! and nothing is written in circles.

use crate::git::{
    APPLICATION, AUTOMATED, CONTROL, GitWorld, URL, application, config_map, message_of,
};
use serde_json::{Value, json};

/// An Application `bad` and another, `good`, both in sync with one commit.
async fn two() -> GitWorld {
    let world = GitWorld::start();
    world.repo.write("bad/a.yaml", &config_map("a", "one"));
    world.repo.write("good/g.yaml", &config_map("g", "one"));
    let commit = world.repo.commit("Begin");
    world.apply(&application("bad", "bad", AUTOMATED));
    world.apply(&application("good", "good", AUTOMATED));
    world.until_synced("bad", &commit).await;
    world.until_synced("good", &commit).await;
    world
}

fn value(world: &GitWorld, name: &str) -> Option<String> {
    let map = world.get("ConfigMap", name)?;
    Some(map["data"]["k"].as_str().unwrap().to_owned())
}

/// What must hold while `bad` is: its good state stays, `good` follows Git, and all is quiet.
async fn assert_contained(world: &GitWorld) {
    assert_eq!(
        value(world, "a").as_deref(),
        Some("one"),
        "the last good state"
    );
    world.repo.write("good/g.yaml", &config_map("g", "two"));
    let commit = world.repo.commit("Change g");
    world.until_synced("good", &commit).await;
    assert_eq!(value(world, "g").as_deref(), Some("two"));
    world.assert_at_rest(2).await;
    assert_eq!(
        value(world, "a").as_deref(),
        Some("one"),
        "the last good state"
    );
}

/// And that it gets well again when what is wrong is taken away.
async fn assert_recovers(world: &GitWorld, mend: impl FnOnce()) {
    mend();
    world.repo.write("bad/a.yaml", &config_map("a", "mended"));
    let commit = world.repo.commit("Mend");
    let app = world.until_synced("bad", &commit).await;
    assert_eq!(value(world, "a").as_deref(), Some("mended"));
    for kind in ["ComparisonError", "SyncError", "InvalidSpecError"] {
        assert_eq!(message_of(&app, kind), None);
    }
}

#[tokio::test(start_paused = true)]
async fn row_056_malformed_yaml_is_named_by_its_file() {
    let world = two().await;
    world
        .repo
        .write("bad/broken.yaml", "kind: ConfigMap\n  data: [\n");
    world.repo.write("bad/a.yaml", &config_map("a", "two"));
    world.repo.commit("Break it");
    let message = world.until_condition("bad", "ComparisonError").await;
    assert!(message.contains("bad/broken.yaml"), "{message}");
    assert_eq!(world.app("bad")["status"]["sync"]["status"], "Unknown");
    assert_contained(&world).await;
    // Asked for by hand, it fails with the same words.
    world.patch_app("bad", json!({"operation": {"sync": {}}}));
    let app = world
        .until_app("bad", |app| {
            app["status"]["operationState"]["phase"] == "Error"
        })
        .await;
    let told = app["status"]["operationState"]["message"].as_str().unwrap();
    assert!(told.contains("bad/broken.yaml"), "{told}");
    assert_eq!(value(&world, "a").as_deref(), Some("one"));
    assert_recovers(&world, || world.repo.remove("bad/broken.yaml")).await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kind_is_named() {
    let world = two().await;
    world.repo.write(
        "bad/gadget.yaml",
        "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: x}\n",
    );
    world.repo.commit("Add a gadget");
    let message = world.until_condition("bad", "SyncError").await;
    assert!(
        message.contains("Gadget") && message.contains("example.com"),
        "{message}"
    );
    let app = world.app("bad");
    assert_eq!(app["status"]["operationState"]["phase"], "Failed");
    assert_contained(&world).await;
    assert_recovers(&world, || world.repo.remove("bad/gadget.yaml")).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_the_api_server_refuses_is_named() {
    let world = two().await;
    world.repo.write(
        "bad/service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: UPPER}\nspec: {ports: [{port: 80}]}\n",
    );
    world.repo.commit("Add a service");
    let message = world.until_condition("bad", "SyncError").await;
    assert!(
        message.contains("Service") && message.contains("UPPER"),
        "{message}"
    );
    assert_contained(&world).await;
    assert_recovers(&world, || world.repo.remove("bad/service.yaml")).await;
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_no_object_is_named_by_file_and_place() {
    let world = two().await;
    world
        .repo
        .write("bad/list.yaml", "kind: ConfigMap\nmetadata: {name: x}\n");
    world.repo.commit("Forget the version");
    let message = world.until_condition("bad", "ComparisonError").await;
    assert!(
        message.contains("bad/list.yaml, document 1") && message.contains("apiVersion"),
        "{message}"
    );
    assert_contained(&world).await;
    assert_recovers(&world, || world.repo.remove("bad/list.yaml")).await;
}

/// A change of the source of `bad`, and what its condition then has to say.
async fn assert_source(change: Value, said: &[&str]) {
    let world = two().await;
    let before = world.app("bad")["spec"]["source"].clone();
    world.patch_app("bad", json!({"spec": {"source": change}}));
    let message = world.until_condition("bad", "ComparisonError").await;
    for text in said {
        assert!(message.contains(text), "{text:?} in {message}");
    }
    assert_eq!(world.app("bad")["status"]["sync"]["status"], "Unknown");
    assert_contained(&world).await;
    assert_recovers(&world, || {
        world.patch_app("bad", json!({"spec": {"source": before}}));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_does_not_exist_is_named() {
    assert_source(
        json!({"repoURL": "file:///there/is/none"}),
        &["file:///there/is/none"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_cannot_be_reached_is_named_without_its_password() {
    let world = two().await;
    let url = "https://ann:hunter2@127.0.0.1:1/x.git";
    world.patch_app("bad", json!({"spec": {"source": {"repoURL": url}}}));
    let message = world.until_condition("bad", "ComparisonError").await;
    assert!(
        message.contains("127.0.0.1:1/x.git") && !message.contains("hunter2"),
        "{message}"
    );
    assert_contained(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_does_not_exist_is_named() {
    assert_source(
        json!({"targetRevision": "nowhere"}),
        &["'nowhere'", "branch"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_does_not_exist_is_named() {
    assert_source(json!({"path": "no/such"}), &["'no/such'"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_path_out_of_the_repository_is_refused() {
    assert_source(
        json!({"path": "../../etc"}),
        &["'../../etc'", "out of the repository"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_rewinds_history_is_followed() {
    let world = two().await;
    let first = world.repo.git(&["rev-parse", "HEAD"]);
    world.repo.write("bad/a.yaml", &config_map("a", "two"));
    world.repo.write("bad/b.yaml", &config_map("b", "two"));
    let second = world.repo.commit("Go on");
    world.until_synced("bad", &second).await;
    world.repo.git(&["reset", "--quiet", "--hard", &first]);
    world.repo.push();
    world.repo.git(&["gc", "--quiet", "--prune=now"]);
    let app = world.until_synced("bad", &first).await;
    assert_eq!(
        (value(&world, "a").as_deref(), value(&world, "b")),
        (Some("one"), None)
    );
    let history: Vec<&Value> = app["status"]["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["revision"])
        .collect();
    assert_eq!(history, [&json!(first), &json!(second), &json!(first)]);
    world.repo.write("bad/a.yaml", &config_map("a", "three"));
    let third = world.repo.commit("Go on otherwise");
    world.until_synced("bad", &third).await;
    assert_contained_at(&world, "three").await;
}

async fn assert_contained_at(world: &GitWorld, expected: &str) {
    assert_eq!(value(world, "a").as_deref(), Some(expected));
    world.assert_at_rest(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_is_gone_for_a_while_costs_nothing() {
    let world = two().await;
    let (bare, aside) = (
        world.repo.path().join("bare"),
        world.repo.path().join("aside"),
    );
    std::fs::rename(&bare, &aside).unwrap();
    let message = world.until_condition("bad", "ComparisonError").await;
    assert!(message.contains("can't be read"), "{message}");
    assert_eq!(value(&world, "a").as_deref(), Some("one"));
    world.assert_at_rest(2).await;
    std::fs::rename(&aside, &bare).unwrap();
    assert_recovers(&world, || ()).await;
}

const PROJECT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata:
  name: team-backend
  namespace: argocd
spec:
  destinations:
  - namespace: 'backend-*'
    server: '*'
  sourceRepos:
  - https://github.com/company/infrastructure
";

fn of_team(namespace: &str, repo: &str, options: &str) -> GitWorld {
    let world = GitWorld::start();
    world.repo.write(
        "apps/production/backend/map.yaml",
        &config_map("settings", "one"),
    );
    world.repo.commit("Begin");
    world.apply(PROJECT);
    let app = APPLICATION
        .replace("project: default", "project: team-backend")
        .replace("namespace: production", &format!("namespace: {namespace}"))
        .replace(URL, repo)
        .replace("CreateNamespace=true", options);
    for name in [namespace, "elsewhere"] {
        let namespace = json!({"metadata": {"name": name}});
        if !options.starts_with("Create") {
            world
                .api
                .create(&crate::world::gvk("Namespace"), None, namespace)
                .unwrap();
        }
    }
    world.apply(&app);
    world
}

const APP: &str = "backend-production";

#[tokio::test(start_paused = true)]
async fn row_078_f8_the_project_admits_its_own_namespaces() {
    let world = of_team("backend-prod", URL, "PruneLast=true");
    let commit = world.repo.git(&["rev-parse", "HEAD"]);
    world.until_synced(APP, &commit).await;
    assert!(
        world
            .find("ConfigMap", "backend-prod", "settings")
            .is_some()
    );
    // An object of that Application may not go elsewhere either.
    let stray =
        config_map("stray", "1").replace("{name: stray}", "{name: stray, namespace: elsewhere}");
    world
        .repo
        .write("apps/production/backend/stray.yaml", &stray);
    world.repo.commit("Reach out");
    let message = world.until_condition(APP, "SyncError").await;
    assert!(
        message.contains("elsewhere") && message.contains("team-backend"),
        "{message}"
    );
    assert!(world.find("ConfigMap", "elsewhere", "stray").is_none());
    world.assert_at_rest(1).await;
}

#[tokio::test(start_paused = true)]
async fn row_078_f8_the_project_denies_other_namespaces() {
    let world = of_team("production", URL, "PruneLast=true");
    let message = world.until_condition(APP, "InvalidSpecError").await;
    assert!(
        message.contains("'team-backend'") && message.contains("'production'"),
        "{message}"
    );
    world.assert_at_rest(1).await;
    assert!(world.find("ConfigMap", "production", "settings").is_none());
    // The project is widened, and the Application goes on by itself.
    let destinations = json!([{"namespace": "production", "server": "*"}]);
    world.merge_in(
        CONTROL,
        "AppProject",
        "team-backend",
        json!({"spec": {"destinations": destinations}}),
    );
    let commit = world.repo.git(&["rev-parse", "HEAD"]);
    world.until_synced(APP, &commit).await;
}

#[tokio::test(start_paused = true)]
async fn row_078_the_project_denies_other_repositories() {
    let world = of_team(
        "backend-prod",
        "https://github.com/company/other",
        "PruneLast=true",
    );
    let message = world.until_condition(APP, "InvalidSpecError").await;
    assert!(
        message.contains("team-backend") && message.contains("https://github.com/company/other"),
        "{message}"
    );
    assert_eq!(
        world.looks(),
        0,
        "a repository that is denied is not even asked"
    );
}

#[tokio::test(start_paused = true)]
async fn row_078_f8_the_project_denies_to_create_the_namespace() {
    let world = of_team("backend-prod", URL, "CreateNamespace=true");
    let app = world
        .until_app(APP, |app| {
            let message = app["status"]["operationState"]["message"]
                .as_str()
                .unwrap_or_default();
            message.contains("cannot create namespace \"backend-prod\"")
                && message.contains("team-backend")
        })
        .await;
    assert_ne!(app["status"]["operationState"]["phase"], "Succeeded");
    world.assert_at_rest(1).await;
    assert!(world.find("Namespace", "", "backend-prod").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_project_that_does_not_exist_is_named() {
    let world = two().await;
    world.patch_app("bad", json!({"spec": {"project": "nobody"}}));
    let message = world.until_condition("bad", "InvalidSpecError").await;
    assert!(message.contains("'nobody'"), "{message}");
    assert_contained(&world).await;
    assert_recovers(&world, || {
        world.patch_app("bad", json!({"spec": {"project": "default"}}));
    })
    .await;
}
