//! The order of a blue-green pass.

use crate::rollout::context::Context;
use api::PauseReason;

/// One pass of blue-green: preview, pods, pause, switch, analysis, status.
pub(crate) fn advance(cx: &mut Context<'_>) {
    // What is left of a canary is no pause of this strategy, and nobody has to end it.
    cx.pauses.remove(PauseReason::CanaryPauseStep);
    cx.pauses.remove(PauseReason::InconclusiveExperiment);
    if !cx.is_halted() {
        cx.point_preview();
    }
    if cx.is_template_changed() {
        cx.start_blue_green_over();
        return;
    }
    cx.restart_pods();
    cx.size_blue_green();
    cx.pause_before_switch();
    cx.switch_active();
    cx.analyse_blue_green();
    // An abort that the analysis just decided gives the traffic back in this very pass.
    cx.switch_back_on_abort();
    cx.sync_metadata();
    cx.forget_old_revisions();
    cx.end_other_experiments("");
    cx.forget_old_experiments("");
    cx.finish_blue_green_status();
}
