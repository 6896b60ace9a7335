//! The traffic loop: gives the routers the weight of this moment, if they may have it
//! (rollouts.md §3.13).

use crate::rollout::context::Context;
use crate::rollout::time::plus_seconds;
use crate::traffic::{self, Arms, Change, Observed, RouteError, Want};
use api::RolloutTrafficRouting;
use api::constants::reason;
use plan::{Action, WaitingOn};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long to wait before a router is tried again.
const RETRY_S: i64 = 10;

impl Context<'_> {
    /// Gives the routers the weight of this moment. Whether the pass may go on to the pods: not if
    /// a router could not be told. (A first canary Ingress only comes later.)
    pub(super) fn route_traffic(&mut self) -> bool {
        let canary = self.canary();
        let routing = canary.traffic_routing.as_ref();
        let Some(routing) = routing.filter(|_| self.has_router()) else {
            if self.former.is_empty() {
                self.weights = None;
            }
            return true;
        };
        let observed = self.observed_weights();
        let weight = self.weight_of_this_moment(observed);
        let may_move = self.is_stable_ready_for(weight, observed);
        if !may_move {
            self.hold(weight);
        }
        let held = observed.filter(|_| !may_move);
        let back = held.filter(|seen| self.can_take_shares_back(*seen));
        let back = back.map(|seen| self.no_more_than(seen));
        let alike = held.and_then(|seen| self.made_alike(seen));
        let stays = back.or(alike);
        let moves_weights =
            may_move || stays.is_some() || observed.is_some_and(|seen| self.is_kept(weight, seen));
        let weight = stays.map_or(weight, |seen| seen.canary);
        let services = self.arm_services();
        let weights = self.weight_record(weight);
        let namespace = self.namespace().to_owned();
        let former = self.former_destinations(&weights.additional);
        // Nobody else needs them.
        let ports = if weights.additional.is_empty() {
            BTreeMap::new()
        } else {
            self.target_ports(&services.stable)
        };
        let routes = self.managed_routes();
        let want = Want {
            namespace: &namespace,
            owner: self.owner_reference(),
            canary_service: &services.canary,
            stable_service: &services.stable,
            weight,
            max_weight: canary.max_traffic_weight(),
            additional: &weights.additional,
            former: &former,
            target_ports: &ports,
            moves_weights,
            routes: &routes,
        };
        let change = traffic::apply(routing, &self.snapshot.objects, &want);
        match change.and_then(|change| self.unless_refused(change)) {
            Ok(change) => {
                if self.is_overtaken(&change) {
                    return false;
                }
                if self.is_first_ingress(&change) {
                    self.record_before_ingress(observed);
                    return true;
                }
                self.note_routing(&want, change);
                match (back, alike) {
                    (Some(_), _) => self.record_shares_given_back(&weights),
                    (None, _) if may_move => self.record_weights(weights),
                    (None, Some(alike)) => self.record_alike(alike),
                    (None, None) => self.record_observed(observed),
                }
                true
            }
            Err(error) => {
                self.note_route_error(&error);
                false
            }
        }
    }

    /// Whether this pass writes one of these objects already, for services that the spec no longer
    /// names. A write is made of the object as it was seen, so the weight comes with the next pass.
    fn is_overtaken(&mut self, change: &Change) -> bool {
        let mut targets = change.actions.iter().filter_map(Action::target);
        let Some(target) = targets.find(|target| self.is_written(target)) else {
            return false;
        };
        self.is_routing_broken = true;
        self.wait(WaitingOn::Object {
            object: target.to_string(),
            why: "it gives the services that the spec named before their traffic back".to_owned(),
        });
        true
    }

    /// Whether this writes a canary Ingress of which no stored weight tells. An edit may take the
    /// router out of the spec at the very moment at which a pass writes the Ingress: it is found by
    /// the weights then, so they are stored before.
    fn is_first_ingress(&self, change: &Change) -> bool {
        let mut targets = change.actions.iter().filter_map(Action::target);
        self.stored.canary.weights.is_none()
            && targets.any(|target| target.kind == traffic::nginx::KIND)
    }

    /// The very same that was refused a moment ago is not tried again before a while has passed.
    fn unless_refused(&self, change: Change) -> Result<Change, RouteError> {
        let mut actions = change.actions.iter();
        let refused = actions.find_map(|action| {
            let message = self.recent_route_refusal(action)?;
            let object = action
                .target()
                .map_or_else(String::new, |key| key.to_string());
            Some(RouteError::Refused { object, message })
        });
        match refused {
            Some(error) => Err(error),
            None => Ok(change),
        }
    }

    /// What the API server said when this very write was refused a moment ago.
    pub(crate) fn recent_route_refusal(&self, action: &Action) -> Option<String> {
        let refusal = self.snapshot.inbox.route_refused.as_ref()?;
        let again = plus_seconds(refusal.at, RETRY_S);
        (again > self.now && is_same(action, &refusal.action)).then(|| refusal.message.clone())
    }

    fn note_route_error(&mut self, error: &RouteError) {
        self.is_routing_broken = true;
        let message = error.to_string();
        self.warn(reason::TRAFFIC_ROUTING_ERROR, message.clone());
        self.wait(WaitingOn::Object {
            object: "trafficRouting".to_owned(),
            why: message,
        });
        self.wake_at(plus_seconds(self.now, RETRY_S));
    }

    fn note_routing(&mut self, want: &Want<'_>, change: Change) {
        if !change.actions.is_empty() {
            let because = if want.moves_weights {
                format!("the canary gets {} of {}", want.weight, want.max_weight)
            } else {
                "header and mirror steps have changed".to_owned()
            };
            self.decide("route", because);
            if want.moves_weights {
                self.rely_on_services_for(want.weight);
            }
        }
        self.actions.extend(change.actions);
        for (object, reason, message) in change.events {
            self.event_of(object, reason, message);
        }
    }

    /// What the routers give the arms now.
    pub(super) fn observed_weights(&self) -> Option<Observed> {
        *self.observed.get_or_init(|| self.read_weights())
    }

    fn read_weights(&self) -> Option<Observed> {
        let read = |routing: &RolloutTrafficRouting, arms: Arms<'_>| {
            traffic::observed(routing, &self.snapshot.objects, arms)
        };
        self.read_routers(read).flatten()
    }

    /// Whether one router divides the traffic otherwise than another one, or one rule of a route.
    pub(super) fn do_routers_differ(&self) -> bool {
        let differ = |routing: &RolloutTrafficRouting, arms: Arms<'_>| {
            traffic::differ(routing, &self.snapshot.objects, arms)
        };
        self.read_routers(differ).unwrap_or(false)
    }

    /// The same in parts that give the canary no more than it has: after an edit of the whole those
    /// that are observed are rounded up.
    fn no_more_than(&self, observed: Observed) -> Observed {
        let read = |routing: &RolloutTrafficRouting, arms: Arms<'_>| {
            traffic::whole_parts(routing, &self.snapshot.objects, arms)
        };
        let whole = self.read_routers(read).flatten().filter(|whole| *whole > 0);
        let canary = whole.unwrap_or(observed.canary);
        Observed { canary, ..observed }
    }

    fn read_routers<T>(&self, read: impl Fn(&RolloutTrafficRouting, Arms<'_>) -> T) -> Option<T> {
        let services = self.arm_services();
        let arms = Arms {
            namespace: self.namespace(),
            rollout: self.name(),
            canary_service: &services.canary,
            stable_service: &services.stable,
            max_weight: self.canary().max_traffic_weight(),
        };
        let routing = self.rollout.spec.traffic_routing()?;
        Some(read(routing, arms))
    }
}

/// Whether two actions write the same to the same object, of whatever version it is.
fn is_same(one: &Action, other: &Action) -> bool {
    body(one) == body(other) && one.target() == other.target()
}

fn body(action: &Action) -> Option<&Value> {
    match action.deed() {
        Action::Create { object } => Some(object),
        Action::Patch { patch, .. } => Some(patch),
        _ => None,
    }
}
