//! Superseded sets: they keep their pods for a while, so that going back is instant
//! (rollouts.md §3.7).

use crate::rollout::context::Context;
use crate::rollout::replica_set::OwnedSet;
use api::{AnalysisPhase, PauseReason};

impl Context<'_> {
    pub(super) fn scale_down_superseded(&mut self) {
        if self.pause(PauseReason::InconclusiveAnalysisRun).is_some()
            || self.is_waiting_for_post_promotion()
        {
            return;
        }
        let mut others = self.others();
        others.sort_by_key(|&index| std::cmp::Reverse(self.sets[index].revision()));
        let mut delayed = 0;
        let preview = self.blue_green().preview_replica_count;
        for index in others {
            let now = self.sets[index].replicas;
            if now == 0 || self.is_referenced(index) {
                continue;
            }
            if self.stands_in_behind_active(index) {
                // Their time begins when they are not needed any more.
                self.sets[index].remove_deadline();
                let active = self.blue_green().active_service.clone();
                self.wait_beside_too_few(&active, index, "all stable ones are available");
                continue;
            }
            // A preview that never was more gets no more pods on its way out (the peer's does).
            let keep = match preview {
                Some(preview) if now <= preview => now.min(self.replicas()),
                _ => self.replicas(),
            };
            let size = self.size_with_delay(index, &mut delayed, keep);
            self.scale(index, size);
        }
    }

    /// Whether superseded pods answer in the place of stable ones that are gone, or of which too
    /// few answer: the active service leads to all pods still, since no revision was ready for it.
    /// (The peer deletes them after the delay.)
    fn stands_in_behind_active(&self, index: usize) -> bool {
        let leads_to_all = self.has_led_to_all(&self.blue_green().active_service);
        let replicas = self.replicas();
        let is_whole = |stable: &OwnedSet| !stable.is_outdated() && stable.lasting() >= replicas;
        leads_to_all
            && replicas > 0
            && self.sets[index].ready() > 0
            && !self.stable_set().is_some_and(is_whole)
    }

    /// Nothing is scaled down before the post-promotion analysis has passed, unless a delay was
    /// chosen.
    fn is_waiting_for_post_promotion(&self) -> bool {
        let run = self
            .stored
            .blue_green
            .post_promotion_analysis_run_status
            .as_ref();
        self.has_post_promotion_analysis()
            && self.blue_green().scale_down_delay_seconds.is_none()
            && !self.is_post_promotion_skipped()
            && run.and_then(|run| run.status) != Some(AnalysisPhase::Successful)
    }
}
