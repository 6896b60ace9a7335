//! Which commit a source is, and what is said where there is none.

use super::setup::{Setup, map, values};
use crate::gitops::Limits;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn t31_t33_a_commit_is_seen_at_the_next_look() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    let first = setup.repository.commit("Set one");
    let rendered = setup.at("main").await.unwrap();
    assert_eq!(
        (rendered.revision.as_str(), values(&rendered)),
        (first.as_str(), vec!["one".to_owned()])
    );
    assert_eq!(rendered.source_type, "Directory");
    let commit = rendered.commit.clone().unwrap();
    assert_eq!(
        (commit.author.as_str(), commit.subject.as_str()),
        ("Ann", "Set one")
    );

    setup.repository.write("app/map.yaml", &map("two"));
    let second = setup.repository.commit("Set two");
    assert_eq!(values(&setup.at("HEAD").await.unwrap()), ["two"]);
    assert_eq!(setup.at("main").await.unwrap().revision, second);
    // An old commit, whole and shortened.
    assert_eq!(values(&setup.at(&first).await.unwrap()), ["one"]);
    assert_eq!(setup.at(&first[..7]).await.unwrap().revision, first);
}

#[tokio::test]
async fn t39_other_branches_and_tags_are_not_main() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("main"));
    let main = setup.repository.commit("Main");
    setup.repository.git(&["tag", "-a", "v1", "-m", "first"]);
    setup
        .repository
        .git(&["checkout", "--quiet", "-b", "feature/x"]);
    setup.repository.write("app/map.yaml", &map("feature"));
    setup.repository.commit("Feature");
    assert_eq!(setup.at("main").await.unwrap().revision, main);
    assert_eq!(values(&setup.at("feature/x").await.unwrap()), ["feature"]);
    assert_eq!(
        values(&setup.at("refs/heads/feature/x").await.unwrap()),
        ["feature"]
    );
    // An annotated tag is the commit that it names.
    assert_eq!(setup.at("v1").await.unwrap().revision, main);
}

#[tokio::test]
async fn a_range_of_versions_is_the_newest_tag_in_it() {
    let setup = Setup::new();
    for tag in ["v1.2.0", "v1.10.0", "v1.9.0", "v2.0.0-rc.1"] {
        setup.repository.write("app/map.yaml", &map(tag));
        setup.repository.commit(tag);
        setup.repository.git(&["tag", "-a", tag, "-m", tag]);
    }
    assert_eq!(values(&setup.at("1.*").await.unwrap()), ["v1.10.0"]);
    assert_eq!(values(&setup.at("~1.2").await.unwrap()), ["v1.2.0"]);
    let newest = setup.at(">=1.0.0 <1.10.0").await.unwrap();
    assert_eq!(values(&newest), ["v1.9.0"]);
    let why = setup.at(">=3").await.unwrap_err();
    assert!(
        why.ends_with("no tag is a version in the range '>=3'"),
        "{why}"
    );
    // A branch may look like one.
    setup.repository.git(&["branch", "3.x"]);
    assert_eq!(values(&setup.at("3.x").await.unwrap()), ["v2.0.0-rc.1"]);
}

#[tokio::test]
async fn rewound_history_is_followed_and_loses_nothing() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("good"));
    let good = setup.repository.commit("Good");
    setup.repository.write("app/map.yaml", &map("bad"));
    let bad = setup.repository.commit("Bad");
    assert_eq!(setup.at("main").await.unwrap().revision, bad);
    setup.repository.git(&["reset", "--quiet", "--hard", &good]);
    assert_eq!(setup.at("main").await.unwrap().revision, good);
    setup.repository.write("app/map.yaml", &map("other"));
    setup.repository.commit("Another history");
    assert_eq!(values(&setup.at("main").await.unwrap()), ["other"]);
    // What was rewound is still known here, though the repository has forgotten it.
    setup
        .repository
        .git(&["reflog", "expire", "--expire=now", "--all"]);
    setup.repository.git(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(values(&setup.at(&bad).await.unwrap()), ["bad"]);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let setup = Setup::new();
    let url = setup.repository.url();
    assert_eq!(
        setup.at("HEAD").await.unwrap_err(),
        format!("repository {url} has no commits")
    );
    setup.repository.write("app/map.yaml", &map("one"));
    let commit = setup.repository.commit("One");
    for revision in [
        "nope",
        "feature/none",
        "0123456789abcdef0123456789abcdef01234567",
        "abcdef0",
    ] {
        assert_eq!(
            setup.at(revision).await.unwrap_err(),
            format!("repository {url}: there is no branch, tag or commit '{revision}'")
        );
    }
    for range in [">=1.0 <2", "1.2.*"] {
        assert_eq!(
            setup.at(range).await.unwrap_err(),
            format!("repository {url}: no tag is a version in the range '{range}'")
        );
    }
    for revision in ["-x", "a..b", "main^"] {
        let error = setup.at(revision).await.unwrap_err();
        assert!(
            error.starts_with(&format!("repository {url}: '{revision}' is no name")),
            "{error}"
        );
    }
    let error = setup
        .fetch(setup.source(json!({"path": "elsewhere"})), "main")
        .await
        .unwrap_err();
    assert_eq!(
        error,
        format!(
            "repository {url} at {}: there is no path 'elsewhere'",
            &commit[..7]
        )
    );
    for (path, words) in [
        ("../x", "lead out"),
        ("/etc", "relative"),
        ("app/map.yaml", "no folder"),
    ] {
        let error = setup
            .fetch(setup.source(json!({"path": path})), "main")
            .await
            .unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn trees_that_are_too_large_are_refused_before_they_are_written() {
    let setup = Setup::with(Limits {
        tree_bytes_max: 100,
        ..Limits::default()
    });
    setup.repository.write("app/map.yaml", &"#".repeat(200));
    let commit = setup.repository.commit("Large");
    assert_eq!(
        setup.at("main").await.unwrap_err(),
        format!(
            "repository {} at {}: 200 bytes are more than the 100 that are allowed",
            setup.repository.url(),
            &commit[..7]
        )
    );
}

#[tokio::test]
async fn charts_and_plugins_are_refused_with_a_sentence() {
    let setup = Setup::new();
    setup.repository.write("app/Chart.yaml", "name: x\n");
    setup.repository.write("net/x.jsonnet", "{}");
    setup.repository.commit("Chart");
    let fetch = async |source: serde_json::Value| {
        setup.fetch(setup.source(source), "main").await.unwrap_err()
    };
    assert_eq!(
        fetch(json!({"path": "app"})).await,
        "path 'app': a Helm chart is not supported"
    );
    assert_eq!(
        fetch(json!({"chart": "x"})).await,
        "path '': a chart of a Helm repository is not supported"
    );
    assert_eq!(
        fetch(json!({"path": "net", "plugin": {}})).await,
        "path 'net': a config management plugin is not supported"
    );
    assert_eq!(
        fetch(json!({"path": "net"})).await,
        "path 'net': Jsonnet (x.jsonnet) is not supported"
    );
    assert!(
        fetch(json!({"path": "net", "kustomize": {}}))
            .await
            .contains("no kustomization.yaml")
    );
}

/// The paused clock of tests must not run out while git works.
#[tokio::test(start_paused = true)]
async fn a_paused_clock_waits_for_git() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("One");
    let before = tokio::time::Instant::now();
    assert_eq!(values(&setup.at("main").await.unwrap()), ["one"]);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn many_at_once_share_one_mirror() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("One");
    let all = tokio::join!(
        setup.at("main"),
        setup.at("HEAD"),
        setup.at("main"),
        setup.at("main")
    );
    for rendered in [all.0, all.1, all.2, all.3] {
        assert_eq!(values(&rendered.unwrap()), ["one"]);
    }
}
