//! What all tests of sources begin with: a repository, and whoever renders what is in it.

use super::repository::Repository;
use crate::gitops::{Limits, SourceError, Sources};
use api::ApplicationSource;
use gitops::sync::{Rendered, SourceRequest};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Setup {
    pub(super) repository: Repository,
    pub(super) sources: Sources,
    pub(super) cache: tempfile::TempDir,
}

impl Setup {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let cache = tempfile::tempdir().unwrap();
        Self {
            repository: Repository::new(),
            sources: Sources::new(cache.path(), limits),
            cache,
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
    pub(super) fn source(&self, more: serde_json::Value) -> ApplicationSource {
        let mut source = json!({"repoURL": self.repository.url()});
        source
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(source).unwrap()
    }

    pub(super) async fn fetch(
        &self,
        source: ApplicationSource,
        revision: &str,
    ) -> Result<Arc<Rendered>, String> {
        let request = request(source, revision);
        told(self.sources.fetch("shop", &request, now()).await)
    }

    /// As a person asks for it.
    pub(super) async fn refresh(
        &self,
        source: ApplicationSource,
        revision: &str,
    ) -> Result<Arc<Rendered>, String> {
        let request = request(source, revision);
        told(self.sources.refresh("shop", &request, now()).await)
    }

    /// How many folders are there that are needed for a moment only.
    pub(super) fn scratch(&self) -> usize {
        let folder = std::fs::read_dir(self.cache.path().join("scratch"));
        folder.map_or(0, Iterator::count)
    }

    /// What is done in the background takes a moment.
    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            tokio::task::yield_now().await;
        }
        panic!("it does not come to that");
    }

    /// Looks after the mirrors until something has come of it: one that is looked after in the
    /// background at this moment is passed over.
    pub(super) async fn upkeep_until(&self, is_so: impl Fn() -> bool) {
        for _ in 0..1000 {
            self.sources.git.upkeep().await;
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            tokio::task::yield_now().await;
        }
        panic!("looking after the mirrors does not come to that");
    }

    /// Of the one repository that was fetched.
    pub(super) fn mirror(&self) -> std::path::PathBuf {
        let mirrors = std::fs::read_dir(self.cache.path().join("repositories"));
        mirrors.unwrap().next().unwrap().unwrap().path()
    }

    pub(super) async fn at(&self, revision: &str) -> Result<Arc<Rendered>, String> {
        self.fetch(self.source(json!({"path": "app"})), revision)
            .await
    }
}

/// With an error as it is told.
pub(super) fn told(fetched: Result<Arc<Rendered>, SourceError>) -> Result<Arc<Rendered>, String> {
    fetched.map_err(|error| crate::error::chain(&error))
}

/// Every commit may change it.
pub(super) fn request(source: ApplicationSource, revision: &str) -> SourceRequest {
    SourceRequest {
        source,
        revision: revision.to_owned(),
        generate_paths: None,
        attempted: None,
    }
}

pub(super) fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub(super) fn map(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  k: {value}\n")
}

pub(super) fn values(rendered: &Rendered) -> Vec<String> {
    let text = |document: &gitops::Document| {
        document.object["data"]["k"]
            .as_str()
            .unwrap_or("-")
            .to_owned()
    };
    rendered.documents.iter().map(text).collect()
}
