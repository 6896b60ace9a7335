//! The flags of `weir controller`.

use super::{PeerArgs, PeerRouterArgs};
use crate::manager::Only;
use crate::telemetry::LogFormat;
use clap::Args;
use cli::Switch;
use gocompat::labels::validate;
use std::path::PathBuf;
use std::time::Duration;

/// `weir controller`. Flags have the names of the peer's where they have a meaning here
/// (rollouts.md §9.2). Of a flag that is given twice the last one holds, as with Go's: who adds one
/// to a manifest need not take out what it replaces.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub struct ControllerArgs {
    /// Watch and manage only the namespace that the controller runs in, or --namespace
    #[arg(long, switch = Some(false))]
    pub namespaced: bool,
    /// Only objects with this value of the label argo-rollouts.argoproj.io/controller-instance-id
    #[arg(long, value_name = "ID", value_parser = instance_id)]
    pub instance_id: Option<String>,
    /// Look after Applications too; false leaves them alone, for a cluster in which Argo CD runs
    #[arg(long, switch = Some(true))]
    pub gitops: bool,
    /// Refuse Rollouts whose images have no tag or the tag latest, instead of warning of them
    #[arg(long, switch = Some(false))]
    pub deny_mutable_tags: bool,
    /// Look after AnalysisRuns alone: for clusters that hold analyses of Rollouts elsewhere
    #[arg(long, value_name = "NAME")]
    pub controllers: Option<ControllerName>,
    /// Seconds after which an object is looked at again though nothing has changed
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    pub rollout_resync: i64,
    /// How many objects are worked on at a time
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub rollout_threads: u16,
    /// Port of /metrics; 0 is none
    #[arg(
        long = "metricsPort",
        alias = "metricsport",
        default_value_t = 8090,
        value_name = "PORT"
    )]
    pub metrics_port: u16,
    /// Port of /healthz and /readyz; 0 is none
    #[arg(long = "healthzPort", default_value_t = 8080, value_name = "PORT")]
    pub healthz_port: u16,
    /// Seconds between two looks at a Git repository
    #[arg(
        long,
        default_value_t = 120,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(i64).range(1..),
        allow_negative_numbers = true,
        env = "ARGOCD_RECONCILIATION_TIMEOUT_S"
    )]
    pub git_poll: i64,
    /// The namespace of Applications and AppProjects
    #[arg(long, default_value = "argocd", value_name = "NAMESPACE")]
    pub control_namespace: String,
    /// Globs of the other namespaces in which Applications are looked after; all that their
    /// projects admit them from if absent
    #[arg(
        long,
        env = "ARGOCD_APPLICATION_NAMESPACES",
        value_name = "NAMESPACES",
        value_delimiter = ','
    )]
    pub application_namespaces: Option<Vec<String>>,
    /// Where Git repositories are kept, for this process alone; a temporary folder if absent
    #[arg(long, value_name = "DIR")]
    pub git_cache: Option<PathBuf>,
    /// The Prometheus of metrics that name none
    // It may have a password in it, and the help shows the environment.
    #[arg(
        long,
        env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub prometheus_address: Option<String>,
    #[command(flatten)]
    pub jobs: JobArgs,
    #[command(flatten)]
    pub election: ElectionArgs,
    #[command(flatten)]
    pub peer: PeerArgs,
    #[command(flatten)]
    pub routers: PeerRouterArgs,
    #[command(flatten)]
    pub logs: LogArgs,
}

/// What `--controllers` can name, as with the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ControllerName {
    Analysis,
}

impl ControllerArgs {
    /// What it looks after, if not after everything.
    pub fn only(&self) -> Option<Only> {
        match self.controllers {
            Some(ControllerName::Analysis) => Some(Only::AnalysisRuns),
            None => (!self.gitops).then_some(Only::Rollouts),
        }
    }
}

/// Where the Jobs of analyses run.
#[derive(Debug, Default, Args)]
pub struct JobArgs {
    /// The namespace of the Jobs of analyses; that of each AnalysisRun if absent
    #[arg(
        long,
        env = "ARGO_ROLLOUTS_ANALYSIS_JOB_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub analysis_job_namespace: Option<String>,
    #[arg(long, env = "ARGO_ROLLOUTS_ANALYSIS_JOB_KUBECONFIG", hide = true)]
    pub analysis_job_kubeconfig: Option<String>,
}

impl JobArgs {
    /// `watched` is the only namespace that the controller sees, if there is one.
    ///
    /// # Errors
    /// When Jobs are to run where nobody would see them: in another cluster they would measure
    /// something else, and in a namespace that is not watched they would never end.
    pub fn check(&self, watched: Option<&str>) -> Result<(), String> {
        match self.analysis_job_kubeconfig.as_deref() {
            None | Some("" | "in-cluster") => {}
            Some(file) => {
                return Err(format!(
                    "ARGO_ROLLOUTS_ANALYSIS_JOB_KUBECONFIG is {file:?}: Jobs of analyses can run only in the \
                     cluster of their Rollouts. Unset it, or give it the value in-cluster; for Jobs in one \
                     namespace there is ARGO_ROLLOUTS_ANALYSIS_JOB_NAMESPACE"
                ));
            }
        }
        let jobs = self.analysis_job_namespace.as_deref();
        let jobs = jobs.filter(|jobs| !jobs.is_empty());
        match watched.zip(jobs) {
            Some((watched, jobs)) if watched != jobs => Err(format!(
                "the namespace of Jobs is {jobs:?}, and with --namespaced only {watched:?} is watched: leave \
                 --analysis-job-namespace (ARGO_ROLLOUTS_ANALYSIS_JOB_NAMESPACE) out"
            )),
            _ => Ok(()),
        }
    }
}

/// Which of several controllers acts (rollouts.md §9.2, §9.3).
#[derive(Debug, Args)]
pub struct ElectionArgs {
    /// Act only while holding the lease; false is for a controller that is alone
    #[arg(long, switch = Some(true))]
    pub leader_elect: bool,
    /// How long a leader may be silent before another takes over
    #[arg(long, default_value = "15s", value_name = "DURATION", value_parser = duration)]
    pub leader_election_lease_duration: Duration,
    /// How long a leader that can't renew the lease goes on
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    pub leader_election_renew_deadline: Duration,
    /// Time between two looks at the lease
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = duration)]
    pub leader_election_retry_period: Duration,
    /// Name of the lease; argo-rollouts-controller-lock, and -INSTANCE-ID if there is one, if
    /// absent
    #[arg(long, value_name = "NAME")]
    pub leader_election_id: Option<String>,
    /// Namespace of the lease; the controller's own if absent
    #[arg(long, value_name = "NAMESPACE")]
    pub leader_election_namespace: Option<String>,
    /// The controller's own namespace; that of the pod's service account, or argo-rollouts, if
    /// absent
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", hide = true)]
    pub pod_namespace: Option<String>,
}

/// The id of an instance, which is the value of a label. Empty is none.
pub(crate) fn instance_id(text: &str) -> Result<String, String> {
    match validate::label_value(text).into_iter().next() {
        Some(why) => Err(format!("it can't be the value of a label: {why}")),
        None => Ok(text.to_owned()),
    }
}

/// A duration as Go writes it: `15s`, `1m30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let nanoseconds = gocompat::duration::parse_go(text).map_err(|error| error.to_string())?;
    u64::try_from(nanoseconds)
        .map(Duration::from_nanos)
        .map_err(|_| format!("{text} is negative"))
}

/// How to log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// error, warn, info, debug, trace, or a filter such as weir=debug; fatal, panic and warning
    /// are taken too. A filter also shows what the libraries say
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    pub loglevel: String,
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub logformat: LogFormat,
}
