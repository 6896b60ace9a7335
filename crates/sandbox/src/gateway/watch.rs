//! Keeps the routing table, the listeners and the statuses in step with the API server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use apiserver::{ApiServer, ChangeKind, Gvk};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::Deserialize;
use serde_json::{Value, json};

use super::route::{ParentRef, Spec};
use super::table::{Key, Route, Table};
use super::{CONTROLLER, Listeners, NAME, NAMESPACE, Proxy, status};
use crate::{Error, Result};

const GROUP: &str = "gateway.networking.k8s.io";
const DEFINITIONS: &str = include_str!("../../crds/gateway-api.json");

fn gateway_kind(kind: &str) -> Gvk {
    Gvk::new(GROUP, "v1", kind)
}

/// Installs the definitions, the class, the namespace and the Gateway.
pub fn install(api: &ApiServer) -> Result<()> {
    let create = |gvk: &Gvk, namespace: Option<&str>, object: Value| {
        let what = format!(
            "{} {}",
            gvk.kind,
            object["metadata"]["name"].as_str().unwrap_or_default()
        );
        match api.create(gvk, namespace, object) {
            Err(status) if status.reason != "AlreadyExists" => Err(Error::Install {
                what,
                source: status,
            }),
            _ => Ok(()),
        }
    };
    let definitions: Vec<Value> =
        serde_json::from_str(DEFINITIONS).expect("crds/gateway-api.json is JSON, see the test");
    let kind = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    for definition in definitions {
        create(&kind, None, definition)?;
    }
    let namespace = json!({ "metadata": { "name": NAMESPACE } });
    create(&Gvk::new("", "v1", "Namespace"), None, namespace)?;
    let class = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "GatewayClass", "metadata": { "name": NAME },
        "spec": { "controllerName": CONTROLLER, "description": "Gateway of the weir sandbox" },
    });
    create(&gateway_kind("GatewayClass"), None, class)?;
    let gateway = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Gateway",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "spec": { "gatewayClassName": NAME, "listeners": [{
            "name": "http", "port": super::PORT, "protocol": "HTTP",
            "allowedRoutes": { "namespaces": { "from": "All" } },
        }]},
    });
    create(&gateway_kind("Gateway"), Some(NAMESPACE), gateway)
}

/// What the gateway knows of the cluster.
#[derive(Debug, Default)]
struct Known {
    services: BTreeMap<Key, Arc<Service>>,
    slices: BTreeMap<Key, Arc<EndpointSlice>>,
    routes: BTreeMap<Key, Arc<Value>>,
    gateways: BTreeMap<Key, Arc<Value>>,
    classes: BTreeMap<Key, Arc<Value>>,
}

/// Follows the API server until dropped. `address` is what the Gateways report as theirs.
pub(crate) async fn run(
    api: ApiServer,
    proxy: Arc<Proxy>,
    listeners: Arc<Listeners>,
    address: SocketAddr,
) {
    let mut known = Known::default();
    let mut seen = None;
    loop {
        let changes = seen.and_then(|revision| api.changes_since(revision).ok());
        let changes = changes.unwrap_or_else(|| {
            known = Known::default();
            let (objects, revision) = api.objects();
            seen = Some(revision);
            objects
        });
        let mut touched = Touched::default();
        for change in &changes {
            seen = Some(change.revision);
            let live = Some(&change.object).filter(|_| change.kind != ChangeKind::Deleted);
            touched.add(known.apply(&change.gvk, &change.object, live));
        }
        if touched.any() {
            let table = known.table();
            // The table first: a listener that is open knows where to send to.
            proxy.set_table(table.clone());
            if touched.services {
                listeners.follow(known.services.values());
            }
            if touched.services || touched.routes {
                known.write_statuses(&api, &table, address);
            }
        }
        api.changed(seen.unwrap_or(0)).await;
    }
}

/// What kinds of objects moved.
#[derive(Clone, Copy, Debug, Default)]
struct Touched {
    services: bool,
    slices: bool,
    routes: bool,
}

impl Touched {
    fn add(&mut self, other: Self) {
        self.services |= other.services;
        self.slices |= other.slices;
        self.routes |= other.routes;
    }

    fn any(self) -> bool {
        self.services || self.slices || self.routes
    }
}

impl Known {
    fn apply(&mut self, gvk: &Gvk, object: &Value, live: Option<&Arc<Value>>) -> Touched {
        let text = |field: &str| {
            object["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let key = (text("namespace"), text("name"));
        let mut touched = Touched::default();
        match (gvk.group.as_str(), gvk.kind.as_str()) {
            ("", "Service") => {
                put(&mut self.services, key, live.and_then(typed));
                touched.services = true;
            }
            ("discovery.k8s.io", "EndpointSlice") => {
                put(&mut self.slices, key, live.and_then(typed));
                touched.slices = true;
            }
            (GROUP, "HTTPRoute") => {
                put(&mut self.routes, key, live.cloned());
                touched.routes = true;
            }
            (GROUP, "Gateway") => {
                put(&mut self.gateways, key, live.cloned());
                touched.routes = true;
            }
            (GROUP, "GatewayClass") => {
                put(&mut self.classes, key, live.cloned());
                touched.routes = true;
            }
            _ => {}
        }
        touched
    }

    fn table(&self) -> Table {
        let routes: Vec<Route> = self
            .routes
            .iter()
            .filter_map(|(key, route)| {
                let spec = Spec::deserialize(&route["spec"]).ok()?;
                let attached = self
                    .parents(key, &spec)
                    .iter()
                    .any(|(_, attached)| *attached);
                let in_force = attached && status::unsupported(&spec).is_none();
                let created = route["metadata"]["creationTimestamp"]
                    .as_str()
                    .unwrap_or_default();
                in_force.then(|| Route {
                    key: key.clone(),
                    spec,
                    created: created.to_owned(),
                })
            })
            .collect();
        Table::new(self.services.values(), self.slices.values(), &routes)
    }

    fn is_ours(&self, gateway: &Value) -> bool {
        let class = gateway["spec"]["gatewayClassName"]
            .as_str()
            .unwrap_or_default();
        let class = self.classes.get(&(String::new(), class.to_owned()));
        class.is_some_and(|class| class["spec"]["controllerName"] == CONTROLLER)
    }

    /// The parents of a route that are Gateways of ours, with whether a listener takes it.
    fn parents(&self, key: &Key, spec: &Spec) -> Vec<(ParentRef, bool)> {
        let ours = spec.parent_refs.iter().filter_map(|parent| {
            let is_gateway = parent.kind.as_deref().unwrap_or("Gateway") == "Gateway"
                && parent.group.as_deref().unwrap_or(GROUP) == GROUP;
            let namespace = parent.namespace.clone().unwrap_or_else(|| key.0.clone());
            let gateway = self.gateways.get(&(namespace, parent.name.clone()))?;
            (is_gateway && self.is_ours(gateway))
                .then(|| (parent.clone(), takes(gateway, parent, spec)))
        });
        ours.collect()
    }

    fn write_statuses(&self, api: &ApiServer, table: &Table, address: SocketAddr) {
        for class in self.classes.values() {
            if class["spec"]["controllerName"] == CONTROLLER {
                let conditions = conditions(api, class, &["Accepted"]);
                store(
                    api,
                    "GatewayClass",
                    class,
                    json!({ "conditions": conditions }),
                );
            }
        }
        for gateway in self
            .gateways
            .values()
            .filter(|gateway| self.is_ours(gateway))
        {
            let mut want = json!({
                "addresses": [{ "type": "IPAddress", "value": address.ip().to_string() }],
                "conditions": conditions(api, gateway, &["Accepted", "Programmed"]),
            });
            if let Some(listeners) = gateway["status"].get("listeners") {
                want["listeners"] = listeners.clone();
            }
            store(api, "Gateway", gateway, want);
        }
        for (key, route) in &self.routes {
            let Ok(spec) = Spec::deserialize(&route["spec"]) else {
                continue;
            };
            let observed = status::Observed {
                spec: &spec,
                parents: &self.parents(key, &spec),
                namespace: &key.0,
                table,
                live: &route["status"],
                generation: route["metadata"]["generation"].as_i64().unwrap_or(0),
            };
            let parents = status::parents(&observed, api.now());
            if parents != route["status"]["parents"] && parents != json!([]) {
                store(api, "HTTPRoute", route, json!({ "parents": parents }));
            }
        }
    }
}

/// Whether one of the Gateway's listeners is meant and fits a hostname of the route.
fn takes(gateway: &Value, parent: &ParentRef, spec: &Spec) -> bool {
    let listeners = gateway["spec"]["listeners"].as_array();
    listeners.into_iter().flatten().any(|listener| {
        let hostname = listener["hostname"].as_str();
        parent
            .section_name
            .as_deref()
            .is_none_or(|name| listener["name"] == name)
            && parent.port.is_none_or(|port| listener["port"] == port)
            && hostname.is_none_or(|hostname| {
                spec.hostnames.is_empty()
                    || spec.hostnames.iter().any(|own| {
                        super::route::host_matches(hostname, own)
                            || super::route::host_matches(own, hostname)
                    })
            })
    })
}

fn put<K>(map: &mut BTreeMap<Key, K>, key: Key, value: Option<K>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

/// An object that its type can't hold is left out: one poisoned object stops nothing.
fn typed<K: for<'de> Deserialize<'de>>(object: &Arc<Value>) -> Option<Arc<K>> {
    K::deserialize(&**object).ok().map(Arc::new)
}

/// True conditions of these types; transition times of those that were true already stay.
fn conditions(api: &ApiServer, object: &Value, kinds: &[&str]) -> Value {
    let live = object["status"]["conditions"].as_array();
    let conditions = kinds.iter().map(|kind| {
        let old = live
            .into_iter()
            .flatten()
            .find(|c| c["type"] == *kind && c["status"] == "True");
        let since = old.map(|old| old["lastTransitionTime"].clone());
        json!({
            "type": kind, "status": "True", "reason": kind, "message": "",
            "observedGeneration": object["metadata"]["generation"],
            "lastTransitionTime": since.unwrap_or_else(|| json!(cluster::meta::time(api.now()))),
        })
    });
    conditions.collect()
}

/// Stores a status that differs. One that is refused (the object moved on) comes again with its
/// next change.
fn store(api: &ApiServer, kind: &str, object: &Arc<Value>, status: Value) {
    if object["status"] == status {
        return;
    }
    let mut wanted = Value::clone(object);
    wanted["status"] = status;
    let namespace = object["metadata"]["namespace"].as_str();
    if let Err(error) = api.update(&gateway_kind(kind), namespace, wanted, Some("status")) {
        tracing::debug!(%error, kind, "status not stored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_accepted_and_serve() {
        let api = ApiServer::builder().build();
        install(&api).unwrap();
        install(&api).unwrap();
        for kind in ["GatewayClass", "Gateway", "HTTPRoute"] {
            assert!(api.serves(&gateway_kind(kind)), "{kind}");
        }
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "a", "namespace": "default" },
            "spec": { "rules": [{ "backendRefs": [{ "name": "web", "port": 80 }] }] },
        });
        let stored = api
            .create(&gateway_kind("HTTPRoute"), Some("default"), route)
            .unwrap();
        assert_eq!(stored["spec"]["rules"][0]["backendRefs"][0]["weight"], 1);
        assert_eq!(
            stored["spec"]["rules"][0]["matches"][0]["path"]["type"],
            "PathPrefix"
        );
    }
}
