//! The rule of requests: what a user has asked for is not forgotten.

use super::{Change, Checks};
use api::{PauseReason, RolloutStatus};

/// A pause that somebody has ended, and where the update was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    reason: PauseReason,
    pod_hash: String,
    step_hash: String,
    index: Option<i32>,
    /// An analysis before the switch had been made by then.
    is_analysed: bool,
}

impl Ended {
    fn is_there(&self, status: &RolloutStatus) -> bool {
        (&self.pod_hash, &self.step_hash, self.index)
            == (
                &status.current_pod_hash,
                &status.current_step_hash,
                status.current_step_index,
            )
    }

    /// Whether an analysis before the switch was added later: who ended the pause did not know what
    /// it would come to, and is asked once more.
    fn is_outdated(&self, status: &RolloutStatus) -> bool {
        !self.is_analysed && is_analysed(status)
    }
}

fn is_analysed(status: &RolloutStatus) -> bool {
    status
        .blue_green
        .pre_promotion_analysis_run_status
        .is_some()
}

/// The only pause there is, if it is one that a person or time ends.
fn only_pause(status: &RolloutStatus) -> Option<PauseReason> {
    match &status.pause_conditions[..] {
        [one] => Some(one.reason).filter(|reason| {
            matches!(
                reason,
                PauseReason::CanaryPauseStep | PauseReason::BlueGreenPause
            )
        }),
        _ => None,
    }
}

impl Checks {
    /// Somebody ends the pauses of this status.
    pub fn ends_pause(&mut self, status: &RolloutStatus) {
        self.ended = only_pause(status).map(|reason| Ended {
            reason,
            pod_hash: status.current_pod_hash.clone(),
            step_hash: status.current_step_hash.clone(),
            index: status.current_step_index,
            is_analysed: is_analysed(status),
        });
    }

    /// What is lost with a status that was stored: a pause that was ended begins again, a full
    /// promotion is dropped.
    pub fn lost(&mut self, change: &Change<'_>) -> Vec<String> {
        let mut lost = Vec::new();
        let (before, after) = (change.before(), change.after);
        let same = before.current_pod_hash == after.current_pod_hash
            && before.current_step_hash == after.current_step_hash;
        let promoted = after.stable_rs == after.current_pod_hash;
        if before.promote_full && !after.promote_full && same && !promoted && !after.abort {
            lost.push("a full promotion is forgotten".to_owned());
        }
        let Some(ended) = self.ended.take() else {
            return lost;
        };
        let switched = after.blue_green.active_selector == after.current_pod_hash
            || after.blue_green.scale_up_preview_check_point;
        if promoted || after.abort || switched || !ended.is_there(after) || ended.is_outdated(after)
        {
            return lost;
        }
        match only_pause(after) {
            Some(reason) if reason == ended.reason => {
                let at = after.current_step_index;
                lost.push(format!(
                    "{reason} at step {at:?} begins again after somebody ended it"
                ));
            }
            // Another pause came: whoever ends that ends both.
            _ if !after.pause_conditions.is_empty() => {}
            _ => self.ended = Some(ended),
        }
        lost
    }
}
