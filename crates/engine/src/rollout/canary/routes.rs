//! Header and mirror routes: which there should be at this moment (rollouts.md §3.11, §3.13).
//!
//! The peer adds a route when it comes to the step and takes all away at certain moments; here the
//! wanted routes follow from the steps up to the current one, so that one that was lost, or had to
//! go while the canary had no pods, comes back.

use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::traffic::ManagedRoute;

impl Context<'_> {
    /// The routes that the steps have set so far, in the order of `managedRoutes`; none while the
    /// canary should get no request, or cannot answer any.
    pub(super) fn managed_routes(&self) -> Vec<ManagedRoute> {
        if !self.may_have_routes() {
            return Vec::new();
        }
        let mut routes: Vec<ManagedRoute> = Vec::new();
        // The last step that names a route decides.
        for step in self.steps_back() {
            let header = step.set_header_route.clone().map(ManagedRoute::Header);
            let mirror = step.set_mirror_route.clone().map(ManagedRoute::Mirror);
            for route in header.into_iter().chain(mirror) {
                if routes.iter().all(|known| known.name() != route.name()) {
                    routes.push(route);
                }
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

    fn may_have_routes(&self) -> bool {
        let available = self.new_set().map_or(0, OwnedSet::available);
        available > 0
            && self.revision() > 1
            && self.new != self.stable
            && !self.stored_stable().is_empty()
            && !self.is_fully_promoted()
            && !self.is_aborted()
            && !self.is_promote_full()
            && self.is_canary_service_ours()
            // Nobody could answer for long.
            && self.routed_split(None).new > 0
    }
}
