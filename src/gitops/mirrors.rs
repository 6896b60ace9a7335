//! Mirrors: what is kept of repositories, one bare mirror for each URL, under the cache directory.
//!
//! A commit is fetched alone, without history, where the server allows that, else with all branches
//! and tags. Every commit that was asked for is kept under a ref of its own, so a branch that is
//! rewound or deleted takes nothing away from us, for as long as [`super::upkeep`] leaves it.
//!
//! The gate of a mirror lets in many who read, or one who writes: fetches, or removes all of it.
//! Who reads has a [`Held`]: the commit stays where it is until that is dropped. Behind a gate
//! nobody waits for room on disk, nor for a turn at a renderer: those who have these may be waiting
//! for the gate.
//!
//! A mirror whose content is damaged, as after a machine has lost its power, is removed and fetched
//! anew: at once when `git` can't read what should be there, or after a look at all of it when a
//! fetch fails. Both at most once in [`DOUBT_EVERY`]: it may be the repository that is like that.

use super::disk;
use super::error::{Result, SourceError};
use super::git::{Git, blocking, complaint, no_such_revision, reason, unreachable};
use super::hosts::Caller;
use super::leftovers;
use super::process::{Output, without_credentials};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
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

/// Written last, so a mirror that has it is complete. It goes before all that repositories say of
/// their files: they come out byte for byte, and are as large as they are said to be.
const ATTRIBUTES: &str = "* -text -eol -ident -filter -working-tree-encoding\n";
const ATTRIBUTES_FILE: &str = "info/attributes";

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
    folder: PathBuf,
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
    doubted: Option<Instant>,
    /// When it was last removed because it was damaged.
    removed: Option<Instant>,
    /// When the repository turned out to take more than it may.
    too_large: Option<Instant>,
}

/// A mirror that has a commit, and keeps it.
#[derive(Debug)]
pub(super) struct Held {
    mirror: Arc<Mirror>,
    since: Instant,
    read: OwnedRwLockReadGuard<()>,
}

impl Held {
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
    /// would count as asked for again. Who has one at this moment keeps it, and its gate.
    pub(super) fn forget(&self) {
        let mut by_name = self.lock();
        by_name.retain(|_, mirror| {
            Arc::strong_count(mirror) > 1 || !mirror.is_idle() || mirror.path.exists()
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mirror>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
fn is_recent(since: Option<Instant>) -> bool {
    since.is_some_and(|since| since.elapsed() < DOUBT_EVERY)
}

/// Whether `git` fails because of what is in the mirror.
pub(super) fn is_damage(failed: &Output) -> bool {
    let is_said = complaint(&failed.stderr).is_some();
    let text = failed.stderr.to_lowercase();
    !failed.success && is_said && !OF_MACHINE.iter().any(|words| text.contains(words))
}

impl Git {
    /// A commit is in use, though nothing is read of it now.
    pub(super) fn mark(&self, url: &str, commit: &str) {
        self.mirrors.of(url).mark(commit);
    }

    /// Makes sure that a commit is in the mirror, and stays there.
    pub(super) async fn ensure(&self, url: &str, commit: &str, caller: Caller) -> Result<Held> {
        self.check(url).await?;
        let mirror = self.mirrors.of(url);
        let read = mirror.gate.clone().read_owned().await;
        let since = Instant::now();
        if self.has(&mirror, commit).await? {
            mirror.mark(commit);
            return Ok(Held {
                mirror,
                since,
                read,
            });
        }
        drop(read);
        let write = mirror.write().await;
        if let Some(error) = self.bring(url, &mirror, commit, caller).await? {
            if !self.remove_if_broken(&mirror).await? {
                return Err(error);
            }
            if let Some(error) = self.bring(url, &mirror, commit, caller).await? {
                return Err(error);
            }
        }
        mirror.mark(commit);
        Ok(Held {
            mirror,
            since: Instant::now(),
            read: write.downgrade(),
        })
    }

    /// Whether a commit is kept in a mirror.
    async fn has(&self, mirror: &Mirror, commit: &str) -> Result<bool> {
        if !mirror.is_complete().await {
            return Ok(false);
        }
        let kept = format!("{KEPT}/{commit}^{{commit}}");
        let output = self.in_mirror(&mirror.path, ["cat-file", "-e", &kept]);
        Ok(output.await?.success)
    }

    /// Fetches a commit. `Ok(Some)` is why it can't be had, as `git` sees it.
    async fn bring(
        &self,
        url: &str,
        mirror: &Mirror,
        commit: &str,
        caller: Caller,
    ) -> Result<Option<SourceError>> {
        self.make(url, mirror).await?;
        // Somebody else may have been quicker.
        if self.has(mirror, commit).await? {
            return Ok(None);
        }
        let (object, name) = (format!("{commit}^{{commit}}"), format!("{KEPT}/{commit}"));
        let known = self.in_mirror(&mirror.path, ["cat-file", "-e", &object]);
        if !known.await?.success {
            let kept = format!("+{commit}:{name}");
            let alone = ["--no-tags", "--depth=1", "--", url, &kept];
            if self.fetch(url, mirror, &alone, caller).await?.success {
                return Ok(None);
            }
            let output = self.fetch_all(url, mirror, caller).await?;
            if !output.success {
                return Ok(Some(unreachable(url, &output)));
            }
        }
        let kept = self.in_mirror(&mirror.path, ["update-ref", &name, &object]);
        let is_kept = kept.await?.success;
        Ok((!is_kept).then(|| no_such_revision(url, commit)))
    }

    /// Makes an empty mirror where there is no complete one.
    async fn make(&self, url: &str, mirror: &Mirror) -> Result<()> {
        if mirror.is_complete().await {
            return Ok(());
        }
        mirror.remove().await?;
        self.folder(&self.mirrors.folder).await?;
        let arguments = ["init", "--quiet", "--bare", "--template="].map(OsStr::new);
        let place = [mirror.path.as_os_str()];
        let command = self.command(arguments.into_iter().chain(place)).await?;
        let output = self.run(command, Stdio::null()).await?;
        if !output.success {
            return Err(unreachable(url, &output));
        }
        let path = mirror.path.clone();
        blocking(move || {
            let failed = || SourceError::io(format!("{} can't be written", path.display()));
            std::fs::create_dir_all(path.join("info")).map_err(failed())?;
            std::fs::write(path.join(ATTRIBUTES_FILE), ATTRIBUTES).map_err(failed())
        })
        .await
    }

    async fn fetch_all(&self, url: &str, mirror: &Mirror, caller: Caller) -> Result<Output> {
        let everything = [
            "--force",
            "--prune",
            // As much as there is, also where the mirror has single commits so far.
            "--depth=2147483647",
            "--",
            url,
            "+refs/heads/*:refs/remotes/origin/*",
            "+refs/tags/*:refs/tags/*",
        ];
        self.fetch(url, mirror, &everything, caller).await
    }

    /// Fetches into a mirror whose gate is held for writing: whatever git left there is nobody's.
    /// One that has grown over the years and takes too much is begun anew.
    async fn fetch(
        &self,
        url: &str,
        mirror: &Mirror,
        arguments: &[&str],
        caller: Caller,
    ) -> Result<Output> {
        let max = self.limits().mirror_bytes_max;
        let too_large = || SourceError::Unreachable {
            url: without_credentials(url),
            reason: format!("it takes more than the {max} bytes that are allowed"),
        };
        if caller == Caller::Poll && is_recent(mirror.state().too_large) {
            return Err(too_large());
        }
        for again in [false, true] {
            mirror.clean().await?;
            let before = disk::size_of(&mirror.path).await;
            mirror.state().grown = true;
            let mut all = vec![OsStr::new("--git-dir"), mirror.path.as_os_str()];
            all.extend(["fetch", "--quiet"].map(OsStr::new));
            all.extend(arguments.iter().map(OsStr::new));
            let asked = self.ask(url, caller, all);
            if let Some(result) = disk::within(&mirror.path, max, asked).await {
                mirror.state().too_large = None;
                return result;
            }
            mirror.remove().await?;
            if again || before <= max / 2 {
                break;
            }
            self.make(url, mirror).await?;
        }
        mirror.state().too_large = Some(Instant::now());
        Err(too_large())
    }

    /// A commit by its first digits: only a mirror with all commits can tell.
    pub(super) async fn resolve_short(
        &self,
        url: &str,
        revision: &str,
        caller: Caller,
    ) -> Result<String> {
        let mirror = self.mirrors.of(url);
        let _write = mirror.write().await;
        for fetched in [false, true] {
            self.make(url, &mirror).await?;
            if fetched {
                let mut output = self.fetch_all(url, &mirror, caller).await?;
                if !output.success && self.remove_if_broken(&mirror).await? {
                    self.make(url, &mirror).await?;
                    output = self.fetch_all(url, &mirror, caller).await?;
                }
                if !output.success {
                    return Err(unreachable(url, &output));
                }
            }
            let name = format!("{revision}^{{commit}}");
            let output = self
                .in_mirror(&mirror.path, ["rev-parse", "--verify", "--quiet", &name])
                .await?;
            if output.success {
                return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
            }
        }
        Err(no_such_revision(url, revision))
    }

    /// Looks at all of a mirror, whose gate is held for writing, and removes it if that can't be
    /// read.
    async fn remove_if_broken(&self, mirror: &Mirror) -> Result<bool> {
        if is_recent(mirror.state().doubted) {
            return Ok(false);
        }
        mirror.state().doubted = Some(Instant::now());
        let all = ["rev-list", "--quiet", "--objects", "--all"];
        match self.in_mirror(&mirror.path, all).await {
            Ok(output) if is_damage(&output) => {
                remove_damaged(mirror, &output).await?;
                Ok(true)
            }
            // One that is too large to be looked at in time is not broken for that.
            _ => Ok(false),
        }
    }
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
        mirrors.forget();
        assert_eq!(mirrors.all().await.len(), 2);
        assert!(Arc::ptr_eq(&held, &mirrors.of("held")));
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
