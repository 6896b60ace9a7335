//! `version`.

use crate::context::Context;
use crate::error::Error;
use clap::{Arg, ArgAction, ArgMatches, Command};

pub(super) fn cli() -> Command {
    Command::new("version").about("Show the version").arg(
        Arg::new("short")
            .long("short")
            .help("Only the number")
            .action(ArgAction::SetTrue),
    )
}

pub(super) fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let file = cx.program.file_name();
    cx.term
        .line(format_args!("{file}: v{}", env!("CARGO_PKG_VERSION")))?;
    if !args.get_flag("short") {
        // What the build environment doesn't tell stays unknown.
        let commit = option_env!("WEIR_GIT_COMMIT").unwrap_or("unknown");
        let date = option_env!("WEIR_BUILD_DATE").unwrap_or("unknown");
        let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
        cx.term.line(format_args!("  BuildDate: {date}"))?;
        cx.term.line(format_args!("  GitCommit: {commit}"))?;
        cx.term.line(format_args!("  Platform: {os}/{arch}"))?;
    }
    Ok(())
}
