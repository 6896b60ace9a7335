//! `cargo xtask bench`: what many Rollouts cost on the real control plane (`e2e/run`, suite
//! `bench`).

use anyhow::{Context as _, Result, ensure};
use std::process::Command;

/// Arguments of the task.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many Rollouts, of two pods each
    #[arg(long, default_value_t = 500, value_name = "N")]
    rollouts: u32,
    /// The same number of Deployments instead: what the cluster itself needs
    #[arg(long)]
    floor: bool,
    /// The program as it is shipped, which takes half an hour to build
    #[arg(long)]
    dist: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/run");
    let rollouts = args.rollouts.to_string();
    let suite = if args.floor { "floor" } else { "bench" };
    let mut command = Command::new(script);
    command.args(["--only", suite, "--rounds", &rollouts]);
    if args.dist {
        command.arg("--dist");
    }
    // What cargo says of this crate would be news to the build scripts of others: a build from the
    // start.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_")) {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let status = command
        .status()
        .with_context(|| format!("starting {script}"))?;
    ensure!(status.success(), "e2e/run ended with {status}");
    Ok(())
}
