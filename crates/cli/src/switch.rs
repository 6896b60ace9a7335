//! Flags that are on or off, as Go programs take them.

use clap::{Arg, ArgAction};

/// A flag that is off unless given: `--name`, or `--name=true` and `--name=false` as scripts for the
/// peer's plugin write it.
pub(crate) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("BOOL")
        .help(help)
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .value_parser(parse_bool)
        .action(ArgAction::Set)
}

/// What Go's flags take for a truth value.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}
