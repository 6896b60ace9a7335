//! Which ReplicaSet runs the Deployment's template, and which revision it is.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::{DESIRED_ANNOTATION, HASH_LABEL, MAX_ANNOTATION, World};
use crate::{Kind, Target, Write, meta};

/// On Deployments and their ReplicaSets.
pub const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";
const HISTORY_ANNOTATION: &str = "deployment.kubernetes.io/revision-history";
const NOT_COPIED: [&str; 5] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION_ANNOTATION,
    HISTORY_ANNOTATION,
    DESIRED_ANNOTATION,
    MAX_ANNOTATION,
];

/// The revision annotation as a number, 0 without one.
pub(super) fn of(metadata: &ObjectMeta) -> i64 {
    meta::annotation(metadata, REVISION_ANNOTATION)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Whether a ReplicaSet has the Deployment's template, but for the hash label.
pub(super) fn is_new(deployment: &Deployment, rs: &ReplicaSet) -> bool {
    let Some(spec) = &deployment.spec else {
        return false;
    };
    let Some(mut template) = rs.spec.as_ref().and_then(|spec| spec.template.clone()) else {
        return false;
    };
    without_hash(&mut template);
    let mut wanted = spec.template.clone();
    without_hash(&mut wanted);
    template == wanted
}

/// Takes the hash label away, and makes "no labels" and "empty labels" the same.
fn without_hash(template: &mut PodTemplateSpec) {
    let metadata = template.metadata.get_or_insert_default();
    metadata.creation_timestamp = None;
    if let Some(labels) = &mut metadata.labels {
        labels.remove(HASH_LABEL);
    }
    if metadata
        .labels
        .as_ref()
        .is_some_and(std::collections::BTreeMap::is_empty)
    {
        metadata.labels = None;
    }
}

/// FNV-1a (32 bit) over the template's JSON and the collision count, spelled in the alphabet that
/// Kubernetes uses for names (no vowels, no digits that look like them). The real controller hashes
/// a Go dump, so the values differ, not the shape.
pub fn template_hash(template: &PodTemplateSpec, collision_count: Option<i32>) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bytes = serde_json::to_vec(template).unwrap_or_default();
    if let Some(count) = collision_count {
        bytes.extend(count.to_le_bytes());
    }
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    hash.to_string()
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % 27]))
        .collect()
}

/// The revision after those of the old ReplicaSets.
fn next(world: &World<'_>) -> i64 {
    let old = world.old.iter().map(|rs| of(&rs.metadata));
    old.max().unwrap_or(0) + 1
}

/// Writes that bring the new ReplicaSet up to date, and the Deployment's revision with it.
pub(super) fn update(world: &World<'_>, new: &ReplicaSet) -> Vec<Write> {
    let mut writes = Vec::new();
    let (live, revision) = (of(&new.metadata), next(world));
    let mut annotations = serde_json::Map::new();
    if live < revision {
        annotations.insert(REVISION_ANNOTATION.to_owned(), json!(revision.to_string()));
        if live > 0 {
            let history = match meta::annotation(&new.metadata, HISTORY_ANNOTATION) {
                Some(history) => format!("{history},{live}"),
                None => live.to_string(),
            };
            annotations.insert(HISTORY_ANNOTATION.to_owned(), json!(history));
        }
    }
    for (key, value) in copied(world.deployment) {
        if meta::annotation(&new.metadata, key) != Some(value) {
            annotations.insert(key.to_owned(), json!(value));
        }
    }
    let min_ready = world.spec().min_ready_seconds;
    let differs = new
        .spec
        .as_ref()
        .and_then(|spec| spec.min_ready_seconds)
        .unwrap_or(0)
        != min_ready.unwrap_or(0);
    if !annotations.is_empty() || differs {
        let mut patch = json!({ "metadata": { "annotations": annotations } });
        if differs {
            patch["spec"] = json!({ "minReadySeconds": min_ready.unwrap_or(0) });
        }
        let target = Target::of(Kind::REPLICA_SET, &new.metadata);
        writes.push(Write::Merge { target, patch });
    }
    let revision = live.max(revision);
    if of(&world.deployment.metadata) != revision {
        // Through the status, where annotations don't count for the generation.
        writes.push(Write::StrategicStatus {
            target: Target::of(Kind::DEPLOYMENT, &world.deployment.metadata),
            patch: json!({ "metadata": { "annotations": { (REVISION_ANNOTATION): revision.to_string() } } }),
        });
    }
    writes
}

fn copied(deployment: &Deployment) -> impl Iterator<Item = (&str, &str)> {
    let annotations = deployment.metadata.annotations.iter().flatten();
    annotations
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .filter(|(key, _)| !NOT_COPIED.contains(key))
}

/// A new ReplicaSet of the size that the surge allows, or a bumped collision count if its name is
/// taken by another template.
pub(super) fn create(world: &World<'_>) -> Vec<Write> {
    let revision = next(world);
    let deployment = world.deployment;
    let spec = world.spec();
    let collisions = deployment
        .status
        .as_ref()
        .and_then(|status| status.collision_count);
    let hash = template_hash(&spec.template, collisions);
    let name = format!("{}-{hash}", meta::name(&deployment.metadata));
    if world.old.iter().any(|rs| meta::name(&rs.metadata) == name) {
        let mut object = deployment.clone();
        object.status.get_or_insert_default().collision_count = Some(collisions.unwrap_or(0) + 1);
        let object = json!(object);
        return vec![Write::Update {
            kind: Kind::DEPLOYMENT,
            object,
            subresource: Some("status"),
        }];
    }
    let replicas = world.new_size(0);
    let mut template = spec.template.clone();
    let labels = template
        .metadata
        .get_or_insert_default()
        .labels
        .get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector
        .match_labels
        .get_or_insert_default()
        .insert(HASH_LABEL.to_owned(), hash);
    let annotations = annotations(world, revision);
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": deployment.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [meta::controller_reference(&Kind::DEPLOYMENT, &deployment.metadata)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec.min_ready_seconds.unwrap_or(0),
            "selector": selector,
            "template": template,
        },
    });
    vec![
        Write::Create {
            kind: Kind::REPLICA_SET,
            object,
        },
        Write::Event(crate::EventNote {
            regarding: Target::of(Kind::DEPLOYMENT, &deployment.metadata),
            kind: "Normal",
            reason: "ScalingReplicaSet",
            message: format!("Scaled up replica set {name} from 0 to {replicas}"),
            source: "deployment-controller",
        }),
    ]
}

/// What a new ReplicaSet is annotated with: the Deployment's own, its revision, and the sizes it
/// was made for.
fn annotations(world: &World<'_>, revision: i64) -> serde_json::Map<String, Value> {
    let max = world.desired() + world.max_surge();
    let own = [
        (REVISION_ANNOTATION, revision.to_string()),
        (DESIRED_ANNOTATION, world.desired().to_string()),
        (MAX_ANNOTATION, max.to_string()),
    ];
    copied(world.deployment)
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .chain(own.map(|(key, value)| (key.to_owned(), json!(value))))
        .collect()
}

/// When a ReplicaSet was made, for ordering.
pub(super) fn created(rs: &ReplicaSet) -> Timestamp {
    rs.metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MIN, |time| time.0)
}
