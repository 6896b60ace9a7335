//! A bare repository with somebody who commits to it, and a world whose controller follows it.

use crate::world::{World, gvk};
use futures::FutureExt;
use futures::future::BoxFuture;
use gitops::sync::{Config, Rendered, SourceRequest};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use weir::act::Render;
use weir::gitops::{Limits, Sources};

/// What the manifests of the request call their repository. Nothing is asked of that host: it
/// stands for the bare repository of the test.
pub const URL: &str = "https://github.com/company/infrastructure";
pub const CONTROL: &str = "argocd";
pub const POLL_S: i64 = 60;

/// The Application of the request, word for word.
pub const APPLICATION: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: backend-production
  namespace: argocd
spec:
  project: default
  source:
    repoURL: https://github.com/company/infrastructure
    targetRevision: main
    path: apps/production/backend
  destination:
    server: https://kubernetes.default.svc
    namespace: production
  syncPolicy:
    automated:
      prune: true
      selfHeal: true
    syncOptions:
    - CreateNamespace=true
";

#[derive(Debug)]
pub struct Repo {
    folder: tempfile::TempDir,
}

impl Repo {
    fn new() -> Self {
        let repo = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(repo.folder.path().join("work")).unwrap();
        repo.git(&[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            "../bare",
        ]);
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.git(&["remote", "add", "origin", "../bare"]);
        repo
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self) -> String {
        format!("file://{}/bare", self.path().display())
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_as("Ann", arguments)
    }

    fn git_as(&self, author: &str, arguments: &[&str]) -> String {
        let email = format!("{}@example.com", author.to_lowercase());
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path().join("work"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", author)
            .env("GIT_AUTHOR_EMAIL", &email)
            .env("GIT_COMMITTER_NAME", author)
            .env("GIT_COMMITTER_EMAIL", &email)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join("work").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join("work").join(name)).unwrap()
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path().join("work").join(name)).unwrap();
    }

    /// Commits everything, pushes the branch that is checked out, and says which commit it is.
    pub fn commit(&self, subject: &str) -> String {
        self.commit_as("Ann", subject)
    }

    pub fn commit_as(&self, author: &str, subject: &str) -> String {
        self.git(&["add", "--all"]);
        self.git_as(
            author,
            &["commit", "--quiet", "--allow-empty", "-m", subject],
        );
        self.push();
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn push(&self) {
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"]);
    }

    /// A change of one file by the text that is in it.
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}:\n{text}");
        self.write(name, &text.replace(from, to));
    }
}

/// The real thing, but for the host that [`URL`] names.
#[derive(Debug)]
struct Mapped {
    sources: Sources,
    url: String,
    looks: Arc<AtomicUsize>,
}

impl Render for Mapped {
    fn render<'a>(
        &'a self,
        app: &'a str,
        request: &'a SourceRequest,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Arc<Rendered>, String>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut there = request.clone();
        if there.source.repo_url == URL {
            there.source.repo_url.clone_from(&self.url);
        }
        async move {
            let rendered = self.sources.fetch(app, &there, now).await;
            let mut rendered = rendered
                .map_err(|error| weir::error::chain(&error))?
                .as_ref()
                .clone();
            rendered.source = request.source.clone();
            Ok(Arc::new(rendered))
        }
        .boxed()
    }
}

/// A cluster with a controller and a repository.
pub struct GitWorld {
    pub world: World,
    pub repo: Repo,
    looks: Arc<AtomicUsize>,
    _cache: tempfile::TempDir,
}

impl Deref for GitWorld {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for GitWorld {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl GitWorld {
    pub fn start() -> Self {
        let repo = Repo::new();
        let cache = tempfile::tempdir().unwrap();
        let looks = Arc::new(AtomicUsize::new(0));
        let render = Mapped {
            sources: Sources::new(cache.path(), Limits::default()),
            url: repo.url(),
            looks: looks.clone(),
        };
        let config = Config {
            control_namespace: CONTROL.to_owned(),
            poll_s: POLL_S,
            ..Config::default()
        };
        let world = World::with(Arc::new(render), config);
        let namespace = json!({"metadata": {"name": CONTROL}});
        world
            .api
            .create(&gvk("Namespace"), None, namespace)
            .unwrap();
        Self {
            world,
            repo,
            looks,
            _cache: cache,
        }
    }

    /// How often Git was asked so far.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    pub fn app(&self, name: &str) -> Arc<Value> {
        self.api
            .get(&gvk("Application"), Some(CONTROL), name)
            .expect("the test has applied it")
    }

    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let namespaced = kind != "Namespace" && kind != "CustomResourceDefinition";
        self.api
            .get(&gvk(kind), namespaced.then_some(namespace), name)
            .ok()
    }

    pub fn patch_app(&self, name: &str, patch: Value) {
        self.merge_in(CONTROL, "Application", name, patch);
    }

    /// Waits, for at most a quarter of an hour of virtual time, until the Application is as wanted.
    pub async fn until_app(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Arc<Value> {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(15);
        loop {
            let live = self.app(name);
            if wanted(&live) {
                return live;
            }
            let mut seen = live.as_ref().clone();
            seen["metadata"]["managedFields"] = Value::Null;
            assert!(
                tokio::time::Instant::now() < deadline,
                "not within 900 s:\n{}",
                serde_json::to_string_pretty(&seen).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Until the Application is in sync at a commit, with no operation under way.
    pub async fn until_synced(&self, name: &str, commit: &str) -> Arc<Value> {
        self.until_app(name, |app| {
            let sync = &app["status"]["sync"];
            sync["status"] == "Synced"
                && sync["revision"] == commit
                && app["status"]["operationState"]["phase"] != "Running"
        })
        .await
    }

    /// Until a condition of a type is there; its message.
    pub async fn until_condition(&self, name: &str, kind: &str) -> String {
        let app = self
            .until_app(name, |app| message_of(app, kind).is_some())
            .await;
        message_of(&app, kind).unwrap()
    }

    /// Git is looked at once for each poll, and nothing is written in five minutes, after five to
    /// calm down, but the time of the last comparison, which is told now and then.
    pub async fn assert_at_rest(&self, applications: u64) {
        self.sleep(300).await;
        let (before, looks) = (self.api.revision(), self.looks());
        self.sleep(300).await;
        let polls = 300 / POLL_S.unsigned_abs() + 1;
        let writes = self.api.revision() - before;
        assert!(
            writes <= applications,
            "{writes} writes of {applications} applications in {polls} polls"
        );
        let looked = u64::try_from(self.looks() - looks).unwrap();
        assert!(looked <= polls * applications, "{looked} looks at Git");
    }
}

pub fn message_of(app: &Value, kind: &str) -> Option<String> {
    let conditions = app["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|c| c["type"] == kind)?;
    Some(found["message"].as_str().unwrap_or_default().to_owned())
}

/// An Application of one folder of the repository, in project `default`.
pub fn application(name: &str, path: &str, policy: &str) -> String {
    format!(
        "
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: {name}, namespace: {CONTROL}}}
spec:
  project: default
  source: {{repoURL: '{URL}', targetRevision: main, path: '{path}'}}
  destination: {{server: 'https://kubernetes.default.svc', namespace: demo}}
  syncPolicy: {policy}
"
    )
}

pub const AUTOMATED: &str = "{automated: {prune: true, selfHeal: true}}";

pub fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{k: '{value}'}}\n")
}

/// Whether Kustomize can be run here; says so where it cannot.
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
pub fn has_kustomize() -> bool {
    let runs = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    let there = runs("kustomize", &["version"]) || runs("kubectl", &["kustomize", "--help"]);
    if !there {
        println!("skipped: neither kustomize nor kubectl is installed");
    }
    there
}
