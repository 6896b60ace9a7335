//! What can be typed after `weir`.

use super::ControllerArgs;
use crate::setup::{CheckOptions, InstallOptions};
use crate::{demo, sandbox};
use clap::{FromArgMatches, Subcommand};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What runs, as against the verbs about objects.
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// Run the controller against a cluster (kubeconfig, or in-cluster)
    Controller(Box<ControllerArgs>),
    /// Install the controller in a cluster, or print what would be installed (--dry-run)
    Install(InstallOptions),
    /// Say what a cluster lacks for the controller, and what to do about it
    Check(CheckOptions),
    /// Run an embedded cluster with the controller in it, for kubectl
    Sandbox(sandbox::Options),
    /// Watch a commit become a canary, and a bad one be rolled back: no cluster needed
    Demo(demo::Options),
}

/// The whole command: what runs, and the verbs of `crates/cli`.
pub fn command() -> clap::Command {
    Runs::augment_subcommands(cli::command(cli::Program::Weir))
        // As the peer's controller.
        .mut_subcommand("controller", |command| command.version(VERSION))
        .mut_subcommand("sandbox", without_cluster)
        .mut_subcommand("demo", without_cluster)
        .about("Progressive delivery for Kubernetes: canaries, blue-green, analysis and GitOps")
        .version(VERSION)
}

/// Leaves the flags that say which cluster out of the help of what brings its own.
fn without_cluster(command: clap::Command) -> clap::Command {
    let flags = cli::CLUSTER_FLAGS.iter().copied();
    flags.fold(command, |command, flag| {
        command.arg(clap::Arg::new(flag).long(flag).hide(true))
    })
}

/// What is to be run; `None` if the command line has one of the other verbs.
pub fn runs(matches: &clap::ArgMatches) -> Option<Runs> {
    Runs::from_arg_matches(matches).ok()
}
