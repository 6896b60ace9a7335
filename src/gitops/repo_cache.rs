//! From a request to documents, rendered once for each source and commit.

use super::checkouts::Checkouts;
use super::error::{Result, SourceError};
use super::git::{Git, Limits};
use super::hosts::Caller;
use super::{source, upkeep};
use api::ApplicationSource;
use gitops::sync::{Rendered, SourceRequest};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio_util::task::AbortOnDropHandle;

/// Bytes, as JSON, of the renderings that nobody holds but this cache; in memory they are several
/// times that. Those that were not asked for longest go first. What is held elsewhere as well, as
/// that of an Application is while Git answers, costs nothing to keep.
const IDLE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// All sources of this controller.
#[derive(Debug)]
pub struct Sources {
    pub(super) git: Arc<Git>,
    pub(super) checkouts: Arc<Checkouts>,
    kept: Mutex<Kept>,
    /// Begins with the first that is fetched.
    upkeep: OnceLock<AbortOnDropHandle<()>>,
}

/// For whom, why and as of when a source is fetched.
#[derive(Clone, Copy, Debug)]
struct Look<'a> {
    /// The name of the Application.
    app: &'a str,
    request: &'a SourceRequest,
    now: Timestamp,
    caller: Caller,
}

#[derive(Debug, Default)]
struct Kept {
    /// By application and source: the commit that was asked for last, and no other.
    renderings: BTreeMap<String, Entry>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    rendered: Arc<Rendered>,
    bytes: usize,
    used: u64,
}

impl Sources {
    /// `cache` is a folder that belongs to this controller alone; it may be lost at any time.
    pub fn new(cache: impl Into<PathBuf>, limits: Limits) -> Self {
        Self {
            git: Arc::new(Git::new(cache, limits)),
            checkouts: Arc::new(Checkouts::new(limits.trees_bytes_max)),
            kept: Mutex::default(),
            upkeep: OnceLock::new(),
        }
    }

    /// What a source is at a revision, as of `now`. `app` is the name of the Application. Asks the
    /// server which commit that is, and renders only if that is not what it has rendered last.
    pub async fn fetch(
        &self,
        app: &str,
        request: &SourceRequest,
        now: Timestamp,
    ) -> Result<Arc<Rendered>> {
        self.look(Look {
            app,
            request,
            now,
            caller: Caller::Poll,
        })
        .await
    }

    /// The same for a person who has asked for it. Also a server that is left alone for now is
    /// asked.
    pub async fn refresh(
        &self,
        app: &str,
        request: &SourceRequest,
        now: Timestamp,
    ) -> Result<Arc<Rendered>> {
        self.look(Look {
            app,
            request,
            now,
            caller: Caller::Person,
        })
        .await
    }

    async fn look(&self, look: Look<'_>) -> Result<Arc<Rendered>> {
        self.look_after();
        let request = look.request;
        let url = &request.source.repo_url;
        let commit = self.git.resolve(url, &request.revision, look.caller);
        let commit = commit.await?;
        let key = key_of(look.app, &request.source)?;
        let known = self.lock().at(&key, &commit);
        let (rendered, bytes) = if let Some((rendered, bytes)) = known {
            let rendered = Rendered {
                at: look.now,
                ..(*rendered).clone()
            };
            (rendered, bytes)
        } else {
            let rendered = self.render(look, commit).await?;
            let bytes = json_length(&rendered);
            (rendered, bytes)
        };
        // It may be rendered anew at any time, as when the Application is changed.
        self.git.mark(url, &rendered.revision);
        let rendered = Arc::new(rendered);
        self.lock().keep(key, rendered.clone(), bytes);
        Ok(rendered)
    }

    fn look_after(&self) {
        self.upkeep.get_or_init(|| {
            let upkeep = upkeep::run_forever(self.git.clone(), self.checkouts.clone());
            AbortOnDropHandle::new(tokio::spawn(upkeep))
        });
    }

    /// Drops what was rendered of a source that an Application has no more, or that is gone itself.
    pub fn forget(&self, app: &str, source: &ApplicationSource) {
        // Without a key nothing was kept.
        if let Ok(key) = key_of(app, source) {
            self.lock().renderings.remove(&key);
        }
    }

    async fn render(&self, look: Look<'_>, commit: String) -> Result<Rendered> {
        let source = &look.request.source;
        let checkout = self
            .checkouts
            .of(&self.git, &source.repo_url, &commit, look.caller)
            .await?;
        let rendering = source::render(&self.git, &checkout, look.app, source, &commit).await?;
        Ok(Rendered {
            source: source.clone(),
            revision: commit,
            commit: Some(checkout.about.clone()),
            source_type: rendering.source_type.to_owned(),
            documents: rendering.documents,
            errors: rendering.errors,
            warnings: rendering.warnings,
            at: look.now,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn at(&self, key: &str, commit: &str) -> Option<(Arc<Rendered>, usize)> {
        let entry = self.renderings.get(key)?;
        let is_at = entry.rendered.revision == commit;
        is_at.then(|| (entry.rendered.clone(), entry.bytes))
    }

    fn keep(&mut self, key: String, rendered: Arc<Rendered>, bytes: usize) {
        self.uses += 1;
        let entry = Entry {
            rendered,
            bytes,
            used: self.uses,
        };
        self.renderings.insert(key, entry);
        self.shrink();
    }

    fn shrink(&mut self) {
        let is_idle = |entry: &&Entry| Arc::strong_count(&entry.rendered) == 1;
        let idle = self.renderings.values().filter(is_idle);
        let mut idle: Vec<(u64, usize)> = idle.map(|entry| (entry.used, entry.bytes)).collect();
        idle.sort_unstable();
        let mut bytes: usize = idle.iter().map(|(_, bytes)| bytes).sum();
        for (oldest, freed) in idle {
            if bytes <= IDLE_BYTES_MAX {
                return;
            }
            bytes -= freed;
            self.renderings.retain(|_, entry| entry.used != oldest);
        }
    }
}

fn key_of(app: &str, source: &ApplicationSource) -> Result<String> {
    serde_json::to_string(&(app, source)).map_err(|error| SourceError::Io {
        what: "the source can't be read".to_owned(),
        source: error.into(),
    })
}

fn json_length(rendered: &Rendered) -> usize {
    let mut length = Length(0);
    // Nothing is written that could fail.
    let _ = serde_json::to_writer(&mut length, rendered);
    length.0
}

struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0 += buffer.len();
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(revision: &str) -> Arc<Rendered> {
        Arc::new(Rendered {
            source: ApplicationSource::default(),
            revision: revision.to_owned(),
            commit: None,
            source_type: "Directory".to_owned(),
            documents: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            at: Timestamp::UNIX_EPOCH,
        })
    }

    fn has(kept: &Kept, key: &str, commit: &str) -> bool {
        kept.at(key, commit).is_some()
    }

    #[test]
    fn a_source_is_kept_at_its_newest_commit_alone() {
        let mut kept = Kept::default();
        kept.keep("a".to_owned(), rendered("1"), 10);
        kept.keep("b".to_owned(), rendered("1"), 10);
        kept.keep("a".to_owned(), rendered("2"), 10);
        assert_eq!(kept.renderings.len(), 2);
        assert!(!has(&kept, "a", "1") && has(&kept, "a", "2") && has(&kept, "b", "1"));
    }

    #[test]
    fn what_nobody_holds_is_bounded_by_bytes() {
        let mut kept = Kept::default();
        let held = rendered("1");
        kept.keep("held".to_owned(), held.clone(), 10 * IDLE_BYTES_MAX);
        kept.keep("old".to_owned(), rendered("1"), IDLE_BYTES_MAX / 2);
        kept.keep("new".to_owned(), rendered("1"), IDLE_BYTES_MAX / 2);
        assert_eq!(kept.renderings.len(), 3);
        kept.keep("newer".to_owned(), rendered("1"), 1);
        assert!(!has(&kept, "old", "1") && has(&kept, "new", "1") && has(&kept, "newer", "1"));
        assert!(has(&kept, "held", "1"));
        drop(held);
        kept.keep("newest".to_owned(), rendered("1"), 1);
        assert!(!has(&kept, "held", "1") && has(&kept, "new", "1"));
    }

    #[test]
    fn a_rendering_goes_with_its_source() {
        let cache = tempfile::tempdir().unwrap();
        let sources = Sources::new(cache.path(), Limits::default());
        let source = ApplicationSource::default();
        let key = key_of("shop", &source).unwrap();
        sources.lock().keep(key.clone(), rendered("1"), 10);
        sources.forget("other", &source);
        assert!(has(&sources.lock(), &key, "1"));
        sources.forget("shop", &source);
        assert!(!has(&sources.lock(), &key, "1"));
    }

    #[test]
    fn the_length_is_that_of_the_text() {
        let rendered = rendered("1");
        let text = serde_json::to_string(rendered.as_ref()).unwrap();
        assert_eq!(json_length(&rendered), text.len());
    }
}
