//! A Git repository on this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::process::output;

/// See the module's documentation.
pub(crate) struct Repository {
    dir: PathBuf,
}

impl Repository {
    /// An empty one, with the branch `main`.
    pub(crate) async fn make(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
        let repository = Self {
            dir: dir.to_owned(),
        };
        repository.git(&["init", "-q", "-b", "main"]).await?;
        Ok(repository)
    }

    pub(crate) fn write(&self, path: &str, content: &str) -> Result<()> {
        let path = self.dir.join(path);
        let folder = path.parent().context("a file in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        std::fs::write(&path, content).with_context(|| format!("{}", path.display()))
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.dir.display())
    }

    /// Commits everything; gives the commit.
    pub(crate) async fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "-A"]).await?;
        self.git(&["commit", "-q", "-m", message]).await?;
        self.head().await
    }

    pub(crate) async fn revert(&self) -> Result<()> {
        self.git(&["revert", "--no-edit", "HEAD"]).await?;
        Ok(())
    }

    pub(crate) async fn head(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD"]).await
    }

    async fn git(&self, args: &[&str]) -> Result<String> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.dir);
        git.args([
            "-c",
            "user.name=Developer",
            "-c",
            "user.email=dev@shop.example",
        ]);
        git.args(args);
        Ok(output(git).await?.trim().to_owned())
    }
}
