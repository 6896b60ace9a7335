//! What may be read of a checked-out tree.

use super::error::{Result, SourceError};
use std::ffi::OsString;
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

/// Folders nested deeper than this are refused.
const DEPTH_MAX: usize = 64;
/// A path with more links than this is one that the kernel does not follow either.
const LINKS_MAX: usize = 40;

/// The first link, by name, that leads out of `root`. What a link leads to may not be there yet, or
/// be something else for each process that looks (`/proc/self`): where it leads is what counts.
pub(super) fn link_that_leads_out(root: &Path) -> Result<Option<String>> {
    let root = canonical(root)?;
    let mut out = None;
    visit(&root, &root, &mut |path, kind| {
        if kind.is_symlink() && out.is_none() && leads_out(&root, path) {
            out = Some(relative(&root, path));
        }
    })?;
    Ok(out)
}

/// Whether `path` is not below `root`, with every link on its way followed as the kernel does it.
/// All that is below what does not exist does not exist either.
pub(super) fn leads_out(root: &Path, path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(root) else {
        return true;
    };
    // As seen from the root; what is still to be walked, the next part last.
    let (mut place, mut ahead) = (PathBuf::new(), Vec::new());
    put(&mut ahead, inside);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            if !place.pop() {
                return true;
            }
            continue;
        }
        place.push(part);
        let Ok(target) = std::fs::read_link(root.join(&place)) else {
            continue;
        };
        links += 1;
        if links > LINKS_MAX {
            return false;
        }
        place.pop();
        if target.is_absolute() {
            return true;
        }
        put(&mut ahead, &target);
    }
    false
}

fn put(ahead: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().rev();
    let parts = parts.filter(|part| !matches!(part, Component::CurDir));
    ahead.extend(parts.map(|part| part.as_os_str().to_owned()));
}

/// Calls `found` for everything below a folder of the tree `root`, in the order of names. Links are
/// not followed.
pub(super) fn visit(
    root: &Path,
    folder: &Path,
    found: &mut dyn FnMut(&Path, std::fs::FileType),
) -> Result<()> {
    visit_to(root, folder, DEPTH_MAX, found)
}

fn visit_to(
    root: &Path,
    folder: &Path,
    depth: usize,
    found: &mut dyn FnMut(&Path, std::fs::FileType),
) -> Result<()> {
    if depth == 0 {
        return Err(SourceError::Path {
            path: relative(root, folder),
            problem: "folders are nested too deeply".to_owned(),
        });
    }
    for (path, kind) in entries(root, folder)? {
        found(&path, kind);
        if kind.is_dir() {
            visit_to(root, &path, depth - 1, found)?;
        }
    }
    Ok(())
}

/// What is in a folder of the tree `root`, in the order of names.
pub(super) fn entries(root: &Path, folder: &Path) -> Result<Vec<(PathBuf, std::fs::FileType)>> {
    let failed = || SourceError::io(format!("the folder '{}'", relative(root, folder)));
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        entries.push((entry.path(), entry.file_type().map_err(failed())?));
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

/// The text of a small file of the tree; `None` if there is none. `name` is what messages call it.
pub(super) fn read_text(path: &Path, name: &str, max: u64) -> Result<Option<String>> {
    let failed = || SourceError::io(name.to_owned());
    let bad = |problem: String| SourceError::Path {
        path: name.to_owned(),
        problem,
    };
    let about = match std::fs::metadata(path) {
        Err(error) if is_absent(&error) => return Ok(None),
        about => about.map_err(failed())?,
    };
    if !about.is_file() {
        return Ok(None);
    }
    if about.len() > max {
        return Err(bad(format!(
            "it has more than the {max} bytes that are allowed"
        )));
    }
    let file = std::fs::File::open(path).map_err(failed())?;
    let mut content = Vec::new();
    file.take(max).read_to_end(&mut content).map_err(failed())?;
    match String::from_utf8(content) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(bad("the file is not UTF-8 text".to_owned())),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

pub(super) fn canonical(root: &Path) -> Result<PathBuf> {
    let what = "the files of the repository can't be read";
    root.canonicalize().map_err(SourceError::io(what))
}

/// `path` as seen from `root`, with `/`.
pub(super) fn relative(root: &Path, path: &Path) -> String {
    let rest = path.strip_prefix(root).unwrap_or(path);
    rest.components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

/// What there is to say of a path below the place of a submodule.
const IN_SUBMODULE: &str =
    "it is in a submodule, and these are not fetched: name the submodule's repository in repoURL";

/// Whether a folder of a tree is the place of a submodule: Git keeps no empty folders of its own.
pub(super) fn is_submodule(root: &Path, folder: &Path) -> bool {
    let is_empty = |folder: &Path| {
        let entries = folder.read_dir();
        entries.is_ok_and(|mut entries| entries.next().is_none())
    };
    folder != root && folder.starts_with(root) && is_empty(folder)
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
    let found = |path: &Path| root.join(path).canonicalize().ok();
    let Some(folder) = found(asked) else {
        return match asked.ancestors().skip(1).find_map(found) {
            Some(above) if is_submodule(&root, &above) => Err(bad(IN_SUBMODULE)),
            _ => Ok(None),
        };
    };
    if !folder.starts_with(&root) {
        return Err(bad("it must not lead out of the repository"));
    }
    if !folder.is_dir() {
        return Err(bad("it is no folder"));
    }
    // Nothing in it would be nothing that Git asks for, and all that runs would be pruned.
    if is_submodule(&root, &folder) {
        return Err(bad(IN_SUBMODULE));
    }
    Ok(Some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn where_a_link_leads_is_what_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = canonical(folder.path()).unwrap().join("tree");
        std::fs::create_dir_all(root.join("a/b/c")).unwrap();
        std::fs::write(root.join("a/file"), "x").unwrap();
        std::fs::write(folder.path().join("beside"), "x").unwrap();
        let top = root.join("a/b/c/top");
        symlink("../../..", &top).unwrap();
        for (target, is_out) in [
            ("file", false),
            ("./b/../file", false),
            ("none", false),
            ("none/../../a", false),
            ("../a/file", false),
            ("b/c/top/a/b/c/top/a/file", false),
            // Longer than it is.
            ("b/c/top", false),
            ("link", false),
            ("../..", true),
            ("../../beside", true),
            // Nothing is there, or not yet.
            ("../../none", true),
            ("../none/../../none", true),
            ("/none", true),
            ("/proc/self/fd/0", true),
            // By its letters inside, and out all the same.
            ("b/c/top/..", true),
            ("b/c/top/../none", true),
        ] {
            let link = root.join("a/link");
            symlink(target, &link).unwrap();
            assert_eq!(leads_out(&root, &link), is_out, "{target}");
            let found = link_that_leads_out(&root).unwrap();
            assert_eq!(found, is_out.then(|| "a/link".to_owned()), "{target}");
            std::fs::remove_file(link).unwrap();
        }
        assert!(leads_out(&root, &root.join("a/../../x")));
        assert!(!leads_out(&root, &root.join("a/../x")));
        assert!(leads_out(&root, Path::new("/etc")));
    }

    #[test]
    fn the_place_of_a_submodule_is_not_a_folder_without_manifests() {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path();
        assert!(folder_of(root, "").unwrap().is_some());
        std::fs::create_dir_all(root.join("a/base")).unwrap();
        std::fs::write(root.join("a/file"), "x").unwrap();
        for path in ["a/base", "./a/base/", "a/base/b/c"] {
            let error = folder_of(root, path).unwrap_err().to_string();
            assert_eq!(error, format!("path '{path}': {IN_SUBMODULE}"));
        }
        assert!(folder_of(root, "a").unwrap().is_some());
        for path in ["a/none", "a/file/b", "none/b"] {
            assert_eq!(folder_of(root, path).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn a_small_file_is_small_and_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let read = || read_text(&path, "x", 3);
        assert_eq!(read().unwrap(), None);
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read().unwrap().unwrap(), "abc");
        assert_eq!(read_text(&path.join("y"), "x/y", 3).unwrap(), None);
        std::fs::write(&path, "abcd").unwrap();
        let error = read().unwrap_err().to_string();
        assert_eq!(
            error,
            "path 'x': it has more than the 3 bytes that are allowed"
        );
        std::fs::write(&path, [0xff_u8]).unwrap();
        let error = read().unwrap_err().to_string();
        assert_eq!(error, "path 'x': the file is not UTF-8 text");
        assert_eq!(read_text(folder.path(), ".", 3).unwrap(), None);
    }
}
