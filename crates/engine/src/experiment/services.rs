//! The Service of a template, for as long as the template has pods.

use super::context::Context;
use super::templates::Template;
use crate::rollout::replica_set::OwnedSet;
use k8s_openapi::api::core::v1::Service;
use plan::{Action, Guard, ObjectKey, Propagation};
use serde_json::{Value, json};
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
        match self.ensure_service(template, set, &name) {
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

    fn ensure_service(
        &mut self,
        template: &Template<'_>,
        set: &OwnedSet,
        name: &str,
    ) -> Result<(), String> {
        if let Some(live) = self.snapshot.services.get(name) {
            if self.is_of_template(&live.metadata, &template.spec.name) {
                return Ok(());
            }
            return Err(format!("Service {name} exists and is not the template's"));
        }
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
                "spec": {"selector": set.live.metadata.labels, "ports": ports},
            })),
        });
        Ok(())
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
