//! The Service of a template, for as long as the template has pods.
//!
//! While they are wanted it leads to them: one that is gone is made anew, and one that somebody has
//! led elsewhere is led back, unless a Rollout has taken it.

use super::context::Context;
use super::templates::Template;
use crate::rollout::replica_set::{OwnedSet, map_changes};
use crate::service;
use api::TemplateSpec;
use api::constants::HASH_LABEL;
use k8s_openapi::api::core::v1::Service;
use plan::{Action, Guard, ObjectKey, PatchKind, Propagation};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Context<'_> {
    /// Makes the Service of a template whose spec has one, and removes it once the last pod is
    /// gone. Pods without ports get none: there is nothing that it could lead to.
    pub(super) fn serve(&mut self, template: &mut Template<'_>, set: &OwnedSet) {
        let Some(wanted) = &template.spec.service else {
            return;
        };
        if template.over || template.replicas() == 0 {
            if set.available() == 0 {
                self.remove_services(template);
            }
            return;
        }
        if !has_ports(template.spec.template.as_value()) {
            self.decide("no-service", "no container of the template has ports");
            return;
        }
        let own = wanted.name.as_deref().filter(|name| !name.is_empty());
        let name = own.unwrap_or_else(|| set.name()).to_owned();
        let done = match self.snapshot.services.get(&name) {
            Some(live) if self.is_of_template(&live.metadata, &template.spec.name) => {
                self.lead_back(live, template.spec, set);
                Ok(())
            }
            Some(_) => Err(format!("Service {name} exists and is not the template's")),
            None => self.create_service(template, set, &name),
        };
        match done {
            Ok(()) => {
                set.hash()
                    .clone_into(&mut template.status.pod_template_hash);
                template.status.service_name = name;
            }
            Err(why) => {
                template.error = Some(format!(
                    "Failed to create Service {name} for template '{}': {why}",
                    template.spec.name
                ));
            }
        }
    }

    fn create_service(
        &mut self,
        template: &Template<'_>,
        set: &OwnedSet,
        name: &str,
    ) -> Result<(), String> {
        if let Some(why) = self.refusal("Service", name) {
            return Err(why);
        }
        let ports = ports(template.spec.template.as_value());
        self.decide("create-service", name);
        self.actions.push(Action::Create {
            object: Box::new(json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": name,
                    "namespace": self.namespace(),
                    "annotations": self.marks(&template.spec.name),
                    "ownerReferences": [self.owner_reference()],
                },
                "spec": {"selector": pod_labels(template.spec, set), "ports": ports},
            })),
        });
        Ok(())
    }

    /// Has a Service of the template select the pods again, if it leads elsewhere. Where that is
    /// refused the Experiment goes on, and it is tried again later.
    fn lead_back(&mut self, live: &Service, template: &TemplateSpec, set: &OwnedSet) {
        // A Rollout that has taken it leads it where it wants: the two would write for ever.
        if service::owner(live).is_some() {
            return;
        }
        let nothing = BTreeMap::new();
        let spec = live.spec.as_ref();
        let selector = spec.and_then(|spec| spec.selector.as_ref());
        let selector = selector.unwrap_or(&nothing);
        let labels = pod_labels(template, set);
        // Without a hash the labels would lead to other pods too.
        if leads_to(selector, &labels) || !labels.contains_key(HASH_LABEL) {
            return;
        }
        let Some(changes) = map_changes(selector, &labels) else {
            return;
        };
        let name = live.metadata.name.as_deref().unwrap_or_default();
        if self.refusal("Service", name).is_some() {
            return;
        }
        self.decide(
            "lead-service",
            format!("{name} does not lead to {}", set.name()),
        );
        self.actions.push(Action::Patch {
            target: ObjectKey::namespaced("v1", "Service", self.namespace(), name),
            kind: PatchKind::Merge,
            patch: json!({"spec": {"selector": changes}}),
            subresource: None,
            guard: Guard {
                uid: live.metadata.uid.clone(),
                resource_version: live.metadata.resource_version.clone(),
            },
        });
    }

    fn remove_services(&mut self, template: &mut Template<'_>) {
        let services: Vec<Arc<Service>> = self
            .snapshot
            .services
            .values()
            .filter(|service| self.is_of_template(&service.metadata, &template.spec.name))
            .filter(|service| service.metadata.deletion_timestamp.is_none())
            .cloned()
            .collect();
        for service in services {
            let name = service.metadata.name.as_deref().unwrap_or_default();
            if let Some(why) = self.refusal("Service", name) {
                template.error = Some(format!(
                    "Failed to delete Service for template '{}': {why}",
                    template.spec.name
                ));
                return;
            }
            self.decide("delete-service", name);
            self.actions.push(Action::Delete {
                target: ObjectKey::namespaced("v1", "Service", self.namespace(), name),
                guard: Guard {
                    uid: service.metadata.uid.clone(),
                    resource_version: None,
                },
                propagation: Propagation::Background,
            });
        }
        template.status.service_name.clear();
        template.status.pod_template_hash.clear();
    }
}

/// The labels that all pods of a template's ReplicaSet have: of those that it gives its pods now,
/// the ones that it selects them by and the ones that it was made with. Somebody may have given it,
/// or its pods, others since, which those that were there before do not have.
fn pod_labels(template: &TemplateSpec, set: &OwnedSet) -> BTreeMap<String, String> {
    let spec = set.live.spec.as_ref();
    let selected = spec.and_then(|spec| spec.selector.match_labels.as_ref());
    let given = spec.and_then(|spec| spec.template.as_ref()?.metadata.as_ref()?.labels.as_ref());
    let is_of_all = |(key, value): &(&String, &String)| {
        let selected = selected.and_then(|selected| selected.get(*key));
        selected == Some(*value) || template.template.label(key) == Some(value.as_str())
    };
    let labels = given.into_iter().flatten().filter(is_of_all);
    labels
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Whether a selector leads to pods with these labels, and to those of no other hash.
fn leads_to(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    let mut pairs = selector.iter();
    selector.contains_key(HASH_LABEL) && pairs.all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a Service could lead to pods of that template.
pub(crate) fn has_ports(template: &Value) -> bool {
    !ports(template).is_empty()
}

/// A port for each port of each container; those that a service could not tell apart only once.
fn ports(template: &Value) -> Vec<Value> {
    let containers = template.pointer("/spec/containers");
    let containers = containers.and_then(Value::as_array).into_iter().flatten();
    let mut ports: Vec<Value> = Vec::new();
    for port in containers
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten()
    {
        let Some(number) = port.get("containerPort").and_then(Value::as_i64) else {
            continue;
        };
        let protocol = port
            .get("protocol")
            .and_then(Value::as_str)
            .unwrap_or("TCP");
        let same = |other: &Value| other["port"] == number && other["protocol"] == protocol;
        if ports.iter().any(same) {
            continue;
        }
        let mut entry = json!({"port": number, "targetPort": number, "protocol": protocol});
        if let Some(name) = port.get("name").and_then(Value::as_str) {
            entry["name"] = json!(name);
        }
        ports.push(entry);
    }
    if ports.len() > 1 {
        // Ports of a service with several need names, which containers' ports need not have.
        for (index, port) in ports.iter_mut().enumerate() {
            if port.get("name").is_none() {
                port["name"] = json!(format!("port-{index}"));
            }
        }
    }
    ports
}
