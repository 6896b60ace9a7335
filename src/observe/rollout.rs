//! The snapshot of a Rollout.

use crate::cache::{Cache, Caches, Referent, json_of};
use crate::error::{Error, Result};
use api::Rollout;
use engine::snapshot::{
    Inbox, RolloutSnapshot, TemplateSet, needs_pods, references, workload_users,
};
use kube::{Resource, ResourceExt};
use plan::ObjectKey;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// # Errors
/// When a kind that the Rollout refers to could not be looked up. A kind that the cluster does
/// not serve is not an error here: its objects are missing, and the planner says so.
pub async fn rollout(
    caches: &Caches,
    rollout: Arc<Rollout>,
    inbox: Inbox,
) -> Result<RolloutSnapshot> {
    let namespace = rollout.namespace().unwrap_or_default();
    let wanted = references(&rollout);
    let mut objects = BTreeMap::new();
    for key in &wanted.objects {
        if let Some(object) = live(caches, key).await? {
            objects.insert(key.clone(), object);
        }
    }
    for (api_version, kind) in &wanted.owned_kinds {
        objects.extend(controlled(caches, api_version, kind, &rollout).await?);
    }
    let workload = match &wanted.workload {
        Some(key) => live(caches, key).await?,
        None => None,
    };
    let referring = match &wanted.workload {
        Some(key) => caches.referents.of(&Referent::Object(key.clone())),
        None => BTreeSet::new(),
    };
    let referring = referring
        .iter()
        .filter_map(|(namespace, name)| caches.rollouts.get(namespace, name));
    let services = wanted.services.iter().filter_map(|name| {
        caches
            .services
            .get(&namespace, name)
            .map(|service| (name.clone(), service))
    });
    let replica_sets = owned(&caches.replica_sets, &rollout);
    let pods = if needs_pods(&wanted, &replica_sets) {
        pods_of(caches, &namespace, &replica_sets)
    } else {
        Vec::new()
    };
    Ok(RolloutSnapshot {
        services: services.collect(),
        replica_sets,
        pods,
        analysis_runs: owned(&caches.analysis_runs, &rollout),
        experiments: owned(&caches.experiments, &rollout),
        templates: if wanted.templates.is_empty() {
            TemplateSet::default()
        } else {
            templates(caches, &namespace)
        },
        objects,
        workload,
        workload_users: workload_users(&rollout, referring),
        inbox,
        digest: None,
        rollout,
    })
}

/// The snapshot with the pods of all its ReplicaSets, whether the plan needs them or not.
#[must_use]
pub fn with_all_pods(caches: &Caches, snapshot: RolloutSnapshot) -> RolloutSnapshot {
    let namespace = snapshot.rollout.namespace().unwrap_or_default();
    let pods = pods_of(caches, &namespace, &snapshot.replica_sets);
    RolloutSnapshot { pods, ..snapshot }
}

async fn live(caches: &Caches, key: &ObjectKey) -> Result<Option<Arc<Value>>> {
    match caches.dynamic.get(key).await {
        Ok(object) => Ok(object.map(|object| json_of(&object))),
        Err(Error::UnknownKind { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The objects of a kind that the Rollout controls.
async fn controlled(
    caches: &Caches,
    api_version: &str,
    kind: &str,
    rollout: &Rollout,
) -> Result<BTreeMap<ObjectKey, Arc<Value>>> {
    let cache = match caches.dynamic.lean_of_kind(api_version, kind).await {
        Ok(cache) => cache,
        Err(Error::UnknownKind { .. }) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let namespace = rollout.namespace().unwrap_or_default();
    let uid = rollout.uid().unwrap_or_default();
    let objects = cache.controlled_by(&namespace, &uid);
    let keyed = objects.into_iter().map(|object| {
        let key = ObjectKey::namespaced(api_version, kind, &namespace, &object.name_any());
        (key, json_of(&object))
    });
    Ok(keyed.collect())
}

/// What the Rollout controls, what nobody controls, and what has a name that it would give; by
/// name.
fn owned<K>(cache: &Cache<K>, rollout: &Rollout) -> Vec<Arc<K>> {
    let metadata = &rollout.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let prefix = format!("{}-", rollout.name_any());
    cache.concerning(namespace, metadata.uid.as_deref(), &prefix)
}

/// Each object once, by name.
pub(super) fn unique<K: Resource>(mut objects: Vec<Arc<K>>) -> Vec<Arc<K>> {
    let name = |object: &Arc<K>| object.meta().name.clone();
    objects.sort_by_cached_key(name);
    objects.dedup_by(|a, b| a.meta().name == b.meta().name);
    objects
}

fn pods_of<K: Resource>(
    caches: &Caches,
    namespace: &str,
    owners: &[Arc<K>],
) -> Vec<Arc<k8s_openapi::api::core::v1::Pod>> {
    let owners = owners.iter().filter_map(|owner| owner.uid());
    let pods = owners.flat_map(|uid| caches.pods.controlled_by(namespace, &uid));
    unique(pods.collect())
}

pub(super) fn templates(caches: &Caches, namespace: &str) -> TemplateSet {
    let namespaced = caches.analysis_templates.in_namespace(namespace);
    let cluster = caches.cluster_analysis_templates.all();
    TemplateSet {
        namespaced: namespaced
            .into_iter()
            .map(|template| (template.name_any(), template))
            .collect(),
        cluster: cluster
            .into_iter()
            .map(|template| (template.name_any(), template))
            .collect(),
    }
}
