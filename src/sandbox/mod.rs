//! The embedded cluster with the controller in it: `weir sandbox`, and the ground that `weir demo`
//! stands on.

pub mod embedded;

use crate::act::Http;
use crate::args::LogArgs;
use crate::clock::Clock;
use crate::gitops::{Limits, Sources};
use crate::manager;
use crate::run::stop_on_signal;
use anyhow::{Context, Result, anyhow};
use apiserver::{ApiServer, Gvk};
use sandbox::Sandbox;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// `weir sandbox`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where to write the kubeconfig
    #[arg(long, default_value = "weir-sandbox.kubeconfig", value_name = "FILE")]
    pub write_kubeconfig: PathBuf,
    /// Port of the API server on 127.0.0.1; any free one if absent
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub port: u16,
    /// Only the cluster: run the controller yourself
    #[arg(long)]
    pub no_controller: bool,
    /// Seconds between two looks at a Git repository
    #[arg(
        long,
        default_value_t = 10,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(i64).range(1..),
        allow_negative_numbers = true
    )]
    pub git_poll: i64,
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Runs a sandbox until Ctrl-C.
///
/// # Errors
/// When it can't be started: a port in use, a kubeconfig that can't be written.
pub async fn run(options: Options) -> Result<()> {
    let sandbox = Sandbox::start(sandbox::Options {
        port: options.port,
        kubeconfig: Some(options.write_kubeconfig.clone()),
        ..sandbox::Options::default()
    })
    .await
    .context("starting the embedded cluster")?;
    install_crds(sandbox.api())?;
    let cache =
        tempfile::tempdir().context("making a temporary folder (TMPDIR names another place)")?;
    let controller = if options.no_controller {
        None
    } else {
        Some(Controller::start(
            sandbox.api(),
            cache.path(),
            options.git_poll,
        )?)
    };
    let mut out = anstream::stdout();
    writeln!(
        out,
        "The cluster is up at https://{}, until Ctrl-C.",
        sandbox.address()
    )?;
    writeln!(
        out,
        "  export KUBECONFIG={}",
        std::path::absolute(&options.write_kubeconfig)?.display()
    )?;
    writeln!(out, "  kubectl get nodes")?;
    writeln!(
        out,
        "HTTPRoutes are served at http://{}, by Host header.",
        sandbox.gateway()
    )?;
    let stopped = CancellationToken::new();
    stop_on_signal(stopped).await;
    if let Some(controller) = controller {
        controller.stop().await;
    }
    sandbox.stop().await;
    Ok(())
}

/// The CustomResourceDefinitions, as `crds/` has them.
pub fn crds() -> [&'static str; 7] {
    [
        include_str!("../../crds/rollouts.yaml"),
        include_str!("../../crds/analysistemplates.yaml"),
        include_str!("../../crds/clusteranalysistemplates.yaml"),
        include_str!("../../crds/analysisruns.yaml"),
        include_str!("../../crds/experiments.yaml"),
        include_str!("../../crds/applications.yaml"),
        include_str!("../../crds/appprojects.yaml"),
    ]
}

/// Installs the CRDs.
pub fn install_crds(api: &ApiServer) -> Result<()> {
    let kind = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    for text in crds() {
        for crd in gocompat::yaml::from_str(text).context("reading a CRD of our own")? {
            let name = crd["metadata"]["name"].to_string();
            api.create(&kind, None, crd)
                .map_err(|status| anyhow!("installing the CRD {name}: {}", status.message))?;
        }
    }
    Ok(())
}

/// A controller that runs in this process.
#[derive(Debug)]
pub struct Controller {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Controller {
    /// Starts a controller on an embedded API server. `cache` is where Git repositories are kept,
    /// `poll_s` how often they are looked at.
    pub fn start(api: &ApiServer, cache: &Path, poll_s: i64) -> Result<Self> {
        let shutdown = CancellationToken::new();
        let options = manager::Options {
            namespace: None,
            only: None,
            workers: 8,
            config: engine::config::Config::default(),
            metric_defaults: engine::analysis::MetricDefaults::default(),
            gitops: gitops::sync::Config {
                poll_s,
                ..gitops::sync::Config::default()
            },
            election: None,
            monitor: Arc::default(),
            clock: Clock::Wall,
            fetch: Arc::new(Http::new().context("setting up the HTTP client")?),
            render: Arc::new(Sources::new(cache, Limits::default())),
        };
        let run = manager::run(api.client(), options, shutdown.clone());
        Ok(Self {
            shutdown,
            task: tokio::spawn(run),
        })
    }

    /// Lets it finish what it is at.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // A controller that panicked has said so already.
        let _ = self.task.await;
    }
}
