//! The write of a status: the difference to the stored one, good only for the version that was
//! planned with.

use super::{Context, Driver, key_of, not_encoded};
use crate::error::{Error, Result};
use crate::queue::Key;
use kube::ResourceExt;
use plan::{ObjectKey, merge_diff_text};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// So many fields are named of a status that is not stored as it was sent.
const NAMED_MAX: usize = 3;

/// What has come of a status.
#[derive(Debug)]
pub(super) enum Stored {
    /// It was as planned.
    AsItWas,
    Changed,
    /// Some of it is not as it was sent.
    Partly(Error),
    Nothing(Error),
}

/// A merge patch of an object's status, for one version of it if there is one.
#[derive(Serialize)]
struct StatusPatch<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Version<'a>>,
    status: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version<'a> {
    resource_version: &'a str,
}

/// Stores the planned status, if another one is.
pub(super) async fn store<D: Driver>(
    driver: &D,
    cx: &Context,
    key: &Key,
    (root, version): (&D::Root, Option<&str>),
    planned: &D::Status,
) -> Result<Stored> {
    let Some(difference) = difference::<D>(root, planned)? else {
        return Ok(Stored::AsItWas);
    };
    let object = key_of(root);
    let patch = StatusPatch {
        metadata: version.map(|resource_version| Version { resource_version }),
        status: &difference,
    };
    let subresource = D::STATUS_SUBRESOURCE;
    let answered = cx.kubernetes.merge(&object, &patch, subresource).await;
    let stored = match answered {
        Ok(stored) => stored,
        Err(error) => {
            let error = explained(cx, object, subresource, error).await;
            return Ok(Stored::Nothing(error));
        }
    };
    let Some(fields) = lost(driver, cx, key, stored.as_deref(), planned)? else {
        return Ok(Stored::Changed);
    };
    let error = Error::PrunedStatus { object, fields };
    if stored.as_deref() == version {
        return Ok(Stored::Nothing(error));
    }
    Ok(Stored::Partly(error))
}

/// A status that is not found, of an object that is: the same answer as for one that is gone.
async fn explained(
    cx: &Context,
    object: ObjectKey,
    subresource: Option<&str>,
    error: Error,
) -> Error {
    let is_missing = subresource.is_some() && error.code() == Some(404);
    if is_missing && cx.kubernetes.exists(&object).await {
        return Error::NoStatus { object };
    }
    error
}

/// What a merge patch of the status has to say; `None` when the stored one is as planned, or there
/// is none and nothing to say: fields that the API requires would be written, and seen, without a
/// meaning. As text: most of a status is as it was, and is not worth a value.
fn difference<D: Driver>(root: &D::Root, planned: &D::Status) -> Result<Option<Box<RawValue>>> {
    let stored = D::status(root);
    if stored == Some(planned) {
        return Ok(None);
    }
    let failed = not_encoded::<D::Status>;
    let text = |status: &D::Status| serde_json::to_string(status).map_err(failed);
    let planned = text(planned)?;
    if stored.is_none() && planned == text(&D::Status::default())? {
        return Ok(None);
    }
    let stored = stored.map_or_else(|| Ok("null".to_owned()), text)?;
    let patch = merge_diff_text(&stored, &planned).map_err(failed)?;
    // A kind without a status of ours (a Service) plans none.
    let patch = patch.filter(|_| planned.starts_with('{'));
    let patch = patch.map(RawValue::from_string).transpose();
    patch.map_err(failed)
}

/// The fields that the API server has not stored as they were sent: the next pass would send them
/// again. The answer is in the cache by now. If that holds another version, the next pass will see.
fn lost<D: Driver>(
    driver: &D,
    cx: &Context,
    key: &Key,
    version: Option<&str>,
    planned: &D::Status,
) -> Result<Option<String>> {
    let Some(root) = driver.root(cx, key) else {
        return Ok(None);
    };
    if root.resource_version().as_deref() != version {
        return Ok(None);
    }
    let Some(difference) = difference::<D>(&root, planned)? else {
        return Ok(None);
    };
    let fields: Value = serde_json::from_str(difference.get()).unwrap_or_default();
    Ok(Some(named(&fields)))
}

/// The fields that a patch of the status names.
fn named(patch: &Value) -> String {
    let mut paths = Vec::new();
    collect(patch, ".status", &mut paths);
    let more = paths.len().saturating_sub(NAMED_MAX);
    paths.truncate(NAMED_MAX);
    let paths = paths.join(", ");
    match more {
        0 => paths,
        more => format!("{paths} and {more} more"),
    }
}

fn collect(patch: &Value, path: &str, into: &mut Vec<String>) {
    match patch.as_object() {
        Some(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                collect(value, &format!("{path}.{field}"), into);
            }
        }
        _ => into.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::analysis_run::AnalysisRunDriver;
    use super::super::application::ApplicationDriver;
    use super::super::experiment::ExperimentDriver;
    use super::super::rollout::RolloutDriver;
    use super::super::service::ServiceDriver;
    use super::*;
    use api::{AnalysisPhase, AnalysisRunStatus};
    use serde_json::json;

    /// What is written so that `stored` becomes `planned`.
    fn written<D: Driver>(stored: Option<Value>, planned: &D::Status) -> Option<Value>
    where
        D::Root: serde::de::DeserializeOwned,
    {
        let mut root = json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {
            "metrics": [], "templates": [], "destination": {}, "project": "",
        }});
        if let Some(stored) = stored {
            root["status"] = stored;
        }
        let root: D::Root = serde_json::from_value(root).unwrap();
        let patch = difference::<D>(&root, planned).unwrap()?;
        Some(serde_json::from_str(patch.get()).unwrap())
    }

    #[test]
    fn a_status_that_says_nothing_is_not_written_where_there_is_none() {
        fn first<D: Driver>() -> Option<Value>
        where
            D::Root: serde::de::DeserializeOwned,
        {
            written::<D>(None, &D::Status::default())
        }
        assert_eq!(first::<AnalysisRunDriver>(), None);
        assert_eq!(first::<RolloutDriver>(), None);
        assert_eq!(first::<ExperimentDriver>(), None);
        assert_eq!(first::<ApplicationDriver>(), None);
        assert_eq!(first::<ServiceDriver>(), None);
    }

    #[test]
    fn the_first_status_that_says_something_is_written_whole() {
        let planned = AnalysisRunStatus {
            phase: Some(AnalysisPhase::Running),
            ..AnalysisRunStatus::default()
        };
        let running = json!({"phase": "Running", "runSummary": {}});
        let first = written::<AnalysisRunDriver>(None, &planned);
        assert_eq!(first, Some(running.clone()));
        let again = written::<AnalysisRunDriver>(Some(running.clone()), &planned);
        assert_eq!(again, None);
        let nothing = AnalysisRunStatus::default();
        let emptied = written::<AnalysisRunDriver>(Some(running), &nothing);
        assert_eq!(emptied, Some(json!({"phase": ""})));
        let observed = api::RolloutStatus {
            observed_generation: "1".to_owned(),
            ..api::RolloutStatus::default()
        };
        let first = written::<RolloutDriver>(None, &observed).unwrap();
        assert_eq!(first["observedGeneration"], "1");
    }

    #[test]
    fn the_fields_of_a_patch_are_named_by_their_paths() {
        let patch = json!({"canary": {"weights": {"canary": 1}}, "alb": {}, "list": [{"a": 1}]});
        let paths = named(&patch);
        let mut paths: Vec<&str> = paths.split(", ").collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                ".status.alb",
                ".status.canary.weights.canary",
                ".status.list"
            ]
        );
        let four = json!({"a": 1, "b": 1, "c": 1, "d": 1});
        assert!(named(&four).ends_with(" and 1 more"), "{}", named(&four));
    }
}
