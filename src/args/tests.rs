use super::*;
use crate::manager::Only;
use crate::telemetry::LogFormat;
use std::time::Duration;

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

#[test]
fn the_controller_tells_its_version_as_the_peers_does() {
    let told = command().try_get_matches_from(["weir", "controller", "--version"]);
    let told = told.unwrap_err();
    assert_eq!(told.kind(), clap::error::ErrorKind::DisplayVersion);
    assert!(
        told.to_string().contains(env!("CARGO_PKG_VERSION")),
        "{told}"
    );
}

#[test]
fn what_may_have_a_password_in_it_is_not_shown_by_the_help() {
    let mut command = command();
    let controller = command.find_subcommand_mut("controller").unwrap();
    let address = controller
        .get_arguments()
        .find(|arg| arg.get_id() == "prometheus_address");
    assert!(address.unwrap().is_hide_env_values_set());
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
fn an_instance_id_that_can_be_on_no_object_is_refused() {
    for verb in ["controller", "install", "check"] {
        for (id, is_label) in [("blue", true), ("", true), ("a b", false), ("-a", false)] {
            let flag = format!("--instance-id={id}");
            let matches = command().try_get_matches_from(["weir", verb, flag.as_str()]);
            assert_eq!(matches.is_ok(), is_label, "{verb} {id:?}");
        }
    }
    let error = controller(&["--instance-id=a b"]).unwrap_err();
    assert!(
        error.contains("--instance-id") && error.contains("label"),
        "{error}"
    );
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
