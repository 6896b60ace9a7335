//! Planners that are wrong on purpose.

use engine::snapshot::RolloutSnapshot;
use api::RolloutStatus;
use jiff::Timestamp;
use plan::Plan;

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    Forgetful,
}

impl Mutant {
    pub fn before(self, _snapshot: &mut RolloutSnapshot, now: Timestamp) -> Timestamp {
        now
    }
    pub fn after(self, _snapshot: &RolloutSnapshot, _plan: &mut Plan<RolloutStatus>, _now: Timestamp) {}
}
