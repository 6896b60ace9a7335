//! The argoproj.io/v1alpha1 types: Rollout, analysis, Experiment, Application, AppProject.
//!
//! Names are those of the Go API, fields in snake case. No behaviour lives here beyond reading
//! defaults; every default cites its section of the specification.
//!
//! How absence travels:
//! - In specs, what may be absent is an `Option`, so that a value someone wrote (`paused: false`,
//!   `setWeight: 0`, `pause: {}`) survives. Lists and maps are plain: empty and absent are one.
//!   Where they are not (`namespaceResourceWhitelist`), the list is an `Option`.
//! - In statuses, strings, numbers and flags are plain and left out of JSON when zero, as Go's
//!   `omitempty` does, so that a status written here equals one written by the peer.
//! - Pod templates, plugin settings and Job specs are JSON: nothing in them is lost.
//!
//! Stored objects that don't fit their types are read by [`lenient`].
//!
//! [`crd`] makes the CustomResourceDefinitions of `crds/`; doc comments of fields become the
//! descriptions that `kubectl explain` shows.

mod analysis;
mod application;
pub mod constants;
pub mod crd;
mod experiment;
pub mod lenient;
mod pod_template;
mod project;
mod resource;
mod rollout;
mod schema;
mod text_enum;

pub use analysis::*;
pub use application::*;
pub use experiment::*;
pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
pub use pod_template::PodTemplate;
pub use project::*;
pub use rollout::*;
pub use text_enum::UnknownValue;
