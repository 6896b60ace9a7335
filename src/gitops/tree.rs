//! What may be read of a checked-out tree.

use super::error::{Result, SourceError};
use std::path::{Component, Path, PathBuf};

/// Folders nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// The first link, by name, that leads out of `root`; a link to nothing leads nowhere.
pub(super) fn link_that_leads_out(root: &Path) -> Result<Option<String>> {
    let root = canonical(root)?;
    let mut out = None;
    visit(&root, DEPTH_MAX, &mut |path, kind| {
        if kind.is_symlink() && out.is_none() {
            // What does not exist can't be read, by whatever name.
            if let Ok(target) = path.canonicalize()
                && !target.starts_with(&root)
            {
                out = Some(relative(&root, path));
            }
        }
    })?;
    Ok(out)
}

/// Calls `found` for everything below a folder, in the order of names. Links are not followed.
pub(super) fn visit(
    folder: &Path,
    depth: usize,
    found: &mut dyn FnMut(&Path, std::fs::FileType),
) -> Result<()> {
    let what = || format!("{} can't be read", folder.display());
    if depth == 0 {
        return Err(SourceError::Path {
            path: folder.display().to_string(),
            problem: "folders are nested too deeply".to_owned(),
        });
    }
    let mut entries: Vec<(PathBuf, std::fs::FileType)> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(SourceError::io(what()))? {
        let entry = entry.map_err(SourceError::io(what()))?;
        entries.push((
            entry.path(),
            entry.file_type().map_err(SourceError::io(what()))?,
        ));
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (path, kind) in entries {
        found(&path, kind);
        if kind.is_dir() {
            visit(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

pub(super) fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(SourceError::io(format!("{} can't be read", path.display())))
}

/// `path` as seen from `root`, with `/`.
pub(super) fn relative(root: &Path, path: &Path) -> String {
    let rest = path.strip_prefix(root).unwrap_or(path);
    rest.components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

/// The folder that a source's `path` names. It must be inside the tree, links included.
pub(super) fn folder_of(root: &Path, path: &str) -> Result<Option<PathBuf>> {
    let bad = |problem: &str| SourceError::Path {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let asked = Path::new(path);
    if asked.is_absolute() {
        return Err(bad("it must be relative to the repository"));
    }
    if asked
        .components()
        .any(|part| matches!(part, Component::ParentDir | Component::Prefix(_)))
    {
        return Err(bad("it must not lead out of the repository"));
    }
    let root = canonical(root)?;
    let Ok(folder) = root.join(asked).canonicalize() else {
        return Ok(None);
    };
    if !folder.starts_with(&root) {
        return Err(bad("it must not lead out of the repository"));
    }
    if !folder.is_dir() {
        return Err(bad("it is no folder"));
    }
    Ok(Some(folder))
}
