//! The controller under test, as a process with the rights of its own service account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::process::Command;

use super::process::{Process, output};
use super::{Ground, until};

/// Name of the service account, the Deployment and the roles.
pub(crate) const ACCOUNT: &str = "weir";
/// Where the first controller of a suite listens, on all addresses: no port that pods use.
pub(crate) const PORT: u16 = 9600;
/// Longer than any suite takes.
const TOKEN_S: i64 = 6 * 3600;
const START_LIMIT: Duration = Duration::from_secs(30);
/// The namespace of Applications.
const CONTROL_NAMESPACE: &str = "argocd";

/// An installation, without pods of its own: the processes of a suite take their place.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) namespace: String,
    pub(crate) kubeconfig: PathBuf,
}

impl Installation {
    /// Applies what `weir install` would, with the given flags, and makes a kubeconfig of its
    /// service account.
    pub(crate) async fn make(ground: &Ground, namespace: &str, flags: &[&str]) -> Result<Self> {
        let mut print = Command::new(&ground.tools().weir);
        print.args(["install", "--dry-run", "--namespace", namespace]);
        print.args(flags);
        let manifests = output(print).await?;
        for mut object in gocompat::yaml::from_str(&manifests)? {
            if object["kind"] == "Deployment" {
                object["spec"]["replicas"] = json!(0);
            }
            ground.objects.apply_one(namespace, object).await?;
        }
        ground.objects.namespace(CONTROL_NAMESPACE).await?;
        Self::of_account(ground, namespace).await
    }

    /// A kubeconfig for the service account of an installation that is there.
    pub(crate) async fn of_account(ground: &Ground, namespace: &str) -> Result<Self> {
        let accounts: Api<ServiceAccount> =
            Api::namespaced(ground.objects.client().clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_S),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(ACCOUNT, &PostParams::default(), &request)
            .await
            .with_context(|| format!("a token of {namespace}/{ACCOUNT}"))?;
        let token = answer.status.context("a token request without a status")?;
        let kubeconfig = ground.dir.join(format!("{namespace}.kubeconfig"));
        let admin = std::fs::read_to_string(ground.admin())?;
        let admin = gocompat::yaml::from_str_single(&admin)?;
        let ours = with_token(admin, &token.token, namespace);
        std::fs::write(&kubeconfig, serde_json::to_vec_pretty(&ours)?)?;
        Ok(Self {
            namespace: namespace.to_owned(),
            kubeconfig,
        })
    }

    /// Starts a controller, which logs to `NAME.log`. It listens on `port` (health) and the one
    /// after it (metrics).
    pub(crate) async fn start(
        &self,
        ground: &Ground,
        name: &str,
        port: u16,
        flags: &[&str],
    ) -> Result<Process> {
        let mut command = Command::new(&ground.tools().weir);
        command
            .arg("controller")
            .args(["--healthzPort", &port.to_string()])
            .args(["--metricsPort", &(port + 1).to_string()])
            .args(["--leader-election-namespace", &self.namespace])
            .args(["--git-poll", "1"])
            .args(flags)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", path_with(&ground.tools().bin)?);
        let mut process = Process::start(name, command, &ground.dir)?;
        until(&format!("{name} is ready"), START_LIMIT, async || {
            process.check()?;
            let answer = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await?;
            Ok(answer.status().is_success().then_some(()))
        })
        .await?;
        Ok(process)
    }
}

/// The kubeconfig of the same cluster for somebody else.
fn with_token(mut kubeconfig: Value, token: &str, namespace: &str) -> Value {
    let cluster = kubeconfig["clusters"][0]["name"].clone();
    kubeconfig["users"] = json!([{"name": ACCOUNT, "user": {"token": token}}]);
    kubeconfig["contexts"] = json!([{
        "name": ACCOUNT,
        "context": {"cluster": cluster, "user": ACCOUNT, "namespace": namespace},
    }]);
    kubeconfig["current-context"] = json!(ACCOUNT);
    kubeconfig
}

/// The search path with the programs of this run before all others.
fn path_with(bin: &Path) -> Result<std::ffi::OsString> {
    let others = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&others));
    std::env::join_paths(all).context("the search path")
}
