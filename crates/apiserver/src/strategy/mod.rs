//! The rules of writing: what creation, update, patch and deletion do to an object before and while
//! it is stored.
//!
//! Every write runs under the server's writer lock from reading the old state to storing the new
//! one, so a write sees the head and resource version conflicts are exactly those the caller's
//! preconditions ask for.

mod autoscaler;
mod crd;
mod create;
mod delete;
mod event;
mod kinds;
mod managed;
mod namespace;
mod options;
mod patch;
mod pod;
mod scale;
mod service;
mod update;

pub(crate) use create::create;
pub(crate) use delete::{delete, delete_collection};
pub(crate) use event::to_version;
pub(crate) use options::{Target, WriteOptions, Written};
pub(crate) use patch::patch;
pub(crate) use pod::{bind, evict};
pub(crate) use scale::{get as get_scale, selector_text};
pub(crate) use update::{put, replace};
