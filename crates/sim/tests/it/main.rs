//! The simulator on itself: what must hold of every world, and golden transcripts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers may fail loudly; clippy exempts only the tests themselves"
)]

mod crashes;
mod scenarios;
mod worlds;
