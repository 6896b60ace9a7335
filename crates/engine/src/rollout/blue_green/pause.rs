//! The pause before the switch (rollouts.md §3.7).

use crate::rollout::context::Context;
use crate::rollout::time::plus_seconds;
use api::PauseReason;
use jiff::Timestamp;
use plan::WaitingOn;

impl Context<'_> {
    /// All new pods that this stage wants are available, and there are no others: for traffic that
    /// a router has which the spec no longer names there may be more.
    pub(super) fn is_ready_for_pause(&self) -> bool {
        let size = self.preview_size();
        self.new_set()
            .is_some_and(|new| new.replicas == size && new.available() == size)
    }

    pub(super) fn pause_before_switch(&mut self) {
        if self.is_aborted() || !self.is_ready_for_pause() || self.is_halted() {
            return;
        }
        let strategy = self.blue_green();
        let no_pause = strategy.auto_promotes() && strategy.auto_promotion_s() == 0;
        if self.is_fast_tracked() || self.stored.blue_green.scale_up_preview_check_point || no_pause
        {
            self.pauses.remove(PauseReason::BlueGreenPause);
            return;
        }
        if !self.is_pre_promotion_done() {
            return;
        }
        let paused = self.pause(PauseReason::BlueGreenPause).is_some();
        if paused && self.is_pause_completed() {
            // One that ended before anything could come of it would begin again.
            if self.is_preview() || self.is_new_saturated() {
                self.pauses.remove(PauseReason::BlueGreenPause);
            }
        } else if paused {
            self.wait_for_promotion();
        } else if !self.stored.controller_pause || !self.stored.pause_conditions.is_empty() {
            // Nobody has ended this pause while another one is still in force.
            self.decide("pause", "the new pods wait for their promotion");
            self.pauses.add(PauseReason::BlueGreenPause);
            self.wait_for_promotion();
        }
    }

    /// Whether another number of pods is wanted once the pause is over.
    fn is_preview(&self) -> bool {
        self.preview_size() != self.replicas()
    }

    /// Whether the update has been let through, and neither the switch nor the scale-up of the
    /// preview that it was let through to has happened yet. The analysis before that may go on: who
    /// ends a pause beside it knows of it.
    pub(crate) fn is_promotion_outstanding(&self) -> bool {
        let strategy = self.blue_green();
        let pauses = !strategy.auto_promotes() || strategy.auto_promotion_s() > 0;
        let status = &self.status;
        pauses
            && (self.is_pre_promotion_done() || self.is_pre_promotion_under_way())
            && !status.blue_green.scale_up_preview_check_point
            && status.stable_rs != status.current_pod_hash
            && status.blue_green.active_selector != status.current_pod_hash
    }

    fn wait_for_promotion(&mut self) {
        match self.auto_promotion_at() {
            Some(until) => {
                self.wake_at(until);
                self.wait(WaitingOn::Pause { until });
            }
            None => self.wait(WaitingOn::ManualPromotion {
                reason: PauseReason::BlueGreenPause.to_string(),
            }),
        }
    }

    /// When the pause ends by itself; `None` if only a person can end it. With
    /// `autoPromotionEnabled: false` the seconds do not count.
    fn auto_promotion_at(&self) -> Option<Timestamp> {
        let strategy = self.blue_green();
        let seconds = i64::from(strategy.auto_promotion_s());
        if !strategy.auto_promotes() || seconds <= 0 {
            return None;
        }
        let started = self.pause(PauseReason::BlueGreenPause).map_or_else(
            || crate::rollout::time::whole_seconds_up(self.now),
            |pause| pause.start_time.0,
        );
        Some(plus_seconds(started, seconds))
    }

    /// Whether the pause is over, or there is none to be.
    pub(super) fn is_pause_completed(&self) -> bool {
        if self.pauses.is_adding() {
            return false;
        }
        if self.stored.blue_green.scale_up_preview_check_point {
            return true;
        }
        let strategy = self.blue_green();
        let pause = self.pause(PauseReason::BlueGreenPause);
        let resumed = self.stored.controller_pause && self.stored.pause_conditions.is_empty();
        if !strategy.auto_promotes() {
            return resumed;
        }
        strategy.auto_promotion_s() == 0
            || resumed
            || (pause.is_some()
                && self
                    .auto_promotion_at()
                    .is_some_and(|until| until <= self.now))
    }
}
