//! `list`: the rollouts or experiments of a namespace, a line each.

use super::names::{all_namespaces, watch};
use super::output::{Format, json, output, refuse_watched_json};
use crate::context::Context;
use crate::error::Error;
use crate::render::{self, ListColumns};
use crate::switch::switch;
use crate::watch::{Listing, follow};
use api::constants::HASH_LABEL;
use api::{AnalysisRun, Experiment, Rollout};
use clap::{Arg, ArgMatches, Command};
use engine::info::{ExperimentInfo, Parts, RolloutInfo};
use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

pub(super) fn cli() -> Command {
    Command::new("list")
        .about("List rollouts or experiments")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(rollouts_cli().visible_aliases(["ro", "rollout"]))
        .subcommand(
            Command::new("experiments")
                .visible_aliases(["exp", "experiment"])
                .about("List experiments")
                .arg(all_namespaces())
                .arg(output()),
        )
}

/// `rollouts`, below `list` and below `get`.
pub(super) fn rollouts_cli() -> Command {
    Command::new("rollouts")
        .about("List rollouts")
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .help("Only this rollout"),
        )
        .arg(all_namespaces())
        .arg(watch("Print a line whenever a rollout changes"))
        .arg(output())
        .arg(switch("timestamps", "Begin every line with the time"))
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    match args.subcommand() {
        Some(("experiments", args)) => experiments(cx, args).await,
        Some((_, args)) => all_rollouts(cx, args).await,
        None => Ok(()),
    }
}

/// The rollouts of a namespace, once or whenever one changes.
pub(super) async fn all_rollouts(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    refuse_watched_json(args)?;
    if args.get_flag("watch") {
        watch_rollouts(cx, args).await
    } else {
        rollouts(cx, args).await
    }
}

async fn objects<K>(cx: &mut Context, args: &ArgMatches) -> Result<Api<K>, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    if args.get_flag("all-namespaces") {
        return Ok(Api::all(cx.client().await?));
    }
    cx.objects().await
}

/// All objects of a kind that the objects of a list may own.
async fn owned<K>(
    cx: &mut Context,
    args: &ArgMatches,
    (kind, labels): (&'static str, &str),
) -> Result<Vec<Arc<K>>, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let params = ListParams::default().labels(labels);
    let found = objects::<K>(cx, args).await?.list(&params).await;
    let found = found.map_err(Error::api(format!("list {kind}")))?;
    Ok(found.items.into_iter().map(Arc::new).collect())
}

/// What a document says of each rollout or experiment beyond its own status.
async fn families(cx: &mut Context, args: &ArgMatches) -> Result<Listing, Error> {
    Ok(Listing {
        replica_sets: owned::<ReplicaSet>(cx, args, ("ReplicaSets", HASH_LABEL)).await?,
        pods: owned::<Pod>(cx, args, ("pods", HASH_LABEL)).await?,
        ..Listing::default()
    })
}

fn chosen(args: &ArgMatches) -> Option<String> {
    args.get_one::<String>("name")
        .map(|name| format!("metadata.name={name}"))
}

fn list_columns(args: &ArgMatches) -> ListColumns {
    ListColumns {
        namespace: args.get_flag("all-namespaces"),
        timestamp: args.get_flag("timestamps"),
    }
}

async fn rollouts(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let rollouts = objects::<Rollout>(cx, args).await?;
    let params = ListParams {
        field_selector: chosen(args),
        ..ListParams::default()
    };
    let found = rollouts
        .list(&params)
        .await
        .map_err(Error::api("list rollouts"))?;
    let is_json = Format::of(args) == Format::Json;
    let listing = if is_json && !found.items.is_empty() {
        families(cx, args).await?
    } else {
        Listing::default()
    };
    let parts = listing.parts();
    let infos = found.items.iter().map(|one| RolloutInfo::new(one, &parts));
    let mut infos: Vec<RolloutInfo> = infos.collect();
    infos.sort_by_key(place);
    if is_json {
        let document = json(&BTreeMap::from([("rollouts", infos)]))?;
        cx.term.text(document)?;
        return Ok(());
    }
    if infos.is_empty() {
        cx.term.note("No resources found.")?;
        return Ok(());
    }
    let table = render::list(&infos, list_columns(args), cx.now());
    cx.term.text(table)?;
    Ok(())
}

fn info(rollout: &Rollout) -> RolloutInfo {
    RolloutInfo::new(rollout, &Parts::default())
}

fn place(info: &RolloutInfo) -> (String, String) {
    let meta = &info.object_meta;
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// Prints every Rollout once, and again whenever its line has changed.
async fn watch_rollouts(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let rollouts = objects::<Rollout>(cx, args).await?;
    let mut config = watcher::Config::default();
    if let Some(fields) = chosen(args) {
        config = config.fields(&fields);
    }
    let (store, mut changes) = follow(rollouts, "rollouts", config);
    let columns = list_columns(args);
    let mut printed: BTreeMap<(String, String), String> = BTreeMap::new();
    cx.term.text(render::list(&[], columns, cx.now()))?;
    while let Some(change) = changes.next().await {
        if !change?.tell(&mut cx.term)? {
            continue;
        }
        let mut infos: Vec<RolloutInfo> = store.state().iter().map(|one| info(one)).collect();
        infos.sort_by_key(place);
        for info in infos {
            let plain = ListColumns {
                timestamp: false,
                ..columns
            };
            let line = render::list_line(&info, plain, cx.now());
            let place = place(&info);
            if printed.get(&place) != Some(&line) {
                cx.term.text(render::list_line(&info, columns, cx.now()))?;
                printed.insert(place, line);
            }
        }
    }
    Ok(())
}

async fn experiments(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let experiments = objects::<Experiment>(cx, args).await?;
    let found = experiments.list(&ListParams::default()).await;
    let mut items = found.map_err(Error::api("list experiments"))?.items;
    items.sort_by_key(|one| (one.namespace(), one.name_any()));
    if Format::of(args) == Format::Json {
        let mut listing = Listing::default();
        if !items.is_empty() {
            listing = families(cx, args).await?;
            let runs = owned::<AnalysisRun>(cx, args, ("analysis runs", "")).await?;
            listing.analysis_runs = runs;
        }
        let parts = listing.parts();
        let infos = items.iter().map(|one| ExperimentInfo::new(one, &parts));
        let infos: Vec<ExperimentInfo> = infos.collect();
        let document = json(&BTreeMap::from([("experiments", infos)]))?;
        cx.term.text(document)?;
        return Ok(());
    }
    if items.is_empty() {
        cx.term.note("No resources found.")?;
        return Ok(());
    }
    let table = render::experiments(&items, args.get_flag("all-namespaces"), cx.now());
    cx.term.text(table)?;
    Ok(())
}
