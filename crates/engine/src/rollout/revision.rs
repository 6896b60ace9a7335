//! Revisions: their numbers, their history, and the annotations that a ReplicaSet has from its
//! Rollout (rollouts.md §2.2, §2.5).

use super::conditions::{self, Change};
use super::context::Context;
use super::replica_set::revision_of;
use api::Rollout;
use api::constants::{
    self, DESIRED_REPLICAS_ANNOTATION, REVISION_ANNOTATION, REVISION_HISTORY_ANNOTATION, condition,
    reason,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Annotations of the Rollout that its ReplicaSets do not get.
const NOT_COPIED: [&str; 6] = [
    constants::ROUTES_ANNOTATION,
    constants::LAST_APPLIED_ANNOTATION,
    REVISION_ANNOTATION,
    REVISION_HISTORY_ANNOTATION,
    DESIRED_REPLICAS_ANNOTATION,
    constants::NOTIFIED_ANNOTATION,
];

/// Characters of a revision history, as Deployments have it.
const MAX_HISTORY: usize = 2000;

impl Context<'_> {
    /// The pod template as JSON; `{}` if there is none.
    pub(crate) fn template(&self) -> Value {
        self.rollout.spec.pod_template().as_value().clone()
    }

    /// Whether the pod template is another one than the status was made for.
    pub(crate) fn is_template_changed(&self) -> bool {
        !self.stored_current().is_empty() && self.stored_current() != self.current_hash
    }

    /// Keeps the new ReplicaSet's annotations, revision and `minReadySeconds` in step (§2.5).
    pub(crate) fn sync_revision(&mut self) {
        let Some(new) = self.new else { return };
        let rollout = Arc::clone(&self.rollout);
        let newest_other = (0..self.sets.len())
            .filter(|&index| index != new)
            .map(|index| self.sets[index].revision())
            .max()
            .unwrap_or(0);
        self.refresh_anti_affinity(new);
        let set = &mut self.sets[new];
        // Until the ReplicaSet controller has seen a longer wait, pods count as they did before the
        // edit, and may let others go: had the edit come a moment later, those would have gone too.
        // Whoever stays is ready.
        set.min_ready_s = rollout.spec.min_ready_seconds.unwrap_or(0);
        let mut is_changed = false;
        for (key, value) in copied_annotations(&rollout) {
            is_changed |= set.annotate(key, value);
        }
        let old = set.revision();
        if old <= newest_other {
            let revision = newest_other.saturating_add(1);
            is_changed |= set.annotate(REVISION_ANNOTATION, &revision.to_string());
        }
        // As the peer has it: any change of the annotations makes an entry.
        if is_changed && old > 0 {
            let history = set.annotations().get(REVISION_HISTORY_ANNOTATION);
            let history = history.map_or_else(|| old.to_string(), |all| extended(all, old));
            set.annotate(REVISION_HISTORY_ANNOTATION, &history);
        }
        let revision = set.revision();
        self.announce_revision(revision);
        if conditions::find(&self.stored, condition::PROGRESSING).is_none() {
            let name = self.sets[new].name();
            let change = Change {
                kind: condition::PROGRESSING,
                status: "True",
                reason: reason::FOUND_NEW_REPLICA_SET,
                message: format!("Found new replica set \"{name}\""),
            };
            conditions::set(self.stored.to_mut(), change, self.now);
        }
    }

    /// Once: the annotation says what was told. A ReplicaSet that is refused is tried again.
    pub(super) fn announce_revision(&mut self, revision: i64) {
        let annotations = self.rollout.metadata.annotations.as_ref();
        if annotations.map_or(0, revision_of) == revision {
            return;
        }
        self.patch_root(
            json!({"metadata": {"annotations": {REVISION_ANNOTATION: revision.to_string()}}}),
        );
        self.event_of(
            self.own_key(),
            reason::ROLLOUT_UPDATED,
            format!("Rollout updated to revision {revision}"),
        );
        self.announce_images(revision);
    }
}

/// The annotations of a Rollout that its ReplicaSets get.
pub(super) fn copied_annotations(rollout: &Rollout) -> impl Iterator<Item = (&String, &String)> {
    let annotations = rollout.metadata.annotations.iter().flatten();
    annotations.filter(|(key, _)| !NOT_COPIED.contains(&key.as_str()))
}

/// A history with one more revision. When it gets long, entries after the first one go: every
/// change of an annotation makes one, and an object has only so much room.
fn extended(history: &str, revision: i64) -> String {
    let whole = format!("{history},{revision}");
    let (first, rest) = whole.split_once(',').unwrap_or((&whole, ""));
    let surplus = whole.len().saturating_sub(MAX_HISTORY);
    if surplus == 0 {
        return whole;
    }
    let kept = rest
        .match_indices(',')
        .find(|(at, _)| *at + 1 >= surplus)
        .map_or("", |(at, _)| &rest[at + 1..]);
    format!("{first},{kept}")
}
