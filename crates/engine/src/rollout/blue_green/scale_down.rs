//! Superseded sets: they keep their pods for a while, so that going back is instant
//! (rollouts.md §3.7).

use crate::rollout::context::Context;
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
            // A preview that never was more gets no more pods on its way out (the peer's does).
            let keep = match preview {
                Some(preview) if now <= preview => now.min(self.replicas()),
                _ => self.replicas(),
            };
            let size = self.size_with_delay(index, &mut delayed, keep);
            self.scale(index, size);
        }
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
