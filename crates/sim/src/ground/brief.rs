//! The merge patches that plans mostly consist of, carried out on the parsed objects: through JSON
//! and back they would be a third of all the work of a world.

use crate::object::Body;
use api::AnalysisRunStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

type Strings = BTreeMap<String, String>;

/// The object with the patch laid over it; `None` if the patch says more than this knows of.
/// Versions and generations are as before.
pub(super) fn merged(body: &Body, patch: &Value) -> Option<Body> {
    let mut parts = Parts::of(patch)?;
    let merged = match body {
        Body::ReplicaSet(set) => {
            let mut set = (**set).clone();
            parts.annotate(&mut set.metadata)?;
            let spec = set.spec.get_or_insert_default();
            parts.number("replicas", &mut spec.replicas)?;
            parts.number("minReadySeconds", &mut spec.min_ready_seconds)?;
            Body::ReplicaSet(Arc::new(set))
        }
        Body::Service(service) => {
            let mut service = (**service).clone();
            parts.annotate(&mut service.metadata)?;
            let spec = service.spec.get_or_insert_default();
            if let Some(selector) = parts.spec.remove("selector") {
                merge(&mut spec.selector, selector)?;
            }
            Body::Service(Arc::new(service))
        }
        Body::Rollout(rollout) => {
            let mut rollout = (**rollout).clone();
            parts.annotate(&mut rollout.metadata)?;
            parts.number("replicas", &mut rollout.spec.replicas)?;
            Body::Rollout(Arc::new(rollout))
        }
        Body::AnalysisRun(run) => {
            let mut run = (**run).clone();
            parts.annotate(&mut run.metadata)?;
            if let Some(terminate) = parts.spec.remove("terminate") {
                run.spec.terminate = Some(terminate.as_bool()?);
            }
            parts.tell(&mut run.status)?;
            Body::AnalysisRun(Arc::new(run))
        }
        _ => return None,
    };
    parts.is_spent().then_some(merged)
}

/// Fields of a patch that nobody has carried out yet.
struct Parts<'p> {
    annotations: Option<&'p Value>,
    spec: BTreeMap<&'p str, &'p Value>,
    status: Option<&'p Map<String, Value>>,
}

impl<'p> Parts<'p> {
    /// `None` if there is anything but annotations, a spec and a status.
    fn of(patch: &'p Value) -> Option<Self> {
        let mut parts = Self {
            annotations: None,
            spec: BTreeMap::new(),
            status: None,
        };
        for (field, value) in patch.as_object()? {
            let fields = value.as_object()?;
            match field.as_str() {
                "metadata" => parts.annotations = Some(only(fields, "annotations")?),
                "spec" => parts.spec = fields.iter().map(|(key, v)| (key.as_str(), v)).collect(),
                "status" => parts.status = Some(fields),
                _ => return None,
            }
        }
        Some(parts)
    }

    fn annotate(&mut self, metadata: &mut ObjectMeta) -> Option<()> {
        match self.annotations.take() {
            Some(annotations) => merge(&mut metadata.annotations, annotations),
            None => Some(()),
        }
    }

    fn number(&mut self, field: &str, slot: &mut Option<i32>) -> Option<()> {
        if let Some(value) = self.spec.remove(field) {
            *slot = Some(i32::try_from(value.as_i64()?).ok()?);
        }
        Some(())
    }

    /// What is told of an analysis run.
    fn tell(&mut self, status: &mut Option<AnalysisRunStatus>) -> Option<()> {
        let Some(fields) = self.status.take() else {
            return Some(());
        };
        let status = status.get_or_insert_default();
        for (field, value) in fields {
            let text = value.as_str()?;
            match field.as_str() {
                "phase" => status.phase = Some(text.parse().ok()?),
                "startedAt" => status.started_at = Some(Time(text.parse().ok()?)),
                "completedAt" => status.completed_at = Some(Time(text.parse().ok()?)),
                _ => return None,
            }
        }
        Some(())
    }

    fn is_spent(&self) -> bool {
        self.annotations.is_none() && self.spec.is_empty() && self.status.is_none()
    }
}

/// The value of `field`, if that is the only one.
fn only<'v>(fields: &'v Map<String, Value>, field: &str) -> Option<&'v Value> {
    fields.get(field).filter(|_| fields.len() == 1)
}

/// RFC 7386, of strings: null takes a key away.
fn merge(strings: &mut Option<Strings>, patch: &Value) -> Option<()> {
    let strings = strings.get_or_insert_default();
    for (key, value) in patch.as_object()? {
        match value {
            Value::Null => drop(strings.remove(key)),
            value => drop(strings.insert(key.clone(), value.as_str()?.to_owned())),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Kind, Object};
    use serde_json::json;

    fn object(kind: Kind, spec: &Value) -> Object {
        let manifest = json!({
            "metadata": {"name": "a", "annotations": {"kept": "1", "gone": "2"}},
            "spec": spec,
        });
        Object::parse(kind, 1, manifest).expect("the kind holds it")
    }

    /// Both ways end at the same object.
    #[track_caller]
    fn agrees(kind: Kind, spec: &Value, patch: &Value) {
        let object = object(kind, spec);
        let version = object.version;
        let long = structural::patch::merge(&object.json(), patch);
        let long = Object::parse(kind, version, long).expect("the kind holds it");
        let body = merged(&object.body, patch).expect("the patch is a brief one");
        assert_eq!(body, long.body);
    }

    #[test]
    fn brief_patches_do_what_long_ones_do() {
        let annotations = json!({"annotations": {"gone": null, "new": "3", "kept": "4"}});
        let selector = json!({"matchLabels": {"app": "a"}});
        let patch = json!({"metadata": annotations, "spec": {"replicas": 3, "minReadySeconds": 5}});
        let spec = json!({"replicas": 1, "selector": selector, "template": {}});
        agrees(Kind::ReplicaSet, &spec, &patch);
        let patch = json!({"metadata": annotations, "spec": {"selector": {"a": null, "c": "d"}}});
        agrees(Kind::Service, &json!({"selector": {"a": "b"}}), &patch);
        let patch = json!({"metadata": annotations});
        agrees(
            Kind::Rollout,
            &json!({"replicas": 2, "selector": selector}),
            &patch,
        );
    }

    #[test]
    fn brief_patches_of_analysis_runs_do_what_long_ones_do() {
        let spec = json!({"metrics": []});
        let at = "2030-01-01T00:00:00Z";
        for patch in [
            json!({"spec": {"terminate": true}}),
            json!({"status": {"phase": "Running", "startedAt": at}}),
            json!({"status": {"phase": "Failed", "completedAt": at}}),
        ] {
            agrees(Kind::AnalysisRun, &spec, &patch);
        }
        let run = object(Kind::AnalysisRun, &spec);
        for patch in [
            json!({"status": {"phase": ""}}),
            json!({"status": {"message": "no"}}),
            json!({"status": {"completedAt": null}}),
        ] {
            assert!(merged(&run.body, &patch).is_none(), "{patch}");
        }
    }

    #[test]
    fn what_is_not_known_goes_the_long_way() {
        let set = object(Kind::ReplicaSet, &json!({"replicas": 1, "selector": {}}));
        for patch in [
            json!({"metadata": {"ownerReferences": []}}),
            json!({"metadata": {"annotations": {"a": "b"}, "labels": {}}}),
            json!({"spec": {"template": {}}}),
            json!({"spec": {"replicas": null}}),
            json!({"status": {"replicas": 1}}),
        ] {
            assert!(merged(&set.body, &patch).is_none(), "{patch}");
        }
    }
}
