//! Which files of a path are manifests, and how they are read.

use super::repository::Repository;
use super::setup::{Setup, map, values};
use serde_json::json;

#[tokio::test]
async fn t56_malformed_yaml_names_file_document_and_line_and_keeps_the_rest() {
    let setup = Setup::new();
    setup.repository.write("app/a.yaml", &map("good"));
    setup.repository.write(
        "app/b.yaml",
        &format!("{}---\nkind: x: y\n---\n{}", map("b1"), map("b3")),
    );
    setup
        .repository
        .write("app/c.json", "{\"kind\": \n nonsense}");
    setup.repository.write("app/readme.txt", "no manifest");
    setup.repository.commit("Broken");
    let rendered = setup.at("main").await.unwrap();
    assert_eq!(values(&rendered), ["good", "b1", "b3"]);
    assert_eq!(rendered.errors.len(), 2, "{:?}", rendered.errors);
    assert!(
        rendered.errors[0].starts_with("app/b.yaml, document 2, line 8: "),
        "{:?}",
        rendered.errors
    );
    assert!(
        rendered.errors[1].starts_with("app/c.json, document 1, line 2: "),
        "{:?}",
        rendered.errors
    );
}

#[tokio::test]
async fn a_directory_takes_what_its_filters_let_through() {
    let setup = Setup::new();
    for name in [
        "app/a.yaml",
        "app/b.yml",
        "app/sub/c.yaml",
        "app/sub/d.json",
    ] {
        let text = if name.ends_with("json") {
            r#"{"data": {"k": "d"}}"#.to_owned()
        } else {
            map(name)
        };
        setup.repository.write(name, &text);
    }
    setup.repository.commit("Files");
    let fetch = async |directory: serde_json::Value| {
        let source = setup.source(json!({"path": "app", "directory": directory}));
        values(&setup.fetch(source, "main").await.unwrap())
    };
    assert_eq!(fetch(json!({})).await, ["app/a.yaml", "app/b.yml"]);
    assert_eq!(
        fetch(json!({"recurse": true})).await,
        ["app/a.yaml", "app/b.yml", "app/sub/c.yaml", "d"]
    );
    assert_eq!(
        fetch(json!({"recurse": true, "include": "{a.yaml,sub/*}"})).await,
        ["app/a.yaml", "app/sub/c.yaml", "d"]
    );
    assert_eq!(
        fetch(json!({"recurse": true, "exclude": "**/*.yaml"})).await,
        ["app/b.yml", "d"]
    );
}

#[tokio::test]
async fn a_star_of_a_filter_crosses_folders() {
    let setup = Setup::new();
    for name in ["app/a.yaml", "app/b.yml", "app/sub/c.yaml"] {
        setup.repository.write(name, &map(name));
    }
    setup.repository.commit("Files");
    let fetch = async |directory: serde_json::Value| {
        let source = setup.source(json!({"path": "app", "directory": directory}));
        values(&setup.fetch(source, "main").await.unwrap())
    };
    assert_eq!(
        fetch(json!({"recurse": true, "include": "*.yaml"})).await,
        ["app/a.yaml", "app/sub/c.yaml"]
    );
    assert_eq!(
        fetch(json!({"recurse": true, "exclude": "*.yaml"})).await,
        ["app/b.yml"]
    );
}

/// As if nothing were excluded, it would let everything through.
#[tokio::test]
async fn a_filter_that_is_not_read_is_refused() {
    let setup = Setup::new();
    setup.repository.write("app/a.yaml", &map("a"));
    setup.repository.commit("Files");
    for field in ["include", "exclude"] {
        let directory = json!({field: "?".repeat(5_000)});
        let source = setup.source(json!({"path": "app", "directory": directory}));
        let error = setup.fetch(source, "main").await.unwrap_err();
        let what = format!("a pattern as large as that of directory.{field}");
        assert_eq!(error, format!("path 'app': {what} is not supported"));
    }
}

#[tokio::test]
async fn what_else_is_in_a_directory_is_no_manifest() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.write("app/values.yaml", "replicas: 2\n");
    setup.repository.write("app/sub/map.yaml", &map("two"));
    setup.repository.write(
        "app/.argocd-source-shop.yaml",
        "directory: {recurse: true}\n",
    );
    setup.repository.commit("Among other things");
    let rendered = setup.at("main").await.unwrap();
    assert_eq!(rendered.errors, Vec::<String>::new());
    assert_eq!(values(&rendered), ["one", "two"]);
}

#[tokio::test]
async fn a_block_of_the_source_goes_before_what_is_found_in_the_path() {
    let setup = Setup::new();
    let chart = "apiVersion: v2\nname: shop\nversion: 0.1.0\n";
    setup.repository.write("app/Chart.yaml", chart);
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.commit("A chart as well");
    for directory in [json!({}), json!({"recurse": true})] {
        let source = setup.source(json!({"path": "app", "directory": directory}));
        let rendered = setup.fetch(source, "main").await.unwrap();
        assert_eq!(rendered.source_type, "Directory");
        assert_eq!(values(&rendered), ["one"]);
        assert_eq!(rendered.errors, Vec::<String>::new());
    }
    let error = setup.at("main").await.unwrap_err();
    assert_eq!(error, "path 'app': a Helm chart is not supported");
}

#[tokio::test]
async fn links_that_lead_out_refuse_the_tree_and_others_work() {
    let setup = Setup::new();
    setup.repository.write("shared/map.yaml", &map("shared"));
    setup.repository.write("app/.keep", "");
    std::os::unix::fs::symlink(
        "../shared/map.yaml",
        setup.repository.path().join("app/map.yaml"),
    )
    .unwrap();
    setup.repository.commit("A link inside");
    assert_eq!(values(&setup.at("main").await.unwrap()), ["shared"]);
    std::os::unix::fs::symlink("/etc/hostname", setup.repository.path().join("app/x.yaml"))
        .unwrap();
    let commit = setup.repository.commit("A link out");
    assert_eq!(
        setup.at("main").await.unwrap_err(),
        format!(
            "repository {} at {}: the link 'app/x.yaml' leads out of the repository",
            setup.repository.url(),
            &commit[..7]
        )
    );
}

/// A link to what is there for one process and not for another, or not yet.
#[tokio::test]
async fn links_out_of_the_repository_are_refused_whatever_is_there() {
    for target in ["/proc/self/fd/0", "/nowhere/at/all", "../../none.yaml"] {
        let setup = Setup::new();
        setup.repository.write("app/map.yaml", &map("one"));
        let link = setup.repository.path().join("app/.argocd-source-shop.yaml");
        std::os::unix::fs::symlink(target, link).unwrap();
        setup.repository.commit("A link out");
        let error = setup.at("main").await.unwrap_err();
        let told = "the link 'app/.argocd-source-shop.yaml' leads out of the repository";
        assert!(error.ends_with(told), "{error}");
    }
}

/// Not as if it were not there: it may say which image is to run.
#[tokio::test]
async fn an_override_that_can_not_be_read_is_an_error() {
    for (content, told) in [
        (&[0xff_u8][..], "the file is not UTF-8 text"),
        (
            "#".repeat(1024 * 1024 + 1).as_bytes(),
            "it has more than the 1048576 bytes that are allowed",
        ),
    ] {
        let setup = Setup::new();
        setup.repository.write("app/map.yaml", &map("one"));
        let path = setup.repository.write("app/.argocd-source-shop.yaml", "");
        std::fs::write(path, content).unwrap();
        setup.repository.commit("No text");
        let error = setup.at("main").await.unwrap_err();
        assert_eq!(error, format!("path '.argocd-source-shop.yaml': {told}"));
    }
}

/// What a repository says of its files would make them others than those it has.
#[tokio::test]
async fn files_come_out_as_they_were_put_in() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("'$Id$'"));
    setup
        .repository
        .write("app/.gitattributes", "*.yaml ident\n");
    setup.repository.commit("With its own name in it");
    assert_eq!(values(&setup.at("main").await.unwrap()), ["$Id$"]);
}

/// Else what was deployed from it would be taken for what Git does not have any more.
#[tokio::test]
async fn a_submodule_is_refused_and_not_taken_for_an_empty_folder() {
    let (setup, base) = (Setup::new(), Repository::new());
    base.write("base.yaml", &map("base"));
    base.commit("Base");
    let repository = &setup.repository;
    repository.write("app/map.yaml", &map("one"));
    let allow = "protocol.file.allow=always";
    repository.git(&["-c", allow, "submodule", "add", &base.url(), "app/base"]);
    repository.commit("With a submodule");
    for (source, problem) in [
        (json!({"path": "app/base"}), "it is in a submodule"),
        (json!({"path": "app/base/x"}), "it is in a submodule"),
        (
            json!({"path": "app", "directory": {"recurse": true}}),
            "a submodule (base) is not supported",
        ),
    ] {
        let error = setup.fetch(setup.source(source), "main").await.unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
    for directory in [json!({}), json!({"recurse": true, "exclude": "base/*"})] {
        let source = setup.source(json!({"path": "app", "directory": directory}));
        let rendered = setup.fetch(source, "main").await.unwrap();
        assert_eq!(values(&rendered), ["one"]);
    }
}
