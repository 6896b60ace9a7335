//! `restart`: replaces the pods of a rollout, a few at a time.

use super::names::{name, parse_duration, the_name};
use super::pause;
use crate::context::Context;
use crate::error::Error;
use clap::{Arg, ArgMatches, Command};
use gocompat::duration;
use jiff::SignedDuration;
use serde_json::json;
use std::time::Duration;

pub(super) fn cli() -> Command {
    Command::new("restart")
        .about("Restart the pods of a rollout")
        .arg(name("Name of the rollout"))
        .arg(
            Arg::new("in")
                .short('i')
                .long("in")
                .value_name("DURATION")
                .help("How long to wait before the restart, like 10s or 1h")
                .value_parser(parse_duration),
        )
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let name = the_name(args);
    let delay = args
        .get_one::<Option<Duration>>("in")
        .copied()
        .flatten()
        .unwrap_or_default();
    let delay_s = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    let at = cx.now().checked_add(SignedDuration::from_secs(delay_s));
    let at = at.map_err(|_| Error::Refused(format!("--in {delay:?} is too far away")))?;
    let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    pause::patch(cx, name, &json!({"spec": {"restartAt": at}}), "restart").await?;
    let left = duration::human(delay_s);
    cx.term
        .line(format_args!("rollout '{name}' restarts in {left}"))?;
    Ok(())
}
