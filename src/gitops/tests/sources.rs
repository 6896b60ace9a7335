use super::repository::Repository;
use crate::gitops::hosts::Caller;
use crate::gitops::login::Login;
use crate::gitops::{Limits, Sources};
use api::ApplicationSource;
use gitops::sync::{Rendered, SourceRequest};
use jiff::Timestamp;
use serde_json::json;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(super) struct Setup {
    pub(super) repository: Repository,
    pub(super) sources: Sources,
    pub(super) cache: tempfile::TempDir,
}

impl Setup {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let cache = tempfile::tempdir().unwrap();
        Self {
            repository: Repository::new(),
            sources: Sources::new(cache.path(), limits),
            cache,
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
    pub(super) fn source(&self, more: serde_json::Value) -> ApplicationSource {
        let mut source = json!({"repoURL": self.repository.url()});
        source
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(source).unwrap()
    }

    pub(super) async fn fetch(
        &self,
        source: ApplicationSource,
        revision: &str,
    ) -> Result<Arc<Rendered>, String> {
        let request = SourceRequest {
            source,
            revision: revision.to_owned(),
        };
        let fetched = self.sources.fetch("shop", &request, now()).await;
        fetched.map_err(|error| crate::error::chain(&error))
    }

    /// As a person asks for it.
    pub(super) async fn refresh(
        &self,
        source: ApplicationSource,
        revision: &str,
    ) -> Result<Arc<Rendered>, String> {
        let request = SourceRequest {
            source,
            revision: revision.to_owned(),
        };
        let fetched = self.sources.refresh("shop", &request, now()).await;
        fetched.map_err(|error| crate::error::chain(&error))
    }

    /// How many folders are there that are needed for a moment only.
    pub(super) fn scratch(&self) -> usize {
        let folder = std::fs::read_dir(self.cache.path().join("scratch"));
        folder.map_or(0, Iterator::count)
    }

    /// What is done in the background takes a moment.
    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            tokio::task::yield_now().await;
        }
        panic!("it does not come to that");
    }

    /// Of the one repository that was fetched.
    pub(super) fn mirror(&self) -> std::path::PathBuf {
        let mirrors = std::fs::read_dir(self.cache.path().join("repositories"));
        mirrors.unwrap().next().unwrap().unwrap().path()
    }

    pub(super) async fn at(&self, revision: &str) -> Result<Arc<Rendered>, String> {
        self.fetch(self.source(json!({"path": "app"})), revision)
            .await
    }
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub(super) fn map(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  k: {value}\n")
}

pub(super) fn values(rendered: &Rendered) -> Vec<String> {
    let text = |document: &gitops::Document| {
        document.object["data"]["k"]
            .as_str()
            .unwrap_or("-")
            .to_owned()
    };
    rendered.documents.iter().map(text).collect()
}

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
    for revision in [">=1.0 <2", "1.2.*", "-x", "a..b", "main^"] {
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
async fn a_repository_that_can_not_be_read_is_named_without_its_password() {
    let setup = Setup::new();
    let fetch = async |url: &str| {
        let source = serde_json::from_value(json!({"repoURL": url, "path": "app"})).unwrap();
        setup.fetch(source, "main").await.unwrap_err()
    };
    let error = fetch("/nowhere/at/all").await;
    assert!(
        error.starts_with("repository /nowhere/at/all can't be read: "),
        "{error}"
    );
    let error = fetch("http://ann:hunter2@127.0.0.1:9/x.git").await;
    assert!(
        error.starts_with("repository http://127.0.0.1:9/x.git can't be read: "),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
    for url in [
        "ext::sh -c id",
        "ext::id",
        "--upload-pack=id",
        "ftp://x/y",
        "relative/path",
        "",
    ] {
        let error = fetch(url).await;
        assert!(error.starts_with(&format!("repository '{url}'")), "{error}");
    }
}

/// Everybody on the machine sees with which arguments a program runs.
#[tokio::test]
async fn a_password_is_no_argument_of_git() {
    let setup = Setup::new();
    let url = "https://ann:hunter2@git.example/x.git";
    let arguments = ["ls-remote", "--", url, "refs/heads/main"].map(OsStr::new);
    let (git, login) = (&setup.sources.git, Login::of(url));
    let command = git.asking(url, &login, arguments.to_vec()).await.unwrap();
    let arguments: Vec<&OsStr> = command.as_std().get_args().collect();
    let plain = "https://git.example/x.git";
    assert_eq!(arguments, ["ls-remote", "--", plain, "refs/heads/main"]);
    let variable = |name: &str| {
        let mut variables = command.as_std().get_envs();
        variables.find(|(key, _)| *key == name)?.1
    };
    let header = OsStr::new("Authorization: Basic YW5uOmh1bnRlcjI=");
    assert_eq!(variable("GIT_CONFIG_VALUE_0"), Some(header));
    assert_eq!(variable("GIT_CONFIG_COUNT"), Some(OsStr::new("1")));
}

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

/// A project that may not read a repository does not read our copy of it either.
#[tokio::test]
async fn what_the_controller_keeps_is_no_repository() {
    let setup = Setup::new();
    setup.repository.write("app/map.yaml", &map("secret"));
    let commit = setup.repository.commit("Secret");
    setup.at("main").await.unwrap();
    let mirror = setup.mirror();
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("link");
    std::os::unix::fs::symlink(&mirror, &link).unwrap();
    for url in [
        mirror.display().to_string(),
        format!("file://{}", mirror.display()),
        format!("file://localhost{}", mirror.display()),
        format!("file://{}", mirror.display()).replace("repositories", "%72epositories"),
        link.display().to_string(),
    ] {
        let source = serde_json::from_value(json!({"repoURL": url, "path": "app"}));
        let error = setup.fetch(source.unwrap(), &commit).await.unwrap_err();
        let told = "this is in the folder that the controller keeps for itself";
        assert_eq!(error, format!("repository '{url}': {told}"));
    }
}

/// As for who runs this in a folder of a machine that others use as well.
#[tokio::test]
async fn a_repository_further_up_is_not_followed() {
    let above = Repository::new();
    above.git(&["config", "url.file:///nowhere/.insteadOf", "file://"]);
    let repository = Repository::new();
    repository.write("app/map.yaml", &map("one"));
    repository.commit("One");
    let sources = Sources::new(above.path().join("cache"), Limits::default());
    let request = SourceRequest {
        source: serde_json::from_value(json!({"repoURL": repository.url(), "path": "app"}))
            .unwrap(),
        revision: "main".to_owned(),
    };
    let rendered = sources.fetch("shop", &request, now()).await.unwrap();
    assert_eq!(values(&rendered), ["one"]);
}

#[tokio::test]
async fn hooks_and_configuration_of_a_repository_are_not_run() {
    let setup = Setup::new();
    let proof = setup.repository.path().join("proof");
    let script = format!("#!/bin/sh\ntouch {}\n", proof.display());
    for hook in [
        "post-checkout",
        "reference-transaction",
        "post-index-change",
        "pre-auto-gc",
    ] {
        let path = setup
            .repository
            .write(&format!(".git/hooks/{hook}"), &script);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    setup.repository.write("app/map.yaml", &map("one"));
    setup.repository.write(".gitattributes", "* filter=evil\n");
    setup.repository.git(&[
        "config",
        "filter.evil.smudge",
        &format!("touch {}; cat", proof.display()),
    ]);
    setup
        .repository
        .git(&["config", "core.hooksPath", "/dev/null"]);
    setup.repository.commit("Hostile");
    setup
        .repository
        .git(&["config", "--unset", "core.hooksPath"]);
    assert_eq!(values(&setup.at("main").await.unwrap()), ["one"]);
    assert!(!proof.exists());
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

/// A server that tells `refs` to anybody, unless they say who they are.
async fn serve_anybody(listener: TcpListener, refs: String) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        let request = String::from_utf8_lossy(&request).to_lowercase();
        let (status, body) = if request.contains("\r\nauthorization:") {
            let status = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"";
            (status, "")
        } else if request.contains("/info/refs") {
            ("200 OK", refs.as_str())
        } else {
            ("200 OK", "ref: refs/heads/main\n")
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        // Who has hung up wants no answer.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

/// The name in the URLs that a server shows to be copied is no login: anybody may read, but not as
/// that one.
#[tokio::test]
async fn a_name_without_a_password_that_is_refused_is_left_out() {
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_anybody(
        listener,
        format!("{COMMIT}\trefs/heads/main\n"),
    ));
    let setup = Setup::new();
    let resolve = async |who: &str| {
        let url = format!("http://{who}{address}/x.git");
        let found = setup.sources.git.resolve(&url, "main", Caller::Poll).await;
        found.map_err(|error| crate::error::chain(&error))
    };
    for who in ["", "org@", "org:@"] {
        assert_eq!(resolve(who).await.unwrap(), COMMIT, "{who}");
    }
    let refused = resolve("ann:hunter2@").await.unwrap_err();
    assert!(refused.contains("Authentication failed"), "{refused}");
}

/// One that never answers: the deadline holds, and the others go on meanwhile.
#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let setup = Setup::with(Limits {
        timeout: Duration::from_millis(300),
        ..Limits::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("git://{}/x", listener.local_addr().unwrap());
    let source: ApplicationSource =
        serde_json::from_value(json!({"repoURL": url, "path": "app"})).unwrap();
    let error = setup.fetch(source.clone(), "main").await.unwrap_err();
    let told = format!("repository {url} can't be read: git did not end within 0 s");
    assert_eq!(error, told);
    let is_asked = async || {
        let call = tokio::time::timeout(Duration::from_millis(200), listener.accept());
        call.await.is_ok()
    };
    is_asked().await;
    // For a while it is left alone.
    let left = setup.fetch(source.clone(), "main").await;
    assert_eq!(left.unwrap_err(), told);
    assert!(!is_asked().await);
    // Unless a person wants to know.
    assert_eq!(setup.refresh(source, "main").await.unwrap_err(), told);
    assert!(is_asked().await);
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
