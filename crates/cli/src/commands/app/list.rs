//! `app list`: a line for every Application.

use super::verbs;
use crate::commands::names::all_namespaces;
use crate::context::Context;
use crate::error::Error;
use crate::render;
use api::Application;
use clap::{ArgMatches, Command};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

pub(super) fn cli() -> Command {
    Command::new("list")
        .about("List applications")
        .arg(all_namespaces())
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let applications: Api<Application> = if args.get_flag("all-namespaces") {
        Api::all(cx.client().await?)
    } else {
        verbs::applications(cx).await?
    };
    let found = applications.list(&ListParams::default()).await;
    let mut items = found.map_err(Error::api("list applications"))?.items;
    if items.is_empty() {
        cx.term.note("No resources found.")?;
        return Ok(());
    }
    items.sort_by_key(|one| (one.namespace(), one.name_any()));
    cx.term.text(render::applications(&items))?;
    Ok(())
}
