//! What plans derive from a Rollout's spec alone.

use super::{canary, references};
use crate::traffic::Record;
use crate::validate;
use api::{Rollout, RolloutStatus};
use plan::ObjectKey;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The hashes of a spec, what it names, and whether it makes sense: the same for every plan of one
/// generation. Whoever plans again and again keeps it, and hands it in with the snapshot; a plan is
/// the same without, and takes longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    uid: Option<String>,
    generation: Option<i64>,
    collisions: Option<i32>,
    /// Of the pod template (§2.2).
    pub(super) hash: String,
    /// Of the steps (§2.3); empty without a canary.
    pub(super) step_hash: String,
    /// Names of the Services.
    pub(super) services: BTreeSet<String>,
    /// The routers' objects.
    pub(super) objects: BTreeSet<ObjectKey>,
    /// The routes that it names, with their services.
    pub(super) record: Option<Record>,
    /// What of them is to be on record.
    pub(super) noted: Option<Noted>,
    /// Nothing is wrong with it, but for what the API server checks in the template.
    pub(super) is_sound: bool,
}

/// A record of routes, and how it is stored: who finds that text need not read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) record: Arc<Record>,
    pub(super) text: String,
}

impl Digest {
    /// `rollout` as it is stored, or with the template of its workload filled in.
    fn of(rollout: &Rollout, collisions: Option<i32>) -> Self {
        let template = rollout.spec.pod_template().as_value();
        let canary = rollout.spec.canary();
        let named = references::named(rollout);
        let record = Record::named(rollout);
        let noted = record.as_ref().and_then(Record::kept).map(|record| Noted {
            text: record.text(),
            record: Arc::new(record),
        });
        Self {
            uid: rollout.metadata.uid.clone(),
            generation: rollout.metadata.generation,
            collisions,
            hash: gocompat::hash::pod_template_hash(template, collisions),
            step_hash: canary.map_or_else(String::new, canary::step_hash),
            services: named.services,
            objects: named.objects,
            record,
            noted,
            is_sound: validate::spec_of_accepted(rollout).is_none(),
        }
    }

    /// Whether it is that of a Rollout as it is now.
    fn is_of(&self, rollout: &Rollout, status: Option<&RolloutStatus>) -> bool {
        is_constant(rollout)
            && self.generation.is_some()
            && self.generation == rollout.metadata.generation
            && self.uid == rollout.metadata.uid
            && self.is_for(status)
    }

    /// Whether it is that of a status, if it is that of the spec: a hash that is taken makes
    /// another one.
    pub(super) fn is_for(&self, status: Option<&RolloutStatus>) -> bool {
        self.collisions == collisions(status)
    }

    /// The one to keep: that which is known if it is still right, or a new one. `None` if there is
    /// none that is worth it.
    pub fn kept(known: Option<&Arc<Self>>, rollout: &Rollout) -> Option<Arc<Self>> {
        let status = rollout.status.as_ref();
        is_constant(rollout).then(|| Self::renewed(known, rollout, status))
    }

    /// The one that is known if it is still right for the spec with that status, or a new one.
    pub(super) fn renewed(
        known: Option<&Arc<Self>>,
        rollout: &Rollout,
        status: Option<&RolloutStatus>,
    ) -> Arc<Self> {
        let known = known.filter(|known| known.is_of(rollout, status));
        let new = || Arc::new(Self::of(rollout, collisions(status)));
        known.map_or_else(new, Arc::clone)
    }
}

/// A template that is a workload's may change by itself.
fn is_constant(rollout: &Rollout) -> bool {
    rollout.spec.workload_ref.is_none()
}

fn collisions(status: Option<&RolloutStatus>) -> Option<i32> {
    status?.collision_count
}
