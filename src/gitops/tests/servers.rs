//! Repositories that can't be read, or had better not be.

use super::repository::Repository;
use super::setup::{Setup, map, now, request, values};
use crate::gitops::hosts::Caller;
use crate::gitops::login::Login;
use crate::gitops::{Limits, Sources};
use api::ApplicationSource;
use serde_json::json;
use std::ffi::OsStr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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
    let source = serde_json::from_value(json!({"repoURL": repository.url(), "path": "app"}));
    let request = request(source.unwrap(), "main");
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
