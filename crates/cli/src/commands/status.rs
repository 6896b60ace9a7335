//! `status`: waits until a rollout is done, and says how it went.

use super::names::{name, parse_duration, the_name, watch};
use crate::context::Context;
use crate::error::Error;
use crate::watch::{Known, follow, only};
use api::{Rollout, RolloutPhase};
use clap::{Arg, ArgMatches, Command};
use engine::info;
use futures::StreamExt;
use kube::runtime::watcher;
use std::time::Duration;

pub(super) fn cli() -> Command {
    Command::new("status")
        .about("Show how a rollout stands, and wait until it is healthy or degraded")
        .arg(name("Name of the rollout"))
        .arg(
            watch("Wait until the rollout is done")
                .default_value("true")
                .hide_default_value(false),
        )
        .arg(
            Arg::new("timeout")
                .short('t')
                .long("timeout")
                .value_name("DURATION")
                .help("How long to wait, like 90s or 1h; 0 waits forever")
                .value_parser(parse_duration),
        )
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let name = the_name(args);
    if !args.get_flag("watch") {
        let rollout: Rollout = cx.read("rollout", name).await?;
        let (phase, message) = info::phase(&rollout);
        cx.term.line(if is_final(phase) {
            phase.to_string()
        } else {
            line(phase, &message)
        })?;
        return verdict(phase, message);
    }
    let limit = args
        .get_one::<Option<Duration>>("timeout")
        .copied()
        .flatten();
    let last = match limit {
        Some(limit) => tokio::time::timeout(limit, wait(cx, name)).await,
        None => Ok(wait(cx, name).await),
    };
    let Ok(last) = last else {
        // What was printed says how it stands, and not why.
        let weir = cx.program.usage();
        let namespace = cx.named_namespace();
        let namespace = namespace.map(|name| format!(" --namespace {name}"));
        let namespace = namespace.unwrap_or_default();
        cx.term.note(format_args!(
            "`{weir} explain rollout {name}{namespace}` says what it waits for"
        ))?;
        return Err(Error::StatusTimeout);
    };
    let (phase, message) = last?;
    verdict(phase, message)
}

/// Prints every change until the Rollout is healthy or degraded.
async fn wait(cx: &mut Context, name: &str) -> Result<(RolloutPhase, String), Error> {
    // An absent Rollout is said at once instead of being waited for.
    cx.read::<Rollout>("rollout", name).await?;
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let (store, mut changes) = follow(cx.objects::<Rollout>().await?, "rollouts", config);
    let mut printed = String::new();
    while let Some(change) = changes.next().await {
        change?.tell(&mut cx.term)?;
        let rollout = match only(&store) {
            Known::Present(rollout) => rollout,
            Known::NotYet => continue,
            Known::Absent => return Err(cx.not_found("rollout", name).await),
        };
        let (phase, message) = info::phase(&rollout);
        let line = line(phase, &message);
        if line != printed {
            cx.term.line(&line)?;
            printed = line;
        }
        if is_final(phase) {
            return Ok((phase, message));
        }
    }
    Err(Error::StatusTimeout)
}

fn is_final(phase: RolloutPhase) -> bool {
    matches!(phase, RolloutPhase::Healthy | RolloutPhase::Degraded)
}

fn line(phase: RolloutPhase, message: &str) -> String {
    if message.is_empty() {
        phase.to_string()
    } else {
        format!("{phase} - {message}")
    }
}

fn verdict(phase: RolloutPhase, message: String) -> Result<(), Error> {
    match phase {
        RolloutPhase::Degraded => Err(Error::Degraded(message)),
        _ => Ok(()),
    }
}
