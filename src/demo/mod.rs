//! `weir demo`: a commit becomes a canary, is measured, and is promoted; a bad commit is measured
//! and rolled back by itself. No cluster, no registry, no network: an embedded cluster whose pods
//! really listen, a gateway that really routes, and a load that counts every answer.

mod chapters;
mod frame;
mod look;
mod manifests;
mod pace;
mod repository;
mod screen;
mod story;
mod summary;
mod view;

pub use story::{Options, run};
