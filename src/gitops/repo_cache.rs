//! From a request to documents, rendered once for each source and commit.

use super::error::{Result, SourceError};
use super::git::{Git, Limits};
use super::source;
use gitops::sync::{Rendered, SourceRequest};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Renderings that are kept. Those that were not asked for longest go first. More than there are
/// Applications, or each look at all of them would find none: whoever syncs holds them anyway.
const KEPT_MAX: usize = 4_096;

/// All sources of this controller.
#[derive(Debug)]
pub struct Sources {
    git: Git,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By application, source and commit.
    renderings: BTreeMap<String, (u64, Arc<Rendered>)>,
    uses: u64,
}

impl Sources {
    /// `cache` is a folder that belongs to this controller alone; it may be lost at any time.
    pub fn new(cache: impl Into<PathBuf>, limits: Limits) -> Self {
        Self {
            git: Git::new(cache, limits),
            kept: Mutex::default(),
        }
    }

    pub fn git(&self) -> &Git {
        &self.git
    }

    /// What a source is at a revision, as of `now`. `app` is the name of the Application. Asks the
    /// server which commit that is, and renders only if it has not rendered that one before.
    pub async fn fetch(
        &self,
        app: &str,
        request: &SourceRequest,
        now: Timestamp,
    ) -> Result<Arc<Rendered>> {
        let url = &request.source.repo_url;
        let commit = self.git.resolve(url, &request.revision).await?;
        let key = serde_json::to_string(&(app, &request.source, &commit)).map_err(|error| {
            SourceError::Io {
                what: "the source can't be read".to_owned(),
                source: error.into(),
            }
        })?;
        let rendered = match self.take(&key) {
            Some(rendered) => Rendered {
                at: now,
                ..(*rendered).clone()
            },
            None => self.render(app, request, commit, now).await?,
        };
        let rendered = Arc::new(rendered);
        self.keep(key, rendered.clone());
        Ok(rendered)
    }

    /// Forgets renderings, for a hard refresh.
    pub fn forget(&self) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .renderings
            .clear();
    }

    async fn render(
        &self,
        app: &str,
        request: &SourceRequest,
        commit: String,
        now: Timestamp,
    ) -> Result<Rendered> {
        let url = &request.source.repo_url;
        let folder = tempfile::Builder::new()
            .prefix("weir-tree-")
            .tempdir()
            .map_err(SourceError::io("no temporary folder can be made"))?;
        self.git.checkout(url, &commit, folder.path()).await?;
        let rendering =
            source::render(&self.git, folder.path(), app, &request.source, &commit).await?;
        let about = self.git.commit(url, &commit).await?;
        Ok(Rendered {
            source: request.source.clone(),
            revision: commit,
            commit: Some(about),
            source_type: rendering.source_type.to_owned(),
            documents: rendering.documents,
            errors: rendering.errors,
            warnings: rendering.warnings,
            at: now,
        })
    }

    fn take(&self, key: &str) -> Option<Arc<Rendered>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.renderings
            .get(key)
            .map(|(_, rendered)| rendered.clone())
    }

    fn keep(&self, key: String, rendered: Arc<Rendered>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let used = kept.uses;
        kept.renderings.insert(key, (used, rendered));
        while kept.renderings.len() > KEPT_MAX {
            let oldest = kept.renderings.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            kept.renderings.remove(&oldest);
        }
    }
}
