//! The sandbox on real loopback sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod cluster;
mod gateway;
mod node;
mod world;
