//! Patches of statuses.

use crate::error::is_not_found;
use kube::api::{Patch, PatchParams};
use kube::{Api, Error};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

/// Merge-patches the status subresource; where there is none, the object itself (rollouts.md §8.1).
pub(crate) async fn patch_status<K>(objects: &Api<K>, name: &str, patch: &Value) -> Result<K, Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let params = PatchParams::default();
    match objects
        .patch_status(name, &params, &Patch::Merge(patch))
        .await
    {
        Err(error) if is_not_found(&error) => {
            objects.patch(name, &params, &Patch::Merge(patch)).await
        }
        answer => answer,
    }
}
