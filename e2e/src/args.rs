//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::suite::Suite;

/// Runs a suite against a real cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "weir-e2e", version)]
pub(crate) struct Args {
    /// The suite to run
    #[arg(value_enum)]
    pub(crate) suite: Suite,
    /// How to reach the cluster, as an administrator
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: PathBuf,
    /// Run only the parts whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) only: String,
    /// conformance: write the cluster's answers into the table
    #[arg(long)]
    pub(crate) record: bool,
}

pub(crate) fn parse() -> Args {
    Args::parse()
}
