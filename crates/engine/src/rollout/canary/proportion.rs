//! How many pods each arm of a canary by pods gets when the Rollout is scaled while its update may
//! not move: integers in, integers out.

use super::split::Split;
use crate::rollout::bounds::COUNT_MAX;

/// A ReplicaSet of the canary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arm {
    /// `spec.replicas`.
    pub(super) pods: i32,
    /// `spec.replicas` of the Rollout when it got them.
    pub(super) of: i32,
    /// `status.availableReplicas`, without pods that are on their way out.
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
    /// What the arms would have where no parts are left to keep, since one was scaled to nothing.
    pub(super) from_nothing: Split,
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
    /// allows where it can be helped, and no available pod goes that the floor needs. Of pods that
    /// are missing to `replicas`, those come last that are not there yet: one arm may have got its
    /// part before the halt, by other roundings. An arm that a service leads to keeps a pod that it
    /// has.
    pub(super) fn split(&self) -> Split {
        let wanted = self.wanted();
        let (mut new, mut stable) = (wanted.new, wanted.stable);
        if self.new.pods > 0 && self.replicas > 0 {
            new = new.max(1);
        }
        stable = stable.max(self.least(self.stable));
        let lacking = |new: i32, stable: i32| (self.replicas - new - stable - self.others).max(0);
        stable += lacking(new, stable).min((self.stable.pods - stable).max(0));
        new += lacking(new, stable).min((self.new.pods - new).max(0));
        stable += lacking(new, stable);
        let over = |new: i32, stable: i32| {
            let all = new + stable + self.others;
            (all - self.replicas - self.surge).max(0)
        };
        new -= over(new, stable).min(self.spare(self.new, new));
        stable -= over(new, stable).min(self.spare(self.stable, stable));
        stable += self.missing(new, stable).min(going(self.stable, stable));
        new += self.missing(new, stable).min(going(self.new, new));
        // For pods that stay because of the floor, fewer others come.
        new -= over(new, stable).min(coming(self.new, new));
        stable -= over(new, stable).min(coming(self.stable, stable));
        Split { new, stable }
    }

    /// The parts of the arms, limits aside.
    fn wanted(&self) -> Split {
        if self.new.of <= 0 || self.stable.of <= 0 {
            return self.from_nothing;
        }
        // A half more goes to the stable arm.
        Split {
            new: self.nearest(self.new, 1),
            stable: self.nearest(self.stable, 0),
        }
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
            coming(arm, size)
        }
    }

    /// Available pods that such sizes lack to the floor.
    fn missing(&self, new: i32, stable: i32) -> i32 {
        let left = self.new.available.min(new) + self.stable.available.min(stable);
        (self.replicas - self.unavailable - left - self.others_available).max(0)
    }
}

/// Pods that such a size adds.
fn coming(arm: Arm, size: i32) -> i32 {
    (size - arm.pods).max(0)
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
            from_nothing: Split {
                new: 0,
                stable: replicas,
            },
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

    /// The stable arm got its part, the smaller half, before the halt.
    #[test]
    fn no_pod_comes_in_the_place_of_one_that_goes() {
        for (replicas, new, stable, after) in [
            (5, (3, 6), (2, 5), (3, 2)),
            // Nor in the middle of a move; the stable arm keeps its own first.
            (5, (4, 10), (4, 10), (2, 3)),
            (3, (3, 4), (0, 4), (3, 0)),
            // What is not there has to come.
            (8, (3, 6), (2, 8), (4, 4)),
        ] {
            let mut halted = halted(replicas, (new.0, stable.0), new.1);
            halted.stable.of = stable.1;
            (halted.surge, halted.unavailable) = (0, 1);
            assert_eq!(sizes(&halted), after, "{halted:?}");
        }
    }

    /// The other one goes first, and what is to come is only looked at again where an arm has not
    /// got its part yet.
    #[test]
    fn an_arm_that_has_its_part_grows_for_none_that_goes() {
        for of in 1..7 {
            for replicas in 1..7 {
                for pods in 0..=of {
                    for part in 1..=replicas {
                        let mut case = halted(replicas, (pods, part), of);
                        case.stable.of = replicas;
                        let (new, stable) = sizes(&case);
                        assert!(new >= pods || stable <= part, "{case:?}: {new}, {stable}");
                        std::mem::swap(&mut case.new, &mut case.stable);
                        let (new, stable) = sizes(&case);
                        assert!(stable >= pods || new <= part, "{case:?}: {new}, {stable}");
                    }
                }
            }
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

    /// The stable arm was scaled to nothing. The new one was not: it was superseded then.
    #[test]
    fn where_no_parts_are_left_pods_stay_that_the_floor_needs() {
        for (replicas, (pods, available), surge, after) in [
            (5, (1, 1), 2, (1, 5)),
            // The floor is four.
            (5, (3, 3), 2, (3, 4)),
            (5, (5, 5), 2, (4, 3)),
            (5, (3, 0), 2, (1, 5)),
            (5, (3, 3), 0, (3, 2)),
            (5, (0, 0), 2, (0, 5)),
            (0, (3, 3), 0, (0, 0)),
        ] {
            let mut halted = halted(replicas, (pods, 0), 5);
            halted.new.available = available;
            halted.stable.of = 0;
            halted.surge = surge;
            assert_eq!(sizes(&halted), after, "{halted:?}");
        }
    }

    #[test]
    fn from_nothing_all_limits_hold_beside_pods_that_are_there() {
        for (surge, unavailable) in [(0, 1), (1, 0), (2, 1)] {
            for replicas in 1..9 {
                for pods in 0..9 {
                    for others in 0..4 {
                        let case = Proportion {
                            surge,
                            unavailable,
                            stable: Arm::default(),
                            others,
                            others_available: others,
                            ..halted(replicas, (pods, 0), 9)
                        };
                        let (new, stable) = sizes(&case);
                        let all = new + stable + others;
                        let most = (replicas + surge).max(pods + others);
                        assert!(all <= most, "{case:?}: {new} and {stable}");
                        let left = new.min(pods) + others;
                        let least = (replicas - unavailable).min(pods + others);
                        assert!(left >= least, "{case:?}: {new} and {stable}");
                    }
                }
            }
        }
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
