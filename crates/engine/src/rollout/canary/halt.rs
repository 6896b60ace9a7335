//! The pods of a canary whose update may not move (`spec.paused`, an analysis that can't tell): an
//! autoscaler goes on, and so does what keeps requests answered.

use super::proportion::{Arm, Proportion, part};
use super::split::{self, CanaryScale, Split, at_least_min_pods};
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;

impl Context<'_> {
    /// A halt keeps the update where it is: the arms follow `spec.replicas` with the parts that
    /// they have (the peer's stay what they are), and so they do where pods are missing to it. But
    /// where traffic moves all the same, because one arm answers no more, the other one gets the
    /// pods for it. Who scales to nothing means the pods of superseded revisions as well.
    pub(super) fn size_in_a_halt(&mut self) {
        if self.replicas() == 0 {
            let mut others = self.others();
            others.retain(|&index| self.sets[index].replicas > 0);
            for index in others {
                self.scale(index, 0);
            }
        }
        if self.is_stable_lost() {
            self.size_without_stable();
            return;
        }
        self.follow_replicas();
        if self.is_basic_canary() || !self.is_canary_dead() {
            return;
        }
        let weights = self.weights.clone();
        let size = self.routed_split(weights.as_ref()).stable;
        if let Some(stable) = self
            .stable
            .filter(|&stable| self.sets[stable].replicas < size)
        {
            self.scale(stable, size);
        }
    }

    /// With the stable ReplicaSet deleted, the revision that the update has come to is all there
    /// is: it gets all pods that there are to be. Another one that comes meanwhile waits for the
    /// end of the halt, or the pods of both would add up.
    fn size_without_stable(&mut self) {
        let Some(index) = self.last_set_standing() else {
            return;
        };
        let replicas = self.replicas();
        let own = self.sets[index].replicas;
        let others = if self.is_basic_canary() {
            let all: i32 = self.sets.iter().map(|set| set.replicas).sum();
            all - own
        } else {
            // What the router gives nothing answers nothing.
            0
        };
        self.scale(index, own.max(replicas - others).min(replicas));
    }

    /// Without a stable ReplicaSet: of those that answer, the one that has most of the pods or,
    /// where a router divides the traffic, the superseded one that has all of it. Otherwise it is
    /// the new one. What a router gives services that both lead to all pods has whoever answers.
    fn last_set_standing(&self) -> Option<usize> {
        if self.replicas() == 0 {
            // None of the superseded ones is to stand.
            return self.new;
        }
        if self.is_basic_canary() {
            // Of equals, the last.
            let sets = self.others().into_iter().chain(self.new);
            return sets.max_by_key(|&index| {
                let set = &self.sets[index];
                (set.ready() > 0, set.replicas)
            });
        }
        let services = self.arm_services();
        if self.leads_to_all(&services.canary) && self.leads_to_all(&services.stable) {
            let sets = self.others().into_iter().chain(self.new);
            let answering = sets.filter(|&index| self.sets[index].ready() > 0);
            return answering
                .max_by_key(|&index| self.sets[index].replicas)
                .or(self.new);
        }
        let whole = self.canary().max_traffic_weight();
        let has_all = self.weight_of_canary_service() >= whole;
        let behind = self.behind_canary_service();
        let serving = behind.filter(|set| has_all && set.ready() > 0);
        let is_serving = |index: &usize| {
            serving.is_some_and(|serving| serving.hash() == self.sets[*index].hash())
        };
        self.others().into_iter().find(is_serving).or(self.new)
    }

    /// Gives both arms their part of another number of replicas than they were scaled for, or of
    /// the same number if pods are missing to it.
    fn follow_replicas(&mut self) {
        let (Some(new), Some(stable)) = (self.new, self.stable) else {
            return;
        };
        let replicas = self.replicas();
        let follows = |index: usize| self.scaled_for(index) == replicas;
        if follows(new) && follows(stable) && !self.lacks_pods() {
            return;
        }
        let sizes = if self.is_basic_canary() {
            self.basic_parts(new, stable)
        } else {
            self.routed_parts(new, stable)
        };
        // Without a router, pods go before others come, or both would add up to more than the surge
        // allows. What is to come is still told to be of another whole, and gets its part when the
        // next pass sees the others gone.
        let goes = |index: usize, size: i32| size < self.sets[index].replicas;
        let is_going = goes(stable, sizes.stable) || goes(new, sizes.new);
        let waits = self.is_basic_canary() && is_going;
        for (index, size) in [(stable, sizes.stable), (new, sizes.new)] {
            if !waits || size <= self.sets[index].replicas {
                self.scale(index, size);
            }
        }
    }

    /// Whether there are fewer pods than `spec.replicas`, whatever the arms were told: somebody has
    /// deleted a ReplicaSet or scaled one by hand, or the halt has come when some pods had gone and
    /// those in their place were still to come. Where nobody answers behind the canary's service,
    /// the stable arm is sized by the traffic that it gets for that.
    fn lacks_pods(&self) -> bool {
        let all: i32 = self.sets.iter().map(|set| set.replicas).sum();
        all < self.replicas() && (self.is_basic_canary() || !self.is_canary_dead())
    }

    /// `spec.replicas` of the Rollout when a ReplicaSet got its size.
    fn scaled_for(&self, index: usize) -> i32 {
        let told = self.sets[index].desired_annotation();
        told.unwrap_or_else(|| self.replicas()).max(0)
    }

    fn basic_parts(&self, new: usize, stable: usize) -> Split {
        let (surge, unavailable) = self.surge_and_unavailable();
        let arm = |index: usize| Arm {
            pods: self.sets[index].replicas,
            of: self.scaled_for(index),
            available: self.sets[index].lasting(),
            is_selected: self.leads_a_service(index),
        };
        let others = self.others().into_iter().map(|index| &self.sets[index]);
        // Scaled to nothing, no parts are left: what the steps before have given says what they
        // were. One pod has no parts: each arm gets one if the surge allows it.
        let max_weight = self.canary().max_traffic_weight();
        let extra = if self.replicas() == 1 { surge } else { 0 };
        let given = self.weight_before_step();
        let proportion = Proportion {
            replicas: self.replicas(),
            surge,
            unavailable,
            new: arm(new),
            stable: arm(stable),
            others: others.clone().map(|set| set.replicas).sum(),
            others_available: others.map(OwnedSet::lasting).sum(),
            from_nothing: split::approximate(self.replicas(), given, max_weight, extra),
        };
        proportion.split()
    }

    /// Whether one of the canary's services is seen to lead to a ReplicaSet.
    fn leads_a_service(&self, index: usize) -> bool {
        let canary = self.canary();
        let services = [&canary.canary_service, &canary.stable_service];
        let hash = self.sets[index].hash();
        let mut selected = services.into_iter().flatten();
        selected.any(|service| !hash.is_empty() && self.live_selector(service) == hash)
    }

    /// Each arm has its part, and no less than what the routers give it needs, be it since before
    /// or with this pass: the traffic of a superseded revision goes back to as many stable pods as
    /// can take it, and those are then to stay.
    fn routed_parts(&self, new: usize, stable: usize) -> Split {
        let replicas = self.replicas();
        let canary = self.canary();
        let told = self.stored.canary.weights.iter().chain(&self.weights);
        let told = told.fold((0, 0), |most: (i32, i32), all| {
            let (canary, stable) = (all.canary.weight, all.stable.weight);
            (most.0.max(canary), most.1.max(stable))
        });
        let seen = self.observed_weights();
        let seen = seen.map_or((0, 0), |seen| (seen.canary, seen.stable));
        let max_weight = canary.max_traffic_weight();
        // What is stored may be anything: a status is written by others, too.
        let (to_canary, to_stable) = (told.0.max(seen.0).min(max_weight), told.1.max(seen.1));
        let min_pods = canary.min_pods_per_replica_set;
        let least = |pods: i32| at_least_min_pods(pods, min_pods, replicas);
        let part_of = |index: usize, given: i32, wanted: i32| {
            let (pods, of) = (self.sets[index].replicas, self.scaled_for(index));
            if of == 0 {
                return self.ceil_share(given);
            }
            // An arm that has the share of a weight keeps it. Of parts of parts, each rounded up,
            // an autoscaler that goes to and fro would make all pods in the end.
            let has = |weight: &i32| {
                let share = split::ceil_share(of, *weight, max_weight);
                pods == at_least_min_pods(share, min_pods, of)
            };
            let weight = [given, wanted].into_iter().find(has);
            weight.map_or_else(
                || part(pods, of, replicas),
                |weight| self.ceil_share(weight),
            )
        };
        let step_weight = self.step_weight();
        let wanted = match self.canary_scale() {
            // The steps ask for so many pods, of however many.
            Some(CanaryScale::Replicas(pods)) if self.scaled_for(new) == 0 => {
                if self.is_dynamic_stable() {
                    least(pods)
                } else {
                    pods
                }
            }
            Some(CanaryScale::Replicas(_)) => self.sets[new].replicas,
            Some(CanaryScale::Weight(weight)) => least(part_of(new, weight, weight)),
            None if self.is_canary_service_ours() => {
                let needed = self.ceil_share(to_canary);
                let given = to_canary.max(self.weight_before_step());
                least(part_of(new, given, step_weight).max(needed))
            }
            None => least(part_of(new, self.weight_before_step(), step_weight)),
        };
        let stable = if self.is_dynamic_stable() {
            let own = part_of(stable, max_weight - to_canary, max_weight - step_weight);
            let pods = own.max(self.ceil_share(to_stable));
            least(pods.min(replicas))
        } else {
            replicas
        };
        Split {
            new: wanted,
            stable,
        }
    }
}
