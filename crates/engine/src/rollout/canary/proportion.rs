//! How many pods each arm of a canary by pods gets when the Rollout is scaled while its update may
//! not move: integers in, integers out.

use super::split::Split;
use crate::rollout::bounds::COUNT_MAX;

/// A ReplicaSet of the canary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arm {
    /// `spec.replicas`.
    pub(super) pods: i32,
    /// `spec.replicas` of the Rollout when it got them; above 0.
    pub(super) of: i32,
    /// `status.availableReplicas`, without pods that are seen to leave.
    pub(super) available: i32,
    /// Whether a service leads to it: somebody's requests have nowhere else to go.
    pub(super) is_selected: bool,
}

/// Two arms that shall keep their parts of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proportion {
    /// `spec.replicas` of the Rollout.
    pub(super) replicas: i32,
    /// Resolved `maxSurge` and `maxUnavailable`, pods.
    pub(super) surge: i32,
    pub(super) unavailable: i32,
    pub(super) new: Arm,
    pub(super) stable: Arm,
    /// Pods of all other ReplicaSets, and how many of them are available.
    pub(super) others: i32,
    pub(super) others_available: i32,
}

/// `⌈pods · to / of⌉`: the same part of another whole.
pub(super) fn part(pods: i32, of: i32, to: i32) -> i32 {
    let of = i64::from(of.max(1));
    let parts = i64::from(pods) * i64::from(to);
    narrow((parts + of - 1) / of)
}

/// Annotations may say anything of the whole that there was.
fn narrow(pods: i64) -> i32 {
    pods.clamp(0, i64::from(COUNT_MAX)) as i32
}

impl Proportion {
    /// All pods that there are to be: never fewer than `replicas` together, nor more than the surge
    /// allows where it can be helped, and no available pod goes that the floor needs. An arm that a
    /// service leads to keeps a pod that it has.
    pub(super) fn split(&self) -> Split {
        let mut new = self.nearest(self.new, 1);
        if self.new.pods > 0 && self.replicas > 0 {
            new = new.max(1);
        }
        // A half more goes to the stable arm.
        let mut stable = self.nearest(self.stable, 0).max(self.least(self.stable));
        stable = stable.max(self.replicas - new - self.others);
        let over = |new: i32, stable: i32| {
            let all = new + stable + self.others;
            (all - self.replicas - self.surge).max(0)
        };
        new -= over(new, stable).min(self.spare(self.new, new));
        stable -= over(new, stable).min(self.spare(self.stable, stable));
        stable += self.missing(new, stable).min(going(self.stable, stable));
        new += self.missing(new, stable).min(going(self.new, new));
        Split { new, stable }
    }

    /// An arm's part, to the nearest pod; a half counts up, or down if `down` is 1.
    fn nearest(&self, arm: Arm, down: i64) -> i32 {
        let of = i64::from(arm.of.max(1));
        let parts = 2 * i64::from(arm.pods) * i64::from(self.replicas);
        narrow((parts + of - down) / (2 * of))
    }

    /// Of no pods at all, services get none either.
    fn least(&self, arm: Arm) -> i32 {
        i32::from(arm.is_selected && self.replicas > 0).min(arm.pods)
    }

    /// How many pods of such a size need not be: where fewer are asked for, all but what a service
    /// needs; otherwise those that are to come.
    fn spare(&self, arm: Arm, size: i32) -> i32 {
        if self.replicas < arm.of {
            (size - self.least(arm)).max(0)
        } else {
            (size - arm.pods).max(0)
        }
    }

    /// Available pods that such sizes lack to the floor.
    fn missing(&self, new: i32, stable: i32) -> i32 {
        let left = self.new.available.min(new) + self.stable.available.min(stable);
        (self.replicas - self.unavailable - left - self.others_available).max(0)
    }
}

/// Available pods that such a size takes away.
fn going(arm: Arm, size: i32) -> i32 {
    (arm.available.min(arm.pods) - size).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `of` replicas, all pods available, with the default surge.
    fn halted(replicas: i32, (new, stable): (i32, i32), of: i32) -> Proportion {
        let arm = |pods: i32| Arm {
            pods,
            of,
            available: pods,
            is_selected: false,
        };
        let quarter = (replicas + 3) / 4;
        Proportion {
            replicas,
            surge: quarter,
            unavailable: replicas / 4,
            new: arm(new),
            stable: arm(stable),
            others: 0,
            others_available: 0,
        }
    }

    fn sizes(proportion: &Proportion) -> (i32, i32) {
        let split = proportion.split();
        (split.new, split.stable)
    }

    #[test]
    fn arms_keep_their_parts() {
        for (replicas, before, of, after) in [
            (10, (2, 3), 5, (4, 6)),
            (5, (4, 6), 10, (2, 3)),
            // One and a half, and four and a half.
            (6, (1, 3), 4, (1, 5)),
            (0, (2, 3), 5, (0, 0)),
            // A canary of one pod stays one.
            (2, (1, 9), 10, (1, 2)),
            // No pod of the new revision yet.
            (8, (0, 4), 4, (0, 8)),
            // In the middle of a move some may be missing.
            (8, (1, 2), 4, (2, 6)),
        ] {
            let halted = halted(replicas, before, of);
            assert_eq!(sizes(&halted), after, "{halted:?}");
        }
    }

    #[test]
    fn a_canary_without_a_surge_gives_way() {
        let one = Proportion {
            surge: 0,
            unavailable: 1,
            ..halted(1, (1, 1), 2)
        };
        assert_eq!(sizes(&one), (0, 1));
    }

    #[test]
    fn an_arm_that_a_service_leads_to_keeps_a_pod() {
        for (replicas, before, of, after) in [
            (1, (4, 1), 5, (1, 1)),
            (2, (9, 1), 10, (2, 1)),
            // It gets none that it has not, and nobody has any of none.
            (1, (5, 0), 5, (1, 0)),
            (0, (4, 1), 5, (0, 0)),
        ] {
            let mut halted = halted(replicas, before, of);
            halted.stable.is_selected = true;
            assert_eq!(sizes(&halted), after, "{halted:?}");
        }
        // Without a surge the other arm gives way as long as it can.
        for (replicas, before, of, after) in [(2, (9, 1), 10, (1, 1)), (1, (1, 1), 2, (1, 1))] {
            let mut halted = halted(replicas, before, of);
            (halted.surge, halted.unavailable) = (0, 1);
            halted.stable.is_selected = true;
            halted.new.is_selected = true;
            assert_eq!(sizes(&halted), after, "{halted:?}");
        }
    }

    #[test]
    fn pods_that_answer_do_not_go_for_some_that_do_not() {
        let mut halted = halted(5, (4, 6), 10);
        halted.new.available = 0;
        assert_eq!(sizes(&halted), (2, 4));
        halted.new.available = 4;
        halted.stable.available = 0;
        assert_eq!(sizes(&halted), (4, 3));
    }

    #[test]
    fn limits_hold_for_all_sizes() {
        for of in 1..9 {
            for new in 0..=of {
                for replicas in 0..20 {
                    let halted = halted(replicas, (new, of - new), of);
                    let (new, stable) = sizes(&halted);
                    let all = new + stable;
                    assert!(new >= 0 && stable >= 0, "{halted:?}");
                    assert!(all >= replicas, "{halted:?}: {new} and {stable}");
                    assert!(
                        all <= replicas + halted.surge,
                        "{halted:?}: {new} and {stable}"
                    );
                }
            }
        }
    }
}
