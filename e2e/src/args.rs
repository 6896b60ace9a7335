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
    /// The directory of the control plane that e2e/run made; suites that need one refuse without
    #[arg(long, value_name = "DIR")]
    pub(crate) cluster_dir: Option<PathBuf>,
    /// Where e2e/cluster/build puts what it builds
    #[arg(long, value_name = "DIR", default_value = "target/e2e/bin")]
    pub(crate) bin: PathBuf,
    /// requests, failover: how often everything is repeated
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,
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
