//! `cargo xtask deploy`: the generated files of deploy/ from crates/deploy.

use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a file differs from what would be written
    #[arg(long)]
    check: bool,
}

/// Fails if `deploy/` is not what crates/deploy says.
pub(crate) fn check() -> anyhow::Result<()> {
    let stale = stale(&folder());
    if stale.is_empty() {
        return Ok(());
    }
    bail!(
        "deploy/ differs from crates/deploy in {}: run `cargo xtask deploy`",
        stale.join(", ")
    )
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.check {
        return check();
    }
    let folder = folder();
    for (name, text) in deploy::files() {
        let path = folder.join(&name);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("write deploy/{name}"))?;
    }
    Ok(())
}

/// `deploy/` beside the folder of this crate.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in a folder of the workspace")
        .join("deploy")
}

/// Names of files that differ or are missing. What is written by hand is left alone.
fn stale(folder: &Path) -> Vec<String> {
    let generated = deploy::files().into_iter();
    generated
        .filter(|(name, text)| fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_the_crate_says() {
        run(&Args { check: true }).unwrap();
    }

    #[test]
    fn a_folder_without_them_is_stale() {
        let stale = stale(Path::new("/nowhere"));
        assert!(stale.contains(&"install.yaml".to_owned()), "{stale:?}");
    }
}
