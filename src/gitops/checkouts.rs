//! Trees: the files of commits, checked out.
//!
//! A monorepo may have hundreds of Applications, which all want the same commit at the same time.
//! They share one tree: whoever is first checks it out, the others wait for that, and what it came
//! to, also a failure, is what it came to for all of them. It is kept for a while, for those who
//! come a little later. Nobody writes to it.
//!
//! All trees together have so much room ([`Limits::trees_bytes_max`](super::Limits)). How much one
//! takes is known before it is written. What has no room waits for its turn, first come, first
//! served; trees that are only kept make room at once. Who has a tree waits for a turn at a
//! renderer and for nothing else, and every program has a deadline: so whoever waits has a turn,
//! whatever the others come to.

use super::disk::{Room, Scratch};
use super::error::{Result, SourceError};
use super::git::{Git, blocking, short, unreachable};
use super::hosts::Caller;
use super::process::{Output, without_credentials};
use super::tree;
use gitops::sync::Commit;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

/// How long a tree is kept after it was asked for: longer than it takes until all who follow a
/// repository have looked at it.
const KEPT_FOR: Duration = Duration::from_mins(5);

/// The unit of room. A file takes at least as much, whatever its length.
const BLOCK: u64 = 4096;

/// The folder of the tree in that of the checkout, which also is where renderers put what is
/// theirs. In no message is it mistaken for one of the repository.
pub(super) const TREE: &str = "weir-tree";

/// How often a tree is asked for until what it comes to is the answer.
const TRIES_MAX: u32 = 3;

/// Bytes of what a commit says of itself that are kept: it comes to be shown in a status.
const SAID_MAX: usize = 500;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Checkouts {
    room: Arc<Semaphore>,
    blocks: u32,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Those that somebody has, or waits for.
    slots: BTreeMap<Key, Weak<Slot>>,
    /// Those that are kept, with when they were asked for. None while somebody waits for room.
    recent: BTreeMap<Key, (Instant, Arc<Slot>)>,
    /// How many wait for room.
    waiting: usize,
}

/// Repository and commit.
type Key = (String, String);
type Slot = OnceCell<Result<Arc<Checkout>, Arc<SourceError>>>;

/// A commit, checked out. The folder goes with the last one who has it.
#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) about: Commit,
    folder: Scratch,
    tree: PathBuf,
}

/// The right to read a checkout.
#[derive(Debug)]
pub(super) struct Lease {
    checkout: Arc<Checkout>,
    /// Whoever comes now gets the same one.
    _slot: Arc<Slot>,
}

impl std::ops::Deref for Lease {
    type Target = Checkout;
    fn deref(&self) -> &Checkout {
        &self.checkout
    }
}

impl Checkout {
    /// The root of the repository's files.
    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// The cache directory may be lost at any time.
    async fn is_there(&self) -> bool {
        tokio::fs::metadata(&self.tree).await.is_ok()
    }

    /// A folder beside the tree, for folders of renderers.
    pub(super) fn beside(&self) -> &Path {
        self.folder.path()
    }
}

impl Checkouts {
    pub(super) fn new(bytes_max: u64) -> Self {
        let blocks = u32::try_from(bytes_max / BLOCK).unwrap_or(u32::MAX).max(1);
        Self {
            room: Arc::new(Semaphore::new(blocks as usize)),
            blocks,
            known: Mutex::default(),
        }
    }

    /// The tree of a commit.
    pub(super) async fn of(
        &self,
        git: &Git,
        url: &str,
        commit: &str,
        caller: Caller,
    ) -> Result<Lease> {
        let key = (url.to_owned(), commit.to_owned());
        let mut tries = 0;
        loop {
            tries += 1;
            let slot = self.slot(&key);
            let mut is_own = false;
            let made = slot
                .get_or_init(|| {
                    is_own = true;
                    Box::pin(self.make(git, url, commit, caller))
                })
                .await;
            let (error, is_lost) = match made {
                Ok(checkout) => {
                    let checkout = checkout.clone();
                    if is_own || checkout.is_there().await {
                        self.keep(key, &slot);
                        return Ok(Lease {
                            checkout,
                            _slot: slot,
                        });
                    }
                    let problem = "its files were removed".to_owned();
                    (Arc::new(refused(url, commit, problem)), true)
                }
                Err(error) => (error.clone(), false),
            };
            self.give_up(&key, &slot);
            // What another has waited for may be a server that was not even asked: no answer to a
            // person.
            let is_answer = is_own || (caller == Caller::Poll && !is_lost);
            if is_answer || tries == TRIES_MAX {
                return Err(SourceError::Shared(error));
            }
        }
    }

    async fn make(
        &self,
        git: &Git,
        url: &str,
        commit: &str,
        caller: Caller,
    ) -> Result<Arc<Checkout>, Arc<SourceError>> {
        let made = self.write(git, url, commit, caller).await;
        made.map(Arc::new).map_err(Arc::new)
    }

    async fn write(&self, git: &Git, url: &str, commit: &str, caller: Caller) -> Result<Checkout> {
        let Described { about, bytes } = git.describe(url, commit, caller).await?;
        let room = self.room_for(bytes).await;
        let folder = git.scratch("tree-").await?.in_room(room);
        let tree = folder.path().join(TREE);
        git.folder(&tree).await?;
        git.check_out(url, commit, &tree, caller).await?;
        Ok(Checkout {
            about,
            folder,
            tree,
        })
    }

    fn slot(&self, key: &Key) -> Arc<Slot> {
        let mut known = self.lock();
        if let Some(slot) = known.slots.get(key).and_then(Weak::upgrade) {
            return slot;
        }
        known.slots.retain(|_, slot| slot.strong_count() > 0);
        let slot = Arc::<Slot>::default();
        known.slots.insert(key.clone(), Arc::downgrade(&slot));
        slot
    }

    fn keep(&self, key: Key, slot: &Arc<Slot>) {
        let mut known = self.lock();
        if known.waiting == 0 {
            known.recent.insert(key, (Instant::now(), slot.clone()));
        }
    }

    /// Whoever comes now tries anew.
    fn give_up(&self, key: &Key, slot: &Arc<Slot>) {
        let mut known = self.lock();
        let is_same = |other: &Weak<Slot>| std::ptr::eq(other.as_ptr(), Arc::as_ptr(slot));
        if known.slots.get(key).is_some_and(is_same) {
            known.slots.remove(key);
            known.recent.remove(key);
        }
    }

    /// Lets go of trees that nobody has asked for in a while.
    pub(super) fn retire(&self) {
        let mut known = self.lock();
        known
            .recent
            .retain(|_, (asked, _)| asked.elapsed() < KEPT_FOR);
    }

    /// As if a while had passed.
    #[cfg(test)]
    pub(super) fn forget_all(&self) {
        self.lock().recent.clear();
    }

    async fn room_for(&self, bytes: u64) -> Room {
        // One that may be at all has room when it is alone.
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let blocks = blocks.clamp(1, self.blocks);
        if let Ok(room) = self.room.clone().try_acquire_many_owned(blocks) {
            return Ok(room);
        }
        let _waiting = Waiting::new(self);
        self.room.clone().acquire_many_owned(blocks).await
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it is there, no tree is kept that nobody has.
struct Waiting<'a>(&'a Checkouts);

impl<'a> Waiting<'a> {
    fn new(checkouts: &'a Checkouts) -> Self {
        let mut known = checkouts.lock();
        known.waiting += 1;
        known.recent.clear();
        drop(known);
        Self(checkouts)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// What is known of a tree before it is written.
#[derive(Debug)]
struct Described {
    about: Commit,
    bytes: u64,
}

impl Git {
    /// Who made a commit, and how much room its tree takes. One that is too large is refused.
    async fn describe(&self, url: &str, commit: &str, caller: Caller) -> Result<Described> {
        let mut again = false;
        loop {
            let held = self.ensure(url, commit, caller).await?;
            let shown = self.show(held.path(), commit).await?;
            let files = ["ls-tree", "-r", "-l", "-z", "--full-tree", commit];
            let listed = self.in_mirror(held.path(), files).await?;
            let failed = if shown.success && listed.success {
                return Ok(Described {
                    about: about(url, &shown)?,
                    bytes: self.size(url, commit, &listed.stdout)?,
                });
            } else if shown.success {
                listed
            } else {
                shown
            };
            held.doubt(url, &failed, &mut again).await?;
        }
    }

    /// What [`about`] reads.
    pub(super) async fn show(&self, mirror: &Path, commit: &str) -> Result<Output> {
        let format = "--format=%an%n%cI%n%s";
        self.in_mirror(mirror, ["show", "--no-patch", format, commit])
            .await
    }

    /// The room that the files of a listing take, unless that is too much.
    fn size(&self, url: &str, commit: &str, listing: &[u8]) -> Result<u64> {
        let limits = self.limits();
        let (mut files, mut bytes, mut blocks) = (0_usize, 0_u64, 0_u64);
        let entries = listing.split(|byte| *byte == 0);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let entry = String::from_utf8_lossy(entry);
            let head = entry.split('\t').next().unwrap_or_default();
            let size = head.split_whitespace().nth(3);
            // A submodule has none; it is an empty folder here.
            let size: u64 = size.and_then(|size| size.parse().ok()).unwrap_or(0);
            files += 1;
            bytes = bytes.saturating_add(size);
            blocks = blocks.saturating_add(size.div_ceil(BLOCK).max(1));
        }
        let problem = if files > limits.tree_files_max {
            let max = limits.tree_files_max;
            format!("{files} files are more than the {max} that are allowed")
        } else if bytes > limits.tree_bytes_max {
            let max = limits.tree_bytes_max;
            format!("{bytes} bytes are more than the {max} that are allowed")
        } else {
            return Ok(blocks.saturating_mul(BLOCK));
        };
        Err(refused(url, commit, problem))
    }

    /// Writes the tree of a commit into the empty folder `into`. One that has links which lead out
    /// of it is refused.
    async fn check_out(&self, url: &str, commit: &str, into: &Path, caller: Caller) -> Result<()> {
        let index = self.scratch("index-").await?;
        let index = index.path().join("index");
        let mut again = false;
        loop {
            let held = self.ensure(url, commit, caller).await?;
            let Some(failed) = self.fill(held.path(), commit, into, &index).await? else {
                break;
            };
            held.doubt(url, &failed, &mut again).await?;
        }
        let root = into.to_owned();
        match blocking(move || tree::link_that_leads_out(&root)).await? {
            None => Ok(()),
            Some(link) => {
                let problem = format!("the link '{link}' leads out of the repository");
                Err(refused(url, commit, problem))
            }
        }
    }

    /// `Ok(Some)` is what `git` said when it failed.
    async fn fill(
        &self,
        mirror: &Path,
        commit: &str,
        into: &Path,
        index: &Path,
    ) -> Result<Option<Output>> {
        let place = [
            OsStr::new("-C"),
            into.as_os_str(),
            OsStr::new("--git-dir"),
            mirror.as_os_str(),
            OsStr::new("--work-tree"),
            into.as_os_str(),
        ];
        for step in [
            ["read-tree", commit].as_slice(),
            ["checkout-index", "--all", "--force", "--quiet"].as_slice(),
        ] {
            let arguments = place.into_iter().chain(step.iter().map(OsStr::new));
            let mut command = self.command(arguments).await?;
            command.env("GIT_INDEX_FILE", index);
            let output = self.run(command, Stdio::null()).await?;
            if !output.success {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }
}

fn refused(url: &str, commit: &str, problem: String) -> SourceError {
    SourceError::Tree {
        url: without_credentials(url),
        revision: short(commit).to_owned(),
        problem,
    }
}

/// Author, date and subject of a commit.
pub(super) fn about(url: &str, shown: &Output) -> Result<Commit> {
    let text = String::from_utf8_lossy(&shown.stdout);
    let mut lines = text.lines().map(|line| beginning(line).to_owned());
    let author = lines.next().unwrap_or_default();
    let date = lines.next().and_then(|date| date.parse().ok());
    let date = date.ok_or_else(|| unreachable(url, shown))?;
    Ok(Commit {
        author,
        date,
        subject: lines.next().unwrap_or_default(),
    })
}

/// At most [`SAID_MAX`] bytes of a line.
fn beginning(line: &str) -> &str {
    let mut end = line.len().min(SAID_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_commit_says_is_cut_at_a_character() {
        assert_eq!(beginning("short"), "short");
        let long = "ä".repeat(SAID_MAX);
        assert_eq!(beginning(&long).len(), SAID_MAX);
        let long = format!("x{long}");
        assert_eq!(beginning(&long).len(), SAID_MAX - 1);
    }

    #[tokio::test]
    async fn room_is_given_in_the_order_it_was_asked_for() {
        let checkouts = Checkouts::new(4 * BLOCK);
        let small = checkouts.room_for(1).await.unwrap();
        // More than there is at all is all of it.
        let large = checkouts.room_for(u64::MAX);
        tokio::pin!(large);
        assert!(futures::poll!(large.as_mut()).is_pending());
        assert_eq!(checkouts.lock().waiting, 1);
        // One that would have room does not overtake: else the large one waits for ever.
        let second = checkouts.room_for(1);
        tokio::pin!(second);
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(small);
        let large = large.await.unwrap();
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(large);
        drop(second.await.unwrap());
        assert_eq!(checkouts.lock().waiting, 0);
        assert_eq!(checkouts.room.available_permits(), 4);
    }
}
