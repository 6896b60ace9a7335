//! What is typed.

use clap::ArgMatches;
use cli::{Context, Error, Program, Term, command};

fn error(args: &[&str]) -> Error {
    let args = std::iter::once(&"weir").chain(args);
    command(Program::Weir)
        .try_get_matches_from(args)
        .map(|_| ())
        .unwrap_err()
        .into()
}

#[test]
fn the_tree_of_verbs_is_sound() {
    for program in [
        Program::Weir,
        Program::KubectlWeir,
        Program::KubectlArgoRollouts,
    ] {
        command(program).debug_assert();
    }
}

#[test]
fn a_mistake_names_the_flag_and_exits_with_2() {
    for (args, named) in [
        (&["promote", "app", "--fulll"][..], "--fulll"),
        (&["undo", "app", "--to-revision", "x"], "--to-revision"),
        (&["status", "app", "--timeout", "1d"], "--timeout"),
        (&["status", "app", "--watch=maybe"], "--watch"),
        (&["get", "rollout"], "NAME"),
        (&["set", "image", "app", "web"], "CONTAINER=IMAGE"),
        (&["undo", "app", "--to-revision", "-1"], "--to-revision"),
        (&["restart", "app", "-i", "soon"], "--in"),
        (&["app", "sync", "a", "--resource", "x"], "--resource"),
        (&["frobnicate"], "frobnicate"),
        // Verbs of the peer that are not there.
        (&["dashboard"], "dashboard"),
        (&["notifications", "template"], "notifications"),
        (&["get", "rollout", "app", "--watch=maybe"], "--watch"),
        (
            &["status", "app", "--request-timeout", "soon"],
            "--request-timeout",
        ),
        (&["list", "ro", "-o", "yaml"], "--output"),
        (&["create"], "--filename"),
        (&["lint"], "--filename"),
        (&["completion"], "bash|zsh|fish|powershell"),
        (&["completion", "csh"], "bash"),
        (
            &["create", "ar", "--from", "a", "-a", "value"],
            "NAME=VALUE",
        ),
    ] {
        let error = error(args);
        assert_eq!(error.exit_code(), 2, "{args:?}");
        assert!(error.to_string().contains(named), "{args:?}: {error}");
    }
}

fn parsed(args: &[&str]) -> ArgMatches {
    let args = std::iter::once(&"weir").chain(args);
    command(Program::Weir).try_get_matches_from(args).unwrap()
}

/// The arguments of the innermost verb.
fn innermost(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches
}

#[test]
fn switches_are_taken_as_go_programs_take_them() {
    for (args, flag, want) in [
        (&["get", "ro", "app"][..], "watch", false),
        (&["get", "ro", "-w", "app"], "watch", true),
        (&["get", "ro", "app", "-w=false"], "watch", false),
        (&["get", "ro", "app", "--watch=true"], "watch", true),
        (
            &["list", "ro", "--all-namespaces=false"],
            "all-namespaces",
            false,
        ),
        (&["list", "ro", "-wA"], "watch", true),
        (&["list", "ro", "-wA"], "all-namespaces", true),
        (&["list", "ro", "--timestamps=1"], "timestamps", true),
        (&["status", "app"], "watch", true),
        (&["status", "app", "-w=false"], "watch", false),
        (&["promote", "app", "--full=true"], "full", true),
        (&["promote", "app", "--full=F"], "full", false),
        (&["version", "--short=false"], "short", false),
        (&["app", "sync", "shop", "--prune=true"], "prune", true),
        (&["--no-color=true", "list", "ro"], "no-color", true),
        (&["list", "ro", "--no-color"], "no-color", true),
        (&["list", "ro", "--no-color=false"], "no-color", false),
    ] {
        let matches = parsed(args);
        assert_eq!(innermost(&matches).get_flag(flag), want, "{args:?}");
    }
}

#[test]
fn the_flags_of_kubectl_are_known_before_and_after_the_verb() {
    let flags = [
        "--as=ada",
        "--as-group=a",
        "--as-group=b",
        "--as-uid=1",
        "--token=secret",
        "--server=https://host",
        "--request-timeout=5s",
        "--insecure-skip-tls-verify",
        "--certificate-authority=/ca",
        "--client-certificate=/cert",
        "--client-key=/key",
        "--tls-server-name=host",
        "--cache-dir=/cache",
        "--disable-compression=true",
        "-v=6",
    ];
    parsed(&[&flags[..], &["list", "rollouts"]].concat());
    parsed(&[&["list", "rollouts"], &flags[..]].concat());
    parsed(&["list", "rollouts", "-s", "https://host"]);
    let command = command(Program::Weir);
    let known: Vec<_> = command.get_arguments().map(clap::Arg::get_id).collect();
    for flag in cli::CLUSTER_FLAGS {
        assert!(known.iter().any(|id| *id == flag), "{flag}");
    }
}

#[test]
fn help_is_no_mistake() {
    assert_eq!(error(&["--help"]).exit_code(), 0);
    assert_eq!(error(&["get", "rollout", "--help"]).exit_code(), 0);
}

#[test]
fn usage_lines_carry_the_name_that_was_typed() {
    for (program, usage) in [
        (Program::Weir, "Usage: weir "),
        (Program::KubectlWeir, "Usage: kubectl weir "),
        (
            Program::KubectlArgoRollouts,
            "Usage: kubectl argo rollouts ",
        ),
    ] {
        let help = command(program).render_help().to_string();
        assert!(help.contains(usage), "{help}");
    }
}

#[test]
fn the_program_is_known_by_its_file() {
    assert_eq!(Program::from_argv0("/usr/bin/weir"), Program::Weir);
    assert_eq!(Program::from_argv0("kubectl-weir"), Program::KubectlWeir);
    assert_eq!(
        Program::from_argv0("C:\\kubectl-argo-rollouts.exe"),
        Program::KubectlArgoRollouts
    );
}

/// Verbs that need no cluster work without one.
#[tokio::test]
async fn version_and_completion_need_no_cluster() {
    let unreachable = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = kube::Client::try_from(unreachable).unwrap();
    let (term, captured) = Term::captured();
    let mut cx = Context::with_client(client, "default", term, Program::KubectlWeir);
    cli::execute(&mut cx, ["kubectl-weir", "version", "--short"])
        .await
        .unwrap();
    assert_eq!(
        captured.out(),
        format!("kubectl-weir: v{}\n", env!("CARGO_PKG_VERSION"))
    );
    cli::execute(&mut cx, ["kubectl-weir", "version"])
        .await
        .unwrap();
    let printed = captured.out();
    let printed = printed.lines().rev().take(6).map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        assert!(!value.is_empty(), "{line}");
        name.to_owned()
    });
    let names: Vec<String> = printed.collect();
    assert_eq!(
        names,
        [
            "  Platform",
            "  Compiler",
            "  GoVersion",
            "  GitTreeState",
            "  GitCommit",
            "  BuildDate"
        ]
    );
    for shell in ["bash", "zsh", "fish", "powershell"] {
        cli::execute(&mut cx, ["kubectl-weir", "completion", shell])
            .await
            .unwrap();
    }
    assert!(captured.out().contains("#compdef kubectl-weir"));
}
