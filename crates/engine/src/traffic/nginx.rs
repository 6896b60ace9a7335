//! The NGINX ingress controller (rollouts.md §6.2): beside every stable Ingress a canary Ingress,
//! made from it, whose annotations hold the weight.
//!
//! The canary Ingress belongs to the Rollout and stays, with weight 0, between updates. Where the
//! stable Ingress changes its rules, TLS or class, the canary Ingress follows; the peer's does too.

use super::router::{Change, RouteError, Share, Want, guard};
use api::NginxTrafficRouting;
use api::constants::reason;
use plan::{Action, ObjectKey, PatchKind, Propagation};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const API_VERSION: &str = "networking.k8s.io/v1";
pub const KIND: &str = "Ingress";

const DEFAULT_PREFIX: &str = "nginx.ingress.kubernetes.io";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const SUFFIX: &str = "-canary";
/// What weights are parts of where no annotation says so.
const DEFAULT_TOTAL: i64 = 100;
/// So that the suffix still fits into 253 characters.
const MAX_PREFIX: usize = 246;

/// The router.
#[derive(Clone, Copy, Debug)]
pub struct Nginx<'a>(pub &'a NginxTrafficRouting);

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::namespaced(API_VERSION, KIND, namespace, name)
}

/// The name of the canary Ingress beside a stable one.
fn canary_name(rollout: &str, stable: &str) -> String {
    let mut name = format!("{rollout}-{stable}");
    let mut end = name.len().min(MAX_PREFIX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name + SUFFIX
}

impl<'a> Nginx<'a> {
    /// Names of the stable Ingresses, each once.
    pub fn stable_ingresses(self) -> Vec<&'a str> {
        let single = self.0.stable_ingress.iter();
        let mut names: Vec<&str> = Vec::new();
        for name in single.chain(&self.0.stable_ingresses) {
            if !name.is_empty() && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The stable Ingresses.
    pub fn stable_objects(self, namespace: &str) -> Vec<ObjectKey> {
        let stable = self.stable_ingresses().into_iter();
        stable.map(|stable| key(namespace, stable)).collect()
    }

    /// The canary Ingresses beside them.
    pub fn canary_objects(self, namespace: &str, rollout: &str) -> Vec<ObjectKey> {
        let stable = self.stable_ingresses().into_iter();
        let canary = stable.map(|stable| key(namespace, &canary_name(rollout, stable)));
        canary.collect()
    }

    /// Creates or patches the canary Ingresses that do not have the wanted weight yet.
    pub(super) fn apply(
        self,
        live: &BTreeMap<ObjectKey, Arc<Value>>,
        want: &Want<'_>,
        max_weight: Option<i32>,
        change: &mut Change,
    ) -> Result<(), RouteError> {
        if !want.moves_weights {
            return Ok(());
        }
        for stable in self.stable_ingresses() {
            let stable_key = key(want.namespace, stable);
            let ingress = live.get(&stable_key).ok_or_else(|| RouteError::NotFound {
                kind: KIND.to_owned(),
                name: stable.to_owned(),
            })?;
            let spec = canary_spec(ingress, want).ok_or_else(|| RouteError::NoIngressRule {
                ingress: stable.to_owned(),
                service: want.stable_service.to_owned(),
            })?;
            let canary = key(want.namespace, &canary_name(&want.owner.name, stable));
            let annotations = self.annotations(ingress, want, max_weight);
            match live.get(&canary) {
                None => create(&canary, &annotations, &spec, want, change),
                Some(live) => {
                    let mut annotations: Map<String, Value> = annotations
                        .into_iter()
                        .map(|(key, value)| (key, json!(value)))
                        .collect();
                    if max_weight.is_none() {
                        // One that was set before would make the weight mean something else.
                        annotations.insert(self.annotation("canary-weight-total"), Value::Null);
                    }
                    for name in self.of_other_prefixes(live) {
                        annotations.entry(name).or_insert(Value::Null);
                    }
                    patch(&canary, live, &annotations, &spec, (want, &mut *change))?;
                }
            }
        }
        Ok(())
    }

    /// What the live canary Ingresses give the canary service, and leave for the stable one. Where
    /// there is none beside a stable Ingress, the stable service gets everything.
    pub(super) fn read(
        self,
        live: &BTreeMap<ObjectKey, Arc<Value>>,
        namespace: &str,
        rollout: &str,
    ) -> Vec<Share> {
        let number = |ingress: &Value, name: &str| {
            let annotations = ingress.pointer("/metadata/annotations")?;
            let own = annotations.get(self.annotation(name));
            let own = own.and_then(|text| text.as_str()?.parse::<i64>().ok());
            // The prefix may just have been edited.
            own.or_else(|| number(ingress, &format!("/{name}")))
        };
        let share = |stable: &str| {
            let Some(ingress) = live.get(&key(namespace, &canary_name(rollout, stable))) else {
                let is_there = live.contains_key(&key(namespace, stable));
                return is_there.then_some(Share {
                    canary: 0,
                    stable: DEFAULT_TOTAL,
                    total: DEFAULT_TOTAL,
                });
            };
            let total = number(ingress, "canary-weight-total").unwrap_or(DEFAULT_TOTAL);
            let canary = number(ingress, "canary-weight")?.clamp(0, total.max(0));
            Some(Share {
                canary,
                stable: total - canary,
                total,
            })
        };
        let stables = self.stable_ingresses().into_iter();
        stables.filter_map(share).collect()
    }

    /// Annotations of a canary Ingress under the prefix that the spec had before: whoever reads
    /// those would go on by a weight of the past.
    fn of_other_prefixes(self, live: &Value) -> Vec<String> {
        let annotations = live.pointer("/metadata/annotations");
        let names: Vec<&String> = annotations
            .and_then(Value::as_object)
            .map_or_else(Vec::new, |all| all.keys().collect());
        let own = self.annotation("");
        let others: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_suffix("canary-weight"))
            .filter(|prefix| prefix.ends_with('/') && *prefix != own)
            .collect();
        let is_of_another = |name: &&&String| others.iter().any(|prefix| name.starts_with(prefix));
        let found = names.iter().filter(is_of_another);
        found.map(|name| (*name).clone()).collect()
    }

    fn annotation(self, name: &str) -> String {
        let prefix = self.0.annotation_prefix.as_deref();
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        format!("{}/{name}", prefix.unwrap_or(DEFAULT_PREFIX))
    }

    fn annotations(
        self,
        stable: &Value,
        want: &Want<'_>,
        max_weight: Option<i32>,
    ) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        let class = stable
            .pointer("/metadata/annotations")
            .and_then(|all| all.get(CLASS_ANNOTATION))
            .and_then(Value::as_str);
        if let Some(class) = class {
            annotations.insert(CLASS_ANNOTATION.to_owned(), class.to_owned());
        }
        let prefix = self.annotation("");
        for (name, value) in &self.0.additional_ingress_annotations {
            let name = if name.starts_with(prefix.trim_end_matches('/')) {
                name.clone()
            } else {
                self.annotation(name)
            };
            annotations.insert(name, value.clone());
        }
        annotations.extend(self.0.canary_ingress_annotations.clone());
        annotations.insert(self.annotation("canary"), "true".to_owned());
        annotations.insert(self.annotation("canary-weight"), want.weight.to_string());
        if let Some(max_weight) = max_weight {
            let name = self.annotation("canary-weight-total");
            annotations.insert(name, max_weight.to_string());
        }
        annotations
    }
}

/// Class and TLS of the stable Ingress, and its rules that lead to the stable service, which lead
/// to the canary service here. `None` without such a rule.
fn canary_spec(stable: &Value, want: &Want<'_>) -> Option<Value> {
    let no_rules = Vec::new();
    let rules = stable.pointer("/spec/rules").and_then(Value::as_array);
    let rules: Vec<Value> = rules
        .unwrap_or(&no_rules)
        .iter()
        .filter(|rule| leads_to(rule, want.stable_service))
        .map(|rule| {
            let mut rule = rule.clone();
            let paths = rule
                .pointer_mut("/http/paths")
                .and_then(Value::as_array_mut);
            for path in paths.into_iter().flatten() {
                if let Some(name) = path.pointer_mut(SERVICE)
                    && *name == want.stable_service
                {
                    *name = json!(want.canary_service);
                }
            }
            rule
        })
        .collect();
    if rules.is_empty() {
        return None;
    }
    let mut spec = json!({ "rules": rules });
    for field in ["ingressClassName", "tls"] {
        if let Some(value) = stable.pointer(&format!("/spec/{field}")) {
            spec[field] = value.clone();
        }
    }
    Some(spec)
}

/// The service of one path.
const SERVICE: &str = "/backend/service/name";

fn leads_to(rule: &Value, service: &str) -> bool {
    let paths = rule.pointer("/http/paths").and_then(Value::as_array);
    let services = paths
        .into_iter()
        .flatten()
        .map(|path| path.pointer(SERVICE));
    services.flatten().any(|name| name == service)
}

/// Whether an Ingress has a rule that leads to a service: only then a canary can be made from it.
pub fn has_rule_for(ingress: &Value, service: &str) -> bool {
    let rules = ingress.pointer("/spec/rules").and_then(Value::as_array);
    rules
        .into_iter()
        .flatten()
        .any(|rule| leads_to(rule, service))
}

fn create(
    key: &ObjectKey,
    annotations: &BTreeMap<String, String>,
    spec: &Value,
    want: &Want<'_>,
    change: &mut Change,
) {
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "annotations": annotations,
            "ownerReferences": [want.owner],
        },
        "spec": spec,
    });
    change.actions.push(Action::Create {
        object: Box::new(object),
    });
    let Want { weight, .. } = want;
    change.events.push((
        key.clone(),
        reason::CREATING_CANARY_INGRESS,
        format!(
            "Creating canary ingress `{}` with weight `{weight}`",
            key.name
        ),
    ));
}

/// Annotations (null: to be removed) and spec, as far as they differ. Annotations of others stay.
fn patch(
    key: &ObjectKey,
    live: &Value,
    annotations: &Map<String, Value>,
    spec: &Value,
    (want, change): (&Want<'_>, &mut Change),
) -> Result<(), RouteError> {
    if controller_uid(live) != Some(want.owner.uid.as_str()) {
        return Err(RouteError::NotOurs {
            ingress: key.name.clone(),
        });
    }
    let annotations = difference(annotations, live.pointer("/metadata/annotations"));
    let mut wanted = spec.as_object().cloned().unwrap_or_default();
    for field in ["ingressClassName", "tls", "defaultBackend"] {
        wanted.entry(field).or_insert(Value::Null);
    }
    let spec = difference(&wanted, live.get("spec"));
    let mut patch = json!({});
    if !annotations.is_empty() {
        patch["metadata"] = json!({ "annotations": annotations });
    }
    if !spec.is_empty() {
        patch["spec"] = Value::Object(spec);
    }
    if patch == json!({}) {
        return Ok(());
    }
    change.actions.push(Action::Patch {
        target: key.clone(),
        kind: PatchKind::Merge,
        patch,
        subresource: None,
        guard: guard(live),
    });
    change.events.push((
        key.clone(),
        reason::PATCHING_CANARY_INGRESS,
        format!(
            "Updating Ingress `{}` to desiredWeight '{}'",
            key.name, want.weight
        ),
    ));
    Ok(())
}

/// The fields of a merge patch that make `live` say what `wanted` says; null is absence.
fn difference(wanted: &Map<String, Value>, live: Option<&Value>) -> Map<String, Value> {
    wanted
        .iter()
        .filter(|(key, value)| {
            let live = live.and_then(|live| live.get(key.as_str()));
            live.unwrap_or(&Value::Null) != *value
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn controller_uid(object: &Value) -> Option<&str> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let controller = owners.iter().find(|owner| owner["controller"] == true)?;
    controller.get("uid")?.as_str()
}

/// The canary Ingresses that this Rollout made and its spec no longer asks for: one left behind
/// would go on taking its share. `uid` is that of the Rollout. (The peer leaves them.)
pub fn leftovers<'l>(
    live: &'l BTreeMap<ObjectKey, Arc<Value>>,
    wanted: &BTreeSet<ObjectKey>,
    uid: &str,
) -> Vec<(ObjectKey, &'l Value)> {
    live.iter()
        .filter(|(key, object)| {
            key.kind == KIND && !wanted.contains(*key) && controller_uid(object) == Some(uid)
        })
        .map(|(key, object)| (key.clone(), &**object))
        .collect()
}

/// What a canary Ingress gives the canary service, under whatever prefix its annotations are.
pub(super) fn share(ingress: &Value) -> Share {
    let total = number(ingress, "/canary-weight-total").unwrap_or(DEFAULT_TOTAL);
    let canary = number(ingress, "/canary-weight").unwrap_or(0);
    Share {
        canary: canary.clamp(0, total.max(0)),
        stable: total - canary.clamp(0, total.max(0)),
        total,
    }
}

/// The number of the first annotation with that end.
fn number(ingress: &Value, end: &str) -> Option<i64> {
    let annotations = ingress.pointer("/metadata/annotations")?.as_object()?;
    let mut found = annotations.iter().filter(|(name, _)| name.ends_with(end));
    found.find_map(|(_, value)| value.as_str()?.parse().ok())
}

/// The deletion of an Ingress of our own.
pub(super) fn deletion(key: &ObjectKey, ingress: &Value) -> Action {
    Action::Delete {
        target: key.clone(),
        guard: guard(ingress),
        propagation: Propagation::Background,
    }
}
