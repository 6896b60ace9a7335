//! Runs from their first pass to their last.

mod errors;
mod jobs;
mod passes;
mod recorded;
mod rules;
mod secrets;
mod timing;
mod world;
