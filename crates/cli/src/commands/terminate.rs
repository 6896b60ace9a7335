//! `terminate`: ends an analysis run or an experiment.

use super::names::{all_names, names};
use crate::context::Context;
use crate::error::{Error, is_not_found};
use api::{AnalysisRun, Experiment};
use clap::{ArgMatches, Command};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::json;

pub(super) fn cli() -> Command {
    Command::new("terminate")
        .about("End an analysis run or an experiment")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("analysisrun")
                .visible_aliases(["ar", "analysisruns"])
                .about("End an analysis run; what it has measured counts")
                .arg(names("Names of analysis runs")),
        )
        .subcommand(
            Command::new("experiment")
                .visible_aliases(["exp", "experiments"])
                .about("End an experiment")
                .arg(names("Names of experiments")),
        )
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let Some((kind, args)) = args.subcommand() else {
        return Ok(());
    };
    for name in all_names(args) {
        if kind == "experiment" {
            let experiments = cx.objects::<Experiment>().await?;
            terminate(cx, &experiments, "experiment", &name).await?;
            cx.term
                .line(format_args!("experiment '{name}' terminated"))?;
        } else {
            let runs = cx.objects::<AnalysisRun>().await?;
            terminate(cx, &runs, "analysis run", &name).await?;
            cx.term
                .line(format_args!("analysisRun '{name}' terminated"))?;
        }
    }
    Ok(())
}

async fn terminate<K>(
    cx: &mut Context,
    objects: &Api<K>,
    kind: &'static str,
    name: &str,
) -> Result<(), Error>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let patch = Patch::Merge(json!({"spec": {"terminate": true}}));
    match objects.patch(name, &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Err(cx.not_found(kind, name).await),
        Err(error) => Err(Error::api(format!("terminate {kind} \"{name}\""))(error)),
    }
}
