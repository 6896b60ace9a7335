//! From a request to documents, rendered once for each source and commit. A commit that touches
//! none of the files that an Application names is not rendered at all: it comes to what an earlier
//! one came to (gitops.md item 29).

use super::changes::Changes;
use super::checkouts::Checkouts;
use super::error::{Result, SourceError};
use super::git::{Git, Limits};
use super::hosts::Caller;
use super::url::is_commit;
use super::{source, upkeep};
use api::ApplicationSource;
use gitops::paths::GeneratePaths;
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
    changes: Changes,
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
    /// What was rendered before does not count: what it is built from beside the commit, as bases
    /// in other repositories, may have changed.
    is_hard: bool,
}

impl<'a> Look<'a> {
    /// One that comes round by itself.
    const fn of(app: &'a str, request: &'a SourceRequest, now: Timestamp) -> Self {
        Self {
            app,
            request,
            now,
            caller: Caller::Poll,
            is_hard: false,
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    /// By application and source: the commit that was asked for last, and no other.
    renderings: BTreeMap<String, Entry>,
    /// How often something was kept: the time, as far as it matters here.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    rendered: Arc<Rendered>,
    bytes: usize,
    /// Those that it was carried over commits by.
    paths: Option<GeneratePaths>,
    used: u64,
    /// When it was rendered for the sake of a hard refresh; what was carried over from that keeps
    /// it. A look that began before that may go by what was kept then.
    hard: Option<u64>,
}

impl Sources {
    /// `cache` is a folder that belongs to this controller alone; it may be lost at any time.
    pub fn new(cache: impl Into<PathBuf>, limits: Limits) -> Self {
        Self {
            git: Arc::new(Git::new(cache, limits)),
            checkouts: Arc::new(Checkouts::new(limits.trees_bytes_max)),
            changes: Changes::default(),
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
        self.look(Look::of(app, request, now)).await
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
            caller: Caller::Person,
            ..Look::of(app, request, now)
        })
        .await
    }

    /// The same, and the commit is rendered though it was before.
    pub async fn refresh_hard(
        &self,
        app: &str,
        request: &SourceRequest,
        now: Timestamp,
    ) -> Result<Arc<Rendered>> {
        self.look(Look {
            caller: Caller::Person,
            is_hard: true,
            ..Look::of(app, request, now)
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
        let began = self.lock().uses;
        let known = self.still_good(look, &key, &commit).await;
        let (rendered, bytes) = if let Some(known) = known {
            known
        } else {
            let mut rendered = self.render(look, commit).await?;
            let same_as = self.lock().same_as(&key, &rendered, look.request);
            rendered.same_as = match same_as {
                Some(same_as) => same_as,
                None => self.attempted(look, &rendered.revision).await,
            };
            let bytes = json_length(&rendered);
            (rendered, bytes)
        };
        // It may be rendered anew at any time, as when the Application is changed.
        self.git.mark(url, &rendered.revision);
        let rendered = Arc::new(rendered);
        let mut kept = self.lock();
        if !look.is_hard && kept.is_outdated(&key, began) {
            return Ok(kept.newer(&key, &rendered).unwrap_or(rendered));
        }
        let paths = request.generate_paths.clone();
        kept.keep(key, rendered.clone(), bytes, (paths, look.is_hard));
        drop(kept);
        Ok(rendered)
    }

    /// What was rendered last, if it is what `commit` comes to.
    async fn still_good(
        &self,
        look: Look<'_>,
        key: &str,
        commit: &str,
    ) -> Option<(Rendered, usize)> {
        if look.is_hard {
            return None;
        }
        let paths = look.request.generate_paths.as_ref();
        let (last, bytes) = self.lock().last(key, paths)?;
        if last.revision == commit {
            let rendered = Rendered {
                at: look.now,
                ..(*last).clone()
            };
            return Some((rendered, bytes));
        }
        let paths = paths?;
        let url = &look.request.source.repo_url;
        let commits = (last.revision.as_str(), commit);
        let change = self.changes.between(&self.git, url, commits, look.caller);
        let change = change.await?;
        if paths.are_touched(change.files.iter().map(String::as_str)) {
            return None;
        }
        let rendered = last.carried_to(commit, change.about.clone(), look.now);
        Some((rendered, bytes))
    }

    /// The commit that was attempted last, if `commit` comes to the same. For when nothing is known
    /// of what was rendered before: who leads since a moment ago must not take a commit of others
    /// for a new one. If that can't be told, it is a new one.
    async fn attempted(&self, look: Look<'_>, commit: &str) -> Vec<String> {
        let request = look.request;
        let (Some(paths), Some(attempted)) = (&request.generate_paths, &request.attempted) else {
            return Vec::new();
        };
        if attempted == commit || !is_commit(attempted, 40..=64) {
            return Vec::new();
        }
        let url = &request.source.repo_url;
        // It may be in no mirror yet, and is fetched on its own: a mirror has no history. It is not
        // held after that: for the other commit the mirror may have to be written to.
        let is_there = Box::pin(self.git.ensure(url, attempted, look.caller))
            .await
            .is_ok();
        if !is_there {
            return Vec::new();
        }
        let commits = (attempted.as_str(), commit);
        let change = self.changes.between(&self.git, url, commits, look.caller);
        let is_same = change
            .await
            .is_some_and(|change| !paths.are_touched(change.files.iter().map(String::as_str)));
        if is_same {
            vec![attempted.clone()]
        } else {
            Vec::new()
        }
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
            same_as: Vec::new(),
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
    /// What was rendered last for a source. Where it was carried over commits, by the same paths
    /// alone: others may name what these leave out.
    fn last(&self, key: &str, paths: Option<&GeneratePaths>) -> Option<(Arc<Rendered>, usize)> {
        let entry = self.renderings.get(key)?;
        let is_rendered = entry.rendered.same_as.is_empty();
        let is_good = is_rendered || entry.paths.as_ref() == paths;
        is_good.then(|| (entry.rendered.clone(), entry.bytes))
    }

    /// The other commits that a rendering comes to; `None` if nothing was rendered before. A hard
    /// refresh that finds what was there makes no new commit of the one that others were carried
    /// over to: nothing is synced for that.
    fn same_as(
        &self,
        key: &str,
        rendered: &Rendered,
        request: &SourceRequest,
    ) -> Option<Vec<String>> {
        let (last, _) = self.last(key, request.generate_paths.as_ref())?;
        let is_same = last.revision == rendered.revision
            && last.documents == rendered.documents
            && last.errors == rendered.errors;
        Some(if is_same {
            last.same_as.clone()
        } else {
            Vec::new()
        })
    }

    /// Whether a hard refresh has rendered a source since a look at it began, at `began`. What that
    /// look has found must not take the place of it.
    fn is_outdated(&self, key: &str, began: u64) -> bool {
        let hard = self.renderings.get(key).and_then(|entry| entry.hard);
        hard.is_some_and(|hard| hard > began)
    }

    /// What is kept of the same commit as this one.
    fn newer(&self, key: &str, rendered: &Rendered) -> Option<Arc<Rendered>> {
        let entry = self.renderings.get(key)?;
        let is_same = entry.rendered.revision == rendered.revision;
        is_same.then(|| entry.rendered.clone())
    }

    /// `how`: the paths that it may be carried over commits by, and whether it was rendered for a
    /// hard refresh.
    fn keep(
        &mut self,
        key: String,
        rendered: Arc<Rendered>,
        bytes: usize,
        how: (Option<GeneratePaths>, bool),
    ) {
        self.uses += 1;
        let (paths, is_hard) = how;
        let before = self.renderings.get(&key).and_then(|entry| entry.hard);
        let entry = Entry {
            rendered,
            bytes,
            paths,
            used: self.uses,
            hard: if is_hard { Some(self.uses) } else { before },
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
            same_as: Vec::new(),
            commit: None,
            source_type: "Directory".to_owned(),
            documents: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            at: Timestamp::UNIX_EPOCH,
        })
    }

    fn has(kept: &Kept, key: &str, commit: &str) -> bool {
        let last = kept.last(key, None);
        last.is_some_and(|(rendered, _)| rendered.revision == commit)
    }

    #[test]
    fn a_source_is_kept_at_its_newest_commit_alone() {
        let mut kept = Kept::default();
        kept.keep("a".to_owned(), rendered("1"), 10, (None, false));
        kept.keep("b".to_owned(), rendered("1"), 10, (None, false));
        kept.keep("a".to_owned(), rendered("2"), 10, (None, false));
        assert_eq!(kept.renderings.len(), 2);
        assert!(!has(&kept, "a", "1") && has(&kept, "a", "2") && has(&kept, "b", "1"));
    }

    #[test]
    fn what_nobody_holds_is_bounded_by_bytes() {
        let mut kept = Kept::default();
        let held = rendered("1");
        let keep = |kept: &mut Kept, key: &str, rendered: Arc<Rendered>, bytes: usize| {
            kept.keep(key.to_owned(), rendered, bytes, (None, false));
        };
        keep(&mut kept, "held", held.clone(), 10 * IDLE_BYTES_MAX);
        keep(&mut kept, "old", rendered("1"), IDLE_BYTES_MAX / 2);
        keep(&mut kept, "new", rendered("1"), IDLE_BYTES_MAX / 2);
        assert_eq!(kept.renderings.len(), 3);
        keep(&mut kept, "newer", rendered("1"), 1);
        assert!(!has(&kept, "old", "1") && has(&kept, "new", "1") && has(&kept, "newer", "1"));
        assert!(has(&kept, "held", "1"));
        drop(held);
        keep(&mut kept, "newest", rendered("1"), 1);
        assert!(!has(&kept, "held", "1") && has(&kept, "new", "1"));
    }

    #[test]
    fn what_was_carried_over_commits_is_good_for_the_same_paths_alone() {
        let paths = |listed: &str| {
            let app = serde_json::from_value(serde_json::json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
                "metadata": {"name": "shop",
                    "annotations": {"argocd.argoproj.io/manifest-generate-paths": listed}},
                "spec": {"project": "default", "destination": {}},
            }));
            GeneratePaths::of(&app.unwrap(), &ApplicationSource::default())
        };
        let (own, other) = (paths("/app"), paths("/app;/shared"));
        let mut kept = Kept::default();
        let first = rendered("1");
        kept.keep("a".to_owned(), first.clone(), 10, (own.clone(), false));
        for by in [None, own.as_ref(), other.as_ref()] {
            assert!(kept.last("a", by).is_some(), "it was rendered: {by:?}");
        }
        let commit = gitops::sync::Commit {
            author: "Ann".to_owned(),
            date: Timestamp::UNIX_EPOCH,
            subject: "Two".to_owned(),
        };
        let second = Arc::new(first.carried_to("2", commit, Timestamp::UNIX_EPOCH));
        kept.keep("a".to_owned(), second, 10, (own.clone(), false));
        assert!(kept.last("a", own.as_ref()).is_some());
        assert!(kept.last("a", other.as_ref()).is_none());
        assert!(kept.last("a", None).is_none());
    }

    #[test]
    fn a_look_that_began_before_a_hard_refresh_does_not_undo_it() {
        let mut kept = Kept::default();
        let keep = |kept: &mut Kept, commit: &str, is_hard: bool| {
            kept.keep("a".to_owned(), rendered(commit), 10, (None, is_hard));
        };
        keep(&mut kept, "1", false);
        let before = kept.uses;
        assert!(!kept.is_outdated("a", before));
        keep(&mut kept, "1", true);
        assert!(kept.is_outdated("a", before) && !kept.is_outdated("b", before));
        // Of the same commit the newer rendering is the answer.
        assert!(kept.newer("a", &rendered("1")).is_some());
        assert!(kept.newer("a", &rendered("0")).is_none());
        // Who has begun since goes by it; who has not is still too late when others have.
        let after = kept.uses;
        assert!(!kept.is_outdated("a", after));
        keep(&mut kept, "1", false);
        assert!(kept.is_outdated("a", before) && !kept.is_outdated("a", after));
    }

    #[test]
    fn a_rendering_goes_with_its_source() {
        let cache = tempfile::tempdir().unwrap();
        let sources = Sources::new(cache.path(), Limits::default());
        let source = ApplicationSource::default();
        let key = key_of("shop", &source).unwrap();
        let how = (None, false);
        sources.lock().keep(key.clone(), rendered("1"), 10, how);
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
