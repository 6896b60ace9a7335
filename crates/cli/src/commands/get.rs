//! `get`: a rollout or an experiment and everything below it.

use super::list;
use super::names::{name, the_name, watch};
use super::output::{Format, json, output, refuse_watched_json};
use crate::context::Context;
use crate::error::Error;
use crate::patience::Patience;
use crate::render;
use crate::watch::{Follower, Known, Listing};
use api::{Experiment, Rollout};
use clap::{Arg, ArgMatches, Command};
use engine::info::{ExperimentInfo, RolloutInfo};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Screens are not drawn more often than this.
const REDRAW_MIN: Duration = Duration::from_millis(200);

/// Ages on the screen are renewed at least this often.
const REDRAW_MAX: Duration = Duration::from_secs(1);

pub(super) fn cli() -> Command {
    let timeout = Arg::new("timeout-seconds")
        .long("timeout-seconds")
        .value_name("SECONDS")
        .help("Stop watching after so many seconds; 0 never stops")
        .value_parser(clap::value_parser!(u64));
    Command::new("get")
        .about("Show a rollout or an experiment with everything that belongs to it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("rollout")
                .visible_alias("ro")
                .about("Show a rollout: state, weights, images, and the tree of its revisions")
                .arg(name("Name of the rollout"))
                .arg(watch("Keep the screen up to date"))
                .arg(output())
                .arg(timeout.clone()),
        )
        .subcommand(
            list::rollouts_cli()
                .about("List rollouts, or show the one that is named")
                .arg(name("Name of the rollout to show").required(false))
                .arg(timeout.clone()),
        )
        .subcommand(
            Command::new("experiment")
                .visible_aliases(["exp", "experiments"])
                .about("Show an experiment: state, images, and what it runs")
                .arg(name("Name of the experiment"))
                .arg(watch("Keep the screen up to date"))
                .arg(output())
                .arg(timeout),
        )
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let Some((kind, args)) = args.subcommand() else {
        return Ok(());
    };
    refuse_watched_json(args)?;
    let (name, format) = (the_name(args), Format::of(args));
    let limit = args
        .get_one::<u64>("timeout-seconds")
        .filter(|seconds| **seconds > 0 && args.get_flag("watch"));
    let limit = limit.map(|seconds| Duration::from_secs(*seconds));
    let show = async {
        match (kind, args.get_flag("watch")) {
            ("experiment", false) => experiment(cx, name, format).await,
            ("experiment", true) => watch_experiment(cx, name).await,
            ("rollouts", _) if name.is_empty() => list::all_rollouts(cx, args).await,
            (_, false) => rollout(cx, name, format).await,
            (_, true) => watch_rollout(cx, name).await,
        }
    };
    match limit {
        // Watching ends when the time is up; that is no failure.
        Some(limit) => timeout(limit, show).await.unwrap_or(Ok(())),
        None => show.await,
    }
}

async fn rollout(cx: &mut Context, name: &str, format: Format) -> Result<(), Error> {
    let rollout: Rollout = cx.read("rollout", name).await?;
    let listing = Listing::read(cx).await?;
    let info = RolloutInfo::new(&rollout, &listing.parts());
    let text = match format {
        Format::Text => render::rollout(&info, cx.now()),
        Format::Json => json(&info)?,
    };
    cx.term.text(text)?;
    Ok(())
}

pub(super) async fn watch_rollout(cx: &mut Context, name: &str) -> Result<(), Error> {
    // An absent Rollout is said at once instead of being waited for.
    cx.read::<Rollout>("rollout", name).await?;
    let mut follower = Follower::start(cx, name).await?;
    let mut drawn = Instant::now() - REDRAW_MAX;
    let mut changed = false;
    loop {
        let next = drawn + if changed { REDRAW_MIN } else { REDRAW_MAX };
        tokio::select! {
            change = follower.changed() => {
                change?;
                changed = true;
            }
            () = sleep_until(next) => {
                match follower.info() {
                    Known::Present(info) => {
                        let mut screen = render::rollout(&info, cx.now());
                        if let Some(trouble) = follower.trouble() {
                            screen = format!("{screen}\n{trouble}\n");
                        }
                        cx.term.redraw(&screen)?;
                    }
                    Known::Absent => return Err(cx.not_found("rollout", name).await),
                    Known::NotYet => {}
                }
                drawn = Instant::now();
                changed = false;
            }
        }
    }
}

async fn experiment(cx: &mut Context, name: &str, format: Format) -> Result<(), Error> {
    let info = experiment_info(cx, name).await?;
    let text = match format {
        Format::Text => render::experiment(&info, cx.now()),
        Format::Json => json(&info)?,
    };
    cx.term.text(text)?;
    Ok(())
}

pub(super) async fn watch_experiment(cx: &mut Context, name: &str) -> Result<(), Error> {
    let mut patience = Patience::default();
    loop {
        match experiment_info(cx, name).await {
            Ok(info) => {
                patience.seen();
                let screen = render::experiment(&info, cx.now());
                cx.term.redraw(&screen)?;
                sleep(REDRAW_MAX).await;
            }
            Err(error) => patience.sit_out(cx, error).await?,
        }
    }
}

async fn experiment_info(cx: &mut Context, name: &str) -> Result<ExperimentInfo, Error> {
    let experiment: Experiment = cx.read("experiment", name).await?;
    let listing = Listing::read(cx).await?;
    Ok(ExperimentInfo::new(&experiment, &listing.parts()))
}
