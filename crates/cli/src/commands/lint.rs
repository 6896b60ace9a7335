//! `lint`: says what is wrong with the objects of files, without a cluster.

use crate::context::Context;
use crate::error::Error;
use crate::lint::lint;
use clap::{Arg, ArgAction, ArgMatches, Command};
use gocompat::yaml;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub(super) fn cli() -> Command {
    Command::new("lint")
        .about("Say what is wrong with rollouts and analyses in files, without a cluster")
        .arg(
            Arg::new("filename")
                .short('f')
                .long("filename")
                .value_name("FILE")
                .help(
                    "File with objects to look at; may be given several times: all are looked at together",
                )
                .required(true)
                .action(ArgAction::Append)
                .value_parser(clap::value_parser!(PathBuf)),
        )
}

/// Each finding is a line on standard output; the first one is the error, too.
pub(super) fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let mut documents = Vec::new();
    for file in args.get_many::<PathBuf>("filename").into_iter().flatten() {
        documents.append(&mut read(file)?);
    }
    let report = lint(documents);
    for finding in &report.findings {
        cx.term.line(finding)?;
    }
    for note in &report.notes {
        cx.term.note(format_args!("note: {note}"))?;
    }
    match report.findings.into_iter().next() {
        Some(finding) => Err(Error::Refused(finding)),
        None => Ok(()),
    }
}

fn read(file: &Path) -> Result<Vec<Value>, Error> {
    let shown = file.display();
    let refuse = |why: &dyn std::fmt::Display| Error::Refused(format!("{shown}: {why}"));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(&error))?;
    let documents = yaml::from_str(&text).map_err(|error| refuse(&error))?;
    if documents.is_empty() {
        return Err(refuse(&"there is no object in it"));
    }
    Ok(documents)
}
