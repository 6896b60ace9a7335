//! Timelines: what users do to a Rollout, and everything that can be seen to happen.
//!
//! A [`Scenario`] is manifests and actions. [`play`] plays one against any Kubernetes API that a
//! [`kube::Client`] reaches, with a controller at work on it, and answers with a [`Recording`];
//! [`differences`] lays that beside the recording of somebody else. `recordings/` holds scenarios
//! that were recorded from the peer, each with the differences that are intended.

mod compare;
mod difference;
mod flat;
mod play;
mod record;
mod recording;
mod scenario;

pub use compare::{Time, differences};
pub use difference::{Intended, Verdict, judge};
pub use play::{PlayError, Settings, play};
pub use recording::{Entry, Op, Recording, Step};
pub use scenario::{Action, Scenario, ScenarioError};
