//! Carries out plans. Nothing here decides anything: what to do, in which order and under which
//! precondition is in the plan.

mod correlate;
mod dry_run;
mod event;
mod event_writer;
mod http;
mod kinds;
mod kubernetes;
mod measure;
mod outcomes;
mod render;

pub use dry_run::DryRuns;
pub use event::{EventWriters, Events, Occurrence, subject};
pub use http::{Fetch, Http};
pub use kinds::{Kinds, Served};
pub use kubernetes::Kubernetes;
pub use measure::{Inbox, Measurer};
pub use outcomes::Outcomes;
pub use render::{Purpose, Render, Renderer, Wanted};
