//! What is rendered anew, and what is not.

use super::setup::{Setup, map, now, request, told, values};
use crate::gitops::{Limits, Sources};
use gitops::paths::GeneratePaths;
use gitops::sync::{Rendered, SourceRequest};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Of an Application that names these paths, from the root.
fn by_paths(setup: &Setup, listed: &str) -> SourceRequest {
    let app = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "shop",
            "annotations": {"argocd.argoproj.io/manifest-generate-paths": listed}},
        "spec": {"project": "default", "destination": {}},
    }));
    let source = setup.source(json!({"path": "app"}));
    SourceRequest {
        generate_paths: GeneratePaths::of(&app.unwrap(), &source),
        ..request(source, "main")
    }
}

async fn look(setup: &Setup, request: &SourceRequest) -> Arc<Rendered> {
    let fetched = setup.sources.fetch("shop", request, now()).await;
    told(fetched).unwrap()
}

#[tokio::test]
async fn a_commit_that_touches_none_of_the_paths_is_not_rendered() {
    let setup = Setup::new();
    // Not where the manifests are, so that it is seen when they are read.
    let request = by_paths(&setup, "/watched");
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.write("watched/a", "1");
    let first = setup.repository.commit("One");
    let rendered = look(&setup, &request).await;
    assert_eq!(rendered.same_as, [""; 0]);

    setup.repository.write("app/map.yaml", &map("two"));
    let second = setup.repository.commit("Two");
    let rendered = look(&setup, &request).await;
    assert_eq!(values(&rendered), ["one"]);
    assert_eq!(rendered.revision, second, "that is known all the same");
    assert_eq!(rendered.commit.as_ref().unwrap().subject, "Two");
    assert_eq!(rendered.same_as, [first.as_str()]);

    setup.repository.write("app/map.yaml", &map("three"));
    setup.repository.git(&["mv", "watched/a", "elsewhere"]);
    let third = setup.repository.commit("Three");
    let rendered = look(&setup, &request).await;
    assert_eq!(values(&rendered), ["three"], "what was moved away counts");
    assert_eq!(rendered.revision, third);
    assert_eq!(rendered.same_as, [""; 0]);
}

#[tokio::test]
async fn what_was_not_rendered_for_some_paths_is_rendered_for_others() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("One");
    look(&setup, &by_paths(&setup, "/watched")).await;
    setup.repository.write("app/map.yaml", &map("two"));
    setup.repository.commit("Two");
    let rendered = look(&setup, &by_paths(&setup, "/watched")).await;
    assert_eq!(values(&rendered), ["one"]);
    // The same source at the same commit.
    let rendered = look(&setup, &by_paths(&setup, "/watched;/app")).await;
    assert_eq!(values(&rendered), ["two"]);
    assert_eq!(values(&setup.at("main").await.unwrap()), ["two"]);
}

#[tokio::test]
async fn who_knows_nothing_looks_whether_what_was_attempted_comes_to_the_same() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    let first = setup.repository.commit("One");
    setup.repository.write("elsewhere", "1");
    let second = setup.repository.commit("Two");
    setup.repository.write("app/map.yaml", &map("two"));
    let third = setup.repository.commit("Three");
    setup.repository.write("app/map.yaml", &map("one"));
    let fourth = setup.repository.commit("Four");
    let wanted = |revision: &str, attempted: &str| SourceRequest {
        revision: revision.to_owned(),
        attempted: Some(attempted.to_owned()),
        ..by_paths(&setup, "/app")
    };
    let (first, second) = (first.as_str(), second.as_str());
    let (third, fourth) = (third.as_str(), fourth.as_str());
    let unknown = "f".repeat(40);
    let cases = [
        (second, first, vec![first]),
        (fourth, first, vec![first]),
        (third, second, vec![]),
        (second, second, vec![]),
        (second, unknown.as_str(), vec![]),
        // No commit, though it names one.
        (second, "main", vec![]),
    ];
    for (revision, attempted, same) in cases {
        // As another leader, on another machine.
        let cache = tempfile::tempdir().unwrap();
        let sources = Sources::new(cache.path(), Limits::default());
        let request = wanted(revision, attempted);
        let rendered = sources.fetch("shop", &request, now()).await;
        let rendered = told(rendered).unwrap();
        assert_eq!(rendered.revision, revision);
        assert_eq!(rendered.same_as, same, "{attempted}");
    }
    // Who has seen what was in between knows that it is a new one.
    look(&setup, &wanted(third, first)).await;
    let rendered = look(&setup, &wanted(fourth, first)).await;
    assert_eq!(rendered.same_as, [""; 0]);
}

#[tokio::test]
async fn what_has_changed_is_not_known_where_the_older_commit_is_gone() {
    let setup = Setup::new();
    let request = by_paths(&setup, "/watched");
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("One");
    look(&setup, &request).await;
    std::fs::remove_dir_all(setup.mirror()).unwrap();
    setup.repository.write("app/map.yaml", &map("two"));
    setup.repository.commit("Two");
    assert_eq!(values(&*look(&setup, &request).await), ["two"]);
}

/// The one tree that is checked out.
fn tree(setup: &Setup) -> PathBuf {
    let scratch = std::fs::read_dir(setup.cache.path().join("scratch")).unwrap();
    let mut trees = scratch.map(|entry| entry.unwrap().path().join("weir-tree"));
    trees.find(|tree| tree.exists()).unwrap()
}

#[tokio::test]
async fn only_a_hard_refresh_renders_a_commit_once_more() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("One");
    assert_eq!(values(&setup.at("main").await.unwrap()), ["one"]);
    // Stands for what is not in the commit: whoever reads the files again sees this.
    std::fs::write(tree(&setup).join("app/map.yaml"), map("other")).unwrap();
    let source = setup.source(json!({"path": "app"}));
    let request = request(source.clone(), "main");
    assert_eq!(values(&*look(&setup, &request).await), ["one"]);
    let refreshed = setup.refresh(source, "main").await.unwrap();
    assert_eq!(values(&refreshed), ["one"]);
    let anew = setup.sources.refresh_hard("shop", &request, now()).await;
    assert_eq!(values(&told(anew).unwrap()), ["other"]);
    assert_eq!(values(&*look(&setup, &request).await), ["other"]);
}

#[tokio::test]
async fn a_hard_refresh_that_finds_the_same_forgets_no_commit() {
    let setup = Setup::new();
    let request = by_paths(&setup, "/watched");
    let hard = async || {
        let anew = setup.sources.refresh_hard("shop", &request, now()).await;
        told(anew).unwrap()
    };
    setup.repository.write("app/map.yaml", &map("one"));
    let first = setup.repository.commit("One");
    look(&setup, &request).await;
    setup.repository.write("elsewhere", "1");
    let second = setup.repository.commit("Two");
    assert_eq!(look(&setup, &request).await.same_as, [first.as_str()]);
    let anew = hard().await;
    assert_eq!(anew.revision, second);
    assert_eq!(anew.same_as, [first.as_str()]);
    // What was not rendered is something else.
    setup.repository.write("app/map.yaml", &map("three"));
    setup.repository.commit("Three");
    let carried = look(&setup, &request).await;
    assert_eq!(values(&carried), ["one"]);
    assert_eq!(carried.same_as, [first, second]);
    let anew = hard().await;
    assert_eq!(values(&anew), ["three"]);
    assert_eq!(anew.same_as, [""; 0]);
}
