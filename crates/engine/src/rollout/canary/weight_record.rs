//! The weights as the status has them: those that were told the routers, or those that the routers
//! tell (rollouts.md §3.13).

use crate::rollout::context::Context;
use crate::traffic::Observed;
use api::constants::reason;
use api::{TrafficWeights, WeightDestination};

impl Context<'_> {
    pub(super) fn weight_record(&self, weight: i32) -> TrafficWeights {
        let canary = self.canary();
        let canary_hash = if self.is_rolling_back_dynamically() {
            let recorded = self.stored.canary.weights.as_ref();
            recorded.map_or_else(String::new, |w| w.canary.pod_template_hash.clone())
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
        // stood.
        let come = self
            .new_set()
            .filter(|_| updating && self.is_canary_service_ours());
        let come = come.map(|new| new.hash().to_owned());
        if let Some(weights) = &mut self.weights {
            weights.canary.weight = observed.canary;
            weights.stable.weight = observed.stable;
            if let Some(hash) = come {
                weights.canary.pod_template_hash = hash;
            }
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
            let change = match old {
                None => Some(format!("to {}", weights.canary.weight)),
                Some(old) if old.canary.weight != weights.canary.weight => Some(format!(
                    "from {} to {}",
                    old.canary.weight, weights.canary.weight
                )),
                Some(_) => None,
            };
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
