//! From `apiVersion` and `kind` to what the cluster calls it.

use crate::error::{Error, Result, code_of};
use kube::Client;
use kube::core::GroupVersion;
use kube::discovery::{self, ApiResource, Scope};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is believed. A kind that is missing is asked for again after
/// [`MISSING_FOR`], so that a CRD installed a moment ago is found soon.
const MISSING_FOR: Duration = Duration::from_secs(5);

/// One kind as the cluster serves it.
#[derive(Clone, Debug)]
pub struct Served {
    pub resource: ApiResource,
    pub scope: Scope,
}

#[derive(Debug)]
struct GroupKinds {
    kinds: BTreeMap<String, Arc<Served>>,
    asked: Instant,
}

/// What the cluster serves, asked group by group and remembered.
pub struct Kinds {
    client: Client,
    groups: Mutex<BTreeMap<String, GroupKinds>>,
}

impl std::fmt::Debug for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kinds").finish_non_exhaustive()
    }
}

impl Kinds {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            groups: Mutex::default(),
        }
    }

    /// # Errors
    /// [`Error::UnknownKind`] if the cluster does not serve it, [`Error::Discovery`] if it could
    /// not be asked.
    pub async fn resolve(&self, api_version: &str, kind: &str) -> Result<Arc<Served>> {
        if let Some(known) = self.remembered(api_version, kind) {
            return known;
        }
        let kinds = self.ask(api_version).await?;
        let found = kinds.get(kind).cloned();
        let entry = GroupKinds {
            kinds,
            asked: Instant::now(),
        };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not there at all need not be remembered for longer than it is believed.
        groups.retain(|_, group| !group.kinds.is_empty() || group.asked.elapsed() < MISSING_FOR);
        groups.insert(api_version.to_owned(), entry);
        drop(groups);
        found.ok_or_else(|| unknown(api_version, kind))
    }

    fn remembered(&self, api_version: &str, kind: &str) -> Option<Result<Arc<Served>>> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let group = groups.get(api_version)?;
        match group.kinds.get(kind) {
            Some(served) => Some(Ok(Arc::clone(served))),
            None if group.asked.elapsed() < MISSING_FOR => Some(Err(unknown(api_version, kind))),
            None => None,
        }
    }

    async fn ask(&self, api_version: &str) -> Result<BTreeMap<String, Arc<Served>>> {
        let failed = |source| Error::Discovery {
            api_version: api_version.to_owned(),
            source: Box::new(source),
        };
        let Ok(version) = api_version.parse::<GroupVersion>() else {
            return Ok(BTreeMap::new());
        };
        let group = match discovery::pinned_group(&self.client, &version).await {
            Ok(group) => group,
            Err(error) if code_of(&error) == Some(404) => return Ok(BTreeMap::new()),
            Err(kube::Error::Discovery(_)) => return Ok(BTreeMap::new()),
            Err(error) => return Err(failed(error)),
        };
        let resources = group.versioned_resources(&version.version).into_iter();
        Ok(resources
            .map(|(resource, capabilities)| {
                let served = Served {
                    scope: capabilities.scope,
                    resource,
                };
                (served.resource.kind.clone(), Arc::new(served))
            })
            .collect())
    }
}

fn unknown(api_version: &str, kind: &str) -> Error {
    Error::UnknownKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    /// Serves nothing.
    async fn nothing(_: Request<Body>) -> std::result::Result<Response<Body>, kube::Error> {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "message": "not found", "reason": "NotFound", "code": 404});
        let mut response = Response::new(Body::from(status.to_string().into_bytes()));
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        Ok(response)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_not_remembered_for_ever() {
        let kinds = Kinds::new(Client::new(tower::service_fn(nothing), "default"));
        for number in 0..100 {
            let api_version = format!("example-{number}.org/v1");
            let answer = kinds.resolve(&api_version, "Widget").await;
            assert!(
                matches!(answer, Err(Error::UnknownKind { .. })),
                "{answer:?}"
            );
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(kinds.groups.lock().unwrap().len() <= 6);
    }
}
