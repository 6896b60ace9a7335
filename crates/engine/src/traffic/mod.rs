//! Traffic routers as pure patches: the desired change from the live object.
//!
//! A router names the objects that it needs ([`required`]) and those that it makes ([`made`]), and
//! turns a weight into guarded patches of both and creations of its own ([`apply`]). It never waits
//! and never asks anybody. An object that already says what is wanted yields no patch. What the
//! live objects say is [`observed`]. Objects that the spec no longer names are found by
//! [`fn@former`], until the traffic is given back.

mod former;
pub mod gateway_api;
mod managed_rules;
pub mod nginx;
mod router;

pub use former::{Former, Record, Seen, former, give_back, remembered, remembered_by};
pub use managed_rules::ManagedRoute;
pub use router::{
    Arms, Change, Observed, RouteError, Want, apply, differ, has_router, has_rules, made, observed,
    required, unsupported, whole_parts,
};

#[cfg(test)]
mod tests;
