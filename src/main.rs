//! `weir`: the controller, the sandbox, the demo, and the verbs about objects.

use std::process::ExitCode;
use weir::args;

fn main() -> ExitCode {
    let matches = match args::command().try_get_matches() {
        Ok(matches) => matches,
        // Help and version go to standard output and are no failure; a mistake exits with 2.
        Err(error) => error.exit(),
    };
    match args::runs(&matches) {
        Some(runs) => weir::run::run(runs, &matches),
        None => cli::dispatch(&matches, cli::Program::Weir, weir::explain::observe),
    }
}
