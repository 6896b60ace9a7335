//! `cargo xtask bench`: what many Rollouts cost on the real control plane (`e2e/run`, suite `bench`).

use anyhow::{Context as _, Result, ensure};
use std::process::Command;

/// Arguments of the task.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many Rollouts, of two pods each
    #[arg(long, default_value_t = 500, value_name = "N")]
    rollouts: u32,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/run");
    let rollouts = args.rollouts.to_string();
    let status = Command::new(script)
        .args(["--only", "bench", "--rounds", &rollouts])
        .status()
        .with_context(|| format!("starting {script}"))?;
    ensure!(status.success(), "e2e/run ended with {status}");
    Ok(())
}
