//! Weights: how much the canary should have by its steps (rollouts.md §3.9, §3.10).

use super::limits::surge_and_unavailable;
use super::split::{self, Arm, Basic, CanaryScale, Recorded, Routed, Split, at_least_min_pods};
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::traffic;
use api::TrafficWeights;

impl Context<'_> {
    /// Whether a router divides the traffic. `trafficRouting` without any has the sizes of a routed
    /// canary and no weights (§3.13).
    pub(crate) fn has_router(&self) -> bool {
        let routing = self.rollout.spec.traffic_routing();
        routing.is_some_and(traffic::has_router)
    }

    /// Nothing to weigh against: the first revision, or the stable one again.
    fn is_single_armed(&self) -> bool {
        self.is_promote_full() || self.stored_stable().is_empty() || self.is_fully_promoted()
    }

    /// The weight of the step being carried out: that of the last `setWeight` up to it.
    pub(crate) fn step_weight(&self) -> i32 {
        let max_weight = self.canary().max_traffic_weight();
        if self.is_single_armed() {
            return max_weight;
        }
        if self.is_aborted() {
            return 0;
        }
        let (Some(_), Some(_)) = (self.step_index(), self.current_step()) else {
            return max_weight;
        };
        self.steps_back()
            .find_map(|step| step.set_weight)
            .unwrap_or(0)
    }

    /// The weight that the canary should have; after an abort with a dynamic stable ReplicaSet, one
    /// that the stable pods can already make up for (§3.10).
    pub(super) fn desired_canary_weight(&self) -> i32 {
        let (Some(new), Some(stable)) = (self.new_set(), self.stable_set()) else {
            return self.step_weight();
        };
        if !self.is_aborted() || !self.is_dynamic_stable() || self.new == self.stable {
            return self.step_weight();
        }
        let missing = self.replicas() - stable.available();
        let needed = match self.explicit_abort_delay_s() {
            Some(seconds) if seconds > 0 => missing,
            // Pods that are there whatever the weight is say nothing about it.
            _ if new.available() <= self.pods_at_any_weight() => missing,
            _ => missing.max(new.available()),
        };
        let steps = self.rollout.spec.canary_steps();
        let weights: Vec<i32> = steps.iter().filter_map(|step| step.set_weight).collect();
        let max_weight = self.canary().max_traffic_weight();
        split::abort_weight(&weights, needed, self.replicas(), max_weight)
    }

    /// How many pods an aborted canary has at the very least, until its weight is 0.
    fn pods_at_any_weight(&self) -> i32 {
        let least = self.canary().min_pods_per_replica_set.unwrap_or(0);
        let kept = match self.canary_scale() {
            Some(CanaryScale::Replicas(replicas)) => replicas,
            Some(CanaryScale::Weight(weight)) => self.ceil_share(weight),
            None => 0,
        };
        least.min(self.replicas()).max(kept)
    }

    /// `setCanaryScale` of the nearest step up to the current one, unless it is suspended.
    pub(super) fn canary_scale(&self) -> Option<CanaryScale> {
        let kept_after_abort = self.explicit_abort_delay_s() == Some(0);
        if self.is_single_armed() || (self.is_aborted() && !kept_after_abort) {
            return None;
        }
        self.current_step()?;
        let scale = self
            .steps_back()
            .find_map(|step| step.set_canary_scale.clone())?;
        if scale.match_traffic_weight.unwrap_or(false) {
            None
        } else if let Some(replicas) = scale.replicas {
            Some(CanaryScale::Replicas(replicas))
        } else {
            scale.weight.map(CanaryScale::Weight)
        }
    }

    /// The sizes that the current step wants in the end.
    pub(crate) fn desired_split(&self, weights: Option<&TrafficWeights>) -> Split {
        if self.is_basic_canary() {
            self.basic_split().desired()
        } else {
            self.routed_split(weights)
        }
    }

    pub(super) fn routed_split(&self, weights: Option<&TrafficWeights>) -> Split {
        let canary = self.canary();
        if self.stable.is_none() || self.stable == self.new {
            return Split {
                new: self.replicas(),
                stable: 0,
            };
        }
        let split = Routed {
            replicas: self.replicas(),
            max_weight: canary.max_traffic_weight(),
            scale: self.canary_scale(),
            weight: self.desired_canary_weight(),
            dynamic_stable: self.is_dynamic_stable(),
            min_pods: canary.min_pods_per_replica_set,
            aborted: self.is_aborted(),
            recorded: weights.map(|weights| Recorded {
                // What a superseded canary still gets is no reason for pods of this one.
                canary: if weights.canary.pod_template_hash == self.current_hash {
                    weights.canary.weight
                } else {
                    0
                },
                // What an experiment takes away for a while comes back all at once.
                stable: weights.stable.weight
                    + weights.additional.iter().map(|one| one.weight).sum::<i32>(),
            }),
        }
        .split();
        let taken_over = at_least_min_pods(
            self.ceil_share(self.weight_taken_over()),
            canary.min_pods_per_replica_set,
            self.replicas(),
        );
        match split.new {
            // Nobody wants any.
            0 => split,
            new => Split {
                new: new.max(taken_over),
                ..split
            },
        }
    }

    pub(super) fn basic_split(&self) -> Basic {
        let canary = self.canary();
        let (surge, unavailable) = self.surge_and_unavailable();
        // Pods that a scale-down takes away are none to keep: the sizes to keep them with would be
        // undone by the next pass, and come again with the one after that.
        let arm = |set: &OwnedSet| Arm {
            spec: set.replicas,
            available: set.lasting(),
        };
        Basic {
            replicas: self.replicas(),
            surge,
            unavailable,
            weight: self.step_weight(),
            max_weight: canary.max_traffic_weight(),
            new: self.new_set().map(arm),
            stable: self.stable_set().map(arm),
            distinct: self.stable.is_some() && self.stable != self.new,
            others_spec: self
                .others()
                .into_iter()
                .map(|index| self.sets[index].replicas)
                .sum(),
        }
    }

    /// Resolved `maxSurge` and `maxUnavailable`, pods (§3.9).
    pub(super) fn surge_and_unavailable(&self) -> (i32, i32) {
        let canary = self.canary();
        let replicas = self.replicas();
        let surge = canary.max_surge_or_default();
        surge_and_unavailable(&surge, &canary.max_unavailable_or_default(), replicas)
    }
}
