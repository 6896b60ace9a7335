//! Every rule of rollouts.md §5, one test each.

mod analyses;
mod lab;
mod pods;
mod services;
mod spec;
