//! Going back: to the stable revision, or to one that is still warm (rollouts.md §3.15, §3.16).

use super::analysis_runs::{is_completed, phase};
use super::context::Context;
use super::replica_set::{OwnedSet, revision_of};
use api::AnalysisPhase;
use api::constants::HASH_LABEL;
use jiff::Timestamp;

const EXPERIMENT_ANNOTATION: &str = api::constants::EXPERIMENT_NAME_ANNOTATION;

/// Age of a ReplicaSet: creation times have whole seconds, so revisions decide ties (the peer calls
/// a tie "not older", and loses fast rollbacks).
fn is_older(a: &OwnedSet, b: &OwnedSet) -> bool {
    (a.created(), original_revision(a)) < (b.created(), original_revision(b))
}

/// The revision that a ReplicaSet was made for; later ones are in its history, but for the one that
/// this pass gives it.
fn original_revision(set: &OwnedSet) -> i64 {
    let annotations = set.live.metadata.annotations.as_ref();
    let history = annotations
        .and_then(|annotations| annotations.get(api::constants::REVISION_HISTORY_ANNOTATION));
    history
        .and_then(|history| history.split(',').next())
        .and_then(|first| first.trim().parse().ok())
        .unwrap_or_else(|| annotations.map_or(0, revision_of))
}

impl Context<'_> {
    /// The new ReplicaSet is the stable one, or was made before it.
    pub(crate) fn is_rollback(&self) -> bool {
        match (self.new_set(), self.stable_set()) {
            (Some(new), Some(stable)) => self.new == self.stable || is_older(new, stable),
            _ => false,
        }
    }

    /// Few enough revisions lie between the new ReplicaSet and the younger stable one. What
    /// somebody has aborted stays so until a retry (with the peer, an abort is dropped without a
    /// word).
    pub(crate) fn is_within_rollback_window(&self) -> bool {
        if self.stored.abort && !self.pauses.is_removing_abort() {
            return false;
        }
        let Some(revisions) = self.rollout.spec.rollback_window_revisions() else {
            return false;
        };
        let (Some(new), Some(stable)) = (self.new_set(), self.stable_set()) else {
            return false;
        };
        if self.new == self.stable || !is_older(new, stable) {
            return false;
        }
        let between = self
            .sets
            .iter()
            .filter(|set| {
                let annotations = set.live.metadata.annotations.as_ref();
                !annotations.is_some_and(|all| all.contains_key(EXPERIMENT_ANNOTATION))
            })
            .filter(|set| is_older(new, set) && is_older(set, stable))
            .count();
        between < revisions as usize
    }

    /// A rollback that needs no steps: back to stable, within the window, or (blue-green) to a
    /// ReplicaSet whose scale-down delay has not passed.
    pub(crate) fn is_fast_rollback(&self) -> bool {
        let warm = self.rollout.spec.strategy.blue_green.is_some() && self.is_new_set_warm();
        self.is_rollback() && (self.new == self.stable || warm || self.is_within_rollback_window())
    }

    /// The new ReplicaSet has a scale-down deadline ahead of it, or had one when the update to it
    /// began and has kept its pods since: a way back that began as a fast one goes on as one,
    /// however long a pod of it takes.
    fn is_new_set_warm(&self) -> bool {
        // The deadline of an abort that was taken back says that the update is tried again, not
        // that it goes back to pods that were fine.
        let is_retried = self.stored.aborted_at.is_some() && !self.stored.abort;
        let Some(set) = self.new_set().filter(|_| !is_retried) else {
            return false;
        };
        if self.has_failed(set.hash()) {
            return false;
        }
        let annotations = set.live.metadata.annotations.as_ref();
        let deadline = annotations
            .and_then(|all| all.get(api::constants::SCALE_DOWN_DEADLINE_ANNOTATION))
            .and_then(|text| text.parse::<Timestamp>().ok());
        deadline.is_some_and(|deadline| {
            let was_ahead = self.update_began().is_some_and(|began| deadline > began);
            deadline > self.now || (was_ahead && set.live_replicas() > 0)
        })
    }

    /// Whether the last analysis of a revision that came to an end found it bad: it is tried again,
    /// however warm its pods are.
    fn has_failed(&self, hash: &str) -> bool {
        let of_revision = self.owned_runs().filter(|run| {
            let labels = run.metadata.labels.as_ref();
            labels
                .and_then(|all| all.get(HASH_LABEL))
                .map(String::as_str)
                == Some(hash)
        });
        let ended = of_revision.filter(|run| phase(run).is_some_and(is_completed));
        let last = ended.max_by_key(|run| {
            let meta = &run.metadata;
            let created = meta.creation_timestamp.as_ref().map(|at| at.0);
            (created, meta.name.clone())
        });
        let last = last.and_then(|run| phase(run));
        matches!(last, Some(AnalysisPhase::Failed | AnalysisPhase::Error))
    }

    /// When the update under way began.
    fn update_began(&self) -> Option<Timestamp> {
        let record = self.stored.duration.as_ref()?;
        let began = record.rollout_started_at.as_ref()?;
        record.finished_at.is_none().then_some(began.0)
    }

    /// Whether blue-green is going back to pods that were to be scaled down, and the active service
    /// has not come to them yet. Their deadline is what tells that they were, so until then it
    /// stays.
    pub(crate) fn is_going_back_to_warm_pods(&self) -> bool {
        let active = self.active_selector();
        self.rollout.spec.blue_green().is_some()
            && !self.is_aborted()
            && self.new != self.stable
            && self.is_rollback()
            && self.is_new_set_warm()
            && self.new_set().is_some_and(|new| new.hash() != active)
    }
}
