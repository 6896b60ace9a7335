//! A world of maps: it carries out plans, makes pods, and keeps its own time.
//!
//! Nothing here knows a strategy. ReplicaSets get their pods at once; a pod is ready a moment
//! later, unless its image is one of those that never start. Every change is checked against the
//! safety rules that hold at every instant.

mod decode;
mod objects;
mod pass;
mod patches;
mod pods;
mod runs;
mod time;

pub(crate) use decode::parse;
pub(crate) use objects::{NAMESPACE, Script, Seen, World};
pub(crate) use patches::merge_patch;
