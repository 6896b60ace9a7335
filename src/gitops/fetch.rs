//! What is brought into mirrors (`mirrors.rs`).
//!
//! A commit is fetched alone, without history, where the server allows that, else with all branches
//! and tags. Every commit that was asked for is kept under a ref of its own, so a branch that is
//! rewound or deleted takes nothing away from us, for as long as [`super::upkeep`] leaves it.

use super::disk;
use super::error::{Result, SourceError};
use super::git::{Git, blocking, no_such_revision, unreachable};
use super::hosts::Caller;
use super::mirrors::{ATTRIBUTES_FILE, Held, KEPT, Mirror, is_damage, is_recent, remove_damaged};
use super::process::{Output, without_credentials};
use std::ffi::OsStr;
use std::process::Stdio;
use tokio::time::Instant;

/// What is written last into a mirror. It goes before all that repositories say of their files:
/// they come out byte for byte, and are as large as they are said to be.
const ATTRIBUTES: &str = "* -text -eol -ident -filter -working-tree-encoding\n";

impl Git {
    /// A commit is in use, though nothing is read of it now.
    pub(super) fn mark(&self, url: &str, commit: &str) {
        self.mirrors.of(url).mark(commit);
    }

    /// Makes sure that a commit is in the mirror, and stays there.
    pub(super) async fn ensure(&self, url: &str, commit: &str, caller: Caller) -> Result<Held> {
        self.check(url).await?;
        let mirror = self.mirrors.of(url);
        let read = mirror.read().await;
        let since = Instant::now();
        if self.has(&mirror, commit).await? {
            mirror.mark(commit);
            return Ok(Held::new(mirror, since, read));
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
        Ok(Held::new(mirror, Instant::now(), write.downgrade()))
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
