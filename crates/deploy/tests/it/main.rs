//! The files of `deploy/` against what the crate says, through the tools that users have.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod charts;
mod choices;
mod safety;
