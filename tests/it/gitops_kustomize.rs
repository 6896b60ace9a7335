//! Rows of the acceptance table (scope G) that need Kustomize, and those about whole systems.

use crate::git::{APPLICATION, AUTOMATED, GitWorld, application, config_map, has_kustomize};
use crate::world::gvk;
use serde_json::{Value, json};

/// The overlay of the request, word for word.
const OVERLAY: &str = "
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

const BASE: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: backend}
spec:
  replicas: 1
  selector: {matchLabels: {app: backend}}
  template:
    metadata: {labels: {app: backend}}
    spec:
      containers:
      - name: backend
        image: backend
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /health, port: 8080}, initialDelaySeconds: 10, periodSeconds: 5}
  strategy:
    canary:
      steps: [{setWeight: 20}, {pause: {duration: 5m}}, {setWeight: 40}, {pause: {duration: 5m}}]
";

fn replicas(count: i64) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: backend}}\nspec: {{replicas: {count}}}\n"
    )
}

const RESOURCES: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: backend}
spec:
  template:
    spec:
      containers:
      - name: backend
        resources: {limits: {memory: 128Mi}}
";

const FRONTEND: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: frontend}
data: {title: shop}
";

fn kustomization(namespace: &str, base: &str) -> String {
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: {namespace}\nresources: [../../../base/{base}]\n"
    )
}

/// The repository tree of the request, with production at v1.2.3 and staging at v1.3.0.
fn lay_out(world: &GitWorld) -> String {
    let repo = &world.repo;
    for (name, text) in [("backend", BASE), ("frontend", FRONTEND)] {
        repo.write(&format!("base/{name}/{name}.yaml"), text);
        repo.write(
            &format!("base/{name}/kustomization.yaml"),
            &format!("resources: [{name}.yaml]\n"),
        );
    }
    repo.write("apps/production/backend/kustomization.yaml", OVERLAY);
    repo.write("apps/production/backend/replicas.yaml", &replicas(5));
    repo.write("apps/production/backend/resources.yaml", RESOURCES);
    let staging = OVERLAY
        .replace("namespace: production", "namespace: staging")
        .replace("  - resources.yaml\n", "")
        .replace("v1.2.3", "v1.3.0");
    repo.write("apps/staging/backend/kustomization.yaml", &staging);
    repo.write("apps/staging/backend/replicas.yaml", &replicas(2));
    for stage in ["production", "staging"] {
        repo.write(
            &format!("apps/{stage}/frontend/kustomization.yaml"),
            &kustomization(stage, "frontend"),
        );
        for part in ["backend", "frontend"] {
            let app = APPLICATION
                .replace("backend-production", &format!("{part}-{stage}"))
                .replace("apps/production/backend", &format!("apps/{stage}/{part}"))
                .replace("namespace: production", &format!("namespace: {stage}"));
            repo.write(&format!("argocd/applications/{part}-{stage}.yaml"), &app);
        }
    }
    repo.commit("Lay out the repository")
}

async fn running() -> (GitWorld, String) {
    let world = GitWorld::start();
    let commit = lay_out(&world);
    let root = application("root", "argocd/applications", AUTOMATED)
        .replace("namespace: demo", "namespace: argocd");
    world.apply(&root);
    world.until_synced("root", &commit).await;
    for app in [
        "backend-production",
        "frontend-production",
        "backend-staging",
        "frontend-staging",
    ] {
        world.until_synced(app, &commit).await;
        world
            .until_app(app, |app| app["status"]["health"]["status"] == "Healthy")
            .await;
    }
    (world, commit)
}

fn rollout(world: &GitWorld, stage: &str) -> std::sync::Arc<Value> {
    world.find("Rollout", stage, "backend").unwrap()
}

fn container(rollout: &Value) -> &Value {
    &rollout["spec"]["template"]["spec"]["containers"][0]
}

#[tokio::test(start_paused = true)]
async fn row_041_043_044_046_f5_f6_overlays_of_one_base_make_production_and_staging() {
    if !has_kustomize() {
        return;
    }
    let (world, _) = running().await;
    let production = rollout(&world, "production");
    let whole = json!({
        "name": "backend",
        "image": "backend:v1.2.3",
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 10, "periodSeconds": 5},
        "resources": {"limits": {"memory": "128Mi"}},
    });
    let mut shown = container(&production).clone();
    for defaulted in shown.as_object_mut().unwrap().values_mut() {
        if let Some(port) = defaulted.get_mut(0).and_then(Value::as_object_mut) {
            port.remove("protocol");
        }
    }
    assert_eq!(shown, whole, "both patches are in, the rest is intact");
    assert_eq!(production["spec"]["replicas"], 5);
    let staging = rollout(&world, "staging");
    assert_eq!(
        (&container(&staging)["image"], &staging["spec"]["replicas"]),
        (&json!("backend:v1.3.0"), &json!(2))
    );
    for stage in ["production", "staging"] {
        assert!(world.find("ConfigMap", stage, "frontend").is_some());
    }
    let warning = world
        .until_condition("backend-production", "RenderWarning")
        .await;
    assert!(warning.contains("deprecated"), "{warning}");
    world.assert_at_rest(5).await;
}

#[tokio::test(start_paused = true)]
async fn row_047_a_commit_to_the_staging_overlay_changes_staging_only() {
    if !has_kustomize() {
        return;
    }
    let (world, _) = running().await;
    let before = rollout(&world, "production")["metadata"]["generation"].clone();
    world.repo.replace(
        "apps/staging/backend/kustomization.yaml",
        "v1.3.0",
        "v1.3.1",
    );
    let commit = world.repo.commit("Try v1.3.1");
    world.until_synced("backend-staging", &commit).await;
    world.until_synced("backend-production", &commit).await;
    assert_eq!(
        container(&rollout(&world, "staging"))["image"],
        "backend:v1.3.1"
    );
    assert_eq!(
        rollout(&world, "production")["metadata"]["generation"],
        before
    );
    let history = world.app("backend-production")["status"]["history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_049_050_f7_a_merged_tag_change_makes_one_revision_that_starts_at_20() {
    if !has_kustomize() {
        return;
    }
    let mut ends = Vec::new();
    for author in ["Ann", "Ci"] {
        let (world, _) = running().await;
        world.repo.git(&["checkout", "--quiet", "-b", "update"]);
        world.repo.replace(
            "apps/production/backend/kustomization.yaml",
            "v1.2.3",
            "v1.2.4",
        );
        world.repo.commit_as(author, "Update backend image version");
        world.sleep(120).await;
        assert_eq!(
            container(&rollout(&world, "production"))["image"],
            "backend:v1.2.3",
            "not merged yet"
        );
        world.repo.git(&["checkout", "--quiet", "main"]);
        world.repo.git(&["merge", "--quiet", "--ff-only", "update"]);
        world.repo.push();
        world
            .until_app("backend-production", |_| {
                rollout(&world, "production")["status"]["currentStepIndex"] == 1
            })
            .await;
        let mut sets: Vec<(Value, Value, Value)> = world
            .api
            .list(&gvk("ReplicaSet"), Some("production"))
            .iter()
            .map(|set| {
                let image = set["spec"]["template"]["spec"]["containers"][0]["image"].clone();
                (
                    set["metadata"]["name"].clone(),
                    image,
                    set["spec"]["replicas"].clone(),
                )
            })
            .collect();
        sets.sort_by_key(|(_, image, _)| image.to_string());
        let shape: Vec<(&Value, &Value)> =
            sets.iter().map(|(_, image, size)| (image, size)).collect();
        assert_eq!(
            shape,
            [
                (&json!("backend:v1.2.3"), &json!(4)),
                (&json!("backend:v1.2.4"), &json!(1))
            ]
        );
        assert_eq!(
            rollout(&world, "production")["metadata"]["annotations"]["rollout.argoproj.io/revision"],
            "2"
        );
        ends.push(sets);
    }
    assert_eq!(ends[0], ends[1], "whoever wrote it");
}

#[tokio::test(start_paused = true)]
async fn a_kustomization_that_does_not_build_is_named_and_what_was_good_stays() {
    if !has_kustomize() {
        return;
    }
    let (world, _) = running().await;
    world.repo.remove("apps/production/backend/resources.yaml");
    world.repo.commit("Lose a patch");
    let message = world
        .until_condition("backend-production", "ComparisonError")
        .await;
    assert!(
        message.contains("apps/production/backend") && message.contains("resources.yaml"),
        "{message}"
    );
    assert!(
        !message.contains(world.repo.path().to_str().unwrap()),
        "{message}"
    );
    assert_eq!(
        container(&rollout(&world, "production"))["image"],
        "backend:v1.2.3"
    );
    world.assert_at_rest(5).await;
    world
        .repo
        .write("apps/production/backend/resources.yaml", RESOURCES);
    let commit = world.repo.commit("Find it again");
    world.until_synced("backend-production", &commit).await;
}

const SYSTEM: &str = "
apiVersion: example.com/v1
kind: Gadget
metadata: {name: gadget}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Gadget, listKind: GadgetList, plural: gadgets, singular: gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: web, port: {number: 80}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis}
spec:
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec: {containers: [{name: redis, image: 'redis:7'}]}
";

#[tokio::test(start_paused = true)]
async fn row_054_a_whole_system_with_a_kind_of_its_own_is_applied() {
    let world = GitWorld::start();
    world.repo.write("system/all.yaml", SYSTEM);
    world
        .repo
        .write("system/map.yaml", &config_map("settings", "one"));
    let commit = world.repo.commit("Declare everything");
    world.apply(&application("system", "system", AUTOMATED));
    world.until_synced("system", &commit).await;
    for (kind, name) in [
        ("Deployment", "redis"),
        ("Service", "web"),
        ("Ingress", "web"),
        ("ConfigMap", "settings"),
    ] {
        assert!(world.find(kind, "demo", name).is_some(), "{kind}");
    }
    let gadget = apiserver::Gvk::new("example.com", "v1", "Gadget");
    assert_eq!(
        world.api.get(&gadget, Some("demo"), "gadget").unwrap()["spec"]["size"],
        3
    );
    world.repo.replace("system/all.yaml", "size: 3", "size: 4");
    let commit = world.repo.commit("Grow the gadget");
    world.until_synced("system", &commit).await;
    assert_eq!(
        world.api.get(&gadget, Some("demo"), "gadget").unwrap()["spec"]["size"],
        4
    );
    world.assert_at_rest(1).await;
}
