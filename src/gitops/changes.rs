//! What lies between two commits of a repository, for Applications that name the files that they
//! are made of (gitops.md item 29). A monorepo may have hundreds of those, which all come from the
//! same commit to the same commit: they share one answer.

use super::checkouts::about;
use super::error::Result;
use super::git::Git;
use super::hosts::Caller;
use super::process::{Bounds, Output};
use gitops::sync::Commit;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// Bytes of the names of the files that differ. More of them may as well be all.
const NAMES_BYTES_MAX: usize = 1024 * 1024;

/// How many answers are kept, the newest.
const KEPT_MAX: usize = 16;

/// What lies between two commits.
#[derive(Debug)]
pub(super) struct Change {
    /// The one that it leads to.
    pub(super) about: Commit,
    /// The files that differ, from the root of the repository; one that was renamed by both names.
    pub(super) files: Vec<String>,
}

/// Repository, and the commits from which and to which it leads.
type Key = (String, String, String);
/// `None`: nobody can tell what lies between.
type Slot = OnceCell<Option<Arc<Change>>>;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Changes {
    kept: Mutex<VecDeque<(Key, Arc<Slot>)>>,
}

impl Changes {
    /// What lies between two commits of a repository, which are told apart by their full names.
    /// `None` if that can't be told: whoever looks at all files instead says what is wrong.
    pub(super) async fn between(
        &self,
        git: &Git,
        url: &str,
        (from, to): (&str, &str),
        caller: Caller,
    ) -> Option<Arc<Change>> {
        let slot = self.slot((url.to_owned(), from.to_owned(), to.to_owned()));
        let found = slot
            .get_or_try_init(|| Box::pin(git.change(url, from, to, caller)))
            .await;
        found.ok()?.clone()
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut kept = self.lock();
        if let Some((_, slot)) = kept.iter().find(|(known, _)| *known == key) {
            return slot.clone();
        }
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        let slot = Arc::<Slot>::default();
        kept.push_back((key, slot.clone()));
        slot
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Key, Arc<Slot>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Git {
    /// An error is a reason to ask again.
    async fn change(
        &self,
        url: &str,
        from: &str,
        to: &str,
        caller: Caller,
    ) -> Result<Option<Arc<Change>>> {
        let held = self.ensure(url, to, caller).await?;
        let Some(listed) = self.differing(held.path(), from, to).await else {
            return Ok(None);
        };
        let shown = self.show(held.path(), to).await?;
        if !shown.success {
            return Ok(None);
        }
        Ok(Some(Arc::new(Change {
            about: about(url, &shown)?,
            files: names(&listed.stdout),
        })))
    }

    /// The listing of the files that differ; `None` if there are too many of them, or one of the
    /// commits is not in the mirror any more. Which commit comes first in time, and what else is
    /// between them, is not asked: a mirror has no history.
    async fn differing(&self, mirror: &Path, from: &str, to: &str) -> Option<Output> {
        let bounds = Bounds {
            output_max: NAMES_BYTES_MAX,
            ..self.bounds()
        };
        let arguments = [
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            from,
            to,
        ];
        let listed = self.in_mirror_within(bounds, mirror, arguments).await;
        listed.ok().filter(|listed| listed.success)
    }
}

/// The names of a listing, each of which ends with a zero.
fn names(listing: &[u8]) -> Vec<String> {
    let names = listing.split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty());
    names
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_shared_and_the_oldest_goes() {
        let changes = Changes::default();
        let key = |number: usize| ("url".to_owned(), "a".to_owned(), number.to_string());
        let first = changes.slot(key(0));
        for number in 1..KEPT_MAX {
            changes.slot(key(number));
        }
        assert!(Arc::ptr_eq(&first, &changes.slot(key(0))));
        changes.slot(key(KEPT_MAX));
        assert!(!Arc::ptr_eq(&first, &changes.slot(key(0))));
        assert_eq!(changes.lock().len(), KEPT_MAX);
    }

    #[test]
    fn names_end_with_a_zero() {
        assert_eq!(names(b""), [""; 0]);
        let all = names(b"apps/a b.yaml\0line\nbreak\0\xff\0");
        assert_eq!(all, ["apps/a b.yaml", "line\nbreak", "\u{fffd}"]);
    }
}
