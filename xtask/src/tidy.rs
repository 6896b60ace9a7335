//! Checks of the repository that no compiler makes: crate edges, purity, file sizes, unfinished
//! work, the code map, the list of fuzz targets.

#![allow(clippy::print_stdout, reason = "a task's output is its purpose")]

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Which of our crates may depend on which others (ARCHITECTURE.md, "Layers"). Development
/// dependencies are free: tests may stand on higher layers.
const EDGES: &[(&str, &[&str])] = &[
    ("weir-api", &[]),
    ("weir-gocompat", &[]),
    ("weir-expr", &[]),
    ("weir-structural", &[]),
    ("weir-plan", &["weir-api"]),
    (
        "weir-engine",
        &["weir-api", "weir-expr", "weir-gocompat", "weir-plan"],
    ),
    ("weir-gitops", &["weir-api", "weir-gocompat", "weir-plan"]),
    ("weir-apiserver", &["weir-structural"]),
    ("weir-cluster", &["weir-apiserver"]),
    ("weir-deploy", &["weir-api"]),
    ("weir-conformance", &[]),
    (
        "weir-e2e",
        &[
            "weir-conformance",
            "weir-gocompat",
            "weir-sandbox",
            "weir-timelines",
        ],
    ),
    (
        "weir-sandbox",
        &["weir-api", "weir-apiserver", "weir-cluster"],
    ),
    ("weir-cli", &["weir-api", "weir-engine", "weir-gocompat"]),
    (
        "weir-sim",
        &[
            "weir-api",
            "weir-apiserver",
            "weir-cluster",
            "weir-engine",
            "weir-gocompat",
            "weir-plan",
            "weir-structural",
        ],
    ),
    ("weir-timelines", &["weir-api", "weir-gocompat"]),
    (
        "xtask",
        &[
            "weir",
            "weir-api",
            "weir-deploy",
            "weir-sim",
            "weir-timelines",
        ],
    ),
    (
        "weir",
        &[
            "weir-api",
            "weir-apiserver",
            "weir-cli",
            "weir-cluster",
            "weir-deploy",
            "weir-engine",
            "weir-gitops",
            "weir-gocompat",
            "weir-plan",
            "weir-sandbox",
        ],
    ),
];

/// Crates that see no clock, no runtime, no network, no randomness.
const PURE: &[&str] = &[
    "weir-api",
    "weir-gocompat",
    "weir-expr",
    "weir-structural",
    "weir-plan",
    "weir-engine",
    "weir-gitops",
    "weir-deploy",
];

/// What must not be anywhere below a pure crate.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "reqwest",
    "kube-client",
    "kube-runtime",
    "rand",
    "getrandom",
    "tempfile",
    "mio",
];

/// Of rustfmt.toml.
const COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 1_000;
const ARCHITECTURE_LINES_MAX: usize = 250;

/// Runs all checks; prints every finding and fails if there is one.
pub(crate) fn run() -> Result<()> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest
        .parent()
        .expect("the crate is in a folder of the workspace");
    let mut findings = Vec::new();
    let metadata = metadata(root)?;
    edges(&metadata, &mut findings);
    purity(root, &mut findings)?;
    files(root, &mut findings)?;
    architecture(root, &mut findings)?;
    fuzz_targets(root, &mut findings)?;
    if let Err(drift) = crate::deploy::check() {
        findings.push(drift.to_string());
    }
    if let Err(drift) = crate::crds::check() {
        findings.push(drift.to_string());
    }
    if findings.is_empty() {
        println!("tidy: crate edges, purity, files, code map, fuzz targets, CRDs, deploy: clean");
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    bail!("tidy: {} findings", findings.len())
}

fn metadata(root: &Path) -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

fn edges(metadata: &Value, findings: &mut Vec<String>) {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let ours: BTreeSet<&str> = allowed.keys().copied().collect();
    for package in list(metadata, "packages").filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(may) = allowed.get(name) else {
            findings.push(format!(
                "crate {name} has no row in the table of crate edges (xtask/src/tidy.rs)"
            ));
            continue;
        };
        for dependency in list(package, "dependencies").filter(|edge| edge["kind"].is_null()) {
            let on = dependency["name"].as_str().unwrap_or_default();
            if ours.contains(on) && !may.contains(&on) {
                findings.push(format!("{name} must not depend on {on}"));
            }
        }
    }
}

/// Asks for each crate's own tree: `cargo metadata` would unify features over the workspace.
fn purity(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    for pure in PURE {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--package",
                pure,
                "--edges",
                "normal",
                "--prefix",
                "none",
            ])
            .current_dir(root)
            .output()
            .context("cargo tree")?;
        if !output.status.success() {
            bail!(
                "cargo tree --package {pure}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let tree = String::from_utf8_lossy(&output.stdout);
        let below: BTreeSet<&str> = tree
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        for name in IMPURE.iter().filter(|name| below.contains(*name)) {
            findings.push(format!("{pure} is pure, but {name} is below it"));
        }
    }
    Ok(())
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

fn files(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    // Put together here so that this file does not contain what it looks for.
    let unfinished = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["#[ig", "nore"].concat(),
    ];
    let private = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    for file in tracked(root)? {
        let generated = file.contains("/generated/") || file.contains("/fixtures/");
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else {
            continue;
        };
        let is = |extension: &str| {
            Path::new(&file)
                .extension()
                .is_some_and(|found| found == extension)
        };
        let rust = is("rs");
        if rust && !generated && text.lines().count() > FILE_LINES_MAX {
            findings.push(format!(
                "{file} has more than {FILE_LINES_MAX} lines: it is two things"
            ));
        }
        for (number, line) in text.lines().enumerate() {
            let at = format!("{file}:{}", number + 1);
            if rust && unfinished.iter().any(|word| line.contains(word)) {
                findings.push(format!("{at}: unfinished: {}", line.trim()));
            }
            if private.iter().any(|path| line.contains(path)) {
                findings.push(format!(
                    "{at}: names a path of one machine: {}",
                    line.trim()
                ));
            }
            if rust && !generated && is_wide_comment(line) {
                findings.push(format!("{at}: a comment beyond {COLUMNS_MAX} columns"));
            }
            if !generated && (rust || is("md")) && line.ends_with([' ', '\t']) {
                findings.push(format!("{at}: trailing space"));
            }
        }
    }
    Ok(())
}

/// What rustfmt leaves as it is. Tables and addresses can't be broken.
fn is_wide_comment(line: &str) -> bool {
    let text = line.trim_start();
    text.starts_with("//")
        && line.chars().count() > COLUMNS_MAX
        && !text.contains(" | ")
        && !text.contains("://")
}

/// The code map names every crate and every module of the shell.
fn architecture(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    if text.lines().count() > ARCHITECTURE_LINES_MAX {
        findings.push(format!(
            "ARCHITECTURE.md has more than {ARCHITECTURE_LINES_MAX} lines"
        ));
    }
    for name in entries(&root.join("crates"))? {
        if !text.contains(&format!("crates/{name}")) {
            findings.push(format!("ARCHITECTURE.md does not name crates/{name}"));
        }
    }
    for name in entries(&root.join("src"))? {
        let module = name.trim_end_matches(".rs");
        if !text.contains(&format!("src/{module}")) {
            findings.push(format!("ARCHITECTURE.md does not name src/{module}"));
        }
    }
    Ok(())
}

/// The page about limits names every fuzz target, as `crate`: `target`.
fn fuzz_targets(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    const PAGE: &str = "docs/input-limits.md";
    let page = std::fs::read_to_string(root.join(PAGE)).context(PAGE)?;
    for name in entries(&root.join("crates"))? {
        let folder = root.join("crates").join(&name).join("fuzz/fuzz_targets");
        if !folder.exists() {
            continue;
        }
        for file in entries(&folder)? {
            let target = file.trim_end_matches(".rs");
            let is_row = |line: &str| {
                line.contains(&format!("`{name}`: ")) && line.contains(&format!("`{target}`"))
            };
            if !page.lines().any(is_row) {
                findings.push(format!(
                    "{PAGE} does not name the fuzz target {target} of crates/{name}"
                ));
            }
        }
    }
    Ok(())
}

/// Names of the entries of a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
