//! Going back: to the stable revision, or to one that is still warm (rollouts.md §3.15, §3.16).

use super::context::Context;
use super::replica_set::OwnedSet;

const EXPERIMENT_ANNOTATION: &str = api::constants::EXPERIMENT_NAME_ANNOTATION;

/// Age of a ReplicaSet: creation times have whole seconds, so revisions decide ties (the peer calls a
/// tie "not older", and loses fast rollbacks).
fn is_older(a: &OwnedSet, b: &OwnedSet) -> bool {
    (a.created(), original_revision(a)) < (b.created(), original_revision(b))
}

/// The revision that a ReplicaSet was made for; later ones are in its history.
fn original_revision(set: &OwnedSet) -> i64 {
    let annotations = set.live.metadata.annotations.as_ref();
    let history = annotations
        .and_then(|annotations| annotations.get(api::constants::REVISION_HISTORY_ANNOTATION));
    history
        .and_then(|history| history.split(',').next())
        .and_then(|first| first.trim().parse().ok())
        .unwrap_or_else(|| set.revision())
}

impl Context<'_> {
    /// The new ReplicaSet is the stable one, or was made before it.
    pub(crate) fn is_rollback(&self) -> bool {
        match (self.new_set(), self.stable_set()) {
            (Some(new), Some(stable)) => self.new == self.stable || is_older(new, stable),
            _ => false,
        }
    }

    /// Few enough revisions lie between the new ReplicaSet and the younger stable one.
    pub(crate) fn is_within_rollback_window(&self) -> bool {
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

    /// The new ReplicaSet had a scale-down deadline ahead of it when the pass began.
    pub(crate) fn is_new_set_warm(&self) -> bool {
        let Some(set) = self.new_set() else {
            return false;
        };
        let annotations = set.live.metadata.annotations.as_ref();
        annotations
            .and_then(|all| all.get(api::constants::SCALE_DOWN_DEADLINE_ANNOTATION))
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .is_some_and(|deadline| deadline > self.now)
    }
}
