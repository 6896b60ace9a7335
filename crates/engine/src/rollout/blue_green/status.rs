//! The status of blue-green: selectors, counters, promotion (rollouts.md §3.7).

use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use crate::rollout::selector;
use api::AnalysisPhase;

impl Context<'_> {
    /// A new template: the status begins again, and nothing else moves in this pass.
    pub(super) fn start_blue_green_over(&mut self) {
        self.decide("start-over", "the pod template is new");
        self.base_status();
        self.reset();
        self.selectors_and_counts();
        self.finish(true);
    }

    pub(super) fn finish_blue_green_status(&mut self) {
        self.base_status();
        if self.is_promote_full() || self.is_within_rollback_window() {
            self.pauses.clear();
            self.pauses.remove_abort();
        }
        self.selectors_and_counts();
        match self.blue_green_promotion() {
            Some(why) => self.promote(&why),
            None => {
                self.status.blue_green.scale_up_preview_check_point = self.is_check_point_reached();
            }
        }
        self.finish(false);
    }

    /// What the services select, and the counters of the set that gets the traffic.
    fn selectors_and_counts(&mut self) {
        self.status.blue_green.preview_selector = self.preview_selector();
        self.status.blue_green.active_selector = self.active_selector();
        let active = self.status.blue_green.active_selector.clone();
        let index = self
            .sets
            .iter()
            .position(|set| !active.is_empty() && set.hash() == active);
        if let Some(index) = index {
            let set = &self.sets[index];
            let (pods, available, ready) = (set.pods(), set.available(), set.ready());
            let text = set
                .live
                .spec
                .as_ref()
                .map(|spec| selector::text(&spec.selector));
            self.status.hpa_replicas = pods;
            self.status.available_replicas = available;
            self.status.ready_replicas = ready;
            self.status.selector = text.unwrap_or_default();
        } else {
            self.status.hpa_replicas = self.sets.iter().map(OwnedSet::pods).sum();
            self.status.available_replicas = self.sets.iter().map(OwnedSet::available).sum();
            self.status.selector = self.selector_text();
        }
    }

    /// Why the new revision becomes the stable one, if it does.
    fn blue_green_promotion(&self) -> Option<String> {
        let active = &self.status.blue_green.active_selector;
        let is_first = self.stored_stable().is_empty();
        if is_first || (active.is_empty() && self.is_back_at_stable()) {
            return Some("Initial deploy".to_owned());
        }
        if *active != self.status.current_pod_hash {
            return None;
        }
        if self.is_promote_full() {
            // A pause of the user's own comes first; the request stays.
            let paused = self.rollout.spec.is_paused();
            return (!paused).then(|| "Full promotion requested".to_owned());
        }
        if self.is_fast_rollback() {
            let within = self.is_within_rollback_window();
            return Some(
                if within {
                    "Rollback within window"
                } else {
                    "Fast rollback"
                }
                .to_owned(),
            );
        }
        if self.is_aborted() {
            return None;
        }
        let run = self
            .status
            .blue_green
            .post_promotion_analysis_run_status
            .as_ref();
        let passed = run.and_then(|run| run.status) == Some(AnalysisPhase::Successful);
        (!self.has_post_promotion_analysis() || passed)
            .then(|| "Completed blue-green update".to_owned())
    }

    /// Whether the new revision is the stable one. Otherwise older pods may still be what an active
    /// service without a hash leads to: of a canary before, or since somebody made the service
    /// anew. Nothing is stable until it has come to the new ones, even if the stable ReplicaSet is
    /// gone: then those of a superseded revision may answer.
    fn is_back_at_stable(&self) -> bool {
        self.stable.is_some() && self.stable == self.new
    }

    /// The preview passed with its few pods; now it may have all of them. It has passed, even if
    /// the spec asks for no few pods any more before all are there.
    fn is_check_point_reached(&self) -> bool {
        if self.stored.blue_green.scale_up_preview_check_point {
            return true;
        }
        let preview = self.blue_green().preview_replica_count;
        preview.is_some_and(|preview| {
            self.is_pre_promotion_done()
                && self.is_pause_completed()
                && self.new_set().is_some_and(|new| new.available() == preview)
        })
    }
}
