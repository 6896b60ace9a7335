//! The format of the table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::Which;

/// One request and its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is shown, in words.
    pub name: String,
    /// `METHOD PATH?QUERY`; `$name` stands for what an earlier case kept.
    pub send: String,
    /// Request headers. A body without `content-type` is `application/json`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a text goes out as it is, anything else as JSON.
    pub body: Option<Value>,
    /// Values of the answer that later cases use as `$name`, by pointer.
    #[serde(default)]
    pub keep: BTreeMap<String, String>,
    /// Pointers that are taken out of the answer before it is compared.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Compare these pointers and nothing else; the answer is then a map from pointer to value.
    pub only: Option<Vec<String>>,
    /// Compare managed fields too; their times are masked.
    #[serde(default)]
    pub managed: bool,
    /// Who has to act before the answer is this one. The request is repeated for a while until it
    /// is.
    pub awaits: Option<String>,
    /// Media type of the answer, where it matters.
    pub content_type: Option<String>,
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// Values of the `Warning` headers.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The masked answer. A watch's answer is the list of its events.
    #[serde(default)]
    pub answer: Value,
    /// What the embedded server answers instead, on purpose; `why` says which purpose.
    pub embedded: Option<Override>,
    /// Why the embedded server differs.
    pub why: Option<String>,
}

/// The part of an answer that differs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    status: Option<u16>,
    warnings: Option<Vec<String>>,
    content_type: Option<String>,
    answer: Option<Value>,
}

/// What one server has to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// HTTP status.
    pub status: u16,
    /// Values of the `Warning` headers.
    pub warnings: Vec<String>,
    /// Media type, if it is compared.
    pub content_type: Option<String>,
    /// The masked answer.
    pub answer: Value,
}

impl Case {
    /// What `which` server has to answer.
    pub fn expected(&self, which: Which) -> Expected {
        let mut expected = Expected {
            status: self.status,
            warnings: self.warnings.clone(),
            content_type: self.content_type.clone(),
            answer: self.answer.clone(),
        };
        if let (Which::Embedded, Some(other)) = (which, &self.embedded) {
            let other = other.clone();
            expected.status = other.status.unwrap_or(expected.status);
            expected.warnings = other.warnings.unwrap_or(expected.warnings);
            expected.content_type = other.content_type.or(expected.content_type);
            expected.answer = other.answer.unwrap_or(expected.answer);
        }
        expected
    }

    /// Method and path with query, before `$name`s are filled in.
    pub fn line(&self) -> (&str, &str) {
        self.send.split_once(' ').unwrap_or(("GET", &self.send))
    }
}

/// The cases of one file.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its requests, in order.
    pub cases: Vec<Case>,
}

impl File {
    /// Name without folder and extension.
    pub fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }
}

/// The table can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A file or the folder.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is no list of cases.
    #[error("{}: {message}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
}

/// Reads every `.yaml` file of a folder, in the order of their names.
pub fn read_table(folder: &Path) -> Result<Vec<File>, TableError> {
    let io = |error| TableError::Io {
        path: folder.to_owned(),
        error,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Result<File, TableError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Err(TableError::Io { path, error }),
    };
    let cases: Vec<Case> = match serde_saphyr::from_str(&text) {
        Ok(cases) => cases,
        Err(error) => {
            let message = error.to_string();
            return Err(TableError::Format { path, message });
        }
    };
    if let Some(case) = cases
        .iter()
        .find(|case| case.embedded.is_some() != case.why.is_some())
    {
        let message = format!("{}: `embedded` and `why` go together", case.name);
        return Err(TableError::Format { path, message });
    }
    Ok(File { path, cases })
}
