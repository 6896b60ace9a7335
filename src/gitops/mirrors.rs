//! Mirrors: what is kept of repositories, one bare mirror for each URL, under the cache directory.
//! How they are filled is in `fetch.rs`.
//!
//! The gate of a mirror lets in many who read, or one who writes: fetches, or removes all of it.
//! Who reads has a [`Held`]: the commit stays where it is until that is dropped. Behind a gate
//! nobody waits for room on disk, nor for a turn at a renderer: those who have these may be waiting
//! for the gate.
//!
//! A mirror whose content is damaged, as after a machine has lost its power, is removed and fetched
//! anew: at once when `git` can't read what should be there, or after a look at all of it when a
//! fetch fails. Both at most once in [`DOUBT_EVERY`]: it may be the repository that is like that.

use super::error::{Result, SourceError};
use super::git::{blocking, complaint, reason, unreachable};
use super::leftovers;
use super::process::Output;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::Instant;

/// Where in a mirror the commits are that were asked for, each by its own name.
pub(super) const KEPT: &str = "refs/weir";

/// What nobody has asked for in this time is not needed any more.
pub(super) const IDLE: Duration = Duration::from_hours(6);

/// How often a mirror is doubted, and a repository tried that is too large.
const DOUBT_EVERY: Duration = Duration::from_hours(1);

/// Written last, so a mirror that has it is complete.
pub(super) const ATTRIBUTES_FILE: &str = "info/attributes";

/// What `git` says when it is not the mirror that is in a bad way, but the machine, or a tree that
/// nobody can check out.
const OF_MACHINE: [&str; 10] = [
    "no space left",
    "quota exceeded",
    "read-only file system",
    "permission denied",
    "too many open files",
    "cannot allocate memory",
    "out of memory",
    "unable to write",
    "unable to create",
    "invalid path",
];

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Mirrors {
    pub(super) folder: PathBuf,
    by_name: Mutex<BTreeMap<String, Arc<Mirror>>>,
}

#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) path: PathBuf,
    gate: Arc<RwLock<()>>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// When it was last asked for anything.
    pub(super) used: Instant,
    /// Something was fetched since it was tended.
    pub(super) grown: bool,
    /// When each of its commits was last asked for, as far as this process knows.
    pub(super) commits: BTreeMap<String, Instant>,
    /// When it was last looked at as a whole because a fetch had failed.
    pub(super) doubted: Option<Instant>,
    /// When it was last removed because it was damaged.
    pub(super) removed: Option<Instant>,
    /// When the repository turned out to take more than it may.
    pub(super) too_large: Option<Instant>,
}

/// A mirror that has a commit, and keeps it.
#[derive(Debug)]
pub(super) struct Held {
    mirror: Arc<Mirror>,
    since: Instant,
    read: OwnedRwLockReadGuard<()>,
}

impl Held {
    /// `since`: when the commit was seen to be there.
    pub(super) fn new(mirror: Arc<Mirror>, since: Instant, read: OwnedRwLockReadGuard<()>) -> Self {
        Self {
            mirror,
            since,
            read,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.mirror.path
    }

    /// Reading the commit has failed. If that is because of the mirror, it is removed, and `Ok`
    /// says that all of it may be done again: once, as `again` remembers.
    pub(super) async fn doubt(self, url: &str, failed: &Output, again: &mut bool) -> Result<()> {
        let Self {
            mirror,
            since,
            read,
        } = self;
        let error = unreachable(url, failed);
        if std::mem::replace(again, true) || !is_damage(failed) {
            return Err(error);
        }
        drop(read);
        let _write = mirror.write().await;
        let removed = mirror.state().removed;
        // Somebody else may have met the same damage.
        if removed.is_some_and(|removed| removed >= since) {
            return Ok(());
        }
        if is_recent(removed) {
            return Err(error);
        }
        remove_damaged(&mirror, failed).await
    }
}

impl Mirrors {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            by_name: Mutex::default(),
        }
    }

    /// The mirror of a URL, which is asked for now.
    pub(super) fn of(&self, url: &str) -> Arc<Mirror> {
        let mirror = self.named(&name_of(url));
        mirror.state().used = Instant::now();
        mirror
    }

    fn named(&self, name: &str) -> Arc<Mirror> {
        let mut by_name = self.lock();
        if let Some(mirror) = by_name.get(name) {
            return mirror.clone();
        }
        let mirror = Arc::new(Mirror::new(self.folder.join(name)));
        by_name.insert(name.to_owned(), mirror.clone());
        mirror
    }

    /// All that are known, and those that an earlier process has left: as used now, for nobody
    /// knows when that was.
    pub(super) async fn all(&self) -> Vec<Arc<Mirror>> {
        let folder = self.folder.clone();
        let names = blocking(move || Ok(names_in(&folder))).await;
        for name in names.unwrap_or_default() {
            self.named(&name);
        }
        self.lock().values().cloned().collect()
    }

    /// Forgets those that nobody asks for, once they are removed: one whose removal has failed
    /// would count as asked for again. Who has one at this moment keeps it, and its gate. The disk
    /// is asked in between, when nobody has to wait for it.
    pub(super) async fn forget(&self) {
        let idle: Vec<(String, PathBuf)> = self
            .lock()
            .iter()
            .filter(|(_, mirror)| is_unused(mirror))
            .map(|(name, mirror)| (name.clone(), mirror.path.clone()))
            .collect();
        let removed = blocking(move || {
            let removed = idle.into_iter().filter(|(_, path)| !path.exists());
            Ok(removed.map(|(name, _)| name).collect::<BTreeSet<String>>())
        });
        let removed = removed.await.unwrap_or_default();
        // Somebody may have come for one meanwhile.
        self.lock()
            .retain(|name, mirror| !removed.contains(name) || !is_unused(mirror));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mirror>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody has a mirror but the map that it is in, nor has asked for it lately.
fn is_unused(mirror: &Arc<Mirror>) -> bool {
    Arc::strong_count(mirror) == 1 && mirror.is_idle()
}

/// How the folder of a mirror is called.
fn name_of(url: &str) -> String {
    let mut name = String::new();
    for byte in &Sha256::digest(url.as_bytes())[..16] {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The folders that are called like mirrors. There are none where nothing can be read.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_name = |name: &String| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
    names.filter(is_name).collect()
}

impl Mirror {
    fn new(path: PathBuf) -> Self {
        let state = State {
            used: Instant::now(),
            // Unless this process has made it, it may be in any state.
            grown: true,
            commits: BTreeMap::new(),
            doubted: None,
            removed: None,
            too_large: None,
        };
        Self {
            path,
            gate: Arc::default(),
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state().used.elapsed() >= IDLE
    }

    /// A commit of it is asked for.
    pub(super) fn mark(&self, commit: &str) {
        let mut state = self.state();
        state.used = Instant::now();
        state.commits.insert(commit.to_owned(), Instant::now());
    }

    /// Which of `listed`, the newest first, are not needed any more: all but the first `newest`, if
    /// they were not asked for in a while. One that this process did not know counts as asked for
    /// now.
    pub(super) fn old_commits<'a>(&self, listed: &[&'a str], newest: usize) -> Vec<&'a str> {
        let known: BTreeSet<&str> = listed.iter().copied().collect();
        let mut state = self.state();
        state
            .commits
            .retain(|commit, _| known.contains(commit.as_str()));
        let mut old = Vec::new();
        for (place, commit) in listed.iter().enumerate() {
            let used = state.commits.entry((*commit).to_owned());
            let is_idle = used.or_insert_with(Instant::now).elapsed() >= IDLE;
            if is_idle && place >= newest {
                old.push(*commit);
            }
        }
        old
    }

    pub(super) async fn read(&self) -> OwnedRwLockReadGuard<()> {
        self.gate.clone().read_owned().await
    }

    pub(super) async fn write(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    /// `None` if somebody is at it.
    pub(super) fn try_write(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        self.gate.clone().try_write_owned().ok()
    }

    pub(super) async fn is_complete(&self) -> bool {
        let file = self.path.join(ATTRIBUTES_FILE);
        tokio::fs::metadata(file).await.is_ok()
    }

    /// Removes everything. For who has its gate for writing.
    pub(super) async fn remove(&self) -> Result<()> {
        let path = self.path.clone();
        blocking(move || {
            // What is not removed to its end must not be taken for a mirror.
            let _ = std::fs::remove_file(path.join(ATTRIBUTES_FILE));
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(SourceError::io("a mirror can't be removed")(error))
                }
                _ => Ok(()),
            }
        })
        .await?;
        self.state().commits.clear();
        Ok(())
    }

    /// Removes what a `git` that was killed has left. For who has its gate for writing.
    pub(super) async fn clean(&self) -> Result<()> {
        let path = self.path.clone();
        blocking(move || {
            leftovers::remove(&path);
            Ok(())
        })
        .await
    }
}

/// Whether `since` is less than [`DOUBT_EVERY`] ago.
pub(super) fn is_recent(since: Option<Instant>) -> bool {
    since.is_some_and(|since| since.elapsed() < DOUBT_EVERY)
}

/// Whether `git` fails because of what is in the mirror.
pub(super) fn is_damage(failed: &Output) -> bool {
    let is_said = complaint(&failed.stderr).is_some();
    let text = failed.stderr.to_lowercase();
    !failed.success && is_said && !OF_MACHINE.iter().any(|words| text.contains(words))
}

/// Removes a mirror whose gate is held for writing, and says so.
pub(super) async fn remove_damaged(mirror: &Mirror, failed: &Output) -> Result<()> {
    let (path, reason) = (mirror.path.display(), reason(failed));
    tracing::warn!(mirror = %path, reason, "a mirror is damaged: it is removed and fetched anew");
    mirror.remove().await?;
    mirror.state().removed = Some(Instant::now());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_mirror_is_to_blame_for() {
        let failed = |stderr: &str| Output {
            success: false,
            stdout: Vec::new(),
            stderr: stderr.to_owned(),
        };
        for damage in [
            "error: inflate: data stream error\nfatal: packed object 0a is corrupt",
            "fatal: not a git repository: '/x'",
            "fatal: bad config line 1 in file /x/config",
        ] {
            assert!(is_damage(&failed(damage)), "{damage}");
        }
        for other in [
            "",
            "Killed",
            "error: unable to write file a: No space left on device\nfatal: that was all",
            "error: invalid path '../x'\nfatal: unpacking trees failed",
        ] {
            assert!(!is_damage(&failed(other)), "{other}");
        }
        let done = Output {
            success: true,
            ..failed("error: this was nothing")
        };
        assert!(!is_damage(&done));
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_nobody_has_is_forgotten() {
        let mirrors = Mirrors::new(PathBuf::from("/nowhere"));
        let (held, _) = (mirrors.of("held"), mirrors.of("idle"));
        tokio::time::advance(IDLE).await;
        mirrors.of("used");
        assert_eq!(mirrors.all().await.len(), 3);
        mirrors.forget().await;
        assert_eq!(mirrors.all().await.len(), 2);
        assert!(Arc::ptr_eq(&held, &mirrors.of("held")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_mirror_that_is_still_on_disk_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::new(folder.path().to_owned());
        let path = mirrors.of("left").path.clone();
        std::fs::create_dir(&path).unwrap();
        tokio::time::advance(IDLE).await;
        mirrors.forget().await;
        assert_eq!(mirrors.lock().len(), 1);
        std::fs::remove_dir(&path).unwrap();
        mirrors.forget().await;
        assert_eq!(mirrors.lock().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn commits_are_old_when_newer_ones_are_there_and_nobody_asks_for_them() {
        let mirror = Mirror::new(PathBuf::from("/nowhere"));
        mirror.mark("gone");
        let listed = ["d", "c", "b", "a"];
        // Nobody knows when these were asked for.
        assert_eq!(mirror.old_commits(&listed, 1), [""; 0]);
        tokio::time::advance(IDLE).await;
        mirror.mark("b");
        assert_eq!(mirror.old_commits(&listed, 1), ["c", "a"]);
        assert_eq!(mirror.old_commits(&listed, 0), ["d", "c", "a"]);
        assert_eq!(mirror.old_commits(&["d", "b"], 4), [""; 0]);
        assert_eq!(mirror.state().commits.len(), 2);
    }
}
