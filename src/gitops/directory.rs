//! Plain manifests: the files of a folder.

use super::error::{Result, SourceError};
use super::tree::{canonical, relative, visit};
use api::ApplicationSourceDirectory;
use gitops::manifest::{Document, Origin};
use gocompat::yaml::{self, YamlError};
use std::path::{Path, PathBuf};

/// Files of one source.
const FILES_MAX: usize = 10_000;
/// Bytes of all files of one source.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Folders nested deeper than this are refused.
const DEPTH_MAX: usize = 64;
/// A file that begins with this line is no manifest.
const SKIP_MARK: &str = "# +argocd:skip-file-rendering";

/// Documents, and what could not be read of them: one broken document does not hide the others.
#[derive(Debug, Default)]
pub struct Read {
    pub documents: Vec<Document>,
    /// Each with file, document and line.
    pub errors: Vec<String>,
}

/// Reads the manifests of `folder`, which is inside the tree `root`.
pub fn read(root: &Path, folder: &Path, options: &ApplicationSourceDirectory) -> Result<Read> {
    let root = canonical(root)?;
    let mut out = Read::default();
    let mut bytes = 0_u64;
    for path in files(folder, options)? {
        let name = relative(&root, &path);
        // A link may lead to another file of the repository; where it leads out the tree was refused.
        let size = std::fs::metadata(&path)
            .map_err(SourceError::io(name.clone()))?
            .len();
        bytes = bytes.saturating_add(size);
        if bytes > BYTES_MAX {
            return Err(SourceError::Path {
                path: relative(&root, folder),
                problem: format!("its manifests have more than {BYTES_MAX} bytes"),
            });
        }
        let content = std::fs::read(&path).map_err(SourceError::io(name.clone()))?;
        match String::from_utf8(content) {
            Ok(text) if ending_of(&name) == "json" => read_json(&name, &text, &mut out),
            Ok(text) => read_yaml(&name, &text, &mut out),
            Err(_) => out
                .errors
                .push(format!("{name}: the file is not UTF-8 text")),
        }
    }
    Ok(out)
}

fn files(folder: &Path, options: &ApplicationSourceDirectory) -> Result<Vec<PathBuf>> {
    let recurse = options.recurse.unwrap_or(false);
    let any_name = options.disable_extension_filter.unwrap_or(false);
    let mut out = Vec::new();
    let mut jsonnet = None;
    let mut take = |path: &Path| {
        let name = relative(folder, path);
        let ending = ending_of(&name);
        if is_excluded(&name, options) {
            return;
        }
        if ending == "jsonnet" {
            jsonnet.get_or_insert_with(|| name.clone());
        } else if any_name || matches!(ending, "yaml" | "yml" | "json") {
            out.push(path.to_owned());
        }
    };
    if recurse {
        visit(folder, DEPTH_MAX, &mut |path, kind| {
            if !kind.is_dir() && path.is_file() {
                take(path);
            }
        })?;
    } else {
        let what = || format!("{} can't be read", folder.display());
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(SourceError::io(what()))? {
            entries.push(entry.map_err(SourceError::io(what()))?.path());
        }
        entries.sort();
        entries
            .iter()
            .filter(|path| path.is_file())
            .for_each(|path| take(path));
    }
    let unsupported = |what: String| {
        let path = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Err(SourceError::Unsupported { path, what })
    };
    if let Some(name) = jsonnet {
        return unsupported(format!("Jsonnet ({name})"));
    }
    if out.len() > FILES_MAX {
        return unsupported(format!("a folder with more than {FILES_MAX} manifests"));
    }
    Ok(out)
}

fn ending_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn is_excluded(name: &str, options: &ApplicationSourceDirectory) -> bool {
    let hit = |pattern: &Option<String>| {
        let pattern = pattern.as_deref().filter(|pattern| !pattern.is_empty())?;
        Some(gitops::glob::matches(pattern, name, true))
    };
    hit(&options.include) == Some(false) || hit(&options.exclude) == Some(true)
}

fn read_json(name: &str, text: &str, out: &mut Read) {
    let origin = Origin {
        file: name.to_owned(),
        document: 1,
    };
    match serde_json::from_str(text) {
        Ok(object) => out.documents.push(Document { origin, object }),
        Err(error) => out.errors.push(format!(
            "{origin}, line {}: {}",
            error.line(),
            error
                .to_string()
                .split(" at line ")
                .next()
                .unwrap_or_default()
        )),
    }
}

/// Reads the documents of a YAML file one by one, so that each has its place in messages.
pub fn read_yaml(name: &str, text: &str, out: &mut Read) {
    if text
        .lines()
        .next()
        .is_some_and(|line| line.trim_end() == SKIP_MARK)
    {
        return;
    }
    for (number, (first_line, part)) in split(text).into_iter().enumerate() {
        let origin = Origin {
            file: name.to_owned(),
            document: number + 1,
        };
        match yaml::from_str_single(&part) {
            Ok(serde_json::Value::Null) => {}
            Ok(object) => out.documents.push(Document { origin, object }),
            Err(YamlError::Syntax { line, message, .. }) => {
                let line = first_line + usize::try_from(line).unwrap_or(1).max(1) - 1;
                out.errors.push(format!("{origin}, line {line}: {message}"));
            }
            Err(error) => out.errors.push(format!("{origin}: {error}")),
        }
    }
}

/// The documents of a file, each with the number of its first line (from 1). Documents without any
/// content but comments are left out.
fn split(text: &str) -> Vec<(usize, String)> {
    let mut parts: Vec<(usize, String)> = vec![(1, String::new())];
    for (index, line) in text.lines().enumerate() {
        let rest = line
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        let line = match rest {
            // What follows the mark on its line belongs to the document, and columns stay right.
            Some(rest) => {
                parts.push((index + 1, String::new()));
                format!("   {rest}")
            }
            None => line.to_owned(),
        };
        if let Some((_, part)) = parts.last_mut() {
            part.push_str(line.trim_end_matches('\r'));
            part.push('\n');
        }
    }
    parts.retain(|(_, part)| {
        part.lines().any(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#') && line != "..."
        })
    });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_file_document_and_line() {
        let mut out = Read::default();
        let text =
            "# head\n---\nkind: A\n---\nkind: B\nmetadata:\n  name: x: y\n--- # third\nkind: C\n";
        read_yaml("apps/b.yaml", text, &mut out);
        let kinds: Vec<_> = out
            .documents
            .iter()
            .map(|d| d.object["kind"].clone())
            .collect();
        assert_eq!(kinds, ["A", "C"]);
        assert_eq!(out.documents[1].origin.document, 3);
        assert_eq!(out.errors.len(), 1);
        assert!(
            out.errors[0].starts_with("apps/b.yaml, document 2, line 7: "),
            "{:?}",
            out.errors
        );
    }

    #[test]
    fn marked_and_empty_files_are_no_manifests() {
        let mut out = Read::default();
        read_yaml(
            "a.yaml",
            "# +argocd:skip-file-rendering\nkind: A\n",
            &mut out,
        );
        read_yaml("b.yaml", "\n---\n# nothing\n---\n", &mut out);
        read_yaml("c.yaml", "", &mut out);
        assert!(out.documents.is_empty() && out.errors.is_empty());
    }

    #[test]
    fn hostile_yaml_is_an_error_and_no_more() {
        let mut out = Read::default();
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n";
        for text in [
            bomb,
            &"[".repeat(100_000),
            "a: 1\na: 2\n",
            "\t- x",
            "!!binary x: [",
            "%YAML 9.9\n---\nx",
        ] {
            read_yaml("x.yaml", text, &mut out);
        }
        assert!(out.errors.len() >= 4, "{:?}", out.errors);
        assert!(
            out.errors
                .iter()
                .all(|error| error.starts_with("x.yaml, document ")),
            "{:?}",
            out.errors
        );
    }
}
