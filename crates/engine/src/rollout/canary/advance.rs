//! The order of a canary's pass.

use crate::rollout::context::Context;

/// One pass of a canary. The order is the one in which the peer's milestones come: services, then
/// weights, then experiments and analysis, then pods, and the status last.
pub(crate) fn advance(cx: &mut Context<'_>) {
    if cx.is_template_or_steps_changed() {
        cx.start_over();
        return;
    }
    cx.restart_pods();
    cx.sync_metadata();
    cx.forget_old_revisions();
    cx.point_services();
    let routed = cx.route_traffic();
    cx.run_experiment();
    cx.analyse_canary();
    // A pause or an abort that begins here is stored before anything else moves: this pass has
    // already routed by what was true before it, and pods must not go before their traffic. Traffic
    // that could not be moved keeps its pods, and gets those that it lacks.
    let begins = cx.pauses.is_adding() || cx.pauses.is_adding_abort();
    if !begins && routed {
        cx.size_canary();
        cx.pause_at_step();
    } else if !begins {
        cx.grow_to_traffic();
    }
    cx.finish_canary_status();
}
