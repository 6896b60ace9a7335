//! `completion`: a script that makes a shell complete the verbs.

use crate::context::Context;
use crate::error::Error;
use clap::{Arg, ArgMatches, Command};
use clap_complete::{Shell, generate};

pub(super) fn cli() -> Command {
    Command::new("completion")
        .about("Print a completion script for a shell")
        .arg(
            Arg::new("SHELL")
                .help("The shell")
                // Without one this is a mistake, and not a page of help: what is printed here is
                // read by a shell.
                .required(true)
                .value_name("bash|zsh|fish|powershell|elvish")
                .value_parser(clap::value_parser!(Shell)),
        )
}

pub(super) fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let Some(shell) = args.get_one::<Shell>("SHELL").copied() else {
        return Ok(());
    };
    let mut command = crate::run::command(cx.program);
    let mut script = Vec::new();
    generate(shell, &mut command, cx.program.file_name(), &mut script);
    cx.term.text(String::from_utf8_lossy(&script))?;
    Ok(())
}
