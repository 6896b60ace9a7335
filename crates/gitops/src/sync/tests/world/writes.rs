//! What the API server makes of writes: what is applied is merged over what was there, the field
//! manager owns the leaves of it.

use super::{World, establish, merge, sealed};
use crate::compare::{FIELD_MANAGER, REPLACE_MANAGER};
use crate::resource::{self, ResourceId};
use plan::{Action, Guard, ObjectKey};
use serde_json::{Map, Value, json};
use std::sync::Arc;

impl World {
    /// What the API server says of an action that it has no answer for.
    pub(super) fn is_busy(&self, action: &Action) -> Option<String> {
        let name = action.target()?.name;
        self.busy.get(&name).cloned()
    }

    pub(super) fn is_contested(&self, action: &Action) -> bool {
        let target = action.target();
        target.is_some_and(|target| self.contested.contains(&target.name))
    }

    pub(super) fn execute(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Apply { object, .. } | Action::Create { object } => {
                let id = ResourceId::of(object);
                if let Some(why) = self.refuse.get(&id.name) {
                    return Err(why.clone());
                }
                if self.sealed.contains(&id.name) && self.live.get(&id).is_some() {
                    return Err(sealed(&id));
                }
                if !id.namespace.is_empty() && !self.live.has_namespace(&id.namespace) {
                    return Err(format!("namespaces {:?} not found", id.namespace));
                }
                self.applied.push(format!("{}/{}", id.kind, id.name));
                self.apply(&id, object);
                Ok(())
            }
            Action::Replace {
                target,
                patch,
                guard,
                ..
            } => self.replace(target, patch, guard),
            Action::Patch {
                target,
                patch,
                guard,
                ..
            } => {
                let id = ResourceId::from(target);
                if let Some(why) = self.refuse.get(&id.name) {
                    return Err(why.clone());
                }
                let mut live = (**self.live.get(&id).expect("patches what is there")).clone();
                let seen = resource::resource_version(&live).map(str::to_owned);
                assert_eq!(guard.resource_version, seen);
                merge(&mut live, patch);
                self.serial += 1;
                live["metadata"]["resourceVersion"] = json!(self.serial.to_string());
                self.live.insert(Arc::new(live));
                self.applied.push(format!("~{}/{}", id.kind, id.name));
                Ok(())
            }
            Action::Delete { target, guard, .. } => {
                let id = ResourceId::from(target);
                if let Some(why) = self.refuse.get(&id.name) {
                    return Err(why.clone());
                }
                let live = self.live.get(&id).expect("deletes what is there");
                assert_eq!(guard.uid.as_deref(), resource::uid(live));
                if self.lingering.contains(&id.name) {
                    let mut leaving = (**live).clone();
                    leaving["metadata"]["deletionTimestamp"] = json!(self.now.to_string());
                    self.live.insert(Arc::new(leaving));
                } else {
                    self.live.remove(&id);
                }
                self.applied.push(format!("-{}/{}", id.kind, id.name));
                Ok(())
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    fn replace(&mut self, target: &ObjectKey, patch: &Value, guard: &Guard) -> Result<(), String> {
        let id = ResourceId::from(target);
        if let Some(why) = self.refuse.get(&id.name) {
            return Err(why.clone());
        }
        if self.sealed.contains(&id.name) {
            return Err(sealed(&id));
        }
        let live = self.live.get(&id).expect("replaces what is there");
        let seen = resource::resource_version(live).map(str::to_owned);
        assert_eq!(guard.resource_version, seen);
        let mut new = (**live).clone();
        merge(&mut new, patch);
        let entry = json!({"manager": REPLACE_MANAGER, "operation": "Update",
            "fieldsV1": {"f:spec": leaves(new.get("spec")), "f:data": leaves(new.get("data"))}});
        if let Some(entries) = new["metadata"]["managedFields"].as_array_mut() {
            entries.push(entry);
        }
        self.serial += 1;
        new["metadata"]["resourceVersion"] = json!(self.serial.to_string());
        self.live.insert(Arc::new(new));
        self.applied.push(format!("={}/{}", id.kind, id.name));
        Ok(())
    }

    fn apply(&mut self, id: &ResourceId, object: &Value) {
        self.serial += 1;
        let mut live = match self.live.get(id) {
            Some(live) => {
                let seen = resource::resource_version(live).map(str::to_owned);
                if let Some(wanted) = resource::resource_version(object) {
                    assert_eq!(Some(wanted), seen.as_deref());
                }
                (**live).clone()
            }
            None => json!({"metadata": {"uid": format!("uid-{}", self.serial), "generation": 1,
                "creationTimestamp": self.now.to_string()}}),
        };
        let before = live.get("spec").cloned();
        merge(&mut live, object);
        if before.is_some() && before != live.get("spec").cloned() {
            live["metadata"]["generation"] =
                json!(live["metadata"]["generation"].as_i64().unwrap() + 1);
        }
        live["metadata"]["resourceVersion"] = json!(self.serial.to_string());
        live["metadata"]["managedFields"] = json!([{"manager": FIELD_MANAGER, "operation": "Apply",
            "fieldsV1": {"f:spec": leaves(object.get("spec")), "f:data": leaves(object.get("data"))}}]);
        if id.kind == "CustomResourceDefinition" && self.establishes {
            establish(&mut live);
        }
        self.live.insert(Arc::new(live));
    }
}

fn leaves(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, child)| (format!("f:{key}"), leaves(Some(child))))
            .collect::<Map<String, Value>>()
            .into(),
        _ => json!({}),
    }
}
