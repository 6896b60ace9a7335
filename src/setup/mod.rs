//! `weir install` and `weir check`: what an installation consists of, and what a cluster lacks for it.

mod access;
mod check;
mod conflict;
mod definitions;
mod install;
mod report;
mod skew;

pub use check::{CheckOptions, check};
pub use install::{InstallOptions, install};
pub use report::{Finding, Report};
pub use skew::warn_of_clock;
