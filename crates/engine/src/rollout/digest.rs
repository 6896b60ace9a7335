//! What plans derive from a Rollout's spec alone.

use super::{canary, references};
use crate::traffic::Record;
use crate::validate;
use api::Rollout;
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
    /// What is to be on record of the routes.
    pub(super) record: Option<Record>,
    /// Nothing is wrong with it, but for what the API server checks in the template.
    pub(super) is_sound: bool,
}

impl Digest {
    /// `rollout` as it is stored, or with the template of its workload filled in.
    fn of(rollout: &Rollout) -> Self {
        let collisions = collisions(rollout);
        let template = rollout.spec.pod_template().as_value();
        let canary = rollout.spec.canary();
        let named = references::named(rollout);
        Self {
            uid: rollout.metadata.uid.clone(),
            generation: rollout.metadata.generation,
            collisions,
            hash: gocompat::hash::pod_template_hash(template, collisions),
            step_hash: canary.map_or_else(String::new, canary::step_hash),
            services: named.services,
            objects: named.objects,
            record: Record::named(rollout),
            is_sound: validate::spec_of_accepted(rollout).is_none(),
        }
    }

    /// Whether it is that of a Rollout as it is now.
    fn is_of(&self, rollout: &Rollout) -> bool {
        is_constant(rollout)
            && self.generation.is_some()
            && self.generation == rollout.metadata.generation
            && self.uid == rollout.metadata.uid
            && self.collisions == collisions(rollout)
    }

    /// The one to keep: that which is known if it is still right, or a new one. `None` if there is
    /// none that is worth it.
    pub fn kept(known: Option<&Arc<Self>>, rollout: &Rollout) -> Option<Arc<Self>> {
        is_constant(rollout).then(|| Self::renewed(known, rollout))
    }

    /// The one that is known if it is still right, or a new one.
    pub(super) fn renewed(known: Option<&Arc<Self>>, rollout: &Rollout) -> Arc<Self> {
        let known = known.filter(|known| known.is_of(rollout));
        known.map_or_else(|| Arc::new(Self::of(rollout)), Arc::clone)
    }
}

/// A template that is a workload's may change by itself.
fn is_constant(rollout: &Rollout) -> bool {
    rollout.spec.workload_ref.is_none()
}

fn collisions(rollout: &Rollout) -> Option<i32> {
    rollout.status.as_ref()?.collision_count
}
