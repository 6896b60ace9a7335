//! The pass of a Service that a Rollout has pointed at its pods: when no Rollout names it any more,
//! the hash goes from its selector, and the Rollout's name from its annotations.

use super::{Context, Driver};
use crate::cache::{Referent, Stored};
use crate::error::{Error, Result};
use crate::queue::Key;
use api::Rollout;
use engine::service::{self, ServiceSnapshot};
use engine::snapshot::references;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use plan::{ObjectKey, Plan};
use std::sync::Arc;

pub(super) struct ServiceDriver;

impl Driver for ServiceDriver {
    type Root = Service;
    type Snapshot = ServiceSnapshot;
    type Status = ();
    const STATUS_SUBRESOURCE: Option<&'static str> = Some("status");

    fn root(&self, cx: &Context, key: &Key) -> Option<Arc<Service>> {
        cx.caches.services.get(&key.namespace, &key.name)
    }

    fn status(_: &Service) -> Option<&()> {
        None
    }

    async fn observe(&self, cx: &Context, root: Arc<Service>) -> Result<ServiceSnapshot> {
        let namespace = root.namespace().unwrap_or_default();
        let name = root.name_any();
        let referenced_by = match service::owner(&root) {
            // Nothing would be done with it.
            _ if !service::is_marked(&root) => Vec::new(),
            Some(owner) if !cx.caches.rollouts.holds(&namespace, owner) => {
                let mut rollouts = unwatched(cx, &namespace, owner).await?;
                rollouts.retain(|rollout| references(rollout).services.contains(&name));
                rollouts.iter().map(|rollout| rollout.name_any()).collect()
            }
            owner => {
                let service = Referent::Service((namespace, name));
                let rollouts = cx.caches.referents.of(&service).into_iter();
                rollouts
                    .map(|(_, rollout)| rollout)
                    .filter(|rollout| owner.is_none_or(|owner| owner == rollout))
                    .collect()
            }
        };
        Ok(ServiceSnapshot {
            service: root,
            referenced_by,
        })
    }

    fn plan(&self, _: &Context, snapshot: &ServiceSnapshot, _: Timestamp) -> Plan<()> {
        service::plan(snapshot)
    }
}

/// A Rollout that no cache has: there is none, or another controller looks after it.
async fn unwatched(cx: &Context, namespace: &str, name: &str) -> Result<Vec<Arc<Rollout>>> {
    let object = || ObjectKey::namespaced("argoproj.io/v1alpha1", "Rollout", namespace, name);
    let failed = |source| Error::Read {
        object: object(),
        source: Box::new(source),
    };
    let rollouts: Api<Stored<Rollout>> = Api::namespaced(cx.client.clone(), namespace);
    // A list of one: it needs no right that the watch does not need.
    let only = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = rollouts.list(&only).await.map_err(failed)?.items;
    found
        .into_iter()
        .map(|stored| match stored {
            Stored::Read { object, .. } => Ok(Arc::new(object)),
            Stored::Unreadable { error: why, .. } => Err(Error::Unreadable {
                object: object(),
                why,
            }),
        })
        .collect()
}
