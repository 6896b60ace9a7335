use super::{Context, Driver};
use crate::error::Result;
use crate::queue::Key;
use engine::service::ServiceSnapshot;
use engine::snapshot::references;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use plan::Plan;
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
        let name = root.name_any();
        let mut rollouts = cx
            .caches
            .rollouts
            .in_namespace(&root.namespace().unwrap_or_default());
        rollouts.retain(|rollout| references(rollout).services.contains(&name));
        let rollouts = rollouts.iter().map(|rollout| rollout.name_any()).collect();
        Ok(ServiceSnapshot {
            service: root,
            referenced_by: rollouts,
        })
    }

    fn plan(&self, _: &Context, snapshot: &ServiceSnapshot, _: Timestamp) -> Plan<()> {
        engine::service::plan(snapshot)
    }
}
