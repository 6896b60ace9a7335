//! What an installation consists of, as data: the rights that the code needs, the controller's
//! objects, alerts and dashboards. `deploy/` and the output of `weir install` are both made from
//! here, so they can't differ.
//!
//! - [`RULES`]: every right, with what it is for. `weir check` asks a cluster for them one by one.
//! - [`install`]: all objects of an installation, in the order in which they can be applied.
//! - [`files`]: the files of `deploy/` that are generated.
//!
//! Pure: nothing here reads or writes anything.

mod controller;
mod files;
mod helm;
mod install;
mod monitoring;
mod rbac;
mod rules;
mod settings;

pub use files::files;
pub use install::{crds, install, is_of_gitops, yaml};
pub use monitoring::{dashboard, monitoring, used_metrics};
pub use rules::{GITOPS, Place, RULES, Rule};
pub use settings::{Image, Memory, Settings};
