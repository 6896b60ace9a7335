//! What a world stands on: objects, and the pods behind them.
//!
//! Two grounds serve the same trait. [`Light`] keeps parsed objects in a map and models pods as a
//! handful of numbers: the swarm runs on it, because it is by far the faster one.
//! [`Full`] is the embedded API server with the cluster of `crates/cluster`: scenario files are
//! played on both, so that what the light one gets wrong shows. Both answer writes by the same
//! rules: resource versions, generations, uid and version preconditions, merge and JSON patches.

mod brief;
mod deployments;
mod full;
mod light;
mod pods;
mod shown;

pub use pods::Pace;

pub use full::Full;
pub use light::Light;

use crate::object::{Id, Kind, Object};
use api::RolloutStatus;
use plan::{Action, Guard, PatchKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Debug;

/// Why a write was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    Conflict,
    NotFound,
    Exists,
    Invalid(String),
}

/// One write, as watchers see it.
#[derive(Clone, Debug)]
pub struct Change {
    pub at_ms: i64,
    pub version: u64,
    pub id: Id,
    /// `None`: it was deleted.
    pub object: Option<Object>,
}

/// A patch on its way.
#[derive(Clone, Copy, Debug)]
pub struct Patch<'a> {
    pub kind: PatchKind,
    pub body: &'a Value,
    pub guard: &'a Guard,
    pub subresource: Option<&'a str>,
}

/// What befalls pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Harm {
    /// All pods of one ReplicaSet (chosen by this number) stop being ready for so long.
    CrashLoop { set: u8, for_ms: i64 },
    /// Every n-th pod is gone, as with its node.
    NodeLoss { every: u8 },
    /// So many pods of one ReplicaSet stop being ready for good: only others in their place help.
    Stuck { set: u8, pods: u8 },
    /// Somebody deletes so many pods of one ReplicaSet.
    Kill { set: u8, pods: u8 },
}

/// See the module's documentation. Times are virtual milliseconds.
pub trait Ground: Debug {
    fn get(&self, id: &Id) -> Option<Object>;

    fn list(&self, kind: Kind) -> Vec<(Id, Object)>;

    /// # Errors
    /// [`Refused::Exists`], or what is wrong with the object.
    fn create(&mut self, now_ms: i64, object: Value) -> Result<Object, Refused>;

    /// # Errors
    /// When the guard does not hold, or the object is not there or would not be valid.
    fn patch(&mut self, now_ms: i64, id: &Id, patch: Patch<'_>) -> Result<Object, Refused>;

    /// Replaces the status of a Rollout that still has this version.
    ///
    /// # Errors
    /// When it has another one.
    fn put_status(
        &mut self,
        now_ms: i64,
        id: &Id,
        version: u64,
        status: &RolloutStatus,
    ) -> Result<Object, Refused>;

    /// `linger_ms`: how long its dependents keep the object (foreground deletion); 0 is at once.
    /// Something that is gone already is a success.
    ///
    /// # Errors
    /// When the guard does not hold.
    fn delete(
        &mut self,
        now_ms: i64,
        id: &Id,
        guard: &Guard,
        linger_ms: i64,
    ) -> Result<(), Refused>;

    /// Every write since the world began.
    fn changes(&self) -> &[Change];

    /// Lets the cluster do what is due; when it wants to be asked again.
    fn tick(&mut self, now_ms: i64) -> Option<i64>;

    /// Pods of a ReplicaSet that are ready, in truth.
    fn ready(&self, set: &str) -> i32;

    fn harm(&mut self, now_ms: i64, harm: &Harm);

    /// Pods that were stuck are no more.
    fn mend(&mut self, now_ms: i64);
}

/// Does what an action says to the object `id`; what the object is then, if it is still there.
///
/// # Errors
/// Those of the ground; [`Refused::Invalid`] for what is no write to one object.
pub fn write(
    ground: &mut dyn Ground,
    now_ms: i64,
    id: &Id,
    action: &Action,
) -> Result<Option<Object>, Refused> {
    match action.deed() {
        Action::Create { object } => ground.create(now_ms, (**object).clone()).map(Some),
        Action::Patch {
            kind,
            patch,
            subresource,
            guard,
            ..
        } => {
            let request = Patch {
                kind: *kind,
                body: patch,
                guard,
                subresource: *subresource,
            };
            ground.patch(now_ms, id, request).map(Some)
        }
        Action::Delete { guard, .. } | Action::Evict { guard, .. } => {
            ground.delete(now_ms, id, guard, 0).map(|()| None)
        }
        Action::Apply { .. } | Action::Replace { .. } | Action::Attempt(_) | Action::Measure(_) => {
            Err(Refused::Invalid("no such action here".to_owned()))
        }
    }
}

/// Carries a write out at once. What the ground refuses is seen by the next pass, as after any
/// change.
pub fn carry_out(ground: &mut dyn Ground, now_ms: i64, action: &Action) {
    if let Some(id) = action.target().and_then(|target| Id::of_key(&target)) {
        drop(write(ground, now_ms, &id, action));
    }
}
