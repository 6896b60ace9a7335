//! How many pods each arm of a canary gets: integers in, integers out (rollouts.md §3.9, §3.10).
//!
//! Nothing here knows a Kubernetes type. The golden vectors of the peer hold for both strategies
//! (`tests/it/vectors.rs`).

use crate::rollout::bounds::COUNT_MAX;

/// Size and availability of one ReplicaSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arm {
    /// `spec.replicas`.
    pub spec: i32,
    /// `status.availableReplicas`, without pods that are seen to leave.
    pub available: i32,
}

/// A canary that is weighted by the number of its pods (§3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basic {
    /// `spec.replicas` of the Rollout.
    pub replicas: i32,
    /// Resolved `maxSurge`, pods.
    pub surge: i32,
    /// Resolved `maxUnavailable`, pods.
    pub unavailable: i32,
    /// The weight that the canary should have, of `max_weight`.
    pub weight: i32,
    pub max_weight: i32,
    pub new: Option<Arm>,
    pub stable: Option<Arm>,
    /// Whether the stable ReplicaSet is another one than the new one.
    pub distinct: bool,
    /// `spec.replicas` of all other ReplicaSets together.
    pub others_spec: i32,
}

/// Pods of the two arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    pub new: i32,
    pub stable: i32,
}

impl Basic {
    /// The split that the weight asks for once the transition is over.
    pub fn desired(&self) -> Split {
        if self.distinct {
            approximate(self.replicas, self.weight, self.max_weight, self.surge)
        } else {
            Split {
                new: self.replicas,
                stable: 0,
            }
        }
    }

    /// The next sizes on the way to [`Self::desired`]: never more than `replicas + surge` pods,
    /// never fewer than `replicas - unavailable` available ones.
    pub fn next(&self) -> Split {
        let desired = self.desired();
        let grown = self.grow(desired);
        let min_available = self.replicas - self.unavailable;
        if self.others_spec > 0 {
            return grown;
        }
        let growing = self.new.is_none_or(|new| desired.new >= new.spec);
        let available = countable(self.new, !growing) + countable(self.stable, growing);
        if available <= min_available {
            return grown;
        }
        let down = available - min_available;
        if growing {
            self.shrink_stable(desired, grown, down)
        } else {
            self.shrink_new(desired, grown, down)
        }
    }

    /// Spends what `max_surge` leaves: the stable arm first, then the new one.
    fn grow(&self, desired: Split) -> Split {
        let new_spec = self.new.map_or(0, |arm| arm.spec);
        let stable_spec = self.distinct_stable().map_or(0, |arm| arm.spec);
        let mut room = self.replicas + self.surge - self.others_spec - new_spec - stable_spec;
        let mut split = Split {
            new: new_spec,
            stable: stable_spec,
        };
        if self.distinct && split.stable < desired.stable && room > 0 {
            let step = room.min(desired.stable - split.stable);
            split.stable += step;
            room -= step;
        }
        if self.new.is_some() && new_spec < desired.new && room > 0 {
            split.new = (new_spec + room).min(desired.new);
        }
        split
    }

    fn shrink_new(&self, desired: Split, grown: Split, down: i32) -> Split {
        let spec = self.new.map_or(0, |arm| arm.spec);
        let new = if spec > desired.new {
            desired.new.max(spec - down)
        } else {
            grown.new
        };
        let (new, stable) = self.balance((self.new, new), (self.distinct_stable(), grown.stable));
        Split { new, stable }
    }

    fn shrink_stable(&self, desired: Split, grown: Split, down: i32) -> Split {
        let Some(stable_arm) = self.distinct_stable() else {
            return grown;
        };
        let stable = if stable_arm.spec > desired.stable {
            desired.stable.max(stable_arm.spec - down)
        } else {
            grown.stable
        };
        let (stable, new) = self.balance((Some(stable_arm), stable), (self.new, grown.new));
        Split { new, stable }
    }

    /// Makes a drained arm and the other one fit under the ceiling: pods of the other arm that are
    /// not available yet give way first, as far as the floor allows.
    fn balance(&self, drained: (Option<Arm>, i32), other: (Option<Arm>, i32)) -> (i32, i32) {
        let ceiling = self.replicas + self.surge;
        let floor = self.replicas - self.unavailable;
        let (drained_arm, mut drained_size) = drained;
        let (other_arm, mut other_size) = other;
        let over = (other_size + drained_size - ceiling).max(0);
        let mut available = drained_arm.map_or(0, |arm| arm.available.min(drained_size));
        if let Some(arm) = other_arm {
            other_size -= over;
            available += arm.available.min(other_size);
            let extra = (arm.available - other_size).max(0);
            let need = (floor - available).max(0);
            other_size += extra.min(need);
            drained_size -= (other_size + drained_size - ceiling).max(0);
        }
        (drained_size, other_size)
    }

    fn distinct_stable(&self) -> Option<Arm> {
        self.stable.filter(|_| self.distinct)
    }
}

/// Pods of an arm that count towards the floor. An arm that is about to grow counts with what it
/// should have, one that is about to shrink with what is available.
fn countable(arm: Option<Arm>, shrinking: bool) -> i32 {
    match arm {
        None => 0,
        Some(arm) if arm.spec < arm.available || shrinking => arm.spec,
        Some(arm) => arm.available,
    }
}

/// The split of `replicas` (one more if `surge` allows) that comes closest to `weight` of
/// `max_weight`, keeping a pod in each arm while the weight is neither nothing nor all.
pub fn approximate(replicas: i32, weight: i32, max_weight: i32, surge: i32) -> Split {
    if replicas == 0 {
        return Split { new: 0, stable: 0 };
    }
    let up = ceil_share(replicas, weight, max_weight);
    let down = floor_share(replicas, weight, max_weight);
    let empty_arm_fine = weight == max_weight || weight == 0 || (replicas == 1 && surge == 0);
    let mut candidates = Vec::with_capacity(4);
    if up < replicas || empty_arm_fine {
        candidates.push((up, replicas));
    }
    if !tied(replicas, weight, max_weight) && (down != 0 || empty_arm_fine) {
        candidates.push((down, replicas));
    }
    if surge > 0 {
        candidates.push((up, replicas + 1));
        if !tied(replicas + 1, weight, max_weight) && (down != 0 || empty_arm_fine) {
            candidates.push((down, replicas + 1));
        }
    }
    let error = |(canary, total): (i32, i32)| {
        (f64::from(max_weight) * f64::from(canary) / f64::from(total) - f64::from(weight)).abs()
    };
    let mut best: Option<(i32, i32)> = None;
    for candidate in candidates {
        if best.is_none_or(|best| error(candidate) < error(best)) {
            best = Some(candidate);
        }
    }
    best.map_or(
        Split {
            new: 0,
            stable: replicas,
        },
        |(canary, total)| Split {
            new: canary,
            stable: total - canary,
        },
    )
}

/// Whether rounding up and rounding down miss the weight by the same amount.
fn tied(total: i32, weight: i32, max_weight: i32) -> bool {
    let exact = f64::from(total) * (f64::from(weight) / f64::from(max_weight));
    // The peer compares doubles exactly; so must we, or the two would choose different sizes.
    #[allow(clippy::float_cmp, reason = "an exact tie, as the peer computes it")]
    let half = exact.fract() == 0.5;
    half
}

/// `⌈replicas · weight / max_weight⌉`.
pub fn ceil_share(replicas: i32, weight: i32, max_weight: i32) -> i32 {
    share(replicas, weight, max_weight, f64::ceil)
}

fn floor_share(replicas: i32, weight: i32, max_weight: i32) -> i32 {
    share(replicas, weight, max_weight, f64::floor)
}

fn share(replicas: i32, weight: i32, max_weight: i32, round: fn(f64) -> f64) -> i32 {
    if max_weight <= 0 {
        return 0;
    }
    let share = round(f64::from(replicas) * f64::from(weight) / f64::from(max_weight));
    share.min(f64::from(COUNT_MAX)) as i32
}

/// A canary whose traffic is weighted by a router (§3.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    pub replicas: i32,
    pub max_weight: i32,
    /// What `setCanaryScale` asks for, if one is in force.
    pub scale: Option<CanaryScale>,
    /// The weight that the canary should have ([`Self::scale`] aside).
    pub weight: i32,
    pub dynamic_stable: bool,
    /// `minPodsPerReplicaSet`.
    pub min_pods: Option<i32>,
    pub aborted: bool,
    /// Weights of the last traffic reconciliation, if any.
    pub recorded: Option<Recorded>,
}

/// `setCanaryScale` without `matchTrafficWeight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryScale {
    Replicas(i32),
    Weight(i32),
}

/// Weights that a router has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub canary: i32,
    pub stable: i32,
}

impl Routed {
    /// The sizes of the arms.
    pub fn split(&self) -> Split {
        let (weight, canary) = match self.scale {
            Some(CanaryScale::Replicas(replicas)) => (0, replicas),
            Some(CanaryScale::Weight(weight)) => (weight, self.pods_for(weight)),
            None => (self.weight, self.pods_for(self.weight)),
        };
        if !self.dynamic_stable {
            return Split {
                new: canary,
                stable: self.replicas,
            };
        }
        let share = |weight| ceil_share(self.replicas, weight, self.max_weight);
        let mut stable = share(self.max_weight - weight);
        let mut canary = canary;
        if let Some(recorded) = self.recorded {
            // What still gets traffic keeps the pods for it. Parts that were rounded up, or that
            // routers which differ give, may be more than all together.
            let kept = |weight| share(weight).min(self.replicas);
            stable = stable.max(kept(recorded.stable));
            if self.aborted {
                canary = canary.max(kept(recorded.canary));
            }
        }
        Split {
            new: at_least_min_pods(canary, self.min_pods, self.replicas),
            stable: at_least_min_pods(stable, self.min_pods, self.replicas),
        }
    }

    fn pods_for(&self, weight: i32) -> i32 {
        let pods = ceil_share(self.replicas, weight, self.max_weight);
        at_least_min_pods(pods, self.min_pods, self.replicas)
    }
}

/// `minPodsPerReplicaSet` (§3.10): an arm that has pods has at least so many, if there are so many
/// at all.
pub fn at_least_min_pods(pods: i32, min_pods: Option<i32>, replicas: i32) -> i32 {
    match min_pods {
        Some(min_pods) if pods > 0 => pods.max(min_pods.min(replicas)),
        _ => pods,
    }
}

/// While an abort with dynamic stable scale brings the stable pods back: the largest step weight
/// that the pods still needed outside the stable arm allow (§3.10, desiredCanaryWeight).
pub fn abort_weight(weights: &[i32], needed: i32, replicas: i32, max_weight: i32) -> i32 {
    weights
        .iter()
        .rev()
        .copied()
        .find(|&weight| ceil_share(replicas, weight, max_weight) < needed)
        .unwrap_or(0)
}
