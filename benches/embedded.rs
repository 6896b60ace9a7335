//! How soon the whole embedded cluster is ready, and what it takes at rest: API server over TLS,
//! nodes, controllers of the cluster, gateway, Weir's CRDs and its controller, as `weir sandbox`
//! and `weir demo` run them.
//!
//! `cargo bench --bench embedded` prints figures; nothing is held against them.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and prints"
)]

use anyhow::{Context as _, Result};
use apiserver::Gvk;
use std::time::{Duration, Instant};
use weir::sandbox::{Controller, install_crds};

/// Until caches are full and the first passes are done.
const SETTLE: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<()> {
    let start = Instant::now();
    let sandbox = sandbox::Sandbox::start(sandbox::Options::default()).await?;
    install_crds(sandbox.api())?;
    let cache = tempfile::tempdir()?;
    let controller = Controller::start(sandbox.api(), cache.path(), 10)?;
    let rollouts = Gvk::new("argoproj.io", "v1alpha1", "Rollout");
    anyhow::ensure!(
        sandbox.api().list(&rollouts, None).is_empty(),
        "a fresh cluster"
    );
    println!("ready after {} ms", start.elapsed().as_millis());
    tokio::time::sleep(SETTLE).await;
    println!("at rest {:.1} MiB resident", resident_mib()?);
    controller.stop().await;
    sandbox.stop().await;
    Ok(())
}

fn resident_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("no VmRSS")? / 1024.0)
}
