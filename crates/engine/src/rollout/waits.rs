//! What a Rollout waits for, in full: the steps of the pipeline say what holds them; here is added
//! what the status as a whole says. Whatever is not healthy waits for something.

use super::context::Context;
use api::PauseReason;
use plan::WaitingOn;

impl Context<'_> {
    /// Runs at the end of a pass, when the status is complete.
    pub(crate) fn complete_waits(&mut self) {
        self.wait_for_people();
        self.wait_for_pods_on_their_way();
    }

    fn wait_for_people(&mut self) {
        if self.status.abort {
            let message = self.status.message.clone();
            self.wait(WaitingOn::AfterAbort { message });
        }
        if self.rollout.spec.is_paused() {
            self.wait(WaitingOn::Unpause);
        }
        // A pause step, or the pause before a switch, says for itself how it ends.
        let reasons: Vec<PauseReason> = self
            .status
            .pause_conditions
            .iter()
            .map(|pause| pause.reason)
            .filter(|reason| {
                matches!(
                    reason,
                    PauseReason::InconclusiveAnalysisRun | PauseReason::InconclusiveExperiment
                )
            })
            .collect();
        for reason in reasons {
            self.wait(WaitingOn::ManualPromotion {
                reason: reason.to_string(),
            });
        }
    }

    /// Whatever else is going on: pods that should be there and are not, or that should be gone.
    fn wait_for_pods_on_their_way(&mut self) {
        for index in 0..self.sets.len() {
            let set = &self.sets[index];
            let want = set.replicas;
            let have = if want == 0 {
                set.pods()
            } else {
                set.available()
            };
            if have == want && set.pods() == want {
                continue;
            }
            let name = set.name().to_owned();
            let said = self.trace.waiting_on.iter().any(|wait| {
                matches!(wait, WaitingOn::Replicas { replica_set, .. } if *replica_set == name)
            });
            if !said {
                self.wait(WaitingOn::Replicas {
                    replica_set: name,
                    have,
                    want,
                });
            }
        }
    }
}
