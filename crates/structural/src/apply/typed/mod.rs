//! What a schema says about owning, comparing and merging values.
//!
//! A value without a schema (unknown fields that are kept) is *deduced*: maps are granular, lists
//! atomic.

mod check;
mod compare;
mod merge;
mod node;
mod pair;

pub(super) use check::check;
pub(super) use compare::{Comparison, compare, field_set};
pub(super) use merge::{merge, remove};
pub(super) use node::Node;
