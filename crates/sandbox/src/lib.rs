//! A cluster on one machine: the embedded API server, pods that really listen, a gateway, a load
//! generator.
//!
//! [`Sandbox::start`] brings all of it up on loopback addresses of its own. Every pod has an
//! address and listens on its container ports with the demo workload ([`cluster::workload`]); the
//! [`gateway`] routes real HTTP to ready endpoints, by Service and by `HTTPRoute` weights; [`load`]
//! sends requests at a fixed rate and accounts for each of them. Several sandboxes can run beside
//! each other: each claims a block of 127.0.0.0/8.
//!
//! Linux answers on all of 127.0.0.0/8 without setup; elsewhere the addresses have to be aliased
//! first, and the error says so.

mod addresses;
mod error;
pub mod gateway;
pub mod load;
pub mod node;
mod pods;
mod sandbox;

pub use error::{Error, Result};
pub use sandbox::{Options, Sandbox};
