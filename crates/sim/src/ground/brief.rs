//! The merge patches that plans mostly consist of, carried out on the parsed objects: through JSON
//! and back they would be a third of all the work of a world.

use crate::object::Body;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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
        _ => return None,
    };
    parts.is_spent().then_some(merged)
}

/// Fields of a patch that nobody has carried out yet.
struct Parts<'p> {
    annotations: Option<&'p Value>,
    spec: BTreeMap<&'p str, &'p Value>,
}

impl<'p> Parts<'p> {
    /// `None` if there is anything but annotations and a spec.
    fn of(patch: &'p Value) -> Option<Self> {
        let mut parts = Self {
            annotations: None,
            spec: BTreeMap::new(),
        };
        for (field, value) in patch.as_object()? {
            let fields = value.as_object()?;
            match field.as_str() {
                "metadata" => parts.annotations = Some(only(fields, "annotations")?),
                "spec" => parts.spec = fields.iter().map(|(key, v)| (key.as_str(), v)).collect(),
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

    fn is_spent(&self) -> bool {
        self.annotations.is_none() && self.spec.is_empty()
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
        let body = merged(&object.body, patch).expect("the patch is a brief one");
        assert_eq!(Object { version, body }.json(), long);
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
