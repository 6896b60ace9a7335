//! `abort`: gives an update up and goes back to the stable version.

use super::names::{all_names, names};
use crate::context::Context;
use crate::error::{Error, is_not_found};
use crate::status_patch::patch_status;
use api::Rollout;
use clap::{ArgMatches, Command};
use serde_json::{Value, json};

pub(super) fn cli() -> Command {
    Command::new("abort")
        .about("Abort the update of a rollout")
        .arg(names("Names of rollouts"))
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    for name in all_names(args) {
        patch(cx, &name, &json!({"status": {"abort": true}}), "abort").await?;
        cx.term.line(format_args!("rollout '{name}' aborted"))?;
    }
    Ok(())
}

/// Patches the status of a Rollout.
pub(super) async fn patch(
    cx: &mut Context,
    name: &str,
    patch: &Value,
    verb: &str,
) -> Result<(), Error> {
    let rollouts = cx.objects::<Rollout>().await?;
    match patch_status(&rollouts, name, patch).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Err(cx.not_found("rollout", name).await),
        Err(error) => Err(Error::api(format!("{verb} rollout \"{name}\""))(error)),
    }
}
