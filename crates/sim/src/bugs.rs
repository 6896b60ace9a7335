//! Scenarios that once broke a rule, one file each.

use crate::check::Breach;
use crate::scenario::Scenario;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// A file of `bugs/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bug {
    /// The rule that was broken, and how.
    pub rule: String,
    pub what: String,
    pub scenario: Scenario,
}

/// Where the files are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bugs")
}

/// All files, by name.
///
/// # Errors
/// When one can't be read or is no scenario.
pub fn all(folder: &Path) -> io::Result<Vec<(String, Bug)>> {
    let mut bugs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|own| own == "json") {
            let name = path.file_stem().unwrap_or_default();
            bugs.push((name.to_string_lossy().into_owned(), read(&path)?));
        }
    }
    bugs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(bugs)
}

/// One file.
///
/// # Errors
/// When it can't be read or is no scenario.
pub fn read(path: &Path) -> io::Result<Bug> {
    let text = std::fs::read_to_string(path)?;
    serde_json::from_str(&text).map_err(|error| {
        let what = format!("{}: {error}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

/// Keeps a scenario; answers where.
///
/// # Errors
/// When the file can't be written.
pub fn keep(folder: &Path, scenario: &Scenario, breach: &Breach) -> io::Result<PathBuf> {
    let words: String = breach
        .rule
        .chars()
        .map(|own| {
            if own.is_ascii_alphanumeric() {
                own
            } else {
                '-'
            }
        })
        .collect();
    let path = folder.join(format!("{words}-{}.json", scenario.seed));
    let bug = Bug {
        rule: breach.rule.clone(),
        what: breach.what.clone(),
        scenario: scenario.clone(),
    };
    let text = serde_json::to_string_pretty(&bug).map_err(io::Error::other)?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(&path, text + "\n")?;
    Ok(path)
}
