//! Runs what the command line asks for, until it is done or told to stop.

use crate::act::Http;
use crate::args::{ControllerArgs, LogArgs, Runs};
use crate::clock::Clock;
use crate::gitops::{Limits, Sources};
use crate::lease::{self, Election, Role, Timing};
use crate::manager::{self, Options};
use crate::monitor::{self, Monitor};
use crate::setup::{self, CheckOptions, InstallOptions};
use crate::{demo, sandbox, telemetry};
use anyhow::{Context, Result, anyhow, bail};
use clap::ArgMatches;
use gocompat::labels::validate;
use kube::{Client, Config};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Applications are large by value, and decoding them nests: without optimisation the usual 2 MiB
/// are not enough.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// Where a pod finds its namespace.
const ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// An API server that says nothing for so long in the middle of an answer is not there any more.
const SILENCE_MAX: Duration = Duration::from_mins(5);
/// The peer's namespace, for want of any other.
const DEFAULT_NAMESPACE: &str = "argo-rollouts";

/// Runs to the end; failures are printed as one sentence each.
pub fn run(runs: Runs, matches: &ArgMatches) -> ExitCode {
    let done = start(runs, matches);
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(runs: Runs, matches: &ArgMatches) -> Result<bool> {
    // One provider of cryptography for every TLS connection of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()?;
    match runs {
        Runs::Controller(args) => {
            log(&args.logs)?;
            runtime.block_on(controller(*args, matches)).map(|()| true)
        }
        Runs::Install(options) => runtime.block_on(install(&options, matches)).map(|()| true),
        Runs::Check(options) => runtime.block_on(check(&options, matches)),
        Runs::Sandbox(options) => {
            log(&options.logs)?;
            runtime.block_on(sandbox::run(options)).map(|()| true)
        }
        Runs::Demo(options) => {
            telemetry::init("error", telemetry::LogFormat::Text).map_err(anyhow::Error::msg)?;
            runtime.block_on(demo::run(options))
        }
    }
}

fn log(logs: &LogArgs) -> Result<()> {
    telemetry::init(&logs.loglevel, logs.logformat).map_err(anyhow::Error::msg)
}

async fn controller(args: ControllerArgs, matches: &ArgMatches) -> Result<()> {
    let config = cluster_config(matches).await?;
    let namespace = args.namespaced.then(|| config.default_namespace.clone());
    tracing::info!(server = %config.cluster_url, namespace = namespace.as_deref().unwrap_or("(all)"), "starting");
    let flags = [args.peer.without_meaning(), args.routers.without_meaning()];
    for (flag, why) in flags.concat() {
        tracing::warn!(flag, why, "this flag has no effect");
    }
    args.jobs
        .check(namespace.as_deref())
        .map_err(anyhow::Error::msg)?;
    let election = election(&args)?;
    warn_of_no_election(&election);
    let monitor = Arc::<Monitor>::default();
    let endpoints = monitor::serve(&monitor, args.metrics_port, args.healthz_port).await?;
    let client = Client::try_from(config)
        .context("setting up the client from the kubeconfig, or from the service account")?;
    tokio::spawn(setup::warn_of_clock(client.clone(), Clock::Wall));
    let installed = installed(&args, namespace.as_deref());
    let applications = gitops::sync::Config {
        control_namespace: args.control_namespace.clone(),
        application_namespaces: args.application_namespaces.clone(),
        poll_s: args.git_poll,
        ..gitops::sync::Config::default()
    };
    let others = setup::warn_of_others(client.clone(), installed, applications.clone());
    tokio::spawn(others);
    let (config, only) = (planner(&args), args.only());
    // Kept until the end: it is removed when it is dropped.
    let temporary =
        tempfile::tempdir().context("making a temporary folder (TMPDIR names another place)")?;
    let cache = args
        .git_cache
        .unwrap_or_else(|| temporary.path().to_owned());
    let options = Options {
        namespace,
        only,
        workers: usize::from(args.rollout_threads),
        config,
        metric_defaults: engine::analysis::MetricDefaults {
            prometheus_address: args.prometheus_address.map(plan::Redacted::new),
            job_namespace: args.jobs.analysis_job_namespace,
        },
        gitops: applications,
        election: Some(election),
        monitor: monitor.clone(),
        clock: Clock::Wall,
        fetch: Arc::new(Http::new().context("setting up the HTTP client")?),
        render: Arc::new(Sources::new(&cache, Limits::default())),
    };
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signal(shutdown.clone()));
    manager::run(client, options, shutdown).await;
    drop(endpoints);
    Ok(())
}

/// How a controller with these flags is installed, which watches this namespace or all.
fn installed(args: &ControllerArgs, watched: Option<&str>) -> deploy::Settings {
    let own = || own_namespace(args.election.pod_namespace.clone());
    deploy::Settings {
        namespace: watched.map_or_else(own, str::to_owned),
        namespaced: watched.is_some(),
        instance_id: planner(args).instance_id,
        gitops: args.only().is_none(),
        ..deploy::Settings::default()
    }
}

/// What the planners go by.
fn planner(args: &ControllerArgs) -> engine::config::Config {
    engine::config::Config {
        resync_s: args.rollout_resync,
        // An empty id is none: objects with such a label would be nobody's.
        instance_id: args.instance_id.clone().filter(|id| !id.is_empty()),
        deny_mutable_tags: args.deny_mutable_tags,
    }
}

async fn install(options: &InstallOptions, matches: &ArgMatches) -> Result<()> {
    let settings = options.settings(flag(matches, "namespace"));
    setup::check_flags(&settings).map_err(|why| anyhow::anyhow!(why))?;
    let mut out = anstream::stdout();
    if options.dry_run {
        out.write_all(deploy::yaml(&deploy::install(&settings)).as_bytes())?;
        return Ok(());
    }
    let client = Client::try_from(cluster_config(matches).await?)?;
    options.apply(&client, &settings, &mut out).await
}

async fn check(options: &CheckOptions, matches: &ArgMatches) -> Result<bool> {
    let namespace = flag(matches, "namespace");
    let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let client = Client::try_from(cluster_config(matches).await?)?;
    let report = setup::check(&client, options, &namespace, Clock::Wall).await;
    write!(anstream::stdout(), "{report}")?;
    Ok(report.is_good())
}

/// The place in the election that the flags ask for.
fn election(args: &ControllerArgs) -> Result<Election> {
    let flags = &args.election;
    let timing = Timing {
        lease: flags.leader_election_lease_duration,
        renew: flags.leader_election_renew_deadline,
        retry: flags.leader_election_retry_period,
    };
    let (role, timing) = if flags.leader_elect {
        (Role::Candidate, timing.check()?)
    } else {
        // Without an election nothing goes by these durations.
        (Role::Unelected, timing.check().unwrap_or_default())
    };
    let lease = flags.leader_election_id.clone();
    let lease = lease.unwrap_or_else(|| Election::lease_name(args.instance_id.as_deref()));
    if role == Role::Candidate
        && let Some(why) = validate::dns_subdomain(&lease).into_iter().next()
    {
        bail!(
            "the Lease can't be named {lease:?}: {why}. Choose another --instance-id, or name the Lease with \
             --leader-election-id"
        );
    }
    Ok(Election {
        namespace: flags
            .leader_election_namespace
            .clone()
            .unwrap_or_else(|| own_namespace(flags.pod_namespace.clone())),
        lease,
        identity: lease::identity(&host_name(), rand::random()),
        timing,
        role,
    })
}

fn warn_of_no_election(election: &Election) {
    if election.role == Role::Unelected {
        let Election {
            lease, namespace, ..
        } = election;
        tracing::warn!(
            lease,
            namespace,
            remedy = "leave the flag out wherever two can run: several replicas, or a Deployment that starts \
                the next pod before it ends this one",
            "--leader-elect=false: this controller acts whoever else does, and a second one would do \
             everything once more"
        );
    }
}

/// As the peer: `POD_NAMESPACE`, or what the pod's service account says, or `argo-rollouts`
/// (rollouts.md §9.2).
fn own_namespace(named: Option<String>) -> String {
    let of_account = || std::fs::read_to_string(ACCOUNT_NAMESPACE).ok();
    [named, of_account()]
        .into_iter()
        .flatten()
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}

/// In a pod this is the pod's name.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.map(|name| name.trim().to_owned()).unwrap_or_default();
    if name.is_empty() {
        return "weir".to_owned();
    }
    name
}

/// The cluster that the flags or the environment name, or the one that this process runs in.
async fn cluster_config(matches: &ArgMatches) -> Result<Config> {
    // What the API server refuses has a meaning here (an eviction that a budget forbids, a lease
    // that somebody else renews), and a back-off of its own: the client tries nothing again by
    // itself.
    let config = cli::cluster_config(matches).await;
    let mut config = config.map_err(|error| anyhow!(error.sentence()))?;
    // A watch says something more often, if only how far it is.
    config.read_timeout.get_or_insert(SILENCE_MAX);
    Ok(config)
}

fn flag(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.try_get_one::<String>(name).ok().flatten().cloned()
}

/// Ctrl-C, or the signal that ends a pod.
pub async fn stop_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: finishing what is under way");
    shutdown.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "
clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: a, user: {token: t}}]
contexts: [{name: a, context: {cluster: a, user: a, namespace: team}}]
current-context: a
";

    #[test]
    fn an_empty_instance_id_is_none() {
        for (given, want) in [("", None), ("blue", Some("blue"))] {
            let matches = crate::args::command()
                .try_get_matches_from(["weir", "controller", "--instance-id", given])
                .unwrap();
            let Some(Runs::Controller(args)) = crate::args::runs(&matches) else {
                panic!("it runs the controller");
            };
            assert_eq!(planner(&args).instance_id.as_deref(), want);
        }
    }

    fn elected(arguments: &[&str]) -> Result<Election> {
        let line = ["weir", "controller"].iter().chain(arguments);
        let matches = crate::args::command().try_get_matches_from(line)?;
        let Some(Runs::Controller(args)) = crate::args::runs(&matches) else {
            panic!("it runs the controller");
        };
        election(&args)
    }

    #[test]
    fn durations_and_the_name_of_the_lease_matter_to_candidates() {
        let usual = elected(&["--instance-id=blue"]).unwrap();
        assert_eq!(usual.role, Role::Candidate);
        assert_eq!(usual.lease, "argo-rollouts-controller-lock-blue");
        let error = elected(&["--instance-id=Blue"]).unwrap_err().to_string();
        assert!(error.contains("--instance-id"), "{error}");
        let named = elected(&["--instance-id=Blue", "--leader-election-id=blue"]);
        assert_eq!(named.unwrap().lease, "blue");
        let short = "--leader-election-lease-duration=5s";
        let error = elected(&[short]).unwrap_err().to_string();
        assert!(
            error.contains("--leader-election-renew-deadline"),
            "{error}"
        );
        let alone = elected(&["--leader-elect=false", short]).unwrap();
        assert_eq!(alone.role, Role::Unelected);
        assert_eq!(alone.timing, Timing::default());
    }

    #[tokio::test]
    async fn the_controller_works_with_the_kubeconfig_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, KUBECONFIG).unwrap();
        let file = file.to_str().unwrap();
        let matches = crate::args::command()
            .try_get_matches_from(["weir", "controller", "--kubeconfig", file])
            .unwrap();
        let config = cluster_config(&matches).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:1/");
        assert_eq!(config.default_namespace, "team");
        assert_eq!(config.read_timeout, Some(SILENCE_MAX));
        assert!(!config.default_retry);
    }
}
