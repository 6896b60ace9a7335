//! What a plan does to the cluster, and under which precondition.

use crate::{MetricTask, ObjectKey};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

/// The complete vocabulary of side effects. The executor carries them out in order and stops at
/// the first failure; the next pass plans again from what the world has become.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Action {
    /// Creates an object. An object of that name that already exists is a failure of kind
    /// "exists"; the next plan sees it and decides.
    Create { object: Box<Value> },
    /// Server-side apply with forced ownership, field manager `manager` (GitOps).
    Apply {
        object: Box<Value>,
        manager: Cow<'static, str>,
    },
    /// Replaces an object that is there, field manager `manager` (GitOps). `patch` is a merge patch
    /// of all that differs ([`merge_diff`](crate::merge_diff)): what a PUT would leave, without the
    /// right to `update` that a PUT needs.
    Replace {
        target: ObjectKey,
        patch: Box<Value>,
        manager: Cow<'static, str>,
        guard: Guard,
    },
    /// Patches an object or its subresource.
    Patch {
        target: ObjectKey,
        kind: PatchKind,
        patch: Value,
        subresource: Option<&'static str>,
        guard: Guard,
    },
    /// Deletes an object; one that is gone already is a success.
    Delete {
        target: ObjectKey,
        guard: Guard,
        propagation: Propagation,
    },
    /// Evicts a pod through its `eviction` subresource; a refusal by a disruption budget is
    /// not a failure.
    Evict { pod: ObjectKey, guard: Guard },
    /// The same, but nothing else waits for it: a failure is logged, the pass goes on, and the next
    /// plan tries again.
    Attempt(Box<Self>),
    /// Takes one measurement; the answer comes back in the inbox of a later snapshot. A task
    /// whose id is under way already is not started again.
    Measure(Box<MetricTask>),
}

impl Action {
    /// What is done, attempted or not.
    pub fn deed(&self) -> &Self {
        match self {
            Self::Attempt(deed) => deed.deed(),
            deed => deed,
        }
    }

    /// The object that is written; `None` for a measurement, and for a manifest without a name.
    pub fn target(&self) -> Option<ObjectKey> {
        match self.deed() {
            Self::Create { object } | Self::Apply { object, .. } => {
                let key = ObjectKey::of_manifest(object);
                (!key.name.is_empty()).then_some(key)
            }
            Self::Replace { target, .. }
            | Self::Patch { target, .. }
            | Self::Delete { target, .. } => Some(target.clone()),
            Self::Evict { pod, .. } => Some(pod.clone()),
            Self::Attempt(_) | Self::Measure(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PatchKind {
    /// RFC 7386.
    Merge,
    /// RFC 6902; `patch` is the array of operations.
    Json,
    /// Kubernetes strategic merge; built-in kinds only.
    Strategic,
}

/// What must still be true of the target when the action arrives. The executor sends them as
/// preconditions, so that acting on a stale view fails instead of doing harm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Guard {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// Changes to the planned object itself, outside its status. Written before `actions`, as one
/// merge patch that carries the planned resource version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RootPatch {
    /// A merge patch of the whole object (`{"metadata":{"annotations":{…}},"spec":{…}}`);
    /// `None` when nothing changes.
    pub patch: Option<Value>,
}

impl RootPatch {
    pub fn is_empty(&self) -> bool {
        self.patch.is_none()
    }
}
