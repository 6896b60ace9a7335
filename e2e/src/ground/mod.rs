//! What the suites stand on: the objects of a cluster, processes beside it, and the pieces that a
//! control plane alone does not bring (a node, a gateway, Prometheus, the controller itself).
//!
//! A [`Ground`] is made once per run of a suite, inside the network namespace that `e2e/run` made.
//! Everything that it starts ends with it.

pub(crate) mod audit;
pub(crate) mod controller;
pub(crate) mod gateway;
pub(crate) mod history;
pub(crate) mod objects;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod repository;
pub(crate) mod shop;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::config::Kubeconfig;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::objects::Objects;
use crate::context::Context;

/// Pause between two looks in [`until`].
const LOOK: Duration = Duration::from_millis(50);
/// The pods' addresses; the other half of the network is for what stands beside them.
const PODS: (Ipv4Addr, u32) = (Ipv4Addr::new(10, 244, 0, 0), 17);

/// See the module's documentation.
pub(crate) struct Ground {
    pub(crate) objects: Objects,
    /// Logs and files of this run.
    pub(crate) dir: PathBuf,
    /// The directory of the control plane: pids, kubeconfigs, the audit log.
    pub(crate) cluster: PathBuf,
    tools: Tools,
    node: AbortHandle,
}

/// The programs of a run.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    /// The binary under test.
    pub(crate) weir: PathBuf,
    /// Where `e2e/cluster/build` puts what it builds.
    pub(crate) bin: PathBuf,
}

impl Ground {
    /// A cluster with the definitions of `deploy/` and a node whose pods listen.
    pub(crate) fn lay(context: &Context) -> Result<Self> {
        let cluster = context.args.cluster_dir.clone();
        let cluster = cluster.context("this suite needs the control plane of e2e/run")?;
        let objects = Objects::new(context.client.clone());
        let tools = Tools {
            weir: beside_us("weir")?,
            bin: context.args.bin.clone(),
        };
        let dir = cluster.join(format!("suite-{}", context.args.suite));
        std::fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
        let options = sandbox::node::Options {
            name: "weir-1".to_owned(),
            network: PODS,
        };
        let run = sandbox::node::run(context.client.clone(), options);
        let node = tokio::spawn(async move {
            if let Err(error) = run.await {
                tracing::error!(%error, "the node ended");
            }
        });
        Ok(Self {
            objects,
            dir,
            cluster,
            tools,
            node: node.abort_handle(),
        })
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The administrator's kubeconfig.
    pub(crate) fn admin(&self) -> PathBuf {
        self.cluster.join("admin.kubeconfig")
    }

    /// Where the API server listens, as `host:port`.
    pub(crate) fn api_server(&self) -> Result<String> {
        let path = self.admin();
        let kubeconfig =
            Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?;
        let cluster = kubeconfig.clusters.into_iter().next();
        let server = cluster.and_then(|named| named.cluster?.server);
        let url: http::Uri = server.unwrap_or_default().parse()?;
        let (host, port) = (url.host(), url.port_u16());
        let named = host.zip(port).map(|(host, port)| format!("{host}:{port}"));
        named.with_context(|| format!("{} names no host and port", path.display()))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.node.abort();
    }
}

impl Tools {
    /// A program that `e2e/cluster/build` made.
    pub(crate) fn built(&self, name: &str) -> Result<PathBuf> {
        existing(self.bin.join(name))
    }
}

/// A binary that cargo put beside this one.
pub(crate) fn beside_us(name: &str) -> Result<PathBuf> {
    let us = std::env::current_exe().context("where this program is")?;
    existing(us.parent().unwrap_or_else(|| Path::new(".")).join(name))
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    if !path.exists() {
        bail!("{} is missing: e2e/run builds it", path.display());
    }
    Ok(path)
}

/// Polls until `look` finds something. A poll that fails counts as one that finds nothing; if time
/// runs out, the last error is returned.
pub(crate) async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let seen = look().await;
        match seen {
            Ok(Some(found)) => return Ok(found),
            _ if Instant::now() < end => tokio::time::sleep(LOOK).await,
            Ok(None) => bail!("{what}: not so after {} s", limit.as_secs()),
            Err(error) => {
                return Err(error.context(format!("{what}: not so after {} s", limit.as_secs())));
            }
        }
    }
}

/// The time of this machine, `ago` before now, as objects have it.
#[allow(
    clippy::disallowed_methods,
    reason = "suites live in the time of the machine"
)]
pub(crate) fn time(ago: jiff::SignedDuration) -> String {
    let then = jiff::Timestamp::now() - ago;
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
