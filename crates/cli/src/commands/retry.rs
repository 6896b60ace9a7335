//! `retry`: begins an aborted update, or a finished experiment, again.

use super::abort;
use super::names::{all_names, names};
use crate::context::Context;
use crate::error::{Error, is_not_found};
use api::Experiment;
use clap::{ArgMatches, Command};
use kube::api::{Patch, PatchParams};
use serde_json::json;

pub(super) fn cli() -> Command {
    Command::new("retry")
        .about("Begin an aborted rollout or a finished experiment again")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("rollout")
                .visible_aliases(["ro", "rollouts"])
                .about("Begin an aborted update again")
                .arg(names("Names of rollouts")),
        )
        .subcommand(
            Command::new("experiment")
                .visible_aliases(["exp", "experiments"])
                .about("Begin an experiment again")
                .arg(names("Names of experiments")),
        )
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    match args.subcommand() {
        Some(("experiment", args)) => experiments(cx, args).await,
        Some((_, args)) => rollouts(cx, args).await,
        None => Ok(()),
    }
}

async fn rollouts(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    for name in all_names(args) {
        abort::patch(cx, &name, &json!({"status": {"abort": false}}), "retry").await?;
        cx.term.line(format_args!("rollout '{name}' retried"))?;
    }
    Ok(())
}

async fn experiments(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let experiments = cx.objects::<Experiment>().await?;
    for name in all_names(args) {
        let patch = Patch::Merge(json!({"status": null}));
        match experiments
            .patch(&name, &PatchParams::default(), &patch)
            .await
        {
            Ok(_) => cx.term.line(format_args!("experiment '{name}' retried"))?,
            Err(error) if is_not_found(&error) => {
                return Err(cx.not_found("experiment", &name).await);
            }
            Err(error) => return Err(Error::api(format!("retry experiment \"{name}\""))(error)),
        }
    }
    Ok(())
}
