//! Gateway API routes, with the configuration of the plugin `argoproj-labs/gatewayAPI`
//! (rollouts.md §6.9), built in.
//!
//! In every rule that sends traffic to both services of the Rollout, the weights of those two
//! backends are set; those of running experiments stand beside them for as long as they run.
//! Nothing else of its own rules is touched. Header and mirror steps add rules: see
//! [`managed_rules`].

use super::managed_rules;
use super::router::{RouteError, Share, Want, guard};
use api::RolloutTrafficRouting;
use api::constants::GATEWAY_API_PLUGIN;
use plan::{Action, ObjectKey, PatchKind};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// On a route while the canary has some of the traffic but not all of it.
const IN_PROGRESS_LABEL: &str = "rollouts.argoproj.io/gatewayapi-canary";

/// `trafficRouting.plugins."argoproj-labs/gatewayAPI"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    http_route: String,
    grpc_route: String,
    tcp_route: String,
    tls_route: String,
    http_routes: Vec<RouteName>,
    grpc_routes: Vec<RouteName>,
    tcp_routes: Vec<RouteName>,
    tls_routes: Vec<RouteName>,
    namespace: String,
    disable_in_progress_label: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RouteName {
    name: String,
    /// Whether header and mirror steps add rules to it.
    use_header_routes: bool,
}

/// Whether an object is a route, of whatever version.
pub(super) fn is_route(key: &ObjectKey) -> bool {
    key.api_version.starts_with("gateway.networking.k8s.io/") && key.kind.ends_with("Route")
}

/// The configuration, if this router is configured.
pub fn config(routing: &RolloutTrafficRouting) -> Option<Result<Config, RouteError>> {
    let value = routing.plugins.get(GATEWAY_API_PLUGIN)?;
    let mut fields = value.as_object().into_iter().flatten();
    // What a template left empty is as good as absent, as Go reads it.
    let config = if fields.any(|(_, field)| field.is_null()) {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|_, field| !field.is_null());
        }
        Config::deserialize(value)
    } else {
        Config::deserialize(value)
    };
    let parsed = config
        .map_err(|error| invalid(error.to_string()))
        .and_then(|config| {
            if config.routes().is_empty() {
                Err(invalid("no route is named".to_owned()))
            } else {
                Ok(config)
            }
        });
    Some(parsed)
}

fn invalid(message: String) -> RouteError {
    RouteError::Config {
        router: GATEWAY_API_PLUGIN.to_owned(),
        message,
    }
}

impl Config {
    /// (apiVersion, kind, name) of every route.
    fn routes(&self) -> Vec<(&'static str, &'static str, &str)> {
        let kinds = [
            ("v1", "HTTPRoute", &self.http_route, &self.http_routes),
            ("v1", "GRPCRoute", &self.grpc_route, &self.grpc_routes),
            ("v1alpha2", "TCPRoute", &self.tcp_route, &self.tcp_routes),
            ("v1alpha2", "TLSRoute", &self.tls_route, &self.tls_routes),
        ];
        let mut routes = Vec::new();
        for (version, kind, single, list) in kinds {
            let api_version = if version == "v1" {
                "gateway.networking.k8s.io/v1"
            } else {
                "gateway.networking.k8s.io/v1alpha2"
            };
            let names =
                std::iter::once(single.as_str()).chain(list.iter().map(|r| r.name.as_str()));
            for name in names.filter(|name| !name.is_empty()) {
                if !routes.contains(&(api_version, kind, name)) {
                    routes.push((api_version, kind, name));
                }
            }
        }
        routes
    }

    /// Whether header and mirror steps add rules to a route: those that are named alone do, those
    /// in lists if they say `useHeaderRoutes`.
    pub fn takes_rules(&self, kind: &str, name: &str) -> bool {
        let (single, list) = match kind {
            "HTTPRoute" => (&self.http_route, &self.http_routes),
            "GRPCRoute" => (&self.grpc_route, &self.grpc_routes),
            _ => return false,
        };
        single == name
            || list
                .iter()
                .any(|route| route.name == name && route.use_header_routes)
    }

    /// The kinds of the routes that take rules.
    pub fn kinds_with_rules(&self) -> Vec<&'static str> {
        let mut kinds: Vec<&'static str> = self
            .routes()
            .into_iter()
            .filter(|(_, kind, name)| self.takes_rules(kind, name))
            .map(|(_, kind, _)| kind)
            .collect();
        kinds.dedup();
        kinds
    }

    /// The routes' addresses; `namespace` is that of the Rollout.
    pub fn objects(&self, namespace: &str) -> Vec<ObjectKey> {
        let namespace = if self.namespace.is_empty() {
            namespace
        } else {
            &self.namespace
        };
        self.routes()
            .into_iter()
            .map(|(api_version, kind, name)| {
                ObjectKey::namespaced(api_version, kind, namespace, name)
            })
            .collect()
    }
}

/// The router.
#[derive(Clone, Debug)]
pub struct GatewayApi(pub Config);

impl GatewayApi {
    /// One guarded patch for each route that does not have the wanted weights yet.
    pub fn apply(
        &self,
        live: &BTreeMap<ObjectKey, Arc<Value>>,
        want: &Want<'_>,
    ) -> Result<Vec<Action>, RouteError> {
        let mut actions = Vec::new();
        for key in self.0.objects(want.namespace) {
            let route = live.get(&key).ok_or_else(|| RouteError::NotFound {
                kind: key.kind.clone(),
                name: key.name.clone(),
            })?;
            let mut operations = Vec::new();
            if want.moves_weights {
                operations = weight_operations(&key, route, want)?;
                if !self.0.disable_in_progress_label {
                    operations.extend(label_operation(route, want));
                }
            }
            let takes_rules = self.0.takes_rules(&key.kind, &key.name);
            operations.extend(managed_rules::operations(route, want, takes_rules));
            if !operations.is_empty() {
                actions.push(Action::Patch {
                    target: key,
                    kind: PatchKind::Json,
                    patch: Value::Array(operations),
                    subresource: None,
                    guard: guard(route),
                });
            }
        }
        Ok(actions)
    }
}

fn weight_operations(
    key: &ObjectKey,
    route: &Value,
    want: &Want<'_>,
) -> Result<Vec<Value>, RouteError> {
    let no_rules = Vec::new();
    let rules = route
        .pointer("/spec/rules")
        .and_then(Value::as_array)
        .unwrap_or(&no_rules);
    let mut operations = Vec::new();
    let mut found = false;
    for (rule_index, rule) in rules.iter().enumerate() {
        let Some((canary, stable)) = arms(rule, want) else {
            continue;
        };
        let backends = rule.get("backendRefs").and_then(Value::as_array);
        let backends = backends.map_or(&[][..], Vec::as_slice);
        found = true;
        for (backend, weight) in [(canary, want.weight), (stable, want.stable_weight())] {
            // An absent weight means 1.
            if backends[backend].get("weight").and_then(Value::as_i64) != Some(weight.into()) {
                operations.push(json!({
                    "op": "add",
                    "path": format!("/spec/rules/{rule_index}/backendRefs/{backend}/weight"),
                    "value": weight,
                }));
            }
        }
        operations.extend(experiment_operations(rule_index, backends, stable, want));
    }
    if !found {
        return Err(RouteError::NoRule {
            object: key.to_string(),
            stable: want.stable_service.to_owned(),
            canary: want.canary_service.to_owned(),
        });
    }
    Ok(operations)
}

/// The backends of experiments in one rule: those that run get theirs, copied from the stable one;
/// those that ran before go.
fn experiment_operations(
    rule_index: usize,
    backends: &[Value],
    stable: usize,
    want: &Want<'_>,
) -> Vec<Value> {
    let path = format!("/spec/rules/{rule_index}/backendRefs");
    let mut operations = Vec::new();
    for extra in want.additional {
        let place = backends
            .iter()
            .position(|backend| is_service(backend, &extra.service_name));
        match place {
            Some(place) if backends[place].get("weight") == Some(&json!(extra.weight)) => {}
            Some(place) => operations.push(json!({
                "op": "add",
                "path": format!("{path}/{place}/weight"),
                "value": extra.weight,
            })),
            None => operations.push(json!({
                "op": "add",
                "path": format!("{path}/-"),
                "value": experiment_backend(&backends[stable], &extra.service_name, extra.weight, want),
            })),
        }
    }
    // From the back, so that the places before stay what they are.
    for (place, backend) in backends.iter().enumerate().rev() {
        if want.former.iter().any(|name| is_service(backend, name)) {
            operations.push(json!({"op": "remove", "path": format!("{path}/{place}")}));
        }
    }
    operations
}

/// The stable backend with another service behind it: one that has the ports of the containers.
fn experiment_backend(stable: &Value, service: &str, weight: i32, want: &Want<'_>) -> Value {
    let mut backend = stable.clone();
    backend["name"] = json!(service);
    backend["weight"] = json!(weight);
    let port = stable.get("port").and_then(Value::as_i64);
    if let Some(target) = port.and_then(|port| want.target_ports.get(&port)) {
        backend["port"] = json!(target);
    }
    backend
}

/// Positions of the canary and of the stable service among the backends of a rule that has both.
pub(super) fn arms(rule: &Value, want: &Want<'_>) -> Option<(usize, usize)> {
    positions(rule, want.canary_service, want.stable_service)
}

fn positions(rule: &Value, canary: &str, stable: &str) -> Option<(usize, usize)> {
    let backends = rule.get("backendRefs")?.as_array()?;
    let position = |service| backends.iter().position(|b| is_service(b, service));
    Some((position(canary)?, position(stable)?))
}

impl Config {
    /// What the rules of the live routes give the two services.
    pub(super) fn read(
        &self,
        live: &BTreeMap<ObjectKey, Arc<Value>>,
        namespace: &str,
        (canary, stable): (&str, &str),
    ) -> Vec<Share> {
        let routes = self.objects(namespace).into_iter();
        routes
            .filter_map(|key| live.get(&key))
            .flat_map(|route| shares(route, (canary, stable)))
            .collect()
    }
}

/// What each rule of a route that names both services gives them.
pub(super) fn shares(route: &Value, (canary, stable): (&str, &str)) -> Vec<Share> {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let share = |rule: &Value| {
        let (canary, stable) = positions(rule, canary, stable)?;
        let backends = rule.get("backendRefs").and_then(Value::as_array);
        let weights: Vec<i64> = backends.into_iter().flatten().map(weight).collect();
        Some(Share {
            canary: weights[canary],
            stable: weights[stable],
            total: weights.iter().sum(),
        })
    };
    rules.into_iter().flatten().filter_map(share).collect()
}

/// What gives the traffic of a route that the spec no longer names back to the stable service, if
/// `want` lets weights move, and takes away what steps have added, if `with_rules`; `None` if
/// nothing is left to be done.
pub(super) fn give_back(
    key: &ObjectKey,
    route: &Value,
    want: &Want<'_>,
    with_rules: bool,
) -> Option<Action> {
    let mut operations = Vec::new();
    if want.moves_weights {
        let shares = shares(route, (want.canary_service, want.stable_service));
        let is_divided = shares.iter().any(|share| share.canary > 0);
        if is_divided || has_former(route, want) {
            // Without a rule for the two there is nothing to give back.
            operations = weight_operations(key, route, want).unwrap_or_default();
        }
        operations.extend(label_operation(route, want));
    }
    if with_rules {
        operations.extend(managed_rules::operations(route, want, false));
    }
    (!operations.is_empty()).then(|| Action::Patch {
        target: key.clone(),
        kind: PatchKind::Json,
        patch: Value::Array(operations),
        subresource: None,
        guard: guard(route),
    })
}

/// Whether a rule of the two services has a backend of an experiment that is over.
fn has_former(route: &Value, want: &Want<'_>) -> bool {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let of_both = rules
        .into_iter()
        .flatten()
        .filter(|rule| arms(rule, want).is_some());
    let mut backends = of_both
        .filter_map(|rule| rule.get("backendRefs")?.as_array())
        .flatten();
    backends.any(|backend| want.former.iter().any(|name| is_service(backend, name)))
}

/// An absent weight means 1.
fn weight(backend: &Value) -> i64 {
    let weight = backend.get("weight").and_then(Value::as_i64);
    weight.unwrap_or(1).max(0)
}

/// Whether any rule of a route leads to a service, with whatever weight.
pub(crate) fn leads_to(route: &Value, service: &str) -> bool {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let mut backends = rules.into_iter().flatten().flat_map(|rule| {
        let backends = rule.get("backendRefs").and_then(Value::as_array);
        backends.into_iter().flatten()
    });
    backends.any(|backend| is_service(backend, service))
}

pub(super) fn is_service(backend: &Value, name: &str) -> bool {
    let text = |field| backend.get(field).and_then(Value::as_str);
    text("name") == Some(name)
        && text("kind").is_none_or(|kind| kind == "Service")
        && text("group").is_none_or(str::is_empty)
}

fn label_operation(route: &Value, want: &Want<'_>) -> Option<Value> {
    let labels = route.pointer("/metadata/labels");
    let live = labels.and_then(|labels| labels.get(IN_PROGRESS_LABEL));
    let in_progress = want.weight > 0 && want.weight < want.max_weight;
    let path = format!("/metadata/labels/{}", IN_PROGRESS_LABEL.replace('/', "~1"));
    match (in_progress, live) {
        (true, Some(Value::String(value))) if value == "in-progress" => None,
        (true, _) if labels.is_none() => Some(json!({
            "op": "add",
            "path": "/metadata/labels",
            "value": {IN_PROGRESS_LABEL: "in-progress"},
        })),
        (true, _) => Some(json!({"op": "add", "path": path, "value": "in-progress"})),
        (false, Some(_)) if is_ours_to_take(route, want) => {
            Some(json!({"op": "remove", "path": path}))
        }
        (false, _) => None,
    }
}

/// Whether the label speaks of this Rollout: this very pass ends the progress of its own rules, or
/// no other rule divides its traffic.
fn is_ours_to_take(route: &Value, want: &Want<'_>) -> bool {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let weights = |rule: &Value| {
        let backends = rule.get("backendRefs").and_then(Value::as_array);
        let weights = backends.into_iter().flatten().map(weight);
        weights.collect::<Vec<i64>>()
    };
    let is_divided = |weights: &[i64]| weights.iter().filter(|weight| **weight > 0).count() > 1;
    let (ours, others): (Vec<&Value>, Vec<&Value>) = rules
        .into_iter()
        .flatten()
        .partition(|rule| arms(rule, want).is_some());
    let ends = ours.iter().any(|rule| {
        let weights = weights(rule);
        let canary = arms(rule, want).map_or(0, |(canary, _)| weights[canary]);
        is_divided(&weights) || (canary > 0 && canary != i64::from(want.weight))
    });
    ends || !others.iter().any(|rule| is_divided(&weights(rule)))
}
