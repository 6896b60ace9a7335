//! Mirrors that are damaged, not finished, not needed any more, or too large.

use super::setup::{Setup, map, values};
use crate::gitops::Limits;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

/// A text that no program makes much shorter.
fn noise(bytes: usize) -> String {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from(state >> 24).unwrap() % 26)
    };
    (0..bytes).map(|_| next()).collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push(path);
        }
    }
    out
}

fn spoil(file: &Path, content: &str) {
    // Objects are not to be written to.
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, content).unwrap();
}

fn is_in(mirror: &Path, object: &str) -> bool {
    let mut git = Command::new("git");
    git.arg("--git-dir")
        .arg(mirror)
        .args(["cat-file", "-e", object]);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.output().unwrap().status.success()
}

/// A commit that is there already is rendered from the mirror, and a new one is fetched into it.
async fn still_works(setup: &Setup, how: &str) {
    // Another source, for what was rendered is known, and another tree.
    let source = setup.source(json!({"path": "app", "directory": {"recurse": true}}));
    setup.sources.checkouts.forget_all();
    let rendered = setup.fetch(source, "main").await;
    assert_eq!(values(&rendered.expect(how)), ["one"], "{how}");
    setup.repository.write("app/map.yaml", &map("two"));
    setup.repository.commit("Two");
    assert_eq!(
        values(&setup.at("main").await.expect(how)),
        ["two"],
        "{how}"
    );
}

async fn at_one() -> Setup {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("One");
    setup.at("main").await.unwrap();
    setup
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    for name in ["HEAD", "config"] {
        let setup = at_one().await;
        spoil(&setup.mirror().join(name), "[nothing");
        still_works(&setup, name).await;
    }
    for content in ["", "nothing of what it was"] {
        let setup = at_one().await;
        let objects = files(&setup.mirror().join("objects"));
        assert!(!objects.is_empty());
        for object in objects {
            spoil(&object, content);
        }
        still_works(&setup, content).await;
    }
    let setup = at_one().await;
    for file in files(&setup.mirror().join("refs")) {
        spoil(&file, "");
    }
    still_works(&setup, "refs").await;
}

/// The commit and all that names files is there, but not what is in them: no fetch finds that out.
#[tokio::test]
async fn a_file_that_is_damaged_in_the_mirror_is_fetched_again() {
    let setup = at_one().await;
    let blob = setup.repository.git(&["rev-parse", "HEAD:app/map.yaml"]);
    let object = setup
        .mirror()
        .join("objects")
        .join(&blob[..2])
        .join(&blob[2..]);
    spoil(&object, "nothing of what it was");
    still_works(&setup, "blob").await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_removed_after_hours() {
    let setup = at_one().await;
    let mirror = setup.mirror();
    tokio::time::advance(5 * HOUR).await;
    // That it was looked at keeps it, though there was nothing new.
    setup.at("main").await.unwrap();
    tokio::time::advance(5 * HOUR).await;
    setup.sources.git.upkeep().await;
    assert!(mirror.exists());
    tokio::time::advance(HOUR).await;
    setup.upkeep_until(|| !mirror.exists()).await;
    still_works(&setup, "removed").await;
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_has_left_is_removed_after_hours() {
    let setup = at_one().await;
    let left = setup
        .cache
        .path()
        .join("repositories")
        .join("0a1b".repeat(8));
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    setup.sources.git.upkeep().await;
    assert!(left.exists());
    tokio::time::advance(5 * HOUR).await;
    setup.at("main").await.unwrap();
    tokio::time::advance(HOUR).await;
    setup.upkeep_until(|| !left.exists()).await;
    assert!(setup.mirror().exists());
}

#[tokio::test(start_paused = true)]
async fn commits_that_nobody_needs_leave_the_mirror() {
    let setup = Setup::with(Limits {
        commits_max: 0,
        ..Limits::default()
    });
    let mut commits = Vec::new();
    for value in ["one", "two", "three"] {
        setup.repository.write("app/map.yaml", &map(value));
        commits.push(setup.repository.commit(value));
        setup.at("main").await.unwrap();
    }
    let mirror = setup.mirror();
    setup.sources.git.upkeep().await;
    assert!(commits.iter().all(|commit| is_in(&mirror, commit)));
    // Somebody has gone back to the first.
    tokio::time::advance(5 * HOUR).await;
    let back = setup.at(&commits[0]).await.unwrap();
    assert_eq!(values(&back), ["one"]);
    // Something new makes a look at all of it worth while.
    tokio::time::advance(HOUR).await;
    setup.repository.write("app/map.yaml", &map("four"));
    commits.push(setup.repository.commit("four"));
    setup.at("main").await.unwrap();
    setup.sources.git.upkeep().await;
    let kept = |_: &Setup| {
        let kept = commits.iter().map(|commit| is_in(&mirror, commit));
        kept.collect::<Vec<bool>>() == [true, false, false, true]
    };
    setup.until(kept).await;
    // What is gone is fetched again.
    let second = setup.at(&commits[1]).await.unwrap();
    assert_eq!(values(&second), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn mirrors_have_bounded_room_together() {
    let setup = Setup::with(Limits {
        mirrors_bytes_max: 1024 * 1024,
        ..Limits::default()
    });
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.write("noise", &noise(4 * 1024 * 1024));
    setup.repository.commit("One");
    setup.at("main").await.unwrap();
    let large = setup.mirror();
    tokio::time::advance(Duration::from_secs(1)).await;
    let small = super::repository::Repository::new();
    small.write("app/map.yaml", &map("small"));
    small.commit("Small");
    let source = serde_json::from_value(json!({"repoURL": small.url(), "path": "app"}));
    setup.fetch(source.unwrap(), "main").await.unwrap();
    setup.sources.git.upkeep().await;
    assert!(!large.exists());
    let left = setup.mirror();
    assert!(left.exists());
    still_works(&setup, "removed").await;
}

#[tokio::test]
async fn a_repository_that_takes_too_much_is_refused_and_leaves_nothing() {
    let setup = Setup::with(Limits {
        mirror_bytes_max: 1024 * 1024,
        ..Limits::default()
    });
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.write("noise", &noise(4 * 1024 * 1024));
    setup.repository.commit("Large");
    let url = setup.repository.url();
    let told = format!(
        "repository {url} can't be read: it takes more than the 1048576 bytes that are allowed"
    );
    let folder = setup.cache.path().join("repositories");
    let is_empty = || std::fs::read_dir(&folder).unwrap().next().is_none();
    assert_eq!(setup.at("main").await.unwrap_err(), told);
    assert!(is_empty());
    // It is not fetched each time to find that out, though it would be small enough now.
    std::fs::remove_file(setup.repository.path().join("noise")).unwrap();
    setup.repository.commit("Small");
    assert_eq!(setup.at("main").await.unwrap_err(), told);
    let source = setup.source(json!({"path": "app"}));
    let rendered = setup.refresh(source, "main").await.unwrap();
    assert_eq!(values(&rendered), ["one"]);
}

#[tokio::test]
async fn what_a_killed_git_has_left_in_a_mirror_stops_nobody() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    let first = setup.repository.commit("One");
    setup.repository.commit("Two");
    setup.at("main").await.unwrap();
    let mirror = setup.mirror();
    // A commit alone, and everything, for one that is named by its first digits.
    for fetched in ["main", &first[..7]] {
        setup.repository.write("app/map.yaml", &map(fetched));
        let commit = setup.repository.commit("Another");
        let lock = format!("refs/weir/{commit}.lock");
        let left = [
            "shallow.lock",
            "packed-refs.lock",
            lock.as_str(),
            "objects/pack/tmp_pack_Ab12Cd",
        ];
        for name in left {
            std::fs::write(mirror.join(name), "").unwrap();
        }
        setup.at(fetched).await.unwrap();
        assert_eq!(setup.at("main").await.unwrap().revision, commit);
        for name in left {
            assert!(!mirror.join(name).exists(), "{name} is still there");
        }
    }
}

#[tokio::test]
async fn a_mirror_that_was_not_finished_is_made_anew() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("One");
    setup.at("main").await.unwrap();
    let mirror = setup.mirror();
    std::fs::remove_dir_all(&mirror).unwrap();
    std::fs::create_dir_all(mirror.join("refs/heads")).unwrap();
    std::fs::write(mirror.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    std::fs::write(
        mirror.join("config"),
        "[core]\n\trepositoryformatversion = 0\n",
    )
    .unwrap();
    std::fs::write(mirror.join("config.lock"), "").unwrap();
    setup.repository.write("app/map.yaml", &map("two"));
    setup.repository.commit("Two");
    assert_eq!(values(&setup.at("main").await.unwrap()), ["two"]);
}

#[tokio::test]
async fn what_an_earlier_process_has_left_is_removed() {
    let setup = Setup::new();
    let scratch = setup.cache.path().join("scratch");
    std::fs::create_dir_all(scratch.join("tree-old")).unwrap();
    std::fs::write(scratch.join("tree-old/map.yaml"), "old").unwrap();
    let config = setup.cache.path().join("gitconfig");
    std::fs::write(&config, "[of another version\n").unwrap();
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("One");
    assert_eq!(values(&setup.at("main").await.unwrap()), ["one"]);
    assert!(!scratch.join("tree-old").exists());
    // But for the tree, which is kept for a while.
    setup.until(|setup| setup.scratch() == 1).await;
    let config = std::fs::read_to_string(config).unwrap();
    assert!(config.contains("lowSpeedTime"), "{config}");
}
