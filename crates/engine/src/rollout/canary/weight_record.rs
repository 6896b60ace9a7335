//! The weights as the status has them: those that were told the routers, or those that the routers
//! tell (rollouts.md §3.13).

use crate::rollout::conditions;
use crate::rollout::context::Context;
use crate::traffic::Observed;
use api::constants::reason;
use api::{TrafficWeights, WeightDestination};

impl Context<'_> {
    /// Makes what is stored parts of the whole that the spec says: whoever edits
    /// `maxTrafficWeight` takes nothing from a revision and gives it nothing. All that comes after
    /// this in a pass may take the numbers for what they are.
    ///
    /// Parts of the present whole need not add up to it: routers that differ, or backends of
    /// somebody else's, are stored as they are. So a status that was written for this very spec is
    /// believed, and so is one that says what the routers do.
    pub(crate) fn convert_stored_weights(&mut self) {
        let generation = self.rollout.metadata.generation.unwrap_or(0);
        let is_of_spec = conditions::is_of_spec(&self.stored, generation);
        if is_of_spec || self.rollout.spec.canary().is_none() {
            return;
        }
        let whole = self.canary().max_traffic_weight();
        let Some(weights) = &self.stored.canary.weights else {
            return;
        };
        let told = Observed {
            canary: weights.canary.weight,
            stable: weights.stable.weight,
        };
        if self.observed_weights() == Some(told) {
            return;
        }
        if let Some(converted) = as_parts_of(whole, weights) {
            self.weights = Some(converted.clone());
            self.stored.to_mut().canary.weights = Some(converted);
        }
    }

    pub(super) fn weight_record(&self, weight: i32) -> TrafficWeights {
        let canary = self.canary();
        let canary_hash = if self.is_rolling_back_dynamically() {
            let recorded = self.stored.canary.weights.as_ref();
            recorded.map_or_else(String::new, |w| w.canary.pod_template_hash.clone())
        } else if let Some(hash) = self.left_with_superseded(weight) {
            hash
        } else {
            self.new_set()
                .map_or_else(String::new, |set| set.hash().to_owned())
        };
        let additional = self.experiment_destinations();
        let taken: i32 = additional.iter().map(|one| one.weight).sum();
        let verified = self.snapshot.inbox.weights_verified.values().copied();
        TrafficWeights {
            canary: WeightDestination {
                weight,
                service_name: canary.canary_service.clone().unwrap_or_default(),
                pod_template_hash: canary_hash,
            },
            stable: WeightDestination {
                weight: (canary.max_traffic_weight() - weight - taken).max(0),
                service_name: canary.stable_service.clone().unwrap_or_default(),
                pod_template_hash: self
                    .stable_set()
                    .map_or_else(String::new, |set| set.hash().to_owned()),
            },
            additional,
            verified: verified.reduce(|all, one| all && one),
        }
    }

    /// The hash of a superseded revision that has what the canary's service gets after an abort,
    /// since it has not gone back yet. The one that was given up gets no pods for that: a retry
    /// would find them, and have all of it at its first step.
    pub(super) fn left_with_superseded(&self, weight: i32) -> Option<String> {
        let hash = self.behind_canary_service()?.hash();
        let mut others = self.others().into_iter();
        let is_left = weight > 0
            && self.is_going_back()
            && others.any(|index| self.sets[index].hash() == hash);
        is_left.then(|| hash.to_owned())
    }

    /// The weights as they are, before the first canary Ingress is written: the one that changes
    /// them comes when these are stored. No step ends meanwhile, but its pods come: they are sized
    /// by weights that hold.
    pub(super) fn record_before_ingress(&mut self, observed: Option<Observed>) {
        self.is_routing_broken = true;
        let given = observed.map_or(0, |observed| observed.canary);
        let mut weights = self.weight_record(given);
        weights.additional.clear();
        weights.stable.weight = self.canary().max_traffic_weight() - given;
        self.record_weights(weights);
    }

    /// Weights that may not move are what the routers say, not what was told them last: a pass may
    /// have ended between its route and its status. Pods are sized by what they are asked. That
    /// holds too where no weight was ever given: somebody may have turned the route by hand.
    pub(super) fn record_observed(&mut self, observed: Option<Observed>) {
        let Some(observed) = observed else { return };
        let updating = self.stable.is_some() && self.stable != self.new;
        if self.weights.is_none() && updating && observed.canary > 0 {
            self.weights = Some(self.weight_record(observed.canary));
        }
        // It is the new revision's by now, if the service has come to its pods while the weight
        // stood, or is to come there with all of it.
        let is_own = self.is_canary_service_ours() || self.takes_over_from_all();
        let come = self.new_set().filter(|_| updating && is_own);
        let come = come.map(|new| new.hash().to_owned());
        if let Some(weights) = &mut self.weights {
            weights.canary.weight = observed.canary;
            weights.stable.weight = observed.stable;
            if let Some(hash) = come {
                weights.canary.pod_template_hash = hash;
            }
        }
    }

    /// Routers that differed have got the same: that is told as any other change of the weight, and
    /// recorded as what they say.
    pub(super) fn record_alike(&mut self, given: Observed) {
        self.record_observed(Some(given));
        let weights = self.weights.as_ref();
        if let Some(change) = weights.and_then(|weights| self.change_of_weight(weights)) {
            let message = format!("Traffic weight updated {change}");
            self.event(reason::TRAFFIC_WEIGHT_UPDATED, message);
        }
    }

    /// What becomes of the canary's weight, by the status.
    fn change_of_weight(&self, weights: &TrafficWeights) -> Option<String> {
        let weight = weights.canary.weight;
        match &self.stored.canary.weights {
            None => Some(format!("to {weight}")),
            Some(old) if old.canary.weight != weight => {
                Some(format!("from {} to {weight}", old.canary.weight))
            }
            Some(_) => None,
        }
    }

    /// Of a pass that gave the shares of an experiment back and moved nothing else: the canary's
    /// part stays what it was, whichever revision it is of.
    pub(super) fn record_shares_given_back(&mut self, given: &TrafficWeights) {
        let mut weights = self.weights.clone().unwrap_or_else(|| given.clone());
        weights.canary.weight = given.canary.weight;
        weights.stable.weight = given.stable.weight;
        weights.additional.clone_from(&given.additional);
        self.record_weights(weights);
    }

    pub(super) fn record_weights(&mut self, weights: TrafficWeights) {
        let old = self.stored.canary.weights.as_ref();
        if old != Some(&weights) {
            let change = self.change_of_weight(&weights);
            let changed = old.map_or(&[][..], |old| &old.additional) != weights.additional;
            let additional =
                changed.then(|| format!("additional: {}", listed(&weights.additional)));
            let told: Vec<String> = change.into_iter().chain(additional).collect();
            let message = format!("Traffic weight updated {}", told.join(", "));
            self.event(reason::TRAFFIC_WEIGHT_UPDATED, message);
        }
        self.weights = Some(weights);
    }
}

/// The same shares as parts of another whole, rounded as those are that routers tell: what gets a
/// little gets some. `None` if there is nothing to convert.
fn as_parts_of(whole: i32, weights: &TrafficWeights) -> Option<TrafficWeights> {
    let arms = [&weights.canary, &weights.stable].into_iter();
    let arms = arms.chain(&weights.additional);
    let total: i64 = arms.map(|arm| i64::from(arm.weight)).sum();
    if total <= 0 || whole <= 0 || total == i64::from(whole) {
        return None;
    }
    let mut converted = weights.clone();
    let arms = [&mut converted.canary, &mut converted.stable].into_iter();
    for arm in arms.chain(&mut converted.additional) {
        let parts = i64::from(arm.weight) * i64::from(whole);
        arm.weight = i32::try_from((parts + total - 1) / total).unwrap_or(whole);
    }
    Some(converted)
}

/// `[{weight service hash} …]`, as the peer prints the shares of experiments.
fn listed(destinations: &[WeightDestination]) -> String {
    let one = |to: &WeightDestination| {
        format!(
            "{{{} {} {}}}",
            to.weight, to.service_name, to.pod_template_hash
        )
    };
    let all: Vec<String> = destinations.iter().map(one).collect();
    format!("[{}]", all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(canary: i32, stable: i32, additional: &[i32]) -> TrafficWeights {
        let to = |weight| WeightDestination {
            weight,
            ..WeightDestination::default()
        };
        TrafficWeights {
            canary: to(canary),
            stable: to(stable),
            additional: additional.iter().copied().map(to).collect(),
            verified: None,
        }
    }

    #[test]
    fn shares_stay_what_they_are() {
        for (before, whole, after) in [
            (weights(62, 38, &[]), 2000, weights(1240, 760, &[])),
            (weights(1240, 760, &[]), 100, weights(62, 38, &[])),
            (weights(0, 100, &[]), 2000, weights(0, 2000, &[])),
            (weights(40, 50, &[10]), 1000, weights(400, 500, &[100])),
            // A little is some.
            (weights(62, 38, &[]), 10, weights(7, 4, &[])),
            (weights(1, 1999, &[]), 100, weights(1, 100, &[])),
        ] {
            assert_eq!(as_parts_of(whole, &before), Some(after.clone()));
            // What was rounded up is not rounded again.
            let again = as_parts_of(whole, &after);
            assert_eq!(again.unwrap_or_else(|| after.clone()), after);
        }
    }

    #[test]
    fn parts_of_the_same_whole_and_of_nothing_are_left() {
        assert_eq!(as_parts_of(100, &weights(62, 38, &[])), None);
        assert_eq!(as_parts_of(100, &weights(0, 0, &[])), None);
    }

    #[test]
    fn the_largest_numbers_fit() {
        let whole = crate::rollout::bounds::COUNT_MAX;
        let most = weights(whole, whole, &[whole]);
        let third = (whole + 2) / 3;
        let after = weights(third, third, &[third]);
        assert_eq!(as_parts_of(whole, &most), Some(after));
    }
}
