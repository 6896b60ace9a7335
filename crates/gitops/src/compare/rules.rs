//! Fields that are not Git's to decide: those of the rollout controller, and those that the
//! Application asks to ignore (gitops.md items 17, 69; acceptance.md F9).

use super::fields::owned_by_managers;
use super::guests::Guests;
use super::jq::JqPath;
use super::routes::{added_rules, arms_of_others, for_each_arm, has_record, keep_weights};
use crate::glob;
use crate::resource::{self, ResourceId};
use api::constants::{GATEWAY_API_PLUGIN, HASH_LABEL};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// One entry of `spec.ignoreDifferences`. Group and kind are globs; empty name and namespace mean
/// any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreRule {
    pub group: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
    /// RFC 6901.
    pub json_pointers: Vec<String>,
    /// Paths that may lead to several fields.
    pub jq_paths: Vec<JqPath>,
    pub managed_fields_managers: Vec<String>,
}

impl IgnoreRule {
    fn is_about(&self, id: &ResourceId) -> bool {
        glob::matches(&self.group, &id.group, false)
            && glob::matches(&self.kind, &id.kind, false)
            && (self.name.is_empty() || self.name == id.name)
            && (self.namespace.is_empty() || self.namespace == id.namespace)
    }
}

/// What to leave out of comparisons, and what to keep from the live object when one is applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiffRules {
    /// Instance name of the Application.
    pub(super) app: String,
    ignore: Vec<IgnoreRule>,
    /// `RespectIgnoreDifferences=true`: ignored fields are kept when the object is applied.
    respect: bool,
    /// Services whose selector gets a hash.
    services: BTreeSet<ResourceId>,
    /// Routes whose weights are moved, with the Services between which they are.
    routes: BTreeMap<ResourceId, BTreeSet<String>>,
    /// The Rollouts that do it, as `namespace/name`.
    managers: BTreeMap<ResourceId, BTreeSet<String>>,
    /// The backends that experiments add to them.
    guests: BTreeMap<ResourceId, Guests>,
    /// Workloads whose replicas are moved.
    scaled: BTreeSet<ResourceId>,
    /// Managers whose client-side applies are taken over before the first apply of ours.
    pub(super) migrated: Vec<String>,
}

impl DiffRules {
    /// `app` is the instance name of the Application.
    pub fn new(app: &str, ignore: Vec<IgnoreRule>, respect_ignored: bool) -> Self {
        Self {
            app: app.to_owned(),
            ignore,
            respect: respect_ignored,
            ..Self::default()
        }
    }

    /// What these managers own by client-side apply counts as ours until the first apply, and is
    /// taken over before it: a field that Git no longer declares would stay for ever otherwise
    /// (gitops.md item 64).
    pub fn migrate(&mut self, managers: &[&str]) {
        self.migrated = managers.iter().map(|&name| name.to_owned()).collect();
    }

    /// Learns from a Rollout which fields of other objects its controller writes, wherever it is
    /// and whoever it belongs to. Objects of other kinds are ignored, so everything at hand may be
    /// passed.
    pub fn learn(&mut self, object: &Value) {
        if resource::kind(object) != "Rollout" || resource::group(object) != "argoproj.io" {
            return;
        }
        let namespace = resource::namespace(object).to_owned();
        let names = |pointers: &[&str]| -> BTreeSet<String> {
            pointers
                .iter()
                .filter_map(|pointer| resource::string(object, pointer))
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let arms = names(&[
            "/spec/strategy/canary/canaryService",
            "/spec/strategy/canary/stableService",
            "/spec/strategy/canary/pingPong/pingService",
            "/spec/strategy/canary/pingPong/pongService",
        ]);
        let colours = names(&[
            "/spec/strategy/blueGreen/activeService",
            "/spec/strategy/blueGreen/previewService",
        ]);
        for name in arms.iter().chain(&colours) {
            self.services
                .insert(ResourceId::new("", "Service", &namespace, name));
        }
        self.learn_routes(object, &namespace, &arms);
        self.learn_workload(object, &namespace);
    }

    fn learn_routes(&mut self, rollout: &Value, namespace: &str, arms: &BTreeSet<String>) {
        let Some(gateway) = rollout
            .pointer("/spec/strategy/canary/trafficRouting/plugins")
            .and_then(|plugins| plugins.get(GATEWAY_API_PLUGIN))
        else {
            return;
        };
        let owner = format!("{namespace}/{}", resource::name(rollout));
        let namespace = resource::string(gateway, "/namespace")
            .filter(|own| !own.is_empty())
            .unwrap_or(namespace);
        for (one, many, kind) in [
            ("httpRoute", "httpRoutes", "HTTPRoute"),
            ("grpcRoute", "grpcRoutes", "GRPCRoute"),
            ("tcpRoute", "tcpRoutes", "TCPRoute"),
            ("tlsRoute", "tlsRoutes", "TLSRoute"),
        ] {
            let listed = gateway
                .get(many)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let named = listed.filter_map(|route| resource::string(route, "/name"));
            for name in named.chain(gateway.get(one).and_then(Value::as_str)) {
                let id = ResourceId::new(GATEWAY_GROUP, kind, namespace, name);
                self.guests.entry(id.clone()).or_default().learn(rollout);
                self.managers
                    .entry(id.clone())
                    .or_default()
                    .insert(owner.clone());
                self.routes
                    .entry(id)
                    .or_default()
                    .extend(arms.iter().cloned());
            }
        }
    }

    fn learn_workload(&mut self, rollout: &Value, namespace: &str) {
        let Some(workload) = rollout.pointer("/spec/workloadRef") else {
            return;
        };
        let scale_down = resource::string(workload, "/scaleDown").unwrap_or("never");
        if let ("onsuccess" | "progressively", Some(name)) =
            (scale_down, resource::string(workload, "/name"))
        {
            let id = ResourceId::new(
                resource::group(workload),
                resource::kind(workload),
                namespace,
                name,
            );
            self.scaled.insert(id);
        }
    }

    /// Removes everything that does not count from a target, or from a live object (`live`: the
    /// one that says who owns what; the same object, if that is the one to be masked).
    pub(super) fn mask(&self, id: &ResourceId, object: &mut Value, live: Option<&Value>) {
        for rule in self.ignore.iter().filter(|rule| rule.is_about(id)) {
            for pointer in &rule.json_pointers {
                remove_pointer(object, pointer);
            }
            for path in &rule.jq_paths {
                // What is taken out of a list moves what comes after it.
                for pointer in path.pointers(object).iter().rev() {
                    remove_pointer(object, pointer);
                }
            }
            let managers = &rule.managed_fields_managers;
            if let Some(fields) = live.and_then(|live| owned_by_managers(live, managers)) {
                fields.remove_from(object);
            }
        }
        if self.services.contains(id) {
            remove_key(object, "/spec/selector", HASH_LABEL);
        }
        if self.scaled.contains(id) {
            remove_key(object, "/spec", "replicas");
        }
        let arms = self.arms(id, live);
        if !arms.is_empty() {
            for_each_arm(object, &arms, &mut |reference| {
                if let Some(reference) = reference.as_object_mut() {
                    reference.remove("weight");
                }
            });
        }
    }

    /// The Services between which the weights of a route are moved: those of the Rollouts that are
    /// known, and those that the record at the live route tells of others. Not every Rollout can be
    /// seen from here: one may be in a namespace that is not looked at, or another controller's.
    fn arms(&self, id: &ResourceId, live: Option<&Value>) -> BTreeSet<String> {
        let mut arms = self.routes.get(id).cloned().unwrap_or_default();
        if let Some(live) = live.filter(|_| id.group == GATEWAY_GROUP) {
            let known = self.managers.get(id);
            let is_known = |owner: &str| known.is_some_and(|known| known.contains(owner));
            arms.extend(arms_of_others(live, &is_known));
        }
        arms
    }

    /// Whether a rollout controller moves the weights of a route, and may add rules to it.
    fn is_routed(&self, id: &ResourceId, live: &Value) -> bool {
        self.routes.contains_key(id) || (id.group == GATEWAY_GROUP && has_record(live))
    }

    /// Removes rules that the rollout controller added to a route (header and mirror routes), and
    /// backends of experiments.
    pub(super) fn mask_added_rules(&self, id: &ResourceId, target: &Value, live: &mut Value) {
        if !self.is_routed(id, live) {
            return;
        }
        let arms = self.arms(id, Some(&*live));
        let added = added_rules(live, resource::list(target, "/spec/rules"), &arms);
        if let Some(rules) = live
            .pointer_mut("/spec/rules")
            .and_then(Value::as_array_mut)
        {
            let mut index = 0;
            rules.retain(|_| {
                index += 1;
                !added.contains(&(index - 1))
            });
        }
        if let Some(guests) = self.guests.get(id) {
            guests.mask(target, live);
        }
    }

    /// Copies what others decide from the live object into one that is about to be applied: maps
    /// and lists that the API server treats as one unit would otherwise lose it. Returns whether
    /// anything was, in which case the apply must fail if the live object has changed since.
    pub(crate) fn keep(&self, id: &ResourceId, target: &mut Value, live: &Value) -> bool {
        let before = target.clone();
        if self.services.contains(id) {
            keep_key(target, live, &["spec", "selector"], HASH_LABEL);
        }
        if self.scaled.contains(id) {
            keep_key(target, live, &["spec"], "replicas");
        }
        if self.is_routed(id, live) {
            keep_weights(
                target,
                live,
                &self.arms(id, Some(live)),
                self.guests.get(id),
            );
        }
        if self.respect {
            for rule in self.ignore.iter().filter(|rule| rule.is_about(id)) {
                for pointer in &rule.json_pointers {
                    keep_value(target, pointer, live.pointer(pointer));
                }
                for path in &rule.jq_paths {
                    keep_path(target, live, path);
                }
                if let Some(fields) = owned_by_managers(live, &rule.managed_fields_managers) {
                    fields.keep(target, live);
                }
            }
        }
        *target != before
    }

    /// Whether a controller writes into declared units of this object, so that an apply has to be
    /// made against what was seen.
    pub(crate) fn is_shared_with_controller(&self, id: &ResourceId, live: &Value) -> bool {
        self.services.contains(id) || self.scaled.contains(id) || self.is_routed(id, live)
    }
}

pub(super) fn remove_key(object: &mut Value, parent: &str, key: &str) {
    if let Some(map) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

fn keep_key(target: &mut Value, live: &Value, parent: &[&str], key: &str) {
    let pointer = format!("/{}", parent.join("/"));
    let Some(map) = target.pointer_mut(&pointer).and_then(Value::as_object_mut) else {
        return;
    };
    match live.pointer(&pointer).and_then(|live| live.get(key)) {
        Some(value) => map.insert(key.to_owned(), value.clone()),
        None => map.remove(key),
    };
}

/// Splits a JSON pointer into its parent and its last step, unescaped.
fn split_pointer(pointer: &str) -> Option<(&str, String)> {
    let (parent, last) = pointer.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn remove_pointer(object: &mut Value, pointer: &str) {
    let Some((parent, last)) = split_pointer(pointer) else {
        return;
    };
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&last);
        }
        Some(Value::Array(list)) => {
            if let Some(at) = last.parse().ok().filter(|at: &usize| *at < list.len()) {
                list.remove(at);
            }
        }
        _ => {}
    }
}

/// Each place gets what is at the same one of the live object. An item of a list is the same if it
/// has the same name. Where nothing on the way has one, the first of the places that a path leads
/// to here is the first of those there; if there are more on one side, nobody knows which is which
/// but those that are at the same index.
fn keep_path(target: &mut Value, live: &Value, path: &JqPath) {
    let (here, there) = (path.pointers(target), path.pointers(live));
    let (called_here, called_there) = (by_names(target, &here), by_names(live, &there));
    let is_nameless = called_here == here && called_there == there;
    let pairs: Vec<(&String, &String)> = if is_nameless && here.len() == there.len() {
        here.iter().zip(&there).collect()
    } else {
        let known: BTreeMap<&String, &String> = called_there.iter().zip(&there).collect();
        let all = called_here.iter().zip(&here);
        all.filter_map(|(called, pointer)| Some((pointer, *known.get(called)?)))
            .collect()
    };
    // What is taken out of a list moves what comes after it.
    for (pointer, from) in pairs.into_iter().rev() {
        keep_value(target, pointer, live.pointer(from));
    }
}

/// Pointers with the names of list items in place of their indices, where they have one.
fn by_names(object: &Value, pointers: &[String]) -> Vec<String> {
    let all = pointers.iter().map(|pointer| {
        let mut out = String::new();
        let mut value = Some(object);
        for step in pointer.split('/').skip(1) {
            let is_item = value.is_some_and(Value::is_array);
            value = value.and_then(|value| value.pointer(&format!("/{step}")));
            let name = value.and_then(|item| item.get("name"));
            out.push('/');
            match name.and_then(Value::as_str).filter(|_| is_item) {
                Some(name) => out.extend(["name=", name]),
                None => out.push_str(step),
            }
        }
        out
    });
    all.collect()
}

fn keep_value(target: &mut Value, pointer: &str, live: Option<&Value>) {
    let Some(value) = live else {
        remove_pointer(target, pointer);
        return;
    };
    let Some((parent, last)) = split_pointer(pointer) else {
        return;
    };
    match target.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(last, value.clone());
        }
        Some(Value::Array(list)) => {
            if let Some(slot) = last.parse().ok().and_then(|at: usize| list.get_mut(at)) {
                *slot = value.clone();
            }
        }
        _ => {}
    }
}
