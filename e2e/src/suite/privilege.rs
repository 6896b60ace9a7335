//! Least privilege: the controller runs under exactly the service account of `deploy/`, with RBAC
//! on. The audit log shows no 403, and every rule of its roles was used. Cluster-wide, then the
//! same in one namespace; first without the role for Applications, which who has none may take
//! away.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::context::Context;
use crate::ground::audit::{self, Request};
use crate::ground::controller::{Installation, PORT};
use crate::ground::gateway::Gateway;
use crate::ground::objects::{APPLICATION, ROLLOUT, is_observed, text};
use crate::ground::repository::Repository;
use crate::ground::{Ground, time, until};
use crate::report::Report;

const LIMIT: Duration = Duration::from_mins(2);
const ROLLOUTS: &str = include_str!("../../fixtures/privilege.yaml");
const OF_CLUSTER: &str = include_str!("../../fixtures/privilege-cluster.yaml");
const DEPLOYED: &str = include_str!("../../fixtures/privilege-application.yaml");
const DEPLOYED_TO_CLUSTER: &str = include_str!("../../fixtures/privilege-application-cluster.yaml");
const RBAC: &str = "rbac.authorization.k8s.io/v1";
/// Of the role, `create` is seen as a server-side apply of what was not there.
const CREATED: i64 = 201;

const PROJECT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: everything}
spec:
  sourceRepos: ["*"]
  destinations: [{server: "*", namespace: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: everything}
spec:
  project: everything
  source: {repoURL: $URL, targetRevision: main, path: all}
  destination: {server: "https://kubernetes.default.svc", namespace: $NAMESPACE}
  syncPolicy:
    automated: {prune: true, selfHeal: true}
    syncOptions: [CreateNamespace=true]
"#;

const UNUSED_PROJECT: &str = "
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: unused, finalizers: [resources-finalizer.argocd.argoproj.io]}
spec: {}
";

/// A right, as roles list them: verb, group, resource.
type Right = (String, String, String);

pub(super) async fn run(context: &Context) -> Result<Report> {
    let ground = Ground::lay(context)?;
    let mut gateway = Gateway::start(&ground).await?;
    let page = Page::serve().await?;
    let mut report = Report::default();
    for (name, namespaced) in [("cluster-wide", false), ("namespaced", true)] {
        let trial = Trial {
            ground: &ground,
            page: &page.url,
            namespaced,
        };
        let findings = trial.run().await.with_context(|| name)?;
        for finding in findings {
            match finding.with_context(|| name) {
                Ok(()) => report.pass(),
                Err(error) => report.fail(&format_args!("{error:#}")),
            }
        }
    }
    gateway.check()?;
    Ok(report)
}

struct Trial<'a> {
    ground: &'a Ground,
    page: &'a str,
    namespaced: bool,
}

impl Trial<'_> {
    /// The namespace of the controller, and of what it looks after if that is one namespace.
    fn home(&self) -> &'static str {
        if self.namespaced {
            "tenant"
        } else {
            "argo-rollouts"
        }
    }

    fn workload(&self) -> &'static str {
        if self.namespaced {
            "tenant"
        } else {
            "privilege"
        }
    }

    /// Where Applications are, and where they deploy to.
    fn control(&self) -> (&'static str, &'static str) {
        if self.namespaced {
            (self.home(), self.home())
        } else {
            ("argocd", "deployed")
        }
    }

    async fn run(&self) -> Result<Vec<Result<()>>> {
        let objects = &self.ground.objects;
        objects.namespace(self.workload()).await?;
        let (flags, binding): (&[&str], _) = if self.namespaced {
            (&["--namespaced"], "RoleBinding")
        } else {
            (&[], "ClusterRoleBinding")
        };
        let installation = Installation::make(self.ground, self.home(), flags).await?;
        objects
            .delete((RBAC, binding), self.home(), "weir-gitops")
            .await?;
        let name = format!("controller-{}", self.home());
        let control = format!("--control-namespace={}", self.control().0);
        let switches: Vec<_> = flags.iter().copied().chain([control.as_str()]).collect();
        let controller = installation
            .start(self.ground, &name, PORT, &switches)
            .await?;
        let rolled = self.roll().await;
        let of_rollouts = self.requests()?;
        Installation::make(self.ground, self.home(), flags).await?;
        let deployed = self.deploy().await;
        // Given back, the lease is written a last time.
        controller.stop().await?;
        let (requests, rights) = (self.requests()?, self.rights().await?);
        Ok(vec![
            rolled,
            nothing_refused(&of_rollouts).context("Rollouts alone"),
            deployed,
            nothing_refused(&requests),
            all_used(&rights, &requests),
        ])
    }

    fn requests(&self) -> Result<Vec<Request>> {
        let user = format!("system:serviceaccount:{}:weir", self.home());
        audit::of_user(&self.ground.cluster.join("audit.log"), &user)
    }

    async fn roll(&self) -> Result<()> {
        for tag in ["v1", "v2", "v3"] {
            self.release(tag).await?;
        }
        self.restart().await
    }

    fn rollouts(&self) -> Vec<&'static str> {
        let mut names = vec![
            "weighted",
            "ingress",
            "referenced",
            "template",
            "blue-green",
        ];
        if !self.namespaced {
            names.push("judged");
        }
        names
    }

    async fn release(&self, tag: &str) -> Result<()> {
        let objects = &self.ground.objects;
        let filled = |text: &str| text.replace("$TAG", tag).replace("$URL", self.page);
        if !self.namespaced {
            objects.apply(self.workload(), &filled(OF_CLUSTER)).await?;
        }
        objects.apply(self.workload(), &filled(ROLLOUTS)).await?;
        for name in self.rollouts() {
            until(&format!("{name} is healthy at {tag}"), LIMIT, async || {
                let rollout = objects.get(ROLLOUT, self.workload(), name).await?;
                let good = self.is_at(&rollout, name, tag).await?;
                ensure!(good, "{}", rollout["status"]);
                Ok(Some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Healthy, and the ReplicaSet of the tag is the stable one.
    async fn is_at(&self, rollout: &Value, name: &str, tag: &str) -> Result<bool> {
        let stable = text(rollout, "/status/stableRS");
        let labels = format!("app={name},rollouts-pod-template-hash={stable}");
        let kind = crate::ground::objects::REPLICA_SET;
        let sets = self
            .ground
            .objects
            .list(kind, Some(self.workload()), &labels)
            .await?;
        let image = format!("weir/demo:{tag}");
        let of_tag = sets
            .iter()
            .any(|set| text(set, "/spec/template/spec/containers/0/image") == image);
        Ok(of_tag && text(rollout, "/status/phase") == "Healthy" && is_observed(rollout))
    }

    async fn restart(&self) -> Result<()> {
        let objects = &self.ground.objects;
        let now = time(jiff::SignedDuration::ZERO);
        let patch = json!({"spec": {"restartAt": now}});
        objects
            .merge(ROLLOUT, self.workload(), "blue-green", &patch)
            .await?;
        until("the pods are restarted", LIMIT, async || {
            let rollout = objects.get(ROLLOUT, self.workload(), "blue-green").await?;
            let done = text(&rollout, "/status/restartedAt") == now
                && text(&rollout, "/status/phase") == "Healthy";
            Ok(done.then_some(()))
        })
        .await
    }

    /// An Application makes, changes and prunes an object of every kind.
    async fn deploy(&self) -> Result<()> {
        let (control, namespace) = self.control();
        let repository = Repository::make(&self.ground.dir.join(namespace)).await?;
        let filled = |mark: &str| {
            let cluster = format!("{DEPLOYED_TO_CLUSTER}---\n{DEPLOYED}");
            let text = if self.namespaced { DEPLOYED } else { &cluster };
            text.replace("$MARK", mark).replace("$URL", self.page)
        };
        repository.write("all/all.yaml", &filled("first"))?;
        let manifests = PROJECT.replace("$URL", &repository.url());
        let mut manifests = manifests.replace("$NAMESPACE", namespace);
        if self.namespaced {
            manifests = manifests.replace("    syncOptions: [CreateNamespace=true]\n", "");
        } else {
            // Stays when all else is pruned: nobody has the right to delete a namespace.
            let kept = "{apiVersion: v1, kind: Namespace, metadata: {name: kept}}\n";
            repository.write("all/namespace.yaml", kept)?;
        }
        let commit = repository.commit("Everything").await?;
        self.ground.objects.apply(control, &manifests).await?;
        self.synced(&commit).await?;
        repository.write("all/all.yaml", &filled("second"))?;
        let commit = repository.commit("Everything, changed").await?;
        self.synced(&commit).await?;
        let left = "{apiVersion: v1, kind: ConfigMap, metadata: {name: left}}\n";
        repository.write("all/all.yaml", left)?;
        let commit = repository.commit("Nearly nothing").await?;
        self.synced(&commit).await?;
        self.let_a_project_go(control).await
    }

    /// A project that no Application is in goes when it is deleted, whatever finalizer it has.
    async fn let_a_project_go(&self, control: &str) -> Result<()> {
        const PROJECTS: (&str, &str) = ("argoproj.io/v1alpha1", "AppProject");
        let objects = &self.ground.objects;
        objects.apply(control, UNUSED_PROJECT).await?;
        objects.delete(PROJECTS, control, "unused").await?;
        until("the project is gone", LIMIT, async || {
            let left = objects.list(PROJECTS, Some(control), "").await?;
            let is_left = left
                .iter()
                .any(|project| text(project, "/metadata/name") == "unused");
            Ok((!is_left).then_some(()))
        })
        .await
    }

    async fn synced(&self, commit: &str) -> Result<()> {
        until(&format!("{commit} is synced"), LIMIT, async || {
            let objects = &self.ground.objects;
            let application = objects
                .get(APPLICATION, self.control().0, "everything")
                .await?;
            let good = text(&application, "/status/sync/status") == "Synced"
                && text(&application, "/status/sync/revision") == commit
                && text(&application, "/status/operationState/phase") == "Succeeded";
            ensure!(good, "{}", application["status"]);
            Ok(Some(()))
        })
        .await
    }

    /// Every right of every role that the service account has.
    async fn rights(&self) -> Result<BTreeSet<Right>> {
        let objects = &self.ground.objects;
        let home = Some(self.home());
        let mut rights = BTreeSet::new();
        for (binding, role) in [
            ("RoleBinding", "Role"),
            ("ClusterRoleBinding", "ClusterRole"),
        ] {
            for bound in objects.list((RBAC, binding), home, "").await? {
                let ours = bound["subjects"].as_array().is_some_and(|subjects| {
                    subjects.iter().any(|subject| {
                        subject["kind"] == "ServiceAccount"
                            && subject["name"] == "weir"
                            && subject["namespace"] == self.home()
                    })
                });
                if ours {
                    let name = text(&bound, "/roleRef/name");
                    let role = objects.get((RBAC, role), self.home(), name).await?;
                    rights.extend(of_role(&role));
                }
            }
        }
        ensure!(!rights.is_empty(), "the service account has no rights");
        Ok(rights)
    }
}

fn of_role(role: &Value) -> Vec<Right> {
    let list = |rule: &Value, field: &str| -> Vec<String> {
        let items = rule[field].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        for group in list(rule, "apiGroups") {
            for resource in list(rule, "resources") {
                for verb in list(rule, "verbs") {
                    rights.push((verb, group.clone(), resource.clone()));
                }
            }
        }
    }
    rights
}

fn nothing_refused(requests: &[Request]) -> Result<()> {
    ensure!(
        !requests.is_empty(),
        "the audit log has no request of the controller"
    );
    let refused: BTreeSet<_> = requests
        .iter()
        .filter(|request| request.code == 403)
        .map(|request| format!("{} {} {}", request.verb, request.group, request.resource))
        .collect();
    ensure!(refused.is_empty(), "refused: {refused:#?}");
    Ok(())
}

fn all_used(rights: &BTreeSet<Right>, requests: &[Request]) -> Result<()> {
    let mut used = BTreeSet::new();
    for request in requests {
        let right = |verb: &str| {
            (
                verb.to_owned(),
                request.group.clone(),
                request.resource.clone(),
            )
        };
        used.insert(right(&request.verb));
        if request.verb == "patch" && request.code == CREATED {
            used.insert(right("create"));
        }
    }
    // Checked when an owner reference that blocks deletion is set, not asked for by a request.
    let checked = |right: &Right| right.2.ends_with("/finalizers");
    let unused: Vec<_> = rights
        .difference(&used)
        .filter(|right| !checked(right))
        .map(|(verb, group, resource)| format!("{verb} {group} {resource}"))
        .collect();
    ensure!(unused.is_empty(), "rights that nothing used: {unused:#?}");
    Ok(())
}

/// A page that answers `{"ok": 1}` to everybody.
struct Page {
    url: String,
    task: AbortHandle,
}

impl Page {
    async fn serve() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{\"ok\": 1}";
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Ok(Self {
            url,
            task: task.abort_handle(),
        })
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.task.abort();
    }
}
