//! Plain manifests: the files of a folder.

use super::error::{Result, SourceError};
use super::tree::{canonical, entries, is_submodule, relative, visit};
use api::ApplicationSourceDirectory;
use gitops::glob;
use gitops::manifest::{Document, Origin};
use gocompat::yaml::{self, YamlError};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Files of one source.
const FILES_MAX: usize = 10_000;
/// Bytes of all files of one source.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A file that begins with this line is no manifest.
const SKIP_MARK: &str = "# +argocd:skip-file-rendering";
/// Files that say how a path is rendered (gitops.md item 9) are none either.
const OVERRIDES: &str = ".argocd-source";
/// A document that has none of these fields is none: the values of a chart, a configuration of
/// something else.
const OF_MANIFEST: [&str; 3] = ["kind", "metadata", "apiVersion"];
/// What a chart says of itself has a version of its own API, and neither of the first two.
const CHART: &str = "Chart.yaml";

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
    for path in files(&root, folder, options)? {
        let name = relative(&root, &path);
        // A link may lead to another file of the repository; where it leads out the tree was
        // refused.
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
            Ok(text) => read_documents(&name, &text, Others::PassedOver, &mut out),
            Err(_) => out
                .errors
                .push(format!("{name}: the file is not UTF-8 text")),
        }
    }
    Ok(out)
}

fn files(root: &Path, folder: &Path, options: &ApplicationSourceDirectory) -> Result<Vec<PathBuf>> {
    let unsupported = |what: String| {
        let path = relative(root, folder);
        Err(SourceError::Unsupported { path, what })
    };
    for (field, pattern) in [("include", &options.include), ("exclude", &options.exclude)] {
        if pattern.as_deref().is_some_and(glob::is_too_large) {
            return unsupported(format!("a pattern as large as that of directory.{field}"));
        }
    }
    let recurse = options.recurse.unwrap_or(false);
    let any_name = options.disable_extension_filter.unwrap_or(false);
    let mut out = Vec::new();
    let mut jsonnet = None;
    let mut take = |path: &Path| {
        let name = relative(folder, path);
        let ending = ending_of(&name);
        if is_excluded(&name, options) || is_override(&name) {
            return;
        }
        if ending == "jsonnet" {
            jsonnet.get_or_insert_with(|| name.clone());
        } else if any_name || matches!(ending, "yaml" | "yml" | "json") {
            out.push(path.to_owned());
        }
    };
    let mut submodule = None;
    if recurse {
        visit(root, folder, &mut |path, kind| {
            if !kind.is_dir() && path.is_file() {
                take(path);
            } else if kind.is_dir() && is_submodule(root, path) {
                // Unless no manifest in it would be taken.
                let name = relative(folder, path);
                if !is_excluded(&format!("{name}/x.yaml"), options) {
                    submodule.get_or_insert(name);
                }
            }
        })?;
    } else {
        for (path, _) in entries(root, folder)? {
            if path.is_file() {
                take(&path);
            }
        }
    }
    if let Some(name) = jsonnet {
        return unsupported(format!("Jsonnet ({name})"));
    }
    // What is in it is not here: passed over, it would be pruned.
    if let Some(name) = submodule {
        return unsupported(format!("a submodule ({name})"));
    }
    if out.len() > FILES_MAX {
        return unsupported(format!("a folder with more than {FILES_MAX} manifests"));
    }
    Ok(out)
}

fn ending_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The name without the folders.
fn file_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn is_override(name: &str) -> bool {
    let rest = file_of(name).strip_prefix(OVERRIDES);
    rest.is_some_and(|rest| rest.starts_with(['-', '.']))
}

/// As for the peer a star crosses slashes here: `*.yaml` is also what is in folders below.
fn is_excluded(name: &str, options: &ApplicationSourceDirectory) -> bool {
    let hit = |pattern: &Option<String>| {
        let pattern = pattern.as_deref().filter(|pattern| !pattern.is_empty())?;
        Some(glob::matches(pattern, name, false))
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

/// What becomes of documents that are no manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Whatever else is in a folder.
    PassedOver,
    /// A renderer has made them: that is for the planner to complain of.
    Taken,
}

/// Reads the documents of YAML that a renderer has made.
pub fn read_yaml(name: &str, text: &str, out: &mut Read) {
    read_documents(name, text, Others::Taken, out);
}

/// Reads the documents of a YAML file one by one, so that each has its place in messages.
fn read_documents(name: &str, text: &str, others: Others, out: &mut Read) {
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
        let read = yaml::from_str_single(&part);
        if others == Others::PassedOver && is_something_else(name, &part, read.as_ref().ok()) {
            continue;
        }
        match read {
            Ok(Value::Null) => {}
            Ok(object) => out.documents.push(Document { origin, object }),
            Err(YamlError::Syntax { line, message, .. }) => {
                let line = first_line + usize::try_from(line).unwrap_or(1).max(1) - 1;
                out.errors.push(format!("{origin}, line {line}: {message}"));
            }
            Err(error) => out.errors.push(format!("{origin}: {error}")),
        }
    }
}

/// Whether a document is none of ours. Of one that can't be read (a template, say) its text has to
/// tell, and in doubt it is: what is passed over may be pruned.
fn is_something_else(name: &str, text: &str, document: Option<&Value>) -> bool {
    let fields = if file_of(name) == CHART {
        &OF_MANIFEST[..2]
    } else {
        &OF_MANIFEST[..]
    };
    let has = |field: &str| match document {
        Some(document) => document.get(field).is_some(),
        None => text.contains(field),
    };
    !fields.iter().any(|field| has(field))
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

    fn of_folder(text: &str) -> Read {
        let mut out = Read::default();
        read_documents("x.yaml", text, Others::PassedOver, &mut out);
        out
    }

    #[test]
    fn what_is_no_manifest_in_a_folder_is_passed_over() {
        for other in [
            "replicas: 2\nimage: {tag: v1}\n",
            "- a\n- b\n",
            "just a text\n",
            "image: {{ .Values.image }}: x: y\n",
        ] {
            let read = of_folder(other);
            assert!(read.documents.is_empty(), "{other}");
            assert_eq!(read.errors, Vec::<String>::new(), "{other}");
        }
        // A part of one is a mistake in one.
        for part in ["kind: A\n", "apiVersion: v1\n", "metadata: {name: a}\n"] {
            assert_eq!(of_folder(part).documents.len(), 1, "{part}");
        }
        let broken = of_folder("a: 1\n---\nkind: A\nmetadata:\n  name: x: y\n");
        assert_eq!(broken.errors.len(), 1, "{:?}", broken.errors);
        assert!(
            broken.errors[0].starts_with("x.yaml, document 2, line 5: "),
            "{:?}",
            broken.errors
        );
        // What a chart says of itself, and nothing else of that name.
        let chart = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";
        let mut out = Read::default();
        read_documents("sub/Chart.yaml", chart, Others::PassedOver, &mut out);
        assert!(out.documents.is_empty());
        assert_eq!(of_folder(chart).documents.len(), 1);
        // Lists are taken apart later.
        let list = "apiVersion: v1\nkind: List\nitems: []\n";
        assert_eq!(of_folder(list).documents.len(), 1);
    }

    #[test]
    fn what_a_renderer_has_made_is_never_passed_over() {
        let mut out = Read::default();
        read_yaml("x", "replicas: 2\n", &mut out);
        assert_eq!(out.documents.len(), 1);
    }

    #[test]
    fn files_about_the_source_are_told_by_their_names() {
        for name in [
            ".argocd-source.yaml",
            ".argocd-source-shop.yaml",
            "sub/.argocd-source-shop.yaml",
        ] {
            assert!(is_override(name), "{name}");
        }
        for name in ["argocd-source.yaml", ".argocd-sources.yaml", "a.yaml"] {
            assert!(!is_override(name), "{name}");
        }
    }
}
