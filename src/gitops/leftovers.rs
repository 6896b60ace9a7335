//! What a `git` that was killed leaves in a mirror: locks, which stop every other one for ever, and
//! files that were not finished, which nobody misses and nobody removes.

use std::path::Path;

/// What `gc` has while it works. The first makes every other one do nothing, for hours, and say
/// that all is well; the second stops every other one for ever.
const OF_UPKEEP: [&str; 2] = ["gc.pid", "packed-refs.new"];

/// Removes them. Only for the one writer of the mirror, while no `git` of its own is at work there.
/// What can't be removed is left: the next `git` says what that means.
pub(super) fn remove(mirror: &Path) {
    let mut folders = vec![mirror.to_owned()];
    let mut removed = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if is_left_over(mirror, &path) && std::fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
    }
    if removed > 0 {
        let mirror = mirror.display();
        tracing::info!(%mirror, removed, "removed what a git that was killed had left");
    }
}

/// A branch may have almost any name, but none that ends as a lock does.
fn is_left_over(mirror: &Path, path: &Path) -> bool {
    if path.extension().is_some_and(|ending| ending == "lock") {
        return true;
    }
    let inside = path.strip_prefix(mirror).unwrap_or(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if inside.starts_with("objects") {
        // `tmp_pack_…`, `tmp_idx_…`, `tmp_obj_…`; `.tmp-…-pack` of one that packs anew.
        name.starts_with("tmp_") || name.starts_with(".tmp-")
    } else {
        let is_ours = name.starts_with("shallow_") || OF_UPKEEP.iter().any(|ours| name == *ours);
        inside.components().count() == 1 && is_ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_halves_go_and_everything_else_stays() {
        let mirror = tempfile::tempdir().unwrap();
        let gone = [
            "shallow.lock",
            "packed-refs.lock",
            "shallow_Ab12Cd",
            "refs/weir/0a1b.lock",
            "refs/remotes/origin/feature/x.lock",
            "objects/pack/tmp_pack_Ab12Cd",
            "objects/pack/tmp_idx_Ab12Cd",
            "objects/0a/tmp_obj_Ab12Cd",
            "objects/pack/.tmp-123-pack-0a1b.pack",
            "gc.pid",
            "packed-refs.new",
        ];
        let kept = [
            "HEAD",
            "config",
            "shallow",
            "packed-refs",
            "refs/weir/0a1b",
            "refs/heads/tmp_fix",
            "refs/tags/shallow_water",
            "refs/heads/gc.pid",
            "refs/remotes/origin/objects/tmp_x",
            "objects/0a/1b2c",
            "objects/pack/pack-0a1b.pack",
        ];
        for name in gone.iter().chain(&kept) {
            let path = mirror.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        remove(mirror.path());
        for name in gone {
            assert!(!mirror.path().join(name).exists(), "{name} is still there");
        }
        for name in kept {
            assert!(mirror.path().join(name).exists(), "{name} is gone");
        }
        // There is nothing to be removed from one that is not there.
        remove(&mirror.path().join("none"));
    }
}
