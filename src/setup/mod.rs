//! `weir install` and `weir check`: what an installation consists of, and what a cluster lacks for
//! it.

mod access;
mod argo_cd;
mod bindings;
mod check;
mod conflict;
mod definitions;
mod install;
mod options;
mod others;
mod report;
mod skew;

pub use check::{CheckOptions, check};
pub use install::install;
pub use options::{InstallOptions, check_flags};
pub use others::warn_of_others;
pub use report::{Finding, Report};
pub use skew::warn_of_clock;
