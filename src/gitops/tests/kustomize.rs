//! Against the real tool; where there is none, the tests say so and pass.

use super::repository::Repository;
use super::setup::Setup;
use gitops::sync::Rendered;
use serde_json::{Value, json};
use std::process::Stdio;

async fn is_there() -> bool {
    for (program, argument) in [("kustomize", "version"), ("kubectl", "kustomize")] {
        let run = tokio::process::Command::new(program)
            .args([argument, "--help"])
            .output()
            .await;
        if run.is_ok_and(|output| output.status.success()) {
            return true;
        }
    }
    println!("skipped: neither kustomize nor kubectl is installed");
    false
}

const BASE: &str = "\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: backend}
spec:
  replicas: 2
  selector: {matchLabels: {app: backend}}
  template:
    metadata: {labels: {app: backend}}
    spec:
      containers:
        - name: backend
          image: backend
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /health, port: 8080}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis}
spec:
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec:
      containers: [{name: redis, image: 'redis:7', ports: [{containerPort: 6379}]}]
";

/// The overlay of acceptance.md M3, verbatim; base and patches are ours.
const M3: &str = "\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: production
bases:
  - ../../../base/backend
patchesStrategicMerge:
  - replicas.yaml
  - resources.yaml
images:
  - name: backend
    newTag: v1.2.3
";

const RESOURCES: &str = "\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: backend}
spec: {template: {spec: {containers: [{name: backend, resources: {limits: {cpu: 500m}}}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis}
spec: {template: {spec: {containers: [{name: redis, resources: {limits: {cpu: 100m}}}]}}}
";

fn m3() -> Setup {
    let setup = Setup::new();
    let repository = &setup.repository;
    repository.write("base/backend/kustomization.yaml", "resources: [all.yaml]\n");
    repository.write("base/backend/all.yaml", BASE);
    repository.write("apps/production/backend/kustomization.yaml", M3);
    let replicas = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: backend}\nspec: {replicas: 5}\n";
    repository.write("apps/production/backend/replicas.yaml", replicas);
    repository.write("apps/production/backend/resources.yaml", RESOURCES);
    repository.commit("M3");
    setup
}

fn find<'a>(rendered: &'a Rendered, kind: &str) -> &'a Value {
    let mut all = rendered.documents.iter().map(|document| &document.object);
    all.find(|object| object["kind"] == kind).unwrap()
}

#[tokio::test]
async fn t43_t44_m3_renders_with_both_patches_and_an_intact_container() {
    if !is_there().await {
        return;
    }
    let setup = m3();
    let source = setup.source(json!({"path": "apps/production/backend"}));
    let rendered = setup.fetch(source, "main").await.unwrap();
    assert_eq!(rendered.errors, Vec::<String>::new());
    assert_eq!(rendered.source_type, "Kustomize");
    let rollout = find(&rendered, "Rollout");
    assert_eq!(rollout["metadata"]["namespace"], "production");
    assert_eq!(rollout["spec"]["replicas"], 5);
    assert_eq!(
        rollout["spec"]["template"]["spec"]["containers"],
        json!([{"name": "backend", "image": "backend:v1.2.3", "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}},
            "resources": {"limits": {"cpu": "500m"}}}])
    );
    assert_eq!(
        find(&rendered, "Deployment")["spec"]["template"]["spec"]["containers"],
        json!([{"name": "redis", "image": "redis:7", "ports": [{"containerPort": 6379}],
            "resources": {"limits": {"cpu": "100m"}}}])
    );
    assert_eq!(rendered.warnings.len(), 2, "{:?}", rendered.warnings);
    for (warning, field) in rendered.warnings.iter().zip([
        "'bases' is deprecated",
        "'patchesStrategicMerge' is deprecated",
    ]) {
        assert!(
            warning.starts_with("apps/production/backend: ") && warning.contains(field),
            "{warning}"
        );
    }
}

/// The file that the repository ships, used the way its users are told to.
#[tokio::test]
async fn f5_the_shipped_schema_works_in_a_kustomization_of_ones_own() {
    if !is_there().await {
        return;
    }
    let setup = m3();
    let schema = include_str!("../../../kustomize/rollout-schema.json");
    setup
        .repository
        .write("apps/production/backend/rollout-schema.json", schema);
    let with_schema = format!("{M3}openapi:\n  path: rollout-schema.json\n");
    setup
        .repository
        .write("apps/production/backend/kustomization.yaml", &with_schema);
    setup.repository.commit("Schema");
    let source = setup.source(json!({"path": "apps/production/backend"}));
    let rendered = setup.fetch(source, "main").await.unwrap();
    let container = &find(&rendered, "Rollout")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "backend:v1.2.3");
    assert_eq!(container["resources"]["limits"]["cpu"], "500m");
    let deployment = &find(&rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(deployment["image"], "redis:7");
}

/// M5: the change of one line is the change of one image.
#[tokio::test]
async fn t49_a_tag_change_changes_the_image_alone() {
    if !is_there().await {
        return;
    }
    let setup = m3();
    let source = setup.source(json!({"path": "apps/production/backend"}));
    let before = setup.fetch(source.clone(), "main").await.unwrap();
    let path = "apps/production/backend/kustomization.yaml";
    setup
        .repository
        .write(path, &M3.replace("v1.2.3", "v1.2.4"));
    setup.repository.commit("Update backend image version");
    let after = setup.fetch(source, "main").await.unwrap();
    let mut expected = find(&before, "Rollout").clone();
    expected["spec"]["template"]["spec"]["containers"][0]["image"] = json!("backend:v1.2.4");
    assert_eq!(find(&after, "Rollout"), &expected);
    assert_eq!(find(&after, "Deployment"), find(&before, "Deployment"));
}

#[tokio::test]
async fn what_the_application_adds_is_added() {
    if !is_there().await {
        return;
    }
    let setup = m3();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: stable}\nspec: {selector: {app: backend}}\n";
    let base = BASE.replace(
        "  replicas: 2\n",
        "  replicas: 2\n  strategy: {canary: {stableService: stable}}\n",
    );
    setup
        .repository
        .write("base/backend/all.yaml", &format!("{base}---\n{service}"));
    setup.repository.write(
        "apps/production/backend/.argocd-source-shop.yaml",
        "kustomize:\n  images: ['backend=registry.example/backend:v9']\n",
    );
    setup.repository.commit("Image updater");
    let source = setup.source(json!({"path": "apps/production/backend", "kustomize": {
        "namePrefix": "pre-", "namespace": "elsewhere", "commonLabels": {"team": "a"},
        "replicas": [{"name": "backend", "count": 7}],
        "commonAnnotations": {"note": "x"},
        "patches": [{"patch": "- {op: add, path: /spec/paused, value: true}", "target": {"kind": "Rollout"}}],
    }}));
    let rendered = setup.fetch(source, "main").await.unwrap();
    let rollout = find(&rendered, "Rollout");
    assert_eq!(rollout["metadata"]["name"], "pre-backend");
    assert_eq!(rollout["metadata"]["namespace"], "elsewhere");
    assert_eq!(rollout["metadata"]["labels"]["team"], "a");
    assert_eq!(rollout["metadata"]["annotations"]["note"], "x");
    // A label of selectors is one of the pods, or the Services would select nothing.
    assert_eq!(
        rollout["spec"]["selector"]["matchLabels"],
        json!({"app": "backend", "team": "a"})
    );
    assert_eq!(
        rollout["spec"]["template"]["metadata"]["labels"],
        json!({"app": "backend", "team": "a"})
    );
    assert_eq!(
        rollout["spec"]["strategy"]["canary"]["stableService"],
        "pre-stable"
    );
    assert_eq!(rollout["spec"]["replicas"], 7);
    assert_eq!(rollout["spec"]["paused"], true);
    let container = &rollout["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example/backend:v9");
    assert_eq!(container["ports"][0]["containerPort"], 8080);
}

#[tokio::test]
async fn a_kustomization_that_fails_says_why_without_our_folders() {
    if !is_there().await {
        return;
    }
    let setup = Setup::new();
    setup
        .repository
        .write("app/kustomization.yaml", "resources: [missing.yaml]\n");
    setup.repository.commit("Broken");
    let error = setup
        .fetch(setup.source(json!({"path": "app"})), "main")
        .await
        .unwrap_err();
    assert!(
        error.starts_with("path 'app': kustomize failed: "),
        "{error}"
    );
    assert!(
        error.contains("missing.yaml") && !error.contains("/tmp/"),
        "{error}"
    );
}

/// One at the root of the repository: whatever is built over it must not be in it.
#[tokio::test]
async fn the_root_of_a_repository_may_be_a_kustomization() {
    if !is_there().await {
        return;
    }
    let setup = Setup::new();
    setup
        .repository
        .write("kustomization.yaml", "resources: [all.yaml]\n");
    setup.repository.write("all.yaml", BASE);
    setup.repository.commit("All at the root");
    for path in ["", "."] {
        let source = setup.source(json!({"path": path, "kustomize": {"namePrefix": "pre-"}}));
        let rendered = setup.fetch(source, "main").await.unwrap();
        assert_eq!(rendered.errors, Vec::<String>::new());
        assert_eq!(
            find(&rendered, "Rollout")["metadata"]["name"],
            "pre-backend"
        );
    }
}

#[tokio::test]
async fn what_one_application_adds_is_not_there_for_another_at_the_same_commit() {
    if !is_there().await {
        return;
    }
    let setup = m3();
    let fetch = |prefix: &str| {
        let options =
            json!({"path": "apps/production/backend", "kustomize": {"namePrefix": prefix}});
        setup.fetch(setup.source(options), "main")
    };
    let manifests = setup.source(json!({"path": ".", "directory": {"recurse": true}}));
    let (a, b, all) = tokio::join!(fetch("a-"), fetch("b-"), setup.fetch(manifests, "main"));
    for (rendered, name) in [(a, "a-backend"), (b, "b-backend")] {
        assert_eq!(
            find(&rendered.unwrap(), "Rollout")["metadata"]["name"],
            name
        );
    }
    // A tree has what the repository has, and nothing of what is built from it.
    let all = all.unwrap();
    assert!(all.documents.len() >= 5, "{:?}", all.documents);
    let ours = |name: &str| name.contains("overlay") || name.contains("weir");
    assert!(
        !all.documents
            .iter()
            .any(|document| ours(&document.origin.file))
    );
}

#[tokio::test]
async fn bases_are_in_the_repository_or_on_a_server() {
    if !is_there().await {
        return;
    }
    let (setup, other) = (Setup::new(), Repository::new());
    other.write("kustomization.yaml", "resources: [all.yaml]\n");
    other.write("all.yaml", BASE);
    other.commit("Not for everybody");
    let fetch = async |base: &str| {
        let text = format!("resources: ['{base}']\n");
        setup.repository.write("app/kustomization.yaml", &text);
        setup.repository.commit(base);
        setup.at("main").await.unwrap_err()
    };
    let error = fetch(&other.url()).await;
    assert!(error.contains("transport 'file' not allowed"), "{error}");
    let error = fetch(&format!("../../{}", other.path().display())).await;
    assert!(
        error.ends_with("it must not lead out of the repository"),
        "{error}"
    );
}

/// Else the Application is written to at each look.
#[tokio::test]
async fn a_failure_is_told_in_the_same_words_each_time() {
    if !is_there().await {
        return;
    }
    let setup = Setup::new();
    setup.repository.write(
        "app/kustomization.yaml",
        "resources: ['http://127.0.0.1:9/base.git']\n",
    );
    setup.repository.commit("Broken");
    let first = setup.at("main").await.unwrap_err();
    assert!(first.contains("127.0.0.1:9"), "{first}");
    for name in ["scratch", "overlay-", "home-", "weir-tree", "run.go"] {
        assert!(!first.contains(name), "{first}");
    }
    setup.sources.checkouts.forget_all();
    assert_eq!(setup.at("main").await.unwrap_err(), first);
}

/// Kustomize asks for them with each remote base; our image has no shell for that script.
#[tokio::test]
async fn submodules_are_fetched_without_the_script_of_git() {
    let setup = Setup::new();
    let (repository, base) = (&setup.repository, Repository::new());
    base.write("map.yaml", "one");
    base.commit("Base");
    let allow = "protocol.file.allow=always";
    repository.git(&["-c", allow, "submodule", "add", &base.url(), "base"]);
    repository.commit("With a submodule");
    repository.git(&["submodule", "deinit", "--force", "base"]);
    let file = repository.path().join("base/map.yaml");
    assert!(!file.exists());
    // As if none of the programs were installed that git has beside itself.
    let place = repository.path().display().to_string();
    let arguments = ["--exec-path=/nowhere/at/all", "-C", &place];
    let verb = ["submodule", "update", "--init", "--recursive"];
    let git = &setup.sources.git;
    let command = git.command(arguments.into_iter().chain(verb)).await;
    let output = git.run(command.unwrap(), Stdio::null()).await.unwrap();
    assert!(output.success, "{}", output.stderr);
    assert!(file.exists());
}
