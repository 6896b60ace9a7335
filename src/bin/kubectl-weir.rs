//! The verbs about objects for kubectl: `kubectl weir`, and `kubectl argo rollouts` under that
//! name.

fn main() -> std::process::ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let program = cli::Program::from_argv0(&name);
    cli::run(std::env::args_os(), program, weir::explain::observe)
}
