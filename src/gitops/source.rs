//! Which tool renders a source (gitops.md items 8, 9).

use super::checkouts::Checkout;
use super::directory::{self, Read};
use super::error::{Result, SourceError};
use super::git::{Git, blocking, short};
use super::process::without_credentials;
use super::{kustomize, tree};
use api::ApplicationSource;
use gitops::manifest::Document;
use gocompat::yaml;
use serde_json::Value;
use std::path::Path;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// Renderers at a time: each has the whole of a source in memory.
const LOCAL_MAX: usize = 4;
/// The same of those that fetch something first: a server that says nothing holds up nobody else.
const REMOTE_MAX: usize = 4;

/// Bytes of a file that changes how a path is rendered.
const OVERRIDES_BYTES_MAX: u64 = 1024 * 1024;

/// What a source came to.
#[derive(Clone, Debug, Default)]
pub struct Rendering {
    /// `Directory` or `Kustomize`.
    pub source_type: &'static str,
    pub documents: Vec<Document>,
    /// Files or documents that could not be read.
    pub errors: Vec<String>,
    /// What the renderer warned of.
    pub warnings: Vec<String>,
}

/// Turns of renderers, first come, first served.
#[derive(Debug)]
pub(super) struct Builds {
    local: Semaphore,
    remote: Semaphore,
}

impl Builds {
    pub(super) fn new() -> Self {
        Self {
            local: Semaphore::new(LOCAL_MAX),
            remote: Semaphore::new(REMOTE_MAX),
        }
    }

    /// Waits for a turn. No semaphore is ever closed.
    pub(super) async fn turn(&self, is_remote: bool) -> Result<SemaphorePermit<'_>, AcquireError> {
        let turns = if is_remote { &self.remote } else { &self.local };
        turns.acquire().await
    }
}

/// Renders a source out of its checked-out tree. `app` is the name of the Application.
pub(super) async fn render(
    git: &Git,
    checkout: &Checkout,
    app: &str,
    source: &ApplicationSource,
    commit: &str,
) -> Result<Rendering> {
    let path = source.path.clone().unwrap_or_default();
    if source.chart.as_ref().is_some_and(|chart| !chart.is_empty()) {
        return unsupported(&path, "a chart of a Helm repository");
    }
    let (root, asked) = (checkout.tree().to_owned(), path.clone());
    let folder = blocking(move || tree::folder_of(&root, &asked)).await?;
    let Some(folder) = folder else {
        return Err(SourceError::NoSuchPath {
            url: without_credentials(&source.repo_url),
            revision: short(commit).to_owned(),
            path,
        });
    };
    let source = with_overrides(&folder, app, source).await?;
    let has = |name: &str| folder.join(name).is_file();
    if source.plugin.is_some() {
        return unsupported(&path, "a config management plugin");
    }
    // What is there decides only where the Application does not.
    let is_told = source.directory.is_some() || source.kustomize.is_some();
    if source.helm.is_some() || (!is_told && has("Chart.yaml")) {
        return unsupported(&path, "a Helm chart");
    }
    let is_kustomization = kustomize::FILES.iter().any(|name| has(name));
    if source.directory.is_none() && (is_kustomization || source.kustomize.is_some()) {
        if !is_kustomization {
            let problem =
                "spec.source.kustomize is set, but there is no kustomization.yaml".to_owned();
            return Err(SourceError::Path { path, problem });
        }
        let options = source.kustomize.unwrap_or_default();
        let rendered = kustomize::render(git, checkout, &folder, &options).await?;
        return Ok(Rendering {
            source_type: "Kustomize",
            documents: rendered.read.documents,
            errors: rendered.read.errors,
            warnings: rendered.warnings,
        });
    }
    let _turn = git.builds.turn(false).await;
    let root = checkout.tree().to_owned();
    let options = source.directory.unwrap_or_default();
    let Read { documents, errors } =
        blocking(move || directory::read(&root, &folder, &options)).await?;
    Ok(Rendering {
        source_type: "Directory",
        documents,
        errors,
        warnings: Vec::new(),
    })
}

fn unsupported<T>(path: &str, what: &str) -> Result<T> {
    Err(SourceError::Unsupported {
        path: path.to_owned(),
        what: what.to_owned(),
    })
}

/// The source with `.argocd-source.yaml` and `.argocd-source-<app>.yaml` merged over it. They
/// change how the path is rendered, never where it is. One that is there and can't be read is no
/// reason to go on without it: it may name the image that is to run.
async fn with_overrides(
    folder: &Path,
    app: &str,
    source: &ApplicationSource,
) -> Result<ApplicationSource> {
    let names = [
        ".argocd-source.yaml".to_owned(),
        format!(".argocd-source-{app}.yaml"),
    ];
    let mut merged = source.clone();
    for name in names {
        let (file, called) = (folder.join(&name), name.clone());
        let text = blocking(move || tree::read_text(&file, &called, OVERRIDES_BYTES_MAX)).await?;
        let Some(text) = text else {
            continue;
        };
        let bad = |problem: String| SourceError::Path {
            path: name.clone(),
            problem,
        };
        let over = yaml::from_str_single(&text).map_err(|error| bad(error.to_string()))?;
        let mut value = serde_json::to_value(&merged).map_err(|error| bad(error.to_string()))?;
        for tool in ["kustomize", "directory", "helm", "plugin"] {
            if let (Some(over), Some(fields)) = (over.get(tool), value.as_object_mut()) {
                merge(fields.entry(tool).or_insert(Value::Null), over);
            }
        }
        merged = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
    }
    Ok(merged)
}

fn merge(into: &mut Value, over: &Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (key, value) in over {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over.clone(),
    }
}
