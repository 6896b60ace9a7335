//! The flags that every verb takes: kubectl's, for reaching a cluster.

use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;

/// Where the cluster is and how to write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) no_color: bool,
}

pub(crate) fn add(command: Command) -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .help(help)
            .help_heading("Cluster")
            .global(true)
    };
    command
        .arg(
            text("kubeconfig", "FILE", "Path to the kubeconfig file")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(text("context", "NAME", "Context of the kubeconfig to use"))
        .arg(text("cluster", "NAME", "Cluster of the kubeconfig to use"))
        .arg(text("user", "NAME", "User of the kubeconfig to use"))
        .arg(text("namespace", "NAMESPACE", "Namespace to look in").short('n'))
        .arg(
            Arg::new("no-color")
                .long("no-color")
                .help("Write without colors")
                .action(ArgAction::SetTrue)
                .global(true),
        )
        // Taken, and without effect: the peer's plugin has them, and scripts pass them.
        .arg(text("loglevel", "LEVEL", "Log level").hide(true))
        .arg(text("kloglevel", "LEVEL", "Log level of the Kubernetes client").short('v').hide(true))
}

impl Flags {
    pub(crate) fn of(args: &ArgMatches) -> Self {
        let text = |name: &str| args.get_one::<String>(name).cloned();
        Self {
            kubeconfig: args.get_one::<PathBuf>("kubeconfig").cloned(),
            context: text("context"),
            cluster: text("cluster"),
            user: text("user"),
            namespace: text("namespace"),
            no_color: args.get_flag("no-color"),
        }
    }
}
