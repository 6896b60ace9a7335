//! The verbs of `weir` and `kubectl weir`: arguments, commands, rendering (rollouts.md §8).
//!
//! [`command`] is the tree of verbs, [`run`] parses and carries one out, [`execute`] does so with a
//! client that already exists. Every verb is a file of [`commands`] with two functions, `cli()` and
//! `exec()`. What is printed is made by pure functions in [`render`]; only [`term`] writes. What
//! `explain` knows of a cluster comes through an [`Observer`], which the program brings along: it
//! is the controller's. Three things are the controller's as well: which cluster the flags mean
//! ([`cluster_config`]), how a flag is turned on and off ([`Switch`]), and which answer says that
//! an object is not there ([`if_found`]).

mod clock;
mod cluster;
mod commands;
mod context;
mod error;
mod flags;
mod lint;
mod observe;
mod overrides;
mod patience;
mod program;
pub mod render;
mod run;
mod status_patch;
mod strict;
mod switch;
mod table;
mod term;
mod watch;

pub use cluster::cluster_config;
pub use context::Context;
pub use error::{Error, if_found};
pub use flags::CLUSTER_FLAGS;
pub use observe::{Observed, Observer};
pub use program::Program;
pub use run::{command, dispatch, execute, run};
pub use switch::Switch;
pub use term::{Captured, Term};
