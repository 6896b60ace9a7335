//! `pause`: stops a rollout where it is.

use super::names::{all_names, names};
use crate::context::Context;
use crate::error::{Error, is_not_found};
use api::Rollout;
use clap::{ArgMatches, Command};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

pub(super) fn cli() -> Command {
    Command::new("pause")
        .about("Pause a rollout; `promote` lets it go on")
        .arg(names("Names of rollouts"))
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    for name in all_names(args) {
        patch(cx, &name, &json!({"spec": {"paused": true}}), "pause").await?;
        cx.term.line(format_args!("rollout '{name}' paused"))?;
    }
    Ok(())
}

/// Patches the spec of a Rollout.
pub(super) async fn patch(
    cx: &mut Context,
    name: &str,
    patch: &Value,
    verb: &str,
) -> Result<(), Error> {
    let rollouts = cx.objects::<Rollout>().await?;
    match rollouts
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Err(cx.not_found("rollout", name).await),
        Err(error) => Err(Error::api(format!("{verb} rollout \"{name}\""))(error)),
    }
}
