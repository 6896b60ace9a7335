//! Header and mirror routes: which there should be at this moment (rollouts.md §3.11, §3.13).
//!
//! The peer adds a route when it comes to the step and takes all away at certain moments; here the
//! wanted routes follow from the steps up to the current one, so that one that was lost, or had to
//! go while the canary had no pods, comes back.

use crate::rollout::context::Context;
use crate::traffic::{self, ManagedRoute};
use api::CanaryStep;

/// The route that a step sets or takes away.
pub(super) fn route_of(step: &CanaryStep) -> Option<ManagedRoute> {
    let header = step.set_header_route.clone().map(ManagedRoute::Header);
    let mirror = step.set_mirror_route.clone().map(ManagedRoute::Mirror);
    header.or(mirror)
}

impl Context<'_> {
    /// The routes that the steps have set so far, in the order of `managedRoutes`; none while the
    /// canary should get no request, or cannot answer any.
    pub(super) fn managed_routes(&self) -> Vec<ManagedRoute> {
        if !self.may_have_routes() {
            return Vec::new();
        }
        let mut routes: Vec<ManagedRoute> = Vec::new();
        // The last step that names a route decides.
        for route in self.steps_back().filter_map(route_of) {
            if routes.iter().all(|known| known.name() != route.name()) {
                routes.push(route);
            }
        }
        routes.retain(|route| !route.is_removal());
        let routing = self.rollout.spec.traffic_routing();
        let order = routing.map_or(&[][..], |routing| &routing.managed_routes);
        routes.sort_by_key(|route| order.iter().position(|one| one.name == route.name()));
        routes
    }

    /// The service that routes lead to selects the pods of the new revision, not those of one
    /// before it.
    pub(super) fn is_canary_service_ours(&self) -> bool {
        let services = self.arm_services();
        let new = self.new_set();
        new.is_some_and(|new| self.selector(&services.canary) == new.hash())
    }

    /// Whether the canary's service leads to pods that answer what routes send them, and go on with
    /// that: those that a scale-down has just taken are counted for a moment more, and so they are
    /// when others are to come in their place. Pods that have routes were not taken: routes go
    /// first.
    fn can_answer_routes(&self) -> bool {
        let is_there = self.new_set().is_some_and(|new| {
            let is_counted = !new.is_outdated() || self.has_routes();
            new.lasting() > 0 && is_counted
        });
        is_there && self.is_canary_service_ours()
    }

    /// Whether routes of steps are seen, whatever revision they were set for.
    pub(super) fn has_routes(&self) -> bool {
        let routing = self.rollout.spec.traffic_routing();
        let own = (self.namespace(), self.name());
        routing.is_some_and(|routing| traffic::has_rules(routing, &self.snapshot.objects, own))
    }

    /// Whether a header or mirror route was set or taken away earlier in this pass, or the steps
    /// give it nobody that it could lead to.
    pub(super) fn is_route_done(&mut self, route: &ManagedRoute) -> bool {
        let is_ours = self.is_canary_service_ours();
        let is_there = self.can_answer_routes() || (is_ours && route.is_removal());
        let is_done = is_there || self.is_pointless_to_route(1);
        if let Some(new) = self.new.filter(|_| is_ours && !is_done) {
            self.wait_for_pods(new);
        }
        is_done && !self.is_routing_broken
    }

    fn may_have_routes(&self) -> bool {
        self.can_answer_routes()
            && self.revision() > 1
            && self.new != self.stable
            && !self.stored_stable().is_empty()
            && !self.is_fully_promoted()
            && !self.is_aborted()
            && !self.is_promote_full()
            // Nobody could answer for long.
            && self.routed_split(None).new > 0
    }
}
