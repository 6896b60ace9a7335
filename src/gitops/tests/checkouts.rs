//! Trees that Applications share, and the room that there is for them.

use super::repository::Repository;
use super::setup::{Setup, map};
use crate::gitops::Limits;
use crate::gitops::checkouts::Lease;
use crate::gitops::hosts::Caller;
use std::time::Duration;

/// Room for one small tree.
fn narrow() -> Limits {
    Limits {
        trees_bytes_max: 4096,
        ..Limits::default()
    }
}

async fn lease(setup: &Setup, url: &str, commit: &str) -> Result<Lease, String> {
    let sources = &setup.sources;
    let lease = sources
        .checkouts
        .of(&sources.git, url, commit, Caller::Poll);
    lease.await.map_err(|error| error.to_string())
}

/// Takes a tree and lets go of it.
async fn take(setup: &Setup, repository: &Repository, commit: &str) -> Result<(), String> {
    lease(setup, &repository.url(), commit).await.map(drop)
}

fn repository(value: &str) -> (Repository, String) {
    let repository = Repository::new();
    repository.write("app/map.yaml", &map(value));
    let commit = repository.commit(value);
    (repository, commit)
}

#[tokio::test]
async fn all_who_want_a_commit_share_one_tree() {
    let setup = Setup::new();
    let (repository, commit) = repository("one");
    let url = repository.url();
    let (a, b, c) = tokio::join!(
        lease(&setup, &url, &commit),
        lease(&setup, &url, &commit),
        lease(&setup, &url, &commit)
    );
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert_eq!((a.tree(), b.tree()), (b.tree(), c.tree()));
    let tree = a.tree().to_owned();
    let text = std::fs::read_to_string(tree.join("app/map.yaml")).unwrap();
    assert_eq!(text, map("one"));
    assert_eq!(a.about.subject, "one");
    // For a while it is kept for others.
    drop((a, b, c));
    assert_eq!(lease(&setup, &url, &commit).await.unwrap().tree(), tree);
    setup.sources.checkouts.retire();
    assert!(tree.exists());
    setup.sources.checkouts.forget_all();
    setup.until(|_| !tree.exists()).await;
    setup.until(|setup| setup.scratch() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_nobody_asks_for_goes_after_a_while() {
    let setup = Setup::new();
    let (repository, commit) = repository("one");
    let tree = lease(&setup, &repository.url(), &commit).await.unwrap();
    let path = tree.tree().to_owned();
    tokio::time::advance(Duration::from_mins(5)).await;
    setup.sources.checkouts.retire();
    // Whoever has it keeps it.
    tokio::task::yield_now().await;
    assert!(path.exists());
    drop(tree);
    setup.until(|_| !path.exists()).await;
}

#[tokio::test]
async fn a_tree_that_was_removed_is_made_anew() {
    let setup = Setup::new();
    let (repository, commit) = repository("one");
    let url = repository.url();
    let tree = lease(&setup, &url, &commit).await.unwrap();
    std::fs::remove_dir_all(setup.cache.path()).unwrap();
    let again = lease(&setup, &url, &commit).await.unwrap();
    assert!(!tree.tree().exists() && again.tree().exists());
}

#[tokio::test]
async fn what_has_no_room_waits_for_it() {
    let setup = Setup::with(narrow());
    let ((one, first), (two, second)) = (repository("one"), repository("two"));
    let (one, two) = (one.url(), two.url());
    let held = lease(&setup, &one, &first).await.unwrap();
    let waits = lease(&setup, &two, &second);
    tokio::pin!(waits);
    let soon = tokio::time::timeout(Duration::from_millis(500), waits.as_mut());
    assert!(soon.await.is_err());
    // Who wants what is there need not wait, nor does this make the other wait longer.
    let again = lease(&setup, &one, &first).await.unwrap();
    drop((held, again));
    let held = waits.await.unwrap();
    // What is only kept makes room at once.
    drop(held);
    let held = lease(&setup, &one, &first).await.unwrap();
    assert!(held.tree().exists());
}

#[tokio::test]
async fn many_more_than_there_is_room_for_all_have_their_turn() {
    let setup = Setup::with(narrow());
    let all: Vec<_> = (0..6).map(|n| repository(&n.to_string())).collect();
    let leases = all
        .iter()
        .map(|(repository, commit)| take(&setup, repository, commit));
    let leases = futures::future::join_all(leases).await;
    assert!(leases.iter().all(Result::is_ok), "{leases:?}");
}

#[tokio::test]
async fn a_failure_is_one_for_all_who_waited_and_for_nobody_later() {
    let setup = Setup::with(narrow());
    let (repository, commit) = repository("one");
    let (url, hidden) = (repository.url(), repository.path().with_extension("hidden"));
    std::fs::rename(repository.path(), &hidden).unwrap();
    let (a, b) = tokio::join!(lease(&setup, &url, &commit), lease(&setup, &url, &commit));
    let (a, b) = (a.unwrap_err(), b.unwrap_err());
    assert!(
        a.starts_with(&format!("repository {url} can't be read: ")),
        "{a}"
    );
    assert_eq!(a, b);
    std::fs::rename(&hidden, repository.path()).unwrap();
    // The room that it would have taken is there as well.
    lease(&setup, &url, &commit).await.unwrap();
}

#[tokio::test]
async fn what_is_refused_takes_no_room() {
    let setup = Setup::with(narrow());
    let (repository, _) = repository("one");
    std::os::unix::fs::symlink("/etc/hostname", repository.path().join("link")).unwrap();
    let commit = repository.commit("A link out");
    let error = lease(&setup, &repository.url(), &commit).await.unwrap_err();
    assert!(error.ends_with("leads out of the repository"), "{error}");
    let (other, commit) = self::repository("two");
    lease(&setup, &other.url(), &commit).await.unwrap();
}
