//! `app get`: how an Application stands.

use super::verbs;
use crate::commands::names::{name, the_name};
use crate::context::Context;
use crate::error::Error;
use crate::render;
use clap::{ArgMatches, Command};

pub(super) fn cli() -> Command {
    Command::new("get")
        .about("Show an application: sync state, health, history, conditions, resources")
        .arg(name("Name of the application"))
}

pub(super) async fn exec(cx: &mut Context, args: &ArgMatches) -> Result<(), Error> {
    let application = verbs::read(cx, the_name(args)).await?;
    cx.term.text(render::application(&application))?;
    Ok(())
}
