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
                .required(true)
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
