//! Which verbs there are.

use super::{
    abort, app, completion, create, explain, get, lint, list, pause, promote, restart, retry, set,
    status, terminate, undo, version,
};
use crate::context::Context;
use crate::error::Error;
use clap::{ArgMatches, Command};

/// The verbs, in the order of the help text.
pub(crate) fn all() -> Vec<Command> {
    vec![
        get::cli(),
        list::cli(),
        status::cli(),
        explain::cli(),
        create::cli(),
        lint::cli(),
        promote::cli(),
        abort::cli(),
        retry::cli(),
        undo::cli(),
        pause::cli(),
        restart::cli(),
        set::cli(),
        terminate::cli(),
        app::cli(),
        version::cli(),
        completion::cli(),
    ]
}

/// Futures of verbs are boxed: some hold whole API objects, and stacks are small.
pub(crate) async fn exec(cx: &mut Context, matches: &ArgMatches) -> Result<(), Error> {
    match matches.subcommand() {
        Some(("get", args)) => Box::pin(get::exec(cx, args)).await,
        Some(("list", args)) => Box::pin(list::exec(cx, args)).await,
        Some(("status", args)) => Box::pin(status::exec(cx, args)).await,
        Some(("explain", args)) => Box::pin(explain::exec(cx, args)).await,
        Some(("create", args)) => Box::pin(create::exec(cx, args)).await,
        Some(("lint", args)) => lint::exec(cx, args),
        Some(("promote", args)) => Box::pin(promote::exec(cx, args)).await,
        Some(("abort", args)) => Box::pin(abort::exec(cx, args)).await,
        Some(("retry", args)) => Box::pin(retry::exec(cx, args)).await,
        Some(("undo", args)) => Box::pin(undo::exec(cx, args)).await,
        Some(("pause", args)) => Box::pin(pause::exec(cx, args)).await,
        Some(("restart", args)) => Box::pin(restart::exec(cx, args)).await,
        Some(("set", args)) => Box::pin(set::exec(cx, args)).await,
        Some(("terminate", args)) => Box::pin(terminate::exec(cx, args)).await,
        Some(("app", args)) => Box::pin(app::exec(cx, args)).await,
        Some(("version", args)) => version::exec(cx, args),
        Some(("completion", args)) => completion::exec(cx, args),
        _ => Err(Error::Refused("this verb is not known here".to_owned())),
    }
}
