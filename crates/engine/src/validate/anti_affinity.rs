//! The anti-affinity between the pods of two revisions.

use super::error::{Check, SpecError, within};
use api::AntiAffinity;

/// Exactly one variant, with a weight that the scheduler understands (§1.7, 9).
pub(super) fn check(strategy: &str, anti_affinity: Option<&AntiAffinity>) -> Check {
    let Some(anti_affinity) = anti_affinity else {
        return Ok(());
    };
    let path = format!("{strategy}.antiAffinity");
    let preferred = &anti_affinity.preferred_during_scheduling_ignored_during_execution;
    let required = &anti_affinity.required_during_scheduling_ignored_during_execution;
    match (preferred, required) {
        (Some(preferred), None) => within(
            &format!("{path}.preferredDuringSchedulingIgnoredDuringExecution.weight"),
            preferred.weight.into(),
            1..=100,
        ),
        (None, Some(_)) => Ok(()),
        _ => Err(SpecError::invalid_whole(
            path,
            "exactly one of preferredDuringSchedulingIgnoredDuringExecution and \
             requiredDuringSchedulingIgnoredDuringExecution must be set",
        )),
    }
}
