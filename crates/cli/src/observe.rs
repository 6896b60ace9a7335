//! How a verb looks at a Rollout as the controller does.

use api::Rollout;
use engine::snapshot::RolloutSnapshot;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Event;
use kube::Client;

/// What was seen of a Rollout.
#[derive(Clone, Debug)]
pub struct Observed {
    /// As the controller's, but with all pods.
    pub snapshot: RolloutSnapshot,
    /// What was warned of, in events of the Rollout.
    pub warnings: Vec<Event>,
    /// What could not be looked at, and what that means for what is said.
    pub notes: Vec<String>,
}

/// Collects the snapshot of a Rollout. Programs bring it along: the observation is the controller's
/// own, so that `explain` sees what it sees.
pub type Observer = fn(Client, Rollout) -> BoxFuture<'static, Result<Observed, String>>;
