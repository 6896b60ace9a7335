//! What is typed.

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
    ] {
        let error = error(args);
        assert_eq!(error.exit_code(), 2, "{args:?}");
        assert!(error.to_string().contains(named), "{args:?}: {error}");
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
    for shell in ["bash", "zsh", "fish", "powershell"] {
        cli::execute(&mut cx, ["kubectl-weir", "completion", shell])
            .await
            .unwrap();
    }
    assert!(captured.out().contains("#compdef kubectl-weir"));
}
