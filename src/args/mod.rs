//! The command line of `weir`: the controller, its installation and check, the sandbox, the demo.
//! The verbs about objects are `crates/cli`'s, in the same command.

mod command;
mod controller;
mod peer;
#[cfg(test)]
mod tests;

pub(crate) use controller::instance_id;

pub use command::{Runs, command, runs};
pub use controller::{ControllerArgs, ControllerName, ElectionArgs, JobArgs, LogArgs};
pub use peer::{PeerArgs, PeerRouterArgs};
