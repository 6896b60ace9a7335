//! Writes to the Kubernetes API, and what of the answers the caches take over.

use super::{Kinds, Served};
use crate::cache::{Caches, identity_of};
use crate::error::{Error, Result, Verb, chain, code_of};
use crate::lease::Lead;
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::core::{DynamicObject, Request};
use kube::discovery::Scope;
use kube::{Api, Client, Resource};
use plan::{Action, Guard, ObjectKey, PatchKind, Propagation};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The field manager of everything that is not server-side apply.
const FIELD_MANAGER: &str = "weir";

/// A request, if it can be made.
pub(super) type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

/// See the module's documentation.
pub struct Kubernetes {
    client: Client,
    kinds: Arc<Kinds>,
    caches: Arc<Caches>,
    lead: Lead,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").finish_non_exhaustive()
    }
}

impl Kubernetes {
    pub fn new(client: Client, kinds: Arc<Kinds>, caches: Arc<Caches>, lead: Lead) -> Self {
        Self {
            client,
            kinds,
            caches,
            lead,
        }
    }

    /// A pass that began while this process led must not write once another may, nor when this one
    /// leads again: the pass is given up where it is, and the leader plans anew.
    fn fence(&self, object: &ObjectKey) -> Result<()> {
        if self.lead.holds() {
            return Ok(());
        }
        Err(Error::NotLeading {
            object: object.clone(),
        })
    }

    /// Carries out one action on the cluster. [`Action::Measure`] is not one.
    pub async fn execute(&self, action: &Action) -> Result<()> {
        match action {
            Action::Create { object } => self.create(object).await,
            Action::Apply { object, manager } => self.apply(object, manager).await,
            Action::Replace {
                target,
                patch,
                manager,
                guard,
            } => self.replace(target, patch, manager, guard).await,
            Action::Patch {
                target,
                kind,
                patch,
                subresource,
                guard,
            } => {
                let patch = guarded(patch, *kind, guard);
                self.patch(target, *kind, &patch, *subresource).await
            }
            Action::Delete {
                target,
                guard,
                propagation,
            } => self.delete(target, guard, *propagation).await,
            Action::Evict { pod, guard } => self.evict(pod, guard).await,
            Action::Attempt(_) | Action::Measure(_) => Ok(()),
        }
    }

    /// Changes an object by a merge patch and gives back its new resource version.
    pub async fn merge<P: Serialize + Sync>(
        &self,
        target: &ObjectKey,
        patch: &P,
        subresource: Option<&str>,
    ) -> Result<Option<String>> {
        let requests = self.requests(target).await?;
        let body = Patch::Merge(patch);
        let answer = self.send_patch((requests, target), &body, subresource);
        let identity = identity_of(&answer.await?).ok();
        Ok(identity.and_then(|identity| identity.resource_version))
    }

    async fn patch(
        &self,
        target: &ObjectKey,
        kind: PatchKind,
        patch: &Value,
        subresource: Option<&str>,
    ) -> Result<()> {
        let requests = self.requests(target).await?;
        let body = match kind {
            PatchKind::Merge => Patch::Merge(patch),
            PatchKind::Strategic => Patch::Strategic(patch),
            PatchKind::Json => {
                Patch::Json(serde_json::from_value(patch.clone()).map_err(|source| {
                    Error::Encode {
                        object: target.to_string(),
                        source,
                    }
                })?)
            }
        };
        let answer = self.send_patch((requests, target), &body, subresource);
        answer.await.map(drop)
    }

    /// The answer, which the caches have by then.
    async fn send_patch<P: Serialize + Sync>(
        &self,
        (requests, target): (Request, &ObjectKey),
        body: &Patch<P>,
        subresource: Option<&str>,
    ) -> Result<String> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let request = match subresource {
            None => requests.patch(&target.name, &params, body),
            Some(part) => requests.patch_subresource(part, &target.name, &params, body),
        };
        let answer = self.send(request).await.map_err(|source| Error::Write {
            verb: Verb::Patch,
            object: target.clone(),
            source: Box::new(source),
        })?;
        if subresource != Some("scale") {
            self.caches.absorb(target, &answer);
        }
        Ok(answer)
    }

    /// The answer as it came: each cache decodes it as what it holds, and nothing else does.
    async fn send(&self, request: Built) -> Result<String, kube::Error> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.client.request_text(request).await
    }

    async fn create(&self, object: &Value) -> Result<()> {
        let target = ObjectKey::of_manifest(object);
        let requests = self.requests(&target).await?;
        let body = serde_json::to_vec(object).map_err(|source| Error::Encode {
            object: target.to_string(),
            source,
        })?;
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: false,
        };
        match self.send(requests.create(&params, body)).await {
            Ok(answer) => {
                self.caches.absorb(&target, &answer);
                Ok(())
            }
            Err(source) => {
                if code_of(&source) == Some(409) {
                    self.look_at(&target).await;
                }
                Err(Error::Write {
                    verb: Verb::Create,
                    object: target,
                    source: Box::new(source),
                })
            }
        }
    }

    /// An object of the name is there already, though no cache shows it (another's, or without the
    /// label that the watch selects by, be it that somebody has taken it off): the planner has to
    /// see it to decide.
    async fn look_at(&self, target: &ObjectKey) {
        // The lead is lost, which the next pass will say.
        let Ok(api) = self.api(target).await else {
            return;
        };
        match found(&api, target).await {
            Ok(found) => {
                for object in found {
                    self.caches.absorb_read(target, &object);
                }
            }
            Err(error) => {
                tracing::warn!(object = %target, error = chain(&error), "what has this name already can't be looked at");
            }
        }
    }

    /// Lets the caches have an object that they don't show, if there is one that their watch is to
    /// bring: what one watch tells may be older than what another does. Of a kind that is not
    /// served, and of a name that none can have, there is none.
    pub async fn look_for(&self, target: &ObjectKey) -> Result<()> {
        let api = match self.api(target).await {
            Err(Error::UnknownKind { .. }) => return Ok(()),
            api => api?,
        };
        match found(&api, target).await {
            Ok(found) => {
                for object in found {
                    self.caches.absorb(target, &object);
                }
                Ok(())
            }
            Err(source) if matches!(code_of(&source), Some(400 | 404)) => Ok(()),
            Err(source) => Err(Error::Read {
                object: target.clone(),
                source: Box::new(source),
            }),
        }
    }

    /// Whether an object is there now, whatever the caches say. One that can't be looked at is not.
    pub async fn exists(&self, target: &ObjectKey) -> bool {
        let Ok(api) = self.api(target).await else {
            return false;
        };
        live(&api, &target.name)
            .await
            .is_ok_and(|found| !found.is_empty())
    }

    async fn apply(&self, object: &Value, manager: &str) -> Result<()> {
        let target = ObjectKey::of_manifest(object);
        let requests = self.requests(&target).await?;
        let params = PatchParams::apply(manager).force();
        let request = requests.patch(&target.name, &params, &Patch::Apply(object));
        let answer = self.send(request).await.map_err(|source| Error::Write {
            verb: Verb::Apply,
            object: target.clone(),
            source: Box::new(source),
        })?;
        self.caches.absorb(&target, &answer);
        Ok(())
    }

    async fn replace(
        &self,
        target: &ObjectKey,
        patch: &Value,
        manager: &str,
        guard: &Guard,
    ) -> Result<()> {
        let api = self.api(target).await?;
        let request = replacement(&api, target, patch, guard, &replacing(manager));
        let answer = self.send(request).await.map_err(|source| Error::Write {
            verb: Verb::Replace,
            object: target.clone(),
            source: Box::new(source),
        })?;
        self.caches.absorb(target, &answer);
        Ok(())
    }

    async fn delete(
        &self,
        target: &ObjectKey,
        guard: &Guard,
        propagation: Propagation,
    ) -> Result<()> {
        let api = self.api(target).await?;
        let params = DeleteParams {
            propagation_policy: Some(match propagation {
                Propagation::Background => PropagationPolicy::Background,
                Propagation::Foreground => PropagationPolicy::Foreground,
                Propagation::Orphan => PropagationPolicy::Orphan,
            }),
            preconditions: preconditions(guard),
            ..DeleteParams::default()
        };
        match api.delete(&target.name, &params).await {
            // Not gone yet: it has finalizers, or a grace period.
            Ok(either::Either::Left(object)) => {
                let answer = serde_json::to_string(&object).unwrap_or_default();
                self.caches.absorb(target, &answer);
            }
            Ok(either::Either::Right(_)) => {
                self.caches.absorb_deletion(target, guard.uid.as_deref());
            }
            Err(error) if code_of(&error) == Some(404) => {
                self.caches.absorb_deletion(target, guard.uid.as_deref());
            }
            Err(source) => {
                return Err(Error::Write {
                    verb: Verb::Delete,
                    object: target.clone(),
                    source: Box::new(source),
                });
            }
        }
        Ok(())
    }

    async fn evict(&self, pod: &ObjectKey, guard: &Guard) -> Result<()> {
        self.fence(pod)?;
        let namespace = pod.namespace.as_deref().unwrap_or_default();
        let api: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        let answer: kube::Result<Value> = api
            .create_subresource("eviction", &pod.name, &params, &eviction(pod, guard))
            .await;
        match answer {
            Ok(_) => {
                self.caches.absorb_eviction(pod, guard.uid.as_deref());
                Ok(())
            }
            // Gone already, another pod by now, or a disruption budget says not now: the next plan
            // counts again.
            Err(error) if matches!(code_of(&error), Some(404 | 409 | 429)) => Ok(()),
            // So it answers where a pod has two budgets: no reason not to route and not to abort.
            Err(error) if code_of(&error) == Some(500) => {
                tracing::warn!(%pod, %error, "an eviction failed, the rest goes on");
                Ok(())
            }
            Err(source) => Err(Error::Write {
                verb: Verb::Evict,
                object: pod.clone(),
                source: Box::new(source),
            }),
        }
    }

    /// Every write begins here, or in [`Self::evict`]; reads that a plan goes by do as well.
    async fn served(&self, target: &ObjectKey) -> Result<Arc<Served>> {
        self.fence(target)?;
        let served = self
            .kinds
            .resolve(&target.api_version, &target.kind)
            .await?;
        // That may have taken a while.
        self.fence(target)?;
        Ok(served)
    }

    async fn api(&self, target: &ObjectKey) -> Result<Api<DynamicObject>> {
        let served = self.served(target).await?;
        let api = Api::dynamic(self.client.clone(), &served.resource, &served.scope);
        Ok(match &target.namespace {
            Some(namespace) => api.constrain(namespace),
            None => api,
        })
    }

    /// The requests of [`Self::api`], without the rest of it.
    async fn requests(&self, target: &ObjectKey) -> Result<Request> {
        let served = self.served(target).await?;
        let namespace = target.namespace.as_deref();
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        let namespace = namespace.filter(|_| served.scope == Scope::Namespaced);
        let path = DynamicObject::url_path(&served.resource, namespace);
        Ok(Request::new(path))
    }
}

/// The request that replaces an object by a merge patch, if it is still the one that is guarded.
pub(super) fn replacement(
    api: &Api<DynamicObject>,
    target: &ObjectKey,
    patch: &Value,
    guard: &Guard,
    params: &PatchParams,
) -> Built {
    let body = guarded(patch, PatchKind::Merge, guard);
    Request::new(api.resource_url()).patch(&target.name, params, &Patch::Merge(&body))
}

/// How this manager replaces an object.
pub(super) fn replacing(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

/// The object of that name, if there is one. A list of one: it needs no right that a watch does not
/// need.
async fn live(api: &Api<DynamicObject>, name: &str) -> Result<Vec<DynamicObject>, kube::Error> {
    let only = ListParams::default().fields(&format!("metadata.name={name}"));
    Ok(api.list(&only).await?.items)
}

/// The same as text.
async fn found(api: &Api<DynamicObject>, target: &ObjectKey) -> Result<Vec<String>, kube::Error> {
    let as_text = |object: DynamicObject| {
        let mut object = json!(object);
        // Members of a list do without.
        object["apiVersion"] = json!(target.api_version);
        object["kind"] = json!(target.kind);
        object.to_string()
    };
    let found = live(api, &target.name).await?.into_iter();
    Ok(found.map(as_text).collect())
}

/// The body of an eviction. `Api::evict` of the client library writes the options under a name that
/// no API server knows (kube 5.0.0): the guard would be lost.
fn eviction(pod: &ObjectKey, guard: &Guard) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": pod.name, "namespace": pod.namespace },
        "deleteOptions": { "preconditions": preconditions(guard) },
    })
}

fn preconditions(guard: &Guard) -> Option<Preconditions> {
    let Guard {
        uid,
        resource_version,
    } = guard.clone();
    (uid.is_some() || resource_version.is_some()).then_some(Preconditions {
        uid,
        resource_version,
    })
}

/// A patch that fails with a conflict when the guard does not hold: a uid or resource version in
/// the patch's metadata is compared by the API server.
fn guarded(patch: &Value, kind: PatchKind, guard: &Guard) -> Value {
    let mut patch = patch.clone();
    let fields = [
        ("uid", &guard.uid),
        ("resourceVersion", &guard.resource_version),
    ];
    for (field, wanted) in fields {
        let Some(wanted) = wanted else { continue };
        match (kind, &mut patch) {
            (PatchKind::Json, Value::Array(operations)) => {
                let test =
                    json!({"op": "test", "path": format!("/metadata/{field}"), "value": wanted});
                operations.insert(0, test);
            }
            (PatchKind::Merge | PatchKind::Strategic, Value::Object(fields)) => {
                let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
                if let Value::Object(metadata) = metadata {
                    metadata.insert(field.to_owned(), json!(wanted));
                }
            }
            _ => {}
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Dynamic;
    use crate::lease::Leadership;
    use apiserver::{ApiServer, Gvk};

    #[test]
    fn a_guard_becomes_part_of_a_merge_patch() {
        let guard = Guard {
            uid: Some("u".into()),
            resource_version: Some("7".into()),
        };
        let patch = guarded(&json!({"spec": {"replicas": 1}}), PatchKind::Merge, &guard);
        assert_eq!(
            patch,
            json!({"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": {"replicas": 1}})
        );
    }

    /// As the API server reads it: what it does not know it drops.
    #[test]
    fn a_guard_becomes_a_precondition_of_an_eviction() {
        let guard = Guard {
            uid: Some("u".into()),
            resource_version: None,
        };
        let pod = ObjectKey::namespaced("v1", "Pod", "demo", "app-1");
        let body: k8s_openapi::api::policy::v1::Eviction =
            serde_json::from_value(eviction(&pod, &guard)).expect("it is an Eviction");
        assert_eq!(body.metadata.name.as_deref(), Some("app-1"));
        let options = body.delete_options.expect("it has options");
        let preconditions = options.preconditions.expect("they have preconditions");
        assert_eq!(preconditions.uid.as_deref(), Some("u"));
    }

    #[tokio::test]
    async fn a_pod_that_has_taken_the_place_of_another_is_not_evicted_for_it() {
        let server = ApiServer::builder().build();
        let kind = Gvk::new("", "v1", "Pod");
        let pod = json!({"metadata": {"name": "app-1"}, "spec": {"containers": [
            {"name": "app", "image": "app"}]}});
        let pod = server.create(&kind, Some("default"), pod).unwrap();
        let client = server.client();
        let kinds = Arc::new(Kinds::new(client.clone()));
        let caches = Caches::new(Dynamic::new(client.clone(), kinds.clone(), None));
        let key = ObjectKey::namespaced("v1", "Pod", "default", "app-1");
        caches.absorb(&key, &pod.to_string());
        let caches = Arc::new(caches);
        let lead = Leadership::always().acquired().await;
        let kubernetes = Kubernetes::new(client, kinds, caches.clone(), lead);
        let evict = |uid: &str| Action::Evict {
            pod: key.clone(),
            guard: Guard {
                uid: Some(uid.to_owned()),
                resource_version: None,
            },
        };
        kubernetes.execute(&evict("another")).await.unwrap();
        assert!(server.get(&kind, Some("default"), "app-1").is_ok());
        let leaves = || {
            let held = caches.pods.get("default", "app-1").unwrap();
            held.metadata.deletion_timestamp.is_some()
        };
        assert!(!leaves(), "it stays");
        let own = pod["metadata"]["uid"].as_str().unwrap();
        kubernetes.execute(&evict(own)).await.unwrap();
        assert!(server.get(&kind, Some("default"), "app-1").is_err());
        assert!(leaves());
    }

    #[test]
    fn a_guard_becomes_tests_of_a_json_patch() {
        let guard = Guard {
            uid: Some("u".into()),
            resource_version: None,
        };
        let patch = json!([{"op": "remove", "path": "/metadata/annotations/a"}]);
        let patch = guarded(&patch, PatchKind::Json, &guard);
        assert_eq!(
            patch[0],
            json!({"op": "test", "path": "/metadata/uid", "value": "u"})
        );
    }
}
