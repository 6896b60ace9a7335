//! The command line of `weir`: what runs (controller, sandbox, demo). The verbs about objects are
//! `crates/cli`'s, in the same command.

use crate::manager::Only;
use crate::setup::{CheckOptions, InstallOptions};
use crate::telemetry::LogFormat;
use crate::{demo, sandbox};
use clap::{Args, FromArgMatches, Subcommand};
use cli::Switch;
use std::path::PathBuf;
use std::time::Duration;

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
    #[arg(long, value_name = "ID")]
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
    #[arg(long, env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS", value_name = "URL")]
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

/// Flags of the peer that have no meaning here: accepted, so that its command line goes on working,
/// and told of at the start.
#[derive(Debug, Default, Args)]
pub struct PeerArgs {
    #[arg(long, hide = true)]
    pub qps: Option<f64>,
    #[arg(long, hide = true)]
    pub burst: Option<i64>,
    #[arg(long, hide = true)]
    pub kloglevel: Option<i64>,
    #[arg(long, hide = true)]
    pub experiment_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub analysis_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub service_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub ingress_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub ephemeral_metadata_threads: Option<u16>,
    #[arg(long, hide = true)]
    pub ephemeral_metadata_update_pod_retries: Option<u16>,
    #[arg(long, hide = true)]
    pub enable_pprof_address: Option<String>,
}

impl PeerArgs {
    /// Each flag that was given, and why it does nothing.
    pub fn without_meaning(&self) -> Vec<(&'static str, &'static str)> {
        const UNLIMITED: &str = "the API server's priority and fairness is the only limit";
        const ONE_POOL: &str = "all kinds share the workers of --rollout-threads";
        const REPLANNED: &str = "metadata that could not be written is planned again";
        let flags = [
            ("--qps", self.qps.is_some(), UNLIMITED),
            ("--burst", self.burst.is_some(), UNLIMITED),
            (
                "--kloglevel",
                self.kloglevel.is_some(),
                "there is one log: see --loglevel",
            ),
            (
                "--experiment-threads",
                self.experiment_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--analysis-threads",
                self.analysis_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--service-threads",
                self.service_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--ingress-threads",
                self.ingress_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--ephemeral-metadata-threads",
                self.ephemeral_metadata_threads.is_some(),
                ONE_POOL,
            ),
            (
                "--ephemeral-metadata-update-pod-retries",
                self.ephemeral_metadata_update_pod_retries.is_some(),
                REPLANNED,
            ),
            (
                "--enable-pprof-address",
                self.enable_pprof_address.is_some(),
                "there is no Go profiler",
            ),
        ];
        let given = flags.into_iter().filter(|(_, is_given, _)| *is_given);
        given.map(|(flag, _, why)| (flag, why)).collect()
    }
}

/// Flags of the peer about routers and notifications that are not here: as [`PeerArgs`].
#[derive(Debug, Default, Args)]
pub struct PeerRouterArgs {
    #[arg(long, hide = true, switch = None)]
    pub aws_verify_target_group: Option<bool>,
    #[arg(long, hide = true, switch = None)]
    pub alb_verify_weight: Option<bool>,
    #[arg(long, hide = true, switch = None)]
    pub self_service_notification_enabled: Option<bool>,
    #[arg(long, hide = true)]
    pub aws_target_group_binding_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub alb_tag_key_resource_id: Option<String>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub alb_ingress_classes: Vec<String>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub nginx_ingress_classes: Vec<String>,
    #[arg(long, hide = true)]
    pub istio_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub ambassador_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub traffic_split_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub traefik_api_group: Option<String>,
    #[arg(long, hide = true)]
    pub traefik_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub ingress_api_version: Option<String>,
    #[arg(long, hide = true)]
    pub appmesh_crd_version: Option<String>,
}

impl PeerRouterArgs {
    /// Each flag that was given, and why it does nothing.
    pub fn without_meaning(&self) -> Vec<(&'static str, &'static str)> {
        const ALB: &str = "there is no router for AWS load balancers";
        const NO_ROUTER: &str = "there is no such router";
        const DISCOVERED: &str = "the version is what the API server serves";
        const ANY_CLASS: &str = "an Ingress that a Rollout names is routed whatever its class";
        const SILENT: &str = "there are no notifications";
        let switches = [
            (
                "--aws-verify-target-group",
                self.aws_verify_target_group,
                ALB,
            ),
            ("--alb-verify-weight", self.alb_verify_weight, ALB),
            (
                "--self-service-notification-enabled",
                self.self_service_notification_enabled,
                SILENT,
            ),
        ];
        let binding = &self.aws_target_group_binding_api_version;
        let texts = [
            ("--aws-target-group-binding-api-version", binding, ALB),
            (
                "--alb-tag-key-resource-id",
                &self.alb_tag_key_resource_id,
                ALB,
            ),
            ("--istio-api-version", &self.istio_api_version, NO_ROUTER),
            (
                "--ambassador-api-version",
                &self.ambassador_api_version,
                NO_ROUTER,
            ),
            (
                "--traffic-split-api-version",
                &self.traffic_split_api_version,
                NO_ROUTER,
            ),
            ("--traefik-api-group", &self.traefik_api_group, NO_ROUTER),
            (
                "--traefik-api-version",
                &self.traefik_api_version,
                NO_ROUTER,
            ),
            (
                "--appmesh-crd-version",
                &self.appmesh_crd_version,
                NO_ROUTER,
            ),
            (
                "--ingress-api-version",
                &self.ingress_api_version,
                DISCOVERED,
            ),
        ];
        let lists = [
            ("--alb-ingress-classes", &self.alb_ingress_classes, ALB),
            (
                "--nginx-ingress-classes",
                &self.nginx_ingress_classes,
                ANY_CLASS,
            ),
        ];
        let switches = switches.map(|(flag, given, why)| (given.is_some(), flag, why));
        let texts = texts.map(|(flag, given, why)| (given.is_some(), flag, why));
        let lists = lists.map(|(flag, given, why)| (!given.is_empty(), flag, why));
        let all = switches.into_iter().chain(texts).chain(lists);
        all.filter_map(|(given, flag, why)| given.then_some((flag, why)))
            .collect()
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

/// The whole command: what runs, and the verbs of `crates/cli`.
pub fn command() -> clap::Command {
    Runs::augment_subcommands(cli::command(cli::Program::Weir))
        .mut_subcommand("sandbox", without_cluster)
        .mut_subcommand("demo", without_cluster)
        .about("Progressive delivery for Kubernetes: canaries, blue-green, analysis and GitOps")
        .version(env!("CARGO_PKG_VERSION"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_where_they_are_seen() {
        let jobs = |namespace: &str, kubeconfig: Option<&str>| JobArgs {
            analysis_job_namespace: Some(namespace.to_owned()),
            analysis_job_kubeconfig: kubeconfig.map(str::to_owned),
        };
        assert_eq!(jobs("jobs", None).check(None), Ok(()));
        assert_eq!(jobs("a", Some("in-cluster")).check(Some("a")), Ok(()));
        let elsewhere = jobs("jobs", None).check(Some("a")).unwrap_err();
        assert!(
            elsewhere.contains("--analysis-job-namespace"),
            "{elsewhere}"
        );
        let other_cluster = jobs("", Some("/file")).check(None).unwrap_err();
        assert!(other_cluster.contains("KUBECONFIG"), "{other_cluster}");
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn what_brings_its_own_cluster_does_not_offer_to_choose_one() {
        let help = |of: &str| {
            let matches = command().try_get_matches_from(["weir", of, "--help"]);
            matches.unwrap_err().to_string()
        };
        assert!(help("controller").contains("--kubeconfig"));
        assert!(!help("demo").contains("--kubeconfig"), "{}", help("demo"));
        assert!(
            !help("sandbox").contains("--context"),
            "{}",
            help("sandbox")
        );
    }

    fn controller(arguments: &[&str]) -> Result<Box<ControllerArgs>, String> {
        let line = ["weir", "controller"]
            .into_iter()
            .chain(arguments.iter().copied());
        let matches = command().try_get_matches_from(line);
        let matches = matches.map_err(|error| error.to_string())?;
        match runs(&matches) {
            Some(Runs::Controller(args)) => Ok(args),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn leader_election_is_on_unless_told_otherwise() {
        assert!(controller(&[]).unwrap().election.leader_elect);
        assert!(
            controller(&["--leader-elect"])
                .unwrap()
                .election
                .leader_elect
        );
        let off = controller(&["--leader-elect=false"]).unwrap().election;
        assert!(!off.leader_elect);
        let args = controller(&["--leader-election-lease-duration", "1m30s"]).unwrap();
        let lease = args.election.leader_election_lease_duration;
        assert_eq!(lease, Duration::from_secs(90));
        let error = controller(&["--leader-election-retry-period=-1s"]).unwrap_err();
        assert!(error.contains("negative"), "{error}");
    }

    #[test]
    fn one_namespace_only_is_said_as_go_programs_say_it() {
        for (line, want) in [
            (&[][..], false),
            (&["--namespaced"], true),
            (&["--namespaced", "--qps=40"], true),
            (&["--namespaced=true"], true),
            (&["--namespaced=1"], true),
            (&["--namespaced=false"], false),
        ] {
            assert_eq!(controller(line).unwrap().namespaced, want, "{line:?}");
        }
    }

    #[test]
    fn of_a_flag_that_is_given_twice_the_last_one_holds() {
        let args = ["--logformat=json", "--gitops=false", "--git-poll=30"];
        let more = ["--logformat=text", "--gitops", "--git-poll=60"];
        let args = controller(&[args, more].concat()).unwrap();
        assert_eq!(args.logs.logformat, LogFormat::Text);
        assert_eq!((args.gitops, args.git_poll), (true, 60));
    }

    #[test]
    fn a_switch_of_the_peer_counts_as_given_also_when_it_is_off() {
        let args = controller(&["--aws-verify-target-group=false"]).unwrap();
        assert_eq!(args.routers.aws_verify_target_group, Some(false));
        let none = controller(&[]).unwrap();
        assert_eq!(none.routers.aws_verify_target_group, None);
    }

    #[test]
    fn gitops_is_on_unless_told_otherwise() {
        let on: [&[&str]; 3] = [&[], &["--gitops"], &["--gitops=true"]];
        for line in on {
            assert_eq!(controller(line).unwrap().only(), None, "{line:?}");
        }
        let off = ["--gitops=false", "--controllers=analysis"];
        assert_eq!(controller(&off).unwrap().only(), Some(Only::AnalysisRuns));
        assert_eq!(controller(&off[..1]).unwrap().only(), Some(Only::Rollouts));
    }

    #[test]
    fn the_format_of_logs_may_be_empty() {
        for (line, want) in [
            (&[][..], LogFormat::Text),
            (&["--logformat="], LogFormat::Text),
            (&["--logformat", ""], LogFormat::Text),
            (&["--logformat=text"], LogFormat::Text),
            (&["--logformat=json"], LogFormat::Json),
        ] {
            let logs = controller(line).unwrap().logs;
            assert_eq!(logs.logformat, want, "{line:?}");
        }
        assert!(controller(&["--logformat=xml"]).is_err());
    }

    #[test]
    fn the_command_line_of_the_peer_goes_on_working() {
        let args = controller(&[
            "--qps=40",
            "--burst=80",
            "--rollout-threads=20",
            "--analysis-threads=30",
            "--metricsport=9090",
            "--healthzPort=9080",
            "--loglevel=debug",
            "--instance-id=blue",
            "--namespaced",
        ])
        .unwrap();
        assert_eq!((args.metrics_port, args.healthz_port), (9090, 9080));
        assert_eq!(args.rollout_threads, 20);
        let told = args.peer.without_meaning();
        let names: Vec<&str> = told.iter().map(|(flag, _)| *flag).collect();
        assert_eq!(names, ["--qps", "--burst", "--analysis-threads"]);
        let none = controller(&[]).unwrap();
        assert!(none.peer.without_meaning().is_empty());
        assert!(none.routers.without_meaning().is_empty());
        // Of its installation manifests and of users' patches to them.
        let args = controller(&[
            "--istio-api-version=v1beta1",
            "--aws-verify-target-group",
            "--self-service-notification-enabled=false",
            "--nginx-ingress-classes=a,b",
            "--nginx-ingress-classes=c",
        ])
        .unwrap();
        assert_eq!(args.routers.nginx_ingress_classes, ["a", "b", "c"]);
        let told = args.routers.without_meaning();
        let told: Vec<_> = told.iter().map(|(flag, _)| *flag).collect();
        assert_eq!(
            told,
            [
                "--aws-verify-target-group",
                "--self-service-notification-enabled",
                "--istio-api-version",
                "--nginx-ingress-classes",
            ]
        );
    }

    #[test]
    fn a_verb_about_objects_is_not_a_run() {
        let matches = command()
            .try_get_matches_from(["weir", "list", "rollouts"])
            .unwrap();
        assert!(runs(&matches).is_none());
        let matches = command()
            .try_get_matches_from(["weir", "demo", "--plain"])
            .unwrap();
        assert!(matches!(runs(&matches), Some(Runs::Demo(options)) if options.plain));
    }
}
