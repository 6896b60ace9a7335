//! The two services (rollouts.md §3.7).

use crate::rollout::context::Context;
use crate::rollout::services::Gate;
use api::{BlueGreenStrategy, Rollout};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

static NO_BLUE_GREEN: LazyLock<BlueGreenStrategy> = LazyLock::new(BlueGreenStrategy::default);

/// A strategy that can be held while the plan goes on being made.
#[derive(Clone, Debug)]
pub(super) struct BlueGreen(Arc<Rollout>);

impl Deref for BlueGreen {
    type Target = BlueGreenStrategy;

    fn deref(&self) -> &BlueGreenStrategy {
        self.0.spec.blue_green().unwrap_or(&NO_BLUE_GREEN)
    }
}

impl Context<'_> {
    /// The blue-green strategy; all defaults if there is none.
    pub(super) fn blue_green(&self) -> BlueGreen {
        BlueGreen(Arc::clone(&self.rollout))
    }

    /// What the active service selects after this pass; empty without one.
    pub(crate) fn active_selector(&self) -> String {
        self.selector(&self.blue_green().active_service).to_owned()
    }

    pub(super) fn preview_selector(&self) -> String {
        let preview = self
            .blue_green()
            .preview_service
            .clone()
            .unwrap_or_default();
        self.selector(&preview).to_owned()
    }

    pub(super) fn point_preview(&mut self) {
        let preview = self
            .blue_green()
            .preview_service
            .clone()
            .unwrap_or_default();
        let gate = match self.pods_of_former(&preview) {
            0 => Gate::Open,
            // It was the service of a canary, and still has the traffic of one.
            pods => Gate::Relieving(pods),
        };
        self.ensure_target(&preview, self.new, gate);
        self.own_service(&preview);
    }

    /// Marks a service as ours if nobody's name is on it.
    fn own_service(&mut self, service: &str) {
        let hash = self.selector(service).to_owned();
        if !hash.is_empty() {
            self.selectors.entry(service.to_owned()).or_insert(hash);
        }
    }

    /// The update needs no waiting: it goes back, it was asked for in full, the active service
    /// selects the new pods already, or nothing that could answer instead.
    pub(super) fn is_fast_tracked(&self) -> bool {
        let active = self.active_selector();
        self.is_fast_rollback()
            || self.is_promote_full()
            || self.is_active_lost()
            || self.new_set().is_some_and(|new| new.hash() == active)
    }

    /// The active service selects no revision, or one whose ReplicaSet was deleted.
    fn is_active_lost(&self) -> bool {
        self.set_by_hash(&self.active_selector()).is_none()
    }

    /// Moves the active service to the new pods once all are available and nothing holds it; back
    /// to the stable ones at once after an abort, whatever became of the new pods (the peer waits
    /// for them).
    pub(super) fn switch_active(&mut self) {
        let active = self.blue_green().active_service.clone();
        if self.is_aborted() {
            self.switch_back_on_abort();
            return;
        }
        self.own_service(&active);
        // A pause keeps traffic where it is; where nobody answers any more there is nothing to
        // keep.
        let held = self.is_halted() && !(self.is_stable_lost() && self.is_active_lost());
        if held || !self.is_ready_for_pause() || !self.is_new_saturated() {
            let missing = |&index: &usize| self.sets[index].available() < self.sets[index].replicas;
            if let Some(new) = self.new.filter(missing) {
                self.wait_for_pods(new);
            }
            return;
        }
        let done = self.is_pause_completed() && self.is_pre_promotion_done();
        if self.is_fast_tracked() || done {
            self.ensure_target(&active, self.new, Gate::Open);
        }
    }

    /// All new pods that there are to be in the end are available.
    pub(super) fn is_new_saturated(&self) -> bool {
        self.new_set()
            .is_some_and(|new| new.is_saturated(self.replicas()) && !new.is_outdated())
    }

    /// Where the active service leads now there are ready pods. One that selects no revision leads
    /// to the pods of all.
    fn is_active_answering(&self) -> bool {
        let active = self.active_selector();
        let mut sets = self.sets.iter();
        sets.any(|set| set.ready() > 0 && (active.is_empty() || set.hash() == active))
    }

    /// After an abort the active service selects the stable pods, unless they could not answer, or
    /// not for long, and those that it selects now can.
    pub(super) fn switch_back_on_abort(&mut self) {
        if !self.is_aborted() {
            return;
        }
        if self.stable.is_none() {
            // Nothing to go back to. Behind a service of all pods superseded ones may answer.
            if self.is_stable_lost() && self.is_active_lost() {
                let active = self.blue_green().active_service.clone();
                let gate = Gate::Serving(self.replicas());
                self.ensure_target(&active, self.new, gate);
            }
            return;
        }
        let stable_has_pods = self
            .stable_set()
            .is_some_and(|set| set.lasting() > 0 && !set.is_outdated());
        if stable_has_pods || !self.is_active_answering() {
            let active = self.blue_green().active_service.clone();
            self.ensure_target(&active, self.stable, Gate::Open);
        } else if let Some(stable) = self.stable {
            self.wait_for_pods(stable);
        }
    }
}
