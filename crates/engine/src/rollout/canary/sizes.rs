//! The pods of a canary: stable, new, then all others (rollouts.md §3.8–3.10).

use super::split::at_least_min_pods;
use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use api::{TrafficWeights, WeightDestination};
use plan::WaitingOn;

impl Context<'_> {
    /// Sizes the ReplicaSets. The first that changes its size ends this: the next one is sized when
    /// the change is seen, so that no two changes add up to a breach of the limits.
    pub(super) fn size_canary(&mut self) {
        // A pause stops an update; without one there is nothing to stop. An update that was given
        // up is not kept half done by a pause.
        let updating = self.new != self.stable && !self.is_aborted();
        if let Some(reason) = self.halt_reason().filter(|_| updating) {
            self.decide("halt", reason);
            if self.rollout.spec.is_paused() {
                self.wait(WaitingOn::Unpause);
            }
            self.size_in_a_halt();
            return;
        }
        self.keep_current_sets();
        let _ = self.size_stable()
            || self.size_new()
            || self.size_others()
            || self.give_up_broken_stable()
            || self.give_up_unwanted_new();
    }

    /// Stable pods that are not ready and not wanted any more make room, and those that are wanted
    /// do for new ones that have none.
    fn give_up_broken_stable(&mut self) -> bool {
        let Some(stable) = self.stable.filter(|_| self.stable != self.new) else {
            return false;
        };
        let wanted = self.basic_split().desired().stable;
        let lacking = self.pods_that_come_first().unwrap_or(0);
        self.give_up_unready(stable, wanted.min(self.sets[stable].replicas - lacking))
    }

    /// So do pods of the new revision that nobody asks for any more after an abort.
    fn give_up_unwanted_new(&mut self) -> bool {
        let Some(new) = self.new.filter(|_| self.stable != self.new) else {
            return false;
        };
        self.give_up_unready(new, self.basic_split().desired().new)
    }

    /// Takes pods away that are more than `wanted` and not ready. Together with those of a
    /// superseded revision they can fill the surge, so that nothing could ever move again (the peer
    /// stays there).
    fn give_up_unready(&mut self, index: usize, wanted: i32) -> bool {
        let set = &self.sets[index];
        let is_full = self.is_basic_canary() && self.basic_split().others_spec > 0;
        if !is_full || !set.is_observed() {
            return false;
        }
        let target = wanted.max(set.ready());
        target < set.replicas && self.scale(index, target)
    }

    /// How many pods the new revision lacks while stable ones that are not ready and those of a
    /// superseded revision may fill the surge. They come before stable ones that are missing, or
    /// the fix of a bad stable revision would wait for it (the peer's does): room that was made
    /// must not be taken back.
    fn pods_that_come_first(&self) -> Option<i32> {
        let stable = &self.sets[self.stable.filter(|_| self.stable != self.new)?];
        let split = self.basic_split();
        let desired = split.desired();
        let lacking = desired.new - self.new_set()?.replicas;
        let is_full = self.is_basic_canary() && split.others_spec > 0;
        (is_full && stable.ready() < desired.stable && lacking > 0).then_some(lacking)
    }

    fn size_stable(&mut self) -> bool {
        let Some(stable) = self.stable.filter(|_| self.stable != self.new) else {
            return false;
        };
        let size = if self.is_basic_canary() {
            let next = self.basic_split().next().stable;
            let size = match self.pods_that_come_first() {
                Some(_) => next.min(self.sets[stable].replicas),
                None => next,
            };
            self.with_pod_for_services(stable, size)
        } else {
            // By the weights of the pass before: pods go only after their traffic has gone. Nothing
            // was routed yet: then all of it is there. Traffic that comes back in this pass counts
            // too. What no router divides does not wait for one.
            let unrouted = self.has_router().then(|| self.all_to_stable());
            let recorded = self.stored.canary.weights.as_ref().or(unrouted.as_ref());
            let before = self.routed_split(recorded).stable;
            let sized = before.max(self.routed_split(self.weights.as_ref()).stable);
            // And traffic that waits for the pods to come back to.
            let rest = |weight| self.canary().max_traffic_weight() - weight;
            let awaited = self
                .held_weight
                .map_or(0, |held| self.ceil_share(rest(held)));
            // After an abort all of it is to come back, whatever a `setCanaryScale` that outlives
            // the abort leaves them.
            let returning = if self.is_aborted() {
                self.ceil_share(rest(self.desired_canary_weight()))
            } else {
                0
            };
            let size = sized.max(awaited).max(returning);
            let min_pods = self.canary().min_pods_per_replica_set;
            at_least_min_pods(size, min_pods, self.replicas())
        };
        self.scale(stable, size)
    }

    fn all_to_stable(&self) -> TrafficWeights {
        let stable = WeightDestination {
            weight: self.canary().max_traffic_weight(),
            ..WeightDestination::default()
        };
        TrafficWeights {
            stable,
            ..TrafficWeights::default()
        }
    }

    fn size_new(&mut self) -> bool {
        let (size, asked) = if self.is_basic_canary() {
            let size = match self.pods_that_come_first() {
                // The stable pods stay for a router that was given up; who promotes in full does
                // not wait for it.
                _ if self.is_promote_full() && self.is_handing_over() => self.replicas(),
                Some(lacking) => self.size_before_stable(lacking),
                None => self.basic_split().next().new,
            };
            (size, 0)
        } else {
            let wanted = self.routed_split(self.weights.as_ref()).new;
            let held = self.pods_for_held_weight(wanted);
            let asked = held.max(self.pods_for_lent_service());
            (wanted.max(asked), asked)
        };
        let size = self
            .new
            .map_or(size, |new| self.with_pod_for_services(new, size));
        self.scale_new(size, asked)
    }

    /// The new pods with all the room that the surge leaves.
    fn size_before_stable(&self, lacking: i32) -> i32 {
        let (surge, _) = self.surge_and_unavailable();
        let all: i32 = self.sets.iter().map(|set| set.replicas).sum();
        let room = (self.replicas() + surge - all).max(0);
        self.new_set().map_or(0, |new| new.replicas) + room.min(lacking)
    }

    /// Pods for a weight that is still above what the step wants, because the stable pods cannot
    /// take the rest yet. After an abort the canary service goes to the stable pods; of ping and
    /// pong, none does.
    pub(super) fn pods_for_held_weight(&self, wanted: i32) -> i32 {
        let held = self
            .weights
            .as_ref()
            .map_or(0, |weights| weights.canary.weight);
        let of_new = self.weights.as_ref().is_some_and(|weights| {
            self.new_set()
                .is_some_and(|new| weights.canary.pod_template_hash == new.hash())
        });
        let lowered = held > self.step_weight() || (held > 0 && wanted == 0);
        let services = self.arm_services();
        let leads_here = self
            .new
            .is_some_and(|new| self.leads_to(&services.canary, new));
        let stays = !self.is_aborted() || self.canary().ping_pong.is_some() || leads_here;
        if of_new && lowered && stays {
            let min_pods = self.canary().min_pods_per_replica_set;
            at_least_min_pods(self.ceil_share(held), min_pods, self.replicas())
        } else {
            0
        }
    }

    /// Pods of the new revision that the stable service is seen to lead to: it went to them while
    /// no router divided the traffic, and one came in the middle of the update. Those behind the
    /// canary's service are the same, and answer what either of the two gets. After an abort it
    /// may lead to all pods still, since nobody has pointed it at the stable ones yet. They go when
    /// the service has gone back.
    pub(super) fn pods_for_lent_service(&self) -> i32 {
        let Some(new) = self.new_set().filter(|_| self.new != self.stable) else {
            return 0;
        };
        let services = self.arm_services();
        let needed = if self.is_aborted() && self.has_led_to_all(&services.stable) {
            self.replicas()
        } else if self.live_selector(&services.stable) != new.hash() {
            0
        } else if self.is_canary_service_ours() {
            self.pods_for_both_services()
        } else {
            self.pods_for_stable_service()
        };
        needed.min(new.replicas)
    }

    /// In a pass whose routers can't be told what it wants: whoever gets requests has the pods for
    /// them, be it that somebody has turned a route or that an autoscaler asks for more. None goes,
    /// since its traffic could not be moved.
    pub(super) fn grow_to_traffic(&mut self) {
        let seen = self.observed_weights().unwrap_or_default();
        let services = self.arm_services();
        for index in [self.stable, self.new].into_iter().flatten() {
            let hash = self.sets[index].hash();
            let gets = |service: &str, weight: i32| {
                let is_here = !hash.is_empty() && self.selector(service) == hash;
                if is_here { weight } else { 0 }
            };
            let weight = gets(&services.canary, seen.canary) + gets(&services.stable, seen.stable);
            let is_whole = self.stable == self.new || !self.is_dynamic_stable();
            let size = if self.stable == Some(index) && is_whole {
                self.replicas()
            } else {
                self.ceil_share(weight).min(self.replicas())
            };
            if size > self.sets[index].replicas {
                self.scale(index, size);
            }
        }
    }

    /// Superseded ReplicaSets give their pods back as far as the floor of available pods allows,
    /// and those that are not available at once. What is not available yet may answer all the same,
    /// so that a service leaves before the last one goes.
    fn size_others(&mut self) -> bool {
        let mut others: Vec<usize> = self
            .others()
            .into_iter()
            .filter(|&index| self.sets[index].replicas > 0)
            .collect();
        if others.is_empty() {
            return false;
        }
        let mut scaled = false;
        for &index in &others {
            if let Some(service) = self.served_beside_too_few(index) {
                self.wait_beside_too_few(&service, index, "others are enough for what it gets");
            }
            let available = self.sets[index].available();
            // Pods that get requests are kept: unready ones may be back in a moment, and if they
            // went, the rest would have to answer for them.
            let is_idle = !self.has_traffic(index);
            if is_idle && self.sets[index].replicas > available && self.sets[index].is_observed() {
                let target = self.with_pod_for_services(index, available);
                scaled |= self.scale(index, target);
            }
        }
        let (_, unavailable) = self.surge_and_unavailable();
        let floor = self.replicas() - unavailable;
        let available: i32 = self.sets.iter().map(OwnedSet::lasting).sum();
        let mut down = available - floor;
        others.sort_by_key(|&index| std::cmp::Reverse(self.sets[index].revision()));
        let mut delayed = 0;
        for index in others {
            let size = self.sets[index].replicas;
            if down <= 0 {
                break;
            }
            let is_needed = self.is_referenced(index) || self.has_traffic(index);
            if size == 0 || (!self.is_basic_canary() && is_needed) {
                continue;
            }
            let target = self.superseded_size(index, size, down, &mut delayed);
            let target = self.with_pod_for_services(index, target);
            if self.scale(index, target) {
                scaled = true;
                down -= size - target;
            }
        }
        scaled
    }

    /// Whether a router gives a ReplicaSet requests, by what was told it or by what it does.
    fn has_traffic(&self, index: usize) -> bool {
        if !self.has_router() {
            return false;
        }
        let hash = self.sets[index].hash();
        let weights = self.stored.canary.weights.iter().chain(&self.weights);
        let mut told = weights.flat_map(|weights| [&weights.canary, &weights.stable]);
        if told.any(|arm| arm.weight > 0 && arm.pod_template_hash == hash) {
            return true;
        }
        let services = self.arm_services();
        let seen = self.observed_weights();
        let (canary, stable) = seen.map_or((0, 0), |seen| (seen.canary, seen.stable));
        (canary > 0 && self.selector(&services.canary) == hash)
            || (stable > 0 && self.selector(&services.stable) == hash)
            || (stable > 0 && self.stands_in(index))
            || self.served_beside_too_few(index).is_some()
    }

    /// The service of a routed canary behind which superseded pods answer because it leads to all,
    /// if others are too few for what it gets: the new ones, to which the canary's comes, or behind
    /// the stable one those of both arms.
    fn served_beside_too_few(&self, index: usize) -> Option<String> {
        if !self.has_router() || self.sets[index].ready() == 0 {
            return None;
        }
        let lasting = |arm: Option<usize>| arm.map_or(0, |arm| self.sets[arm].lasting());
        let new = lasting(self.new);
        let both = new + lasting(self.stable.filter(|_| self.stable != self.new));
        let services = self.arm_services();
        let lacks =
            |service: &str, pods: i32, needed: i32| pods < needed && self.leads_to_all(service);
        if lacks(&services.canary, new, self.pods_for_canary_service()) {
            Some(services.canary.clone())
        } else if lacks(&services.stable, both, self.pods_for_stable_service()) {
            Some(services.stable.clone())
        } else {
            None
        }
    }

    fn superseded_size(&mut self, index: usize, size: i32, down: i32, delayed: &mut i32) -> i32 {
        if self.is_basic_canary() {
            return (size - down).max(0);
        }
        if !self.is_fully_promoted() && !self.sets[index].has_deadline() {
            // Superseded in the middle of an update: nobody goes back to it.
            return 0;
        }
        if self.is_dynamic_stable() {
            return 0;
        }
        self.size_with_delay(index, delayed, size)
    }
}
