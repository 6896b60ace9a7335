//! Which cluster the flags mean, and how it is asked.

use cli::{Error, Program, cluster_config, command};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: one, user: ada, namespace: shop}}
clusters:
- name: one
  cluster: {server: "https://one:6443", tls-server-name: one, insecure-skip-tls-verify: true}
users:
- name: ada
  user: {username: ada, password: secret, client-certificate-data: YQ==, client-key-data: Yg==}
"#;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::write(home.path("config"), KUBECONFIG).unwrap();
        std::fs::write(home.path("pem"), "").unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn config(&self, flags: &[&str]) -> Result<Config, Error> {
        let kubeconfig = format!("--kubeconfig={}", self.path("config").display());
        let verb = ["weir", "list", "rollouts", &kubeconfig];
        let matches = command(Program::Weir).try_get_matches_from([&verb, flags].concat());
        cluster_config(&matches.unwrap()).await
    }

    async fn refused(&self, flags: &[&str]) -> String {
        self.config(flags).await.unwrap_err().sentence()
    }
}

#[tokio::test]
async fn the_kubeconfig_counts_where_no_flag_says_otherwise() {
    let config = Home::new().config(&[]).await.unwrap();
    assert_eq!(config.cluster_url, "https://one:6443/");
    assert_eq!(config.default_namespace, "shop");
    assert_eq!(config.tls_server_name.as_deref(), Some("one"));
    assert!(config.accept_invalid_certs);
    assert_eq!(config.auth_info.username.as_deref(), Some("ada"));
    assert!(
        !config.default_retry,
        "requests are not repeated without a word"
    );
}

#[tokio::test]
async fn flags_go_before_the_kubeconfig() {
    let home = Home::new();
    let pem = home.path("pem");
    let pem = pem.to_str().unwrap();
    let authority = format!("--certificate-authority={pem}");
    let certificate = format!("--client-certificate={pem}");
    let key = format!("--client-key={pem}");
    let config = home
        .config(&[
            "--server=https://two",
            "-n=cart",
            "--token=open",
            "--as=bob",
            "--as-group=x",
            "--as-group=y",
            "--as-uid=7",
            "--request-timeout=30",
            "--disable-compression",
            "--cache-dir=/nowhere",
            &authority,
            &certificate,
            &key,
        ])
        .await
        .unwrap();
    assert_eq!(config.cluster_url, "https://two/");
    assert_eq!(config.default_namespace, "cart");
    // The name was that of the other server.
    assert_eq!(config.tls_server_name, None);
    assert_eq!(
        config.root_cert_file.as_deref(),
        Some(home.path("pem").as_path())
    );
    assert!(!config.accept_invalid_certs);
    assert!(config.disable_compression);
    assert_eq!(config.read_timeout, Some(Duration::from_secs(30)));
    let auth = config.auth_info;
    assert!(auth.token.is_some() && auth.username.is_none() && auth.password.is_none());
    assert_eq!(auth.impersonate.as_deref(), Some("bob"));
    assert_eq!(
        auth.impersonate_groups,
        Some(vec!["x".to_owned(), "y".to_owned()])
    );
    assert_eq!(auth.impersonate_uid.as_deref(), Some("7"));
    assert_eq!(auth.client_certificate.as_deref(), Some(pem));
    assert_eq!(auth.client_key.as_deref(), Some(pem));
    assert!(auth.client_certificate_data.is_none() && auth.client_key_data.is_none());
}

#[tokio::test]
async fn switches_say_no_as_well() {
    let home = Home::new();
    let config = home
        .config(&["--insecure-skip-tls-verify=false"])
        .await
        .unwrap();
    assert!(!config.accept_invalid_certs);
    let config = home
        .config(&["--tls-server-name=x", "-s=https://two"])
        .await
        .unwrap();
    assert_eq!(config.tls_server_name.as_deref(), Some("x"));
    assert!(config.accept_invalid_certs);
    // TLS because the kubeconfig speaks of it.
    let config = home.config(&["-s=two:6443"]).await.unwrap();
    assert_eq!(config.cluster_url, "https://two:6443/");
    let config = home.config(&["--request-timeout=0"]).await.unwrap();
    assert_eq!(config.read_timeout, None);
}

#[tokio::test]
async fn what_does_not_go_together_is_refused_with_the_flags_named() {
    let home = Home::new();
    let said = home.refused(&["--certificate-authority=/no/such"]).await;
    assert_eq!(
        said,
        "--certificate-authority /no/such: No such file or directory (os error 2)"
    );
    let said = home
        .refused(&["--certificate-authority=/x", "--insecure-skip-tls-verify"])
        .await;
    assert!(said.contains("--insecure-skip-tls-verify"), "{said}");
    let said = home.refused(&["--as-group=x"]).await;
    assert!(said.contains("add --as"), "{said}");
    let said = home.refused(&["--server=https://a b"]).await;
    assert!(said.starts_with("--server https://a b: "), "{said}");
}

/// The requests that a server got, in lower case.
type Requests = Arc<Mutex<Vec<String>>>;

/// A server that answers each request with `answer`, or never.
async fn serve(answer: Option<String>) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("-s=http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 8192];
            let length = stream.read(&mut buffer).await.unwrap();
            let request = String::from_utf8_lossy(&buffer[..length]).to_lowercase();
            seen.lock().unwrap().push(request);
            if let Some(answer) = &answer {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            open.push(stream);
        }
    });
    (server, requests)
}

fn http(code: u16, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

async fn ask(mut config: Config) -> Result<Value, kube::Error> {
    // Those of the kubeconfig are none.
    config.auth_info.client_certificate_data = None;
    config.auth_info.client_key_data = None;
    let request = kube::core::Request::new("/version").get("x", &Default::default());
    Client::try_from(config)?.request(request.unwrap()).await
}

#[tokio::test]
async fn the_server_is_told_who_asks_for_whom() {
    let (server, requests) = serve(Some(http(200, &json!({"fine": true})))).await;
    let flags = [
        server.as_str(),
        "--token=open",
        "--as=bob",
        "--as-group=x",
        "--as-group=y",
        "--as-uid=7",
    ];
    let config = Home::new().config(&flags).await.unwrap();
    assert_eq!(ask(config).await.unwrap(), json!({"fine": true}));
    let requests = requests.lock().unwrap();
    for header in [
        "authorization: bearer open",
        "impersonate-user: bob",
        "impersonate-group: x",
        "impersonate-group: y",
        "impersonate-uid: 7",
    ] {
        assert!(requests[0].contains(header), "{header}: {}", requests[0]);
    }
}

#[tokio::test]
async fn a_server_with_too_much_to_do_is_asked_once() {
    let (server, requests) = serve(Some(http(429, &json!({})))).await;
    let config = Home::new().config(&[&server]).await.unwrap();
    assert!(ask(config).await.is_err());
    assert_eq!(requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_as_long_as_was_said() {
    let (server, _requests) = serve(None).await;
    let flags = [server.as_str(), "--request-timeout=200ms"];
    let config = Home::new().config(&flags).await.unwrap();
    let asked = tokio::time::timeout(Duration::from_mins(1), ask(config)).await;
    assert!(asked.expect("it ends by itself").is_err());
}
