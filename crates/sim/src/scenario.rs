//! What happens in one world, as data: it can be stored, shrunk and played again.

use crate::actor::{Act, Verdict};
use crate::fault::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happens at a virtual moment, milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    pub at_ms: i64,
    pub act: Act,
}

/// How quick everybody is, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tempo {
    /// How late news are, at most; each kind has a lag of its own.
    pub lag_ms: i64,
    /// One call of the controller, at most.
    pub call_ms: i64,
    /// From a change of a ReplicaSet to its pods, at most.
    pub react_ms: i64,
    /// From a pod's creation to its readiness.
    pub ready_ms: (i64, i64),
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Of everything that is random within the world: latencies, names.
    pub seed: u64,
    /// Fields of the Rollout's spec, the strategy among them.
    pub spec: Value,
    pub tempo: Tempo,
    pub acts: Vec<Timed>,
    pub faults: Vec<Fault>,
    pub verdicts: Vec<Verdict>,
}

impl Scenario {
    /// Whether anybody will look at single pods.
    pub fn shows_pods(&self) -> bool {
        let strategies = ["/strategy/canary", "/strategy/blueGreen"];
        let mut fields = strategies
            .iter()
            .filter_map(|path| self.spec.pointer(path)?.as_object())
            .flat_map(|strategy| strategy.keys());
        self.acts.iter().any(|timed| timed.act == Act::Restart)
            || fields.any(|field| field.ends_with("Metadata"))
    }

    /// Whether a second process is needed.
    pub fn changes_leader(&self) -> bool {
        let change = |fault: &Fault| matches!(fault, Fault::LeaderChange { .. });
        self.faults.iter().any(change)
    }
}
