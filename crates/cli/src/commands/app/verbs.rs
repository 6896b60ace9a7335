//! The verbs of `app`.

use super::{get, list, sync};
use crate::context::Context;
use crate::error::{Error, if_found};
use api::Application;
use api::constants::gitops::CONTROL_NAMESPACE;
use clap::{ArgMatches, Command};
use kube::Api;

pub(crate) fn cli() -> Command {
    Command::new("app")
        .about("Look at applications and synchronise them")
        .visible_aliases(["apps", "application"])
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(get::cli())
        .subcommand(list::cli())
        .subcommand(sync::cli())
}

pub(crate) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    match args.subcommand() {
        Some(("get", args)) => Box::pin(get::exec(cx, args)).await,
        Some(("list", args)) => Box::pin(list::exec(cx, args)).await,
        Some(("sync", args)) => Box::pin(sync::exec(cx, args)).await,
        _ => Ok(()),
    }
}

/// Where Applications are looked for: the namespace that was named, or the controller's own.
pub(super) fn namespace(cx: &Context) -> String {
    cx.named_namespace().unwrap_or(CONTROL_NAMESPACE).to_owned()
}

pub(super) async fn applications(cx: &mut Context) -> Result<Api<Application>, Error> {
    let namespace = namespace(cx);
    Ok(Api::namespaced(cx.client().await?, &namespace))
}

pub(super) async fn read(cx: &mut Context, name: &str) -> Result<Application, Error> {
    let found = if_found(applications(cx).await?.get(name).await);
    let found = found.map_err(Error::api(format!("read application \"{name}\"")))?;
    match found {
        Some(application) => Ok(application),
        None => Err(cx.not_found_in("application", name, namespace(cx)).await),
    }
}
