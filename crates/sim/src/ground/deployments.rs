//! Deployments on the light ground: the controller of `crates/cluster`, which only decides, over
//! the objects of the map.

use super::light::Light;
use super::{Ground, Patch, Refused};
use crate::object::{Body, Id, Kind};
use crate::time::{millis, stamp};
use cluster::Write;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use plan::{Guard, PatchKind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lets every Deployment do what is due; when one wants to be asked again if nothing changes.
pub(super) fn step(ground: &mut Light, now_ms: i64) -> Option<i64> {
    let mut next: Option<i64> = None;
    for (_, object) in ground.list(Kind::Deployment) {
        let Body::Deployment(deployment) = &object.body else {
            continue;
        };
        let step = decide(ground, deployment, now_ms);
        let again = step.next.map(|at| millis(at).max(now_ms + 1));
        next = next.into_iter().chain(again).min();
        for write in step.writes {
            // What has changed in between is looked at again.
            if carry_out(ground, now_ms, write).is_err() {
                break;
            }
        }
    }
    next
}

fn decide(ground: &Light, deployment: &Deployment, now_ms: i64) -> cluster::Step {
    let sets: Vec<Arc<ReplicaSet>> = ground
        .list(Kind::ReplicaSet)
        .into_iter()
        .filter_map(|(_, object)| object.replica_set().cloned())
        .collect();
    let pods_left: BTreeMap<String, usize> = sets
        .iter()
        .map(|set| {
            let pods = set.status.as_ref().map_or(0, |status| status.replicas);
            let name = set.metadata.name.clone().unwrap_or_default();
            (name, usize::try_from(pods).unwrap_or(0))
        })
        .collect();
    let view = cluster::deployment::View {
        deployment,
        replica_sets: &sets,
        pods_left: &pods_left,
    };
    cluster::deployment::step(&view, stamp(now_ms))
}

fn carry_out(ground: &mut Light, now_ms: i64, write: Write) -> Result<(), Refused> {
    match write {
        Write::Create { object, .. } => ground.create(now_ms, object).map(drop),
        Write::Update {
            object,
            subresource,
            ..
        } => ground.replace(now_ms, &object, subresource),
        Write::Merge { target, patch } => {
            let id = address(&target.kind.kind, &target.name)?;
            let guard = Guard {
                uid: target.uid,
                resource_version: None,
            };
            merge(ground, now_ms, &id, (&patch, &guard))
        }
        Write::Delete { target, .. } => {
            let id = address(&target.kind.kind, &target.name)?;
            ground.delete(now_ms, &id, &Guard::default(), 0)
        }
        Write::StrategicStatus { .. } | Write::Bind { .. } | Write::Event(_) => Ok(()),
    }
}

fn address(kind: &str, name: &str) -> Result<Id, Refused> {
    let kind = Kind::of(kind).ok_or_else(|| Refused::Invalid(format!("no kind {kind} here")))?;
    Ok(Id::new(kind, name))
}

fn merge(
    ground: &mut Light,
    now_ms: i64,
    id: &Id,
    (body, guard): (&Value, &Guard),
) -> Result<(), Refused> {
    let patch = Patch {
        kind: PatchKind::Merge,
        body,
        guard,
        subresource: None,
    };
    ground.patch(now_ms, id, patch).map(drop)
}
