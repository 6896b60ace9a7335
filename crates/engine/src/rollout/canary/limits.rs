//! How many pods more, and how many fewer, an update may have.

use crate::rollout::amount::{self, Round};
use crate::rollout::bounds::COUNT_MAX;
use api::IntOrString;

/// `maxSurge` and `maxUnavailable` in pods: the first rounded up, the second down. Both 0 would let
/// nothing move: then one pod may be away.
pub fn surge_and_unavailable(
    surge: &IntOrString,
    unavailable: &IntOrString,
    replicas: i32,
) -> (i32, i32) {
    let surge = amount::pods(surge, replicas, Round::Up).clamp(0, COUNT_MAX);
    let unavailable = match amount::pods(unavailable, replicas, Round::Down).max(0) {
        0 if surge == 0 => 1,
        unavailable => unavailable,
    };
    (surge, unavailable.min(replicas))
}
