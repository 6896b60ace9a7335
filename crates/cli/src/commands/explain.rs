//! `explain`: what a rollout is doing, what it waits for, and what can be done about it.

use super::names::{name, the_name, watch};
use super::output::{Format, json, output};
use crate::context::Context;
use crate::error::Error;
use crate::patience::Patience;
use api::Rollout;
use api::constants::INSTANCE_ID_LABEL;
use clap::{ArgMatches, Command};
use engine::config::Config;
use engine::explain::{self, Explanation, Names, Seen};
use kube::ResourceExt;
use std::time::Duration;

/// How often the page is renewed.
const RENEW: Duration = Duration::from_secs(2);

pub(super) fn cli() -> Command {
    Command::new("explain")
        .about("Say what a rollout is doing, what it waits for, and what can be done about it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("rollout")
                .visible_aliases(["ro", "rollouts"])
                .about("Plan the rollout as the controller would, write nothing, and say why")
                .arg(name("Name of the rollout"))
                .arg(watch("Keep the page up to date"))
                .arg(output()),
        )
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let Some((_, args)) = args.subcommand() else {
        return Ok(());
    };
    let name = the_name(args);
    let format = Format::of(args);
    if !args.get_flag("watch") {
        let page = page(cx, name, format).await?;
        cx.term.text(page)?;
        return Ok(());
    }
    let mut patience = Patience::default();
    loop {
        match page(cx, name, format).await {
            Ok(page) => {
                patience.seen();
                cx.term.redraw(&page)?;
                tokio::time::sleep(RENEW).await;
            }
            Err(error) => patience.sit_out(cx, error).await?,
        }
    }
}

async fn page(cx: &mut Context, name: &str, format: Format) -> Result<String, Error> {
    let explanation = look(cx, name).await?;
    match format {
        Format::Json => json(&explanation),
        Format::Text => {
            let weir = cx.program.usage();
            Ok(explanation.text(Names { weir }))
        }
    }
}

/// Looks, plans, and throws the plan away but for its reasons.
async fn look(cx: &mut Context, name: &str) -> Result<Explanation, Error> {
    let Some(observe) = cx.observer() else {
        let message = "this program cannot look at a cluster as the controller does";
        return Err(Error::Refused(message.to_owned()));
    };
    let rollout: Rollout = cx.read("rollout", name).await?;
    let config = Config {
        instance_id: rollout.labels().get(INSTANCE_ID_LABEL).cloned(),
        ..Config::default()
    };
    let client = cx.client().await?;
    let mut observed = observe(client, rollout).await.map_err(Error::Refused)?;
    let now = cx.now();
    let plan = explain::planned(&mut observed.snapshot, &config, now);
    let mut explanation = explain::explain(Seen {
        snapshot: &observed.snapshot,
        plan: &plan,
        now,
    });
    explanation.warn(&observed.warnings);
    explanation.notes.append(&mut observed.notes);
    Ok(explanation)
}
