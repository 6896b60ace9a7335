//! What comes of an object that is replaced: all that Git declares, and what is not Git's to take
//! away (gitops.md item 64).

use crate::resource::{self, ResourceId};
use api::constants::gitops::{
    DELETION_APPROVED_ANNOTATION, REFRESH_ANNOTATION, REFRESH_TIMESTAMP_ANNOTATION,
};
use plan::merge_diff;
use serde_json::{Map, Value};

/// What the API server keeps of an object by itself: no PUT could change it. The kind is that of
/// the request.
const OF_SERVER: [&str; 3] = ["apiVersion", "kind", "status"];
const OF_SERVER_IN_METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Annotations and labels that controllers keep at objects begin so.
const OF_CONTROLLERS: [&str; 11] = [
    "argo-rollouts.argoproj.io/",
    "autoscaling.alpha.kubernetes.io/",
    "control-plane.alpha.kubernetes.io/",
    "deployment.kubernetes.io/",
    "notified.notifications.argoproj.io",
    "pv.kubernetes.io/",
    "rollout.argoproj.io/",
    "rollouts.argoproj.io/",
    "volume.beta.kubernetes.io/",
    "volume.kubernetes.io/",
    "weir.dev/",
];

/// Annotations by which somebody has asked for something, of an Application that is part of one.
const REQUESTS: [&str; 3] = [
    DELETION_APPROVED_ANNOTATION,
    REFRESH_ANNOTATION,
    REFRESH_TIMESTAMP_ANNOTATION,
];

/// Fields by which somebody has asked for something: kind of `argoproj.io`, where, and the field.
const ASKED: [(&str, &[&str], &str); 5] = [
    ("AnalysisRun", &["spec"], "terminate"),
    ("Application", &[], "operation"),
    ("Experiment", &["spec"], "terminate"),
    ("Rollout", &["spec"], "paused"),
    ("Rollout", &["spec"], "restartAt"),
];

/// Fields of a claim that are filled in once, and can't be changed after that.
const OF_CLAIM: [&str; 3] = ["storageClassName", "volumeMode", "volumeName"];

/// All that differs between a live object and one that is to replace it, as a merge patch; `None`
/// if nothing does.
pub(super) fn difference(live: &Value, object: &Value) -> Option<Value> {
    let mut patch = merge_diff(live, object)?;
    let fields = patch.as_object_mut()?;
    for field in OF_SERVER {
        fields.remove(field);
    }
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in OF_SERVER_IN_METADATA {
            metadata.remove(field);
        }
        if metadata.is_empty() {
            fields.remove("metadata");
        }
    }
    (!fields.is_empty()).then_some(patch)
}

/// Copies what others have written, and Git is silent about, into an object that is to replace the
/// live one: what controllers hold on to it by, where they keep their books, how many replicas an
/// autoscaler has decided on, what a claim is bound to, and what somebody has asked for.
pub(super) fn keep_of_others(id: &ResourceId, object: &mut Value, live: &Value) {
    keep_finalizers(object, live);
    keep(object, live, &["metadata"], "ownerReferences");
    keep(object, live, &["spec"], "replicas");
    if id.is("", "PersistentVolumeClaim") {
        for field in OF_CLAIM {
            keep(object, live, &["spec"], field);
        }
    }
    let asked = ASKED.iter();
    for (_, path, field) in asked.filter(|(kind, ..)| id.is("argoproj.io", kind)) {
        keep(object, live, path, field);
    }
    let is_of_others = |key: &str| {
        REQUESTS.contains(&key) || OF_CONTROLLERS.iter().any(|prefix| key.starts_with(prefix))
    };
    for part in ["annotations", "labels"] {
        let all = live.get("metadata").and_then(|metadata| metadata.get(part));
        let all = all.and_then(Value::as_object).into_iter().flatten();
        for (key, value) in all.filter(|(key, _)| is_of_others(key)) {
            if let Some(own) = resource::child_map(object, &["metadata", part]) {
                own.entry(key.as_str()).or_insert_with(|| value.clone());
            }
        }
    }
}

/// Whoever has put a finalizer at an object has something to do before it goes. As with an apply,
/// those that Git declares come beside them.
fn keep_finalizers(object: &mut Value, live: &Value) {
    let mut all = resource::list(live, "/metadata/finalizers").to_vec();
    if all.is_empty() {
        return;
    }
    let declared = resource::list(object, "/metadata/finalizers");
    let new = declared.iter().filter(|finalizer| !all.contains(finalizer));
    let new: Vec<Value> = new.cloned().collect();
    all.extend(new);
    if let Some(metadata) = resource::child_map(object, &["metadata"]) {
        metadata.insert("finalizers".to_owned(), Value::Array(all));
    }
}

/// Copies one field of the map at `path`, if both have that map and the object has no such field.
fn keep(object: &mut Value, live: &Value, path: &[&str], field: &str) {
    let pointer: String = path.iter().flat_map(|part| ["/", part]).collect();
    let kept = live.pointer(&pointer).and_then(|live| live.get(field));
    let map: Option<&mut Map<String, Value>> =
        object.pointer_mut(&pointer).and_then(Value::as_object_mut);
    if let (Some(kept), Some(map)) = (kept, map)
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), kept.clone());
    }
}
