//! `app`: Applications, which keep a cluster as Git has it.

mod get;
mod list;
mod sync;
mod verbs;

pub(super) use verbs::{cli, exec};
