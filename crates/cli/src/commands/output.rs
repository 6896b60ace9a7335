//! `-o`, `--output`: for people or for programs.

use crate::error::Error;
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches};
use serde::Serialize;

/// How a verb writes what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

pub(super) fn output() -> Arg {
    Arg::new("output")
        .short('o')
        .long("output")
        .value_name("FORMAT")
        .help("text, or json for programs")
        .default_value("text")
        .value_parser(PossibleValuesParser::new(["text", "json"]))
}

impl Format {
    pub(super) fn of(args: &ArgMatches) -> Self {
        match args.get_one::<String>("output").map(String::as_str) {
            Some("json") => Self::Json,
            _ => Self::Text,
        }
    }
}

/// Refuses a JSON document of what is watched: there is one document, and it would have no end.
/// clap can't say so itself, since `--watch=false` is no conflict.
pub(super) fn refuse_watched_json(args: &ArgMatches) -> Result<(), Error> {
    if args.get_flag("watch") && Format::of(args) == Format::Json {
        let words = "the argument '--output json' cannot be used with '--watch'\n";
        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, words).into());
    }
    Ok(())
}

/// A JSON document, with a line end.
pub(super) fn json(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Error::Output(error.into()))?;
    Ok(format!("{text}\n"))
}
