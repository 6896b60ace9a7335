//! The flags that every verb takes: kubectl's, for reaching a cluster.

use crate::overrides::Overrides;
use crate::switch::switch;
use clap::{Arg, ArgAction, ArgMatches, Command};
use gocompat::duration;
use std::path::PathBuf;
use std::time::Duration;

/// The flags that say which cluster and how to reach it. What brings a cluster of its own leaves
/// them out of its help.
pub const CLUSTER_FLAGS: [&str; 18] = [
    "kubeconfig",
    "context",
    "cluster",
    "user",
    "namespace",
    "server",
    "token",
    "as",
    "as-group",
    "as-uid",
    "certificate-authority",
    "client-certificate",
    "client-key",
    "insecure-skip-tls-verify",
    "tls-server-name",
    "request-timeout",
    "disable-compression",
    "cache-dir",
];

/// Where the cluster is and how to write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) overrides: Overrides,
    pub(crate) no_color: bool,
}

pub(crate) fn add(command: Command) -> Command {
    command
        .args(choice())
        .args(identity())
        .args(transport())
        .arg(switch("no-color", "Write without colors").global(true))
        // Taken, and without effect: the peer's plugin has them, and scripts pass them.
        .arg(text("cache-dir", "DIR", "Folder of a cache that is not kept").hide(true))
        .arg(text("loglevel", "LEVEL", "Log level").hide(true))
        .arg(text("kloglevel", "LEVEL", "Log level of the Kubernetes client").short('v').hide(true))
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .help_heading("Cluster")
        .global(true)
}

/// As [`text`], for what few need: in the long help only.
fn rare(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    text(name, value, help).hide_short_help(true)
}

fn file(name: &'static str, help: &'static str) -> Arg {
    rare(name, "FILE", help).value_parser(clap::value_parser!(PathBuf))
}

/// Which cluster of those that the kubeconfig knows.
fn choice() -> [Arg; 5] {
    [
        text("kubeconfig", "FILE", "Path to the kubeconfig file")
            .value_parser(clap::value_parser!(PathBuf)),
        text("context", "NAME", "Context of the kubeconfig to use"),
        text("cluster", "NAME", "Cluster of the kubeconfig to use"),
        text("user", "NAME", "User of the kubeconfig to use"),
        text("namespace", "NAMESPACE", "Namespace to look in").short('n'),
    ]
}

/// Who asks.
fn identity() -> [Arg; 6] {
    [
        rare("token", "TOKEN", "Bearer token to show to the server"),
        rare("as", "USER", "User to act as"),
        rare(
            "as-group",
            "GROUP",
            "Group to act as; may be given several times",
        )
        .action(ArgAction::Append),
        rare("as-uid", "UID", "UID to act as"),
        file("client-certificate", "Certificate to show to the server"),
        file("client-key", "Key of the client certificate"),
    ]
}

/// Where and how the server is asked.
fn transport() -> [Arg; 6] {
    let rare_switch = |name: &'static str, help: &'static str| {
        switch(name, help)
            .help_heading("Cluster")
            .hide_short_help(true)
            .global(true)
    };
    [
        rare("server", "URL", "Address of the API server").short('s'),
        file(
            "certificate-authority",
            "Certificates that the server's is checked against",
        ),
        rare_switch(
            "insecure-skip-tls-verify",
            "Don't check the server's certificate",
        ),
        rare(
            "tls-server-name",
            "NAME",
            "Name that the server's certificate must have",
        ),
        rare(
            "request-timeout",
            "DURATION",
            "How long to wait for an answer, like 30s or 2m; 0 waits forever",
        )
        .value_parser(parse_timeout),
        rare_switch(
            "disable-compression",
            "Ask for answers that are not compressed",
        ),
    ]
}

/// A duration as Go writes it, or seconds; 0 stands for none.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let nanos = duration::parse_go(text).map_err(|error| error.to_string())?;
    let nanos = u64::try_from(nanos).map_err(|_| "must not be negative".to_owned())?;
    Ok(Duration::from_nanos(nanos))
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
            overrides: Overrides::of(args),
            no_color: args.get_flag("no-color"),
        }
    }
}
