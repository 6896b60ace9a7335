//! Kustomize, by `kustomize` or `kubectl kustomize`, whichever is there.
//!
//! What it builds comes out of the repository, out of other repositories that the kustomization
//! names, and out of what the Application adds (`overlay.rs`): never out of anything else on this
//! machine, its environment included.

use super::bases::Bases;
use super::checkouts::{Checkout, TREE};
use super::directory::{Read, read_yaml};
use super::disk;
use super::error::{Result, SourceError};
use super::git::{Git, blocking};
use super::overlay;
use super::process::{
    Output, ProcessError, confine, harden, run, without_credentials, without_times,
};
use super::tree::{canonical, relative};
use api::ApplicationSourceKustomize;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

/// Names of the file that makes a folder a kustomization.
pub const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What git may be asked for. Bases are in the repository or on a server: a repository on this
/// machine may be one that whoever wrote the kustomization has no right to.
const PROTOCOLS: &str = "git:http:https:ssh";

/// What Kustomize made, and what it warned of.
#[derive(Debug, Default)]
pub struct Rendered {
    pub read: Read,
    pub warnings: Vec<String>,
}

/// Renders the kustomization in `folder`, which is inside the tree of a checkout.
///
/// An overlay holds what `options` asks for, and the schema of our kinds, so that a patch of one
/// container of a Rollout leaves the rest of it alone (acceptance.md F5). Where the repository
/// brings a schema of its own, that one holds.
pub(super) async fn render(
    git: &Git,
    checkout: &Checkout,
    folder: &Path,
    options: &ApplicationSourceKustomize,
) -> Result<Rendered> {
    let root = canonical(checkout.tree())?;
    let path = relative(&root, folder);
    let beside = canonical(checkout.beside())?;
    let (tree, source, asked) = (root.clone(), folder.to_owned(), options.clone());
    let (overlay, is_remote) = blocking(move || {
        let asked = overlay::without_missing(&tree, &source, &asked);
        let bases = Bases::of(&tree, &source, &asked.components)?;
        let content = overlay::overlay_of(&tree, &source, &asked, bases.has_schema)?;
        let overlay = content.map(|content| overlay::write(&beside, &content));
        Ok((overlay.transpose()?, bases.is_remote))
    })
    .await?;
    let from = overlay.as_ref().map_or(folder, TempDir::path);
    // Remote bases are fetched into temporary folders here, and are gone with it if that takes too
    // long.
    let scratch = git.scratch("home-").await?;
    let home = canonical(scratch.path())?;
    let turn = git.builds.turn(is_remote).await;
    let output = build(git, &root, from, &home, &path).await?;
    drop(turn);
    if !output.success {
        let reason = reason(&output.stderr, &[&root, from, &home]);
        return Err(SourceError::Render {
            path,
            reason: format!("kustomize failed: {reason}"),
        });
    }
    Ok(read(&path, output))
}

fn read(path: &str, output: Output) -> Rendered {
    let mut out = Rendered::default();
    for line in output.stderr.lines() {
        let warning = line.trim_start_matches('#').trim();
        if let Some(text) = warning.strip_prefix("Warning:") {
            let text = format!("{path}: {}", text.trim());
            if !out.warnings.contains(&text) {
                out.warnings.push(text);
            }
        }
    }
    let name = format!("{path} (kustomize)");
    match String::from_utf8(output.stdout) {
        Ok(text) => read_yaml(&name, &text, &mut out.read),
        Err(_) => out
            .read
            .errors
            .push(format!("{name}: the output is not UTF-8 text")),
    }
    out
}

/// Runs the first of the two programs that is there.
async fn build(git: &Git, root: &Path, from: &Path, home: &Path, path: &str) -> Result<Output> {
    let config = git.config().await?;
    let max = git.limits().tree_bytes_max;
    let failed = |reason: String| SourceError::Render {
        path: path.to_owned(),
        reason,
    };
    for (program, verb) in [("kustomize", "build"), ("kubectl", "kustomize")] {
        let mut command = Command::new(program);
        confine(&mut command);
        harden(&mut command, &config);
        command
            .current_dir(root)
            .arg(verb)
            .arg(from)
            .env("GIT_ALLOW_PROTOCOL", PROTOCOLS)
            .env("KUBECONFIG", home.join("none"))
            .env("TMPDIR", home);
        match disk::within(home, max, run(command, git.bounds())).await {
            Some(Err(ProcessError::Missing { .. })) => {}
            Some(result) => {
                return result.map_err(SourceError::process(format!("path '{path}'")));
            }
            None => {
                return Err(failed(format!(
                    "what kustomize fetches takes more than the {max} bytes that are allowed"
                )));
            }
        }
    }
    Err(failed(
        "this is a kustomization, and neither kustomize nor kubectl is installed where the controller runs"
            .to_owned(),
    ))
}

/// What Kustomize says, as seen from the repository. Names of ours would also make it another one
/// each time, and each time it would be told anew.
fn reason(stderr: &str, places: &[&Path]) -> String {
    let mut text = without_credentials(stderr);
    for place in places {
        let place = place.display().to_string();
        text = text.replace(&format!("{place}/"), "").replace(&place, ".");
    }
    let tree = format!("../{TREE}");
    text = text.replace(&format!("{tree}/"), "").replace(&tree, ".");
    let text = without_times(&without_numbers(&text));
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("# Warning"))
        .collect();
    let text = lines.join(" ");
    // Some versions wrap what they say into a log line, with the time and more.
    let text = match (text.split_once("err=<"), text.split_once("err=\"")) {
        (Some((_, inner)), _) => inner.trim_end_matches('>').to_owned(),
        (None, Some((_, inner))) => inner.trim_end_matches('"').replace("\\\"", "\""),
        (None, None) => text,
    };
    text.trim()
        .trim_start_matches("Error:")
        .trim_start_matches("error:")
        .trim()
        .chars()
        .take(2000)
        .collect()
}

/// Without what the folders have in their names that Kustomize makes for remote bases.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split("kustomize-");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("kustomize-");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_the_same_each_time() {
        let of = |stderr: &str, number: u32| {
            let (overlay, tree) = (
                format!("/c/x{number}/overlay-a"),
                format!("/c/x{number}/{TREE}"),
            );
            let home = format!("/c/home-{number}");
            let stderr = stderr.replace("OVERLAY", &overlay).replace("TREE", &tree);
            let stderr = stderr
                .replace("HOME", &home)
                .replace("NUMBER", &number.to_string());
            let places = [overlay, tree, home];
            reason(&stderr, &places.each_ref().map(Path::new))
        };
        for (stderr, told) in [
            (
                "Error: accumulating resources from '../weir-tree/app': open TREE/app/x.yaml: no such file\n",
                "accumulating resources from 'app': open app/x.yaml: no such file",
            ),
            (
                "Error: accumulating '../weir-tree': 'TREE' must resolve to a file\n",
                "accumulating '.': '.' must resolve to a file",
            ),
            (
                "# Warning: old\nE1129 09:12:NUMBER 24 run.go:72] \"command failed\" err=<\n\taccumulating x:\n\tfatal\n >\n",
                "accumulating x: fatal",
            ),
            (
                "E1129 09:12:NUMBER 24 run.go:72] \"command failed\" err=\"no \\\"x\\\" in OVERLAY\"\n",
                "no \"x\" in .",
            ),
            (
                "error: HOME/kustomize-NUMBER/base: 'https://ann:hunter2@git.example/a' is gone",
                "kustomize-/base: 'https://git.example/a' is gone",
            ),
        ] {
            assert_eq!(of(stderr, 17), told);
            assert_eq!(of(stderr, 23), told);
        }
    }
}
