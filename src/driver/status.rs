//! The write of a status: the difference to the stored one, good only for the version that was planned with.

use super::{Context, Driver, at_version, encode, key_of};
use crate::error::{Error, Result};
use crate::queue::Key;
use kube::ResourceExt;
use plan::{ObjectKey, PatchKind};
use serde_json::{Value, json};

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
    let patch = at_version(json!({"status": difference}), version);
    let subresource = D::STATUS_SUBRESOURCE;
    let answered = cx
        .kubernetes
        .patch(&object, PatchKind::Merge, &patch, subresource)
        .await;
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

/// What a merge patch of the status has to say; `None` when the stored one is as planned.
fn difference<D: Driver>(root: &D::Root, planned: &D::Status) -> Result<Option<Value>> {
    let stored = D::status(root);
    if stored == Some(planned) {
        return Ok(None);
    }
    let stored = stored.map_or(Ok(Value::Null), encode)?;
    let planned = encode(planned)?;
    // A kind without a status of ours (a Service) plans none.
    Ok(crate::diff::merge_diff(&stored, &planned).filter(|_| planned.is_object()))
}

/// The fields that the API server has not stored as they were sent: the next pass would send them again. The
/// answer is in the cache by now. If that holds another version, the next pass will see.
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
    let difference = difference::<D>(&root, planned)?;
    Ok(difference.map(|difference| named(&difference)))
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
    use super::*;

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
