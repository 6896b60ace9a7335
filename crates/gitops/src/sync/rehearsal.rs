//! What the API server is shown of objects that are replaced or forced, and which of its refusals
//! are no reason not to send them in earnest.
//!
//! Each is shown as it will be sent. What is created anew only if it can't be changed is shown both
//! as a change and as a new object: it is too late to learn that a new one is invalid when the
//! former one is gone. An answer does not say which of the two it is about. That something can't be
//! changed is said of a change; a new object can only be refused in such words by a rule for its
//! fields, which holds for a change, too: then both are, and nothing is deleted.

use super::replace::{Way, is_unchangeable};
use super::run::Running;
use super::tasks::{Task, apply};
use plan::Action;

/// Refusals of a new object that are over once the former one is gone.
const OF_ROOM: [&str; 2] = ["exceeded quota", "already allocated"];

/// What webhooks and aggregated API servers say that can't do without writing: of the object that
/// is nothing.
const UNABLE: [&str; 2] = ["does not support dry run", "dryRun feature is disabled"];

impl Running<'_> {
    /// What the API server is shown of a task before anything is sent. That the name of a new
    /// object is taken is no refusal.
    pub(super) fn rehearsals(self, task: &Task) -> Vec<Action> {
        let change = || apply(self.snapshot, self.assessment, task);
        let (Some(live), Some(manifest)) = (self.live(task), self.manifest_of(task)) else {
            return change().into_iter().collect();
        };
        let way = self.way(manifest, live);
        let first = match (way.replaces, way.forces) {
            (true, true) => None,
            (true, false) => self.replacement(task, live).or_else(change),
            (false, _) => change(),
        };
        let anew = way.forces.then(|| Action::Create {
            object: Box::new(manifest.object.clone()),
        });
        first.into_iter().chain(anew).collect()
    }

    /// Whether a refusal of the rehearsal is only for the former object being there: for its room,
    /// or for what can't be changed of it.
    pub(super) fn makes_room(self, task: &Task, why: &str) -> bool {
        let way = self.way_of(task);
        let is_of_room = way.forces && OF_ROOM.iter().any(|words| why.contains(words));
        is_of_room || self.is_changed_by_force(task, why)
    }

    /// Whether an object is deleted and created anew for this refusal of its change.
    pub(super) fn is_changed_by_force(self, task: &Task, why: &str) -> bool {
        let way = self.way_of(task);
        way.forces && !way.replaces && is_unchangeable(why)
    }

    /// Whether an object is deleted before its new one is sent, as far as can be told beforehand:
    /// in any case, or since the API server has `said` that it can't be changed.
    pub(super) fn is_doomed(self, task: &Task, said: &[&str]) -> bool {
        let mut said = said.iter();
        self.is_recreated(task) || said.any(|why| self.is_changed_by_force(task, why))
    }

    /// Why an object is not deleted though it can't be changed: the new one is refused in the same
    /// words, or in others of that kind.
    pub(super) fn refused_anew(self, task: &Task, said: &[&str]) -> Option<String> {
        let mut said = said.iter();
        let mut next = || said.find(|why| self.is_changed_by_force(task, why));
        let (change, _new) = (next()?, next()?);
        Some(format!(
            "{change}: a new object would be refused, too, so the one that is there is not deleted \
             for it"
        ))
    }

    /// How the object of a task comes to be as Git has it, if it is there.
    fn way_of(self, task: &Task) -> Way {
        match (self.live(task), self.manifest_of(task)) {
            (Some(live), Some(manifest)) => self.way(manifest, live),
            _ => Way::default(),
        }
    }
}

/// What is said of an object that is not deleted, since nobody can say whether a new one would be
/// taken.
pub(super) fn not_risked(why: &str) -> String {
    format!(
        "{why}: whether a new object would be taken can't be known, so the one that is there is \
         not deleted for it (take Replace=true or Force=true back, or see that the webhook has no \
         side effects in a dry run)"
    )
}

/// Whether nothing is known of an object, since it can't be judged without being written.
pub(super) fn is_unable(why: &str) -> bool {
    UNABLE.iter().any(|words| why.contains(words))
}
