//! What keeps the cache directory from growing for ever: every now and then
//!
//! - trees that were kept in case somebody else wants them are removed,
//! - a mirror that nobody has asked for in hours is removed,
//! - of one into which something was fetched, commits that nobody needs any more are dropped, and
//!   `git` packs what is left, if it finds that worth while,
//! - if all mirrors together take more than they may, those go that were asked for longest ago.
//!
//! Whatever is removed is fetched again when somebody asks for it.

use super::checkouts::Checkouts;
use super::disk;
use super::error::{Result, SourceError};
use super::git::{Git, reason, unreachable};
use super::mirrors::{KEPT, Mirror, is_damage, remove_damaged};
use super::process::{Bounds, ProcessError, run};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_mins(10);

/// How long one mirror may be packed. Nothing is fetched into it meanwhile.
const PACK_MAX: Duration = Duration::from_mins(5);

/// In little memory: this is never urgent.
const SPARING: [&str; 4] = ["-c", "pack.threads=1", "-c", "pack.windowMemory=64m"];

/// Packs everything, because something was dropped. Nobody else writes to the mirror, so there is
/// nothing of which it is not known yet who needs it.
const PACK: [&str; 3] = ["gc", "--quiet", "--prune=now"];

/// Packs if there are many files.
const PACK_IF_MANY: [&str; 11] = [
    "-c",
    "gc.auto=2000",
    "-c",
    "gc.autoPackLimit=32",
    "-c",
    "gc.autoDetach=false",
    "-c",
    "gc.pruneExpire=now",
    "gc",
    "--auto",
    "--quiet",
];

/// Goes on until it is dropped.
pub(super) async fn run_forever(git: Arc<Git>, checkouts: Arc<Checkouts>) {
    loop {
        tokio::time::sleep(EVERY).await;
        checkouts.retire();
        git.upkeep().await;
    }
}

impl Git {
    /// Looks after all mirrors once.
    pub(super) async fn upkeep(&self) {
        let mirrors = self.mirrors.all().await;
        for mirror in &mirrors {
            let is_grown = mirror.state().grown;
            let done = if mirror.is_idle() {
                retire(mirror).await
            } else if is_grown {
                self.tend(mirror).await
            } else {
                Ok(())
            };
            complain(mirror, done);
        }
        self.shrink(&mirrors).await;
        drop(mirrors);
        self.mirrors.forget().await;
    }

    /// Drops what is not needed of a mirror, and packs the rest.
    async fn tend(&self, mirror: &Mirror) -> Result<()> {
        let write = mirror.write().await;
        mirror.state().grown = false;
        if !mirror.is_complete().await {
            return Ok(());
        }
        mirror.clean().await?;
        let newest_first = [
            "for-each-ref",
            "--sort=-committerdate",
            "--format=%(refname:lstrip=2)",
            KEPT,
        ];
        let listed = self.in_mirror(&mirror.path, newest_first).await?;
        if is_damage(&listed) {
            return remove_damaged(mirror, &listed).await;
        }
        if !listed.success {
            return Err(unreachable(&mirror.path.to_string_lossy(), &listed));
        }
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let is_less = self.drop_old(mirror, &listed).await?;
        // Who reads may go on meanwhile.
        let read = write.downgrade();
        let Some(why) = self.pack(mirror, is_less).await? else {
            return Ok(());
        };
        drop(read);
        let _write = mirror.write().await;
        let path = mirror.path.display();
        tracing::warn!(mirror = %path, why, "a mirror can't be packed: it is removed and fetched anew");
        mirror.remove().await
    }

    /// Drops those of the commits that are not needed. Whether there were any.
    async fn drop_old(&self, mirror: &Mirror, listed: &str) -> Result<bool> {
        let listed: Vec<&str> = listed.lines().collect();
        let old = mirror.old_commits(&listed, self.limits().commits_max);
        if old.is_empty() {
            return Ok(false);
        }
        let mut text = String::new();
        for commit in &old {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "delete {KEPT}/{commit}");
        }
        let folder = self.scratch("refs-").await?;
        let file = folder.path().join("instructions");
        let what = || SourceError::io(format!("{} can't be written", file.display()));
        tokio::fs::write(&file, text).await.map_err(what())?;
        let stdin = tokio::fs::File::open(&file).await.map_err(what())?;
        let stdin = Stdio::from(stdin.into_std().await);
        let arguments = [
            OsStr::new("--git-dir"),
            mirror.path.as_os_str(),
            OsStr::new("update-ref"),
            OsStr::new("--stdin"),
        ];
        let command = self.command(arguments).await?;
        let output = self.run(command, stdin).await?;
        if output.success {
            Ok(true)
        } else {
            Err(unreachable(&mirror.path.to_string_lossy(), &output))
        }
    }

    /// `Ok(Some)` is why it can't be packed: because of what is in it.
    async fn pack(&self, mirror: &Mirror, is_less: bool) -> Result<Option<String>> {
        let place = [OsStr::new("--git-dir"), mirror.path.as_os_str()];
        let how: &[&str] = if is_less { &PACK } else { &PACK_IF_MANY };
        let how = SPARING.iter().chain(how).map(OsStr::new);
        let command = self.command(place.into_iter().chain(how)).await?;
        let bounds = Bounds {
            timeout: PACK_MAX,
            ..self.bounds()
        };
        match run(command, bounds).await {
            Ok(output) if output.success => Ok(None),
            Ok(output) if is_damage(&output) => Ok(Some(reason(&output))),
            Ok(output) => Err(unreachable(&mirror.path.to_string_lossy(), &output)),
            Err(error @ ProcessError::TimedOut { .. }) => Ok(Some(error.to_string())),
            Err(error) => Err(SourceError::process("git failed")(error)),
        }
    }

    /// Removes mirrors until the others have room.
    async fn shrink(&self, mirrors: &[Arc<Mirror>]) {
        let max = self.limits().mirrors_bytes_max;
        let (mut sizes, mut all) = (Vec::new(), 0_u64);
        for mirror in mirrors {
            let bytes = disk::size_of(&mirror.path).await;
            all = all.saturating_add(bytes);
            let used = mirror.state().used;
            sizes.push((used, bytes, mirror));
        }
        sizes.sort_by_key(|(used, ..)| *used);
        for (_, bytes, mirror) in sizes {
            if all <= max {
                return;
            }
            let Some(_write) = mirror.try_write() else {
                continue;
            };
            let path = mirror.path.display();
            tracing::info!(mirror = %path, bytes, "mirrors take too much: one is removed");
            complain(mirror, mirror.remove().await);
            all = all.saturating_sub(bytes);
        }
    }
}

/// Removes a mirror that nobody asks for.
async fn retire(mirror: &Mirror) -> Result<()> {
    let Some(_write) = mirror.try_write() else {
        return Ok(());
    };
    // Somebody may just have come.
    if mirror.is_idle() {
        mirror.remove().await?;
    }
    Ok(())
}

/// Nobody waits for this: that it went wrong is for the log alone.
fn complain(mirror: &Mirror, done: Result<()>) {
    if let Err(error) = done {
        let (path, error) = (mirror.path.display(), crate::error::chain(&error));
        tracing::warn!(mirror = %path, error, "a mirror can't be looked after");
    }
}
