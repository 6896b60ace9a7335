//! The Git repository of the demo: a base, an overlay, and commits that change one line.

use super::manifests;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// How the repository's manifests are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `base/` and `overlays/production/`, rendered by Kustomize.
    Kustomize,
    /// One directory of plain manifests, for machines without Kustomize.
    Plain,
}

impl Layout {
    /// Kustomize if this machine can render it.
    pub(super) async fn of_this_machine() -> Self {
        for (program, arguments) in [
            ("kustomize", ["version"].as_slice()),
            ("kubectl", &["kustomize", "--help"]),
        ] {
            let found = Command::new(program).args(arguments).output().await;
            if found.is_ok_and(|output| output.status.success()) {
                return Self::Kustomize;
            }
        }
        Self::Plain
    }

    /// The path of the Application's source.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Kustomize => "overlays/production",
            Self::Plain => "apps/shop",
        }
    }
}

/// A work tree with one branch, `main`.
#[derive(Debug)]
pub(super) struct Repository {
    root: PathBuf,
    layout: Layout,
}

/// A commit, as the story tells of it.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub sha: String,
    pub subject: String,
}

impl Commit {
    pub(super) fn short(&self) -> &str {
        self.sha.get(..7).unwrap_or(&self.sha)
    }
}

impl Repository {
    /// Makes the repository in the folder `root`, with `tag` deployed.
    pub(super) async fn create(root: &Path, layout: Layout, tag: &str) -> Result<Self> {
        let repository = Self {
            root: root.to_owned(),
            layout,
        };
        tokio::fs::create_dir_all(root).await?;
        repository
            .git(&["init", "--quiet", "--initial-branch=main"])
            .await?;
        for (path, text) in manifests::repository(layout, tag) {
            repository.write(path, &text).await?;
        }
        repository.commit(&format!("Deploy shop {tag}")).await?;
        Ok(repository)
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.root.display())
    }

    /// Commits the change of the image's tag: the one line that a release is.
    pub(super) async fn release(&self, tag: &str) -> Result<Commit> {
        let (path, text) = manifests::release(self.layout, tag);
        self.write(path, &text).await?;
        self.commit(&format!("Release shop {tag}")).await
    }

    /// `git revert` of the newest commit.
    pub(super) async fn revert(&self) -> Result<Commit> {
        self.git(&["revert", "--no-edit", "HEAD"]).await?;
        self.head().await
    }

    async fn commit(&self, subject: &str) -> Result<Commit> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", subject])
            .await?;
        self.head().await
    }

    async fn head(&self) -> Result<Commit> {
        let line = self.git(&["log", "-1", "--format=%H %s"]).await?;
        let (sha, subject) = line.trim().split_once(' ').with_context(|| {
            format!("git log of the demo's repository gave {line:?}, and no commit")
        })?;
        Ok(Commit {
            sha: sha.to_owned(),
            subject: subject.to_owned(),
        })
    }

    async fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.root.join(path);
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        tokio::fs::write(&path, text)
            .await
            .with_context(|| format!("writing {} of the demo's repository", path.display()))
    }

    /// Runs git free of the user's own configuration: no signing, no hooks, no prompts.
    async fn git(&self, arguments: &[&str]) -> Result<String> {
        let identity = ["user.name=Weir demo", "user.email=demo@weir.invalid"];
        let quiet = [
            "commit.gpgSign=false",
            "core.hooksPath=/dev/null",
            "gc.auto=0",
        ];
        let mut command = Command::new("git");
        for setting in identity.iter().chain(&quiet) {
            command.args(["-c", setting]);
        }
        let output = command
            .args(arguments)
            .current_dir(&self.root)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()
            .await
            .context("running git, which the demo needs on the PATH: install it")?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            bail!("git {}: {}", arguments.join(" "), reason.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_release_is_one_changed_line_and_a_revert_undoes_it() {
        for layout in [Layout::Kustomize, Layout::Plain] {
            let folder = tempfile::tempdir().unwrap();
            let repository = Repository::create(folder.path(), layout, "v1")
                .await
                .unwrap();
            let first = repository.head().await.unwrap();
            let second = repository.release("v2").await.unwrap();
            let diff = repository
                .git(&["diff", "--numstat", &first.sha, &second.sha])
                .await
                .unwrap();
            let counts: Vec<&str> = diff.split_whitespace().take(2).collect();
            assert_eq!(counts, ["1", "1"], "{diff}");
            repository.revert().await.unwrap();
            let diff = repository
                .git(&["diff", "--numstat", &first.sha, "HEAD"])
                .await
                .unwrap();
            assert_eq!(diff, "");
        }
    }
}
