//! What only the memory of the controller has, read back from the status.

use crate::snapshot::{Refusal, RefusalKind};
use api::Rollout;
use api::constants::{condition, reason};

/// The last ReplicaSet that the API server would not create, as the status tells of it.
pub fn refused(rollout: &Rollout) -> Option<Refusal> {
    let status = rollout.status.as_ref()?;
    let mut conditions = status.conditions.iter();
    let progressing = conditions.find(|one| {
        one.type_ == condition::PROGRESSING && one.reason == reason::REPLICA_SET_CREATE_ERROR
    })?;
    let (_, said) = progressing.message.split_once('"')?;
    let (replica_set, message) = said.split_once("\": ")?;
    Some(Refusal {
        replica_set: replica_set.to_owned(),
        message: message.to_owned(),
        kind: RefusalKind::Refused,
        at: progressing.last_update_time.0,
    })
}
