//! Arguments that several verbs share.

use crate::switch::switch;
use clap::{Arg, ArgAction, ArgMatches};
use gocompat::duration;
use std::time::Duration;

/// One name.
pub(super) fn name(help: &'static str) -> Arg {
    Arg::new("NAME").help(help).required(true)
}

/// One name or several.
pub(super) fn names(help: &'static str) -> Arg {
    name(help).num_args(1..).action(ArgAction::Append)
}

pub(super) fn the_name(args: &ArgMatches) -> &str {
    args.get_one::<String>("NAME")
        .map(String::as_str)
        .unwrap_or_default()
}

pub(super) fn all_names(args: &ArgMatches) -> Vec<String> {
    args.get_many::<String>("NAME")
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

/// `-w`, `--watch`: off unless given.
pub(super) fn watch(help: &'static str) -> Arg {
    switch("watch", help).short('w')
}

/// `-A`, `--all-namespaces`.
pub(super) fn all_namespaces() -> Arg {
    switch("all-namespaces", "List in all namespaces").short('A')
}

/// A duration as Go writes it; 0 stands for none.
pub(super) fn parse_duration(text: &str) -> Result<Option<Duration>, String> {
    let nanos = duration::parse_go(text).map_err(|error| error.to_string())?;
    let nanos = u64::try_from(nanos).map_err(|_| "must not be negative".to_owned())?;
    Ok(Some(Duration::from_nanos(nanos)).filter(|duration| !duration.is_zero()))
}
