//! The verbs, one file each: `cli()` says what is typed, `exec()` does it.

mod abort;
mod app;
mod completion;
mod create;
mod create_run;
mod explain;
mod get;
mod lint;
mod list;
mod names;
mod output;
mod pause;
mod promote;
mod restart;
mod retry;
mod set;
mod status;
mod table;
mod target;
mod template;
mod terminate;
mod undo;
mod version;

pub(crate) use table::{all, exec};
