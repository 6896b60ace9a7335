//! The static check: names and types against the values of the environment.

mod calls;
mod members;
mod node;
mod operators;

pub(crate) use members::check_key;
pub(crate) use node::check;
