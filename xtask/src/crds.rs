//! `cargo xtask crds`: crds/*.yaml from the types of crates/api.

use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a file differs from what would be written
    #[arg(long)]
    check: bool,
}

/// Fails if `crds/` is not what the types say.
pub(crate) fn check() -> anyhow::Result<()> {
    let stale = stale(&folder(), &generate()?)?;
    if stale.is_empty() {
        return Ok(());
    }
    bail!(
        "crds/ differs from crates/api in {}: run `cargo xtask crds`",
        stale.join(", ")
    )
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.check {
        return check();
    }
    let folder = folder();
    let generated = generate()?;
    let stale = stale(&folder, &generated)?;
    fs::create_dir_all(&folder).context("create crds/")?;
    for name in stale {
        let path = folder.join(&name);
        match generated.get(&name) {
            Some(text) => fs::write(&path, text),
            None => fs::remove_file(&path),
        }
        .with_context(|| format!("write crds/{name}"))?;
    }
    Ok(())
}

/// `crds/` beside the folder of this crate.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in a folder of the workspace")
        .join("crds")
}

/// The files by name.
fn generate() -> anyhow::Result<BTreeMap<String, String>> {
    api::crd::all()
        .iter()
        .map(|crd| {
            let name = format!("{}.yaml", crd.spec.names.plural);
            let text = serde_saphyr::to_string(crd)
                .with_context(|| format!("write {} as YAML", crd.spec.names.kind))?;
            Ok((name, text))
        })
        .collect()
}

/// Names of files that differ, are missing, or should not be there.
fn stale(folder: &Path, generated: &BTreeMap<String, String>) -> anyhow::Result<Vec<String>> {
    let mut stale: Vec<String> = generated
        .iter()
        .filter(|(name, text)| fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name.clone())
        .collect();
    if folder.exists() {
        for entry in fs::read_dir(folder).context("read crds/")? {
            let name = entry.context("read crds/")?.file_name();
            let name = name.to_string_lossy().into_owned();
            if !generated.contains_key(&name) {
                stale.push(name);
            }
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_the_types_say() {
        run(&Args { check: true }).unwrap();
    }

    #[test]
    fn a_file_that_differs_is_stale_and_so_is_one_too_many() {
        let generated = generate().unwrap();
        assert_eq!(generated.len(), 7);
        let mut changed = generated.clone();
        changed.insert("rollouts.yaml".to_owned(), String::new());
        changed.remove("experiments.yaml");
        let stale = stale(&folder(), &changed).unwrap();
        assert_eq!(stale, ["rollouts.yaml", "experiments.yaml"]);
    }
}
