//! From arguments to a verb.

use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::flags::{self, Flags};
use crate::observe::Observer;
use crate::program::Program;
use clap::{ArgMatches, Command};
use std::ffi::OsString;
use std::process::ExitCode;

/// All verbs, with their flags.
pub fn command(program: Program) -> Command {
    let command = Command::new(program.file_name())
        .bin_name(program.usage())
        .about("Look at Rollouts and Applications, and move them along")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands::all());
    flags::add(command)
}

/// Parses `args` (program name first) and carries out the verb.
pub fn run<I, A>(args: I, program: Program, observer: Observer) -> ExitCode
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    match command(program).try_get_matches_from(args) {
        Ok(matches) => dispatch(&matches, program, observer),
        Err(error) => {
            let error = Error::Usage(error);
            let mut cx = Context::from_flags(Flags::default(), program);
            report(&mut cx, &error)
        }
    }
}

/// Carries out the verb that was parsed from a command tree with these verbs in it.
pub fn dispatch(matches: &ArgMatches, program: Program, observer: Observer) -> ExitCode {
    let mut cx = Context::from_flags(Flags::of(matches), program).observing(observer);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::exec(&mut cx, matches)),
        Err(error) => Err(Error::Output(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&mut cx, &error),
    }
}

/// Parses `args` (program name first) and carries out the verb with the client of `cx`. What the
/// verb has to say of an error is in the answer, not on the terminal.
pub async fn execute<I, A>(cx: &mut Context, args: I) -> Result<(), Error>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let matches = command(cx.program).try_get_matches_from(args)?;
    cx.set_flags(Flags::of(&matches));
    commands::exec(cx, &matches).await
}

fn report(cx: &mut Context, error: &Error) -> ExitCode {
    if error.is_broken_pipe() {
        return ExitCode::SUCCESS;
    }
    // With nobody left to tell, the exit code has to do.
    let _ = match error {
        Error::Usage(usage) => usage.print(),
        error => cx.term.note(format_args!("Error: {}", error.sentence())),
    };
    ExitCode::from(error.exit_code())
}
