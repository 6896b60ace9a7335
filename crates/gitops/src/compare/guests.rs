//! Backends that a rollout controller adds to a declared rule of a route for as long as an
//! experiment runs (rollouts.md §3.13).

use crate::resource;
use serde_json::Value;
use std::collections::BTreeSet;

/// The names of such backends: those that the steps give, and those that the controller makes from
/// the name of the Rollout and the hash of its pod template.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Guests {
    prefixes: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Guests {
    pub(super) fn learn(&mut self, rollout: &Value) {
        for step in resource::list(rollout, "/spec/strategy/canary/steps") {
            for template in resource::list(step, "/experiment/templates") {
                let name = resource::string(template, "/service/name");
                self.names
                    .extend(name.filter(|name| !name.is_empty()).map(str::to_owned));
            }
        }
        let hash = resource::string(rollout, "/status/currentPodHash").unwrap_or_default();
        if !hash.is_empty() {
            let name = resource::name(rollout);
            self.prefixes.insert(format!("{name}-{hash}-"));
        }
    }

    fn is_one(&self, backend: &Value) -> bool {
        let name = resource::string(backend, "/name").unwrap_or_default();
        self.names.contains(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Removes the guests from a live route, but those that Git declares itself.
    pub(super) fn mask(&self, target: &Value, live: &mut Value) {
        let declared: BTreeSet<&str> = resource::list(target, "/spec/rules")
            .iter()
            .flat_map(|rule| resource::list(rule, "/backendRefs"))
            .filter_map(|backend| resource::string(backend, "/name"))
            .collect();
        let rules = live
            .pointer_mut("/spec/rules")
            .and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            if let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) {
                backends.retain(|backend| {
                    let name = resource::string(backend, "/name").unwrap_or_default();
                    declared.contains(name) || !self.is_one(backend)
                });
            }
        }
    }

    /// Copies the guests of a live rule into the declared one that is about to be applied.
    pub(super) fn keep(&self, rule: &mut Value, live: &Value) {
        let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) else {
            return;
        };
        for guest in resource::list(live, "/backendRefs") {
            let name = resource::string(guest, "/name");
            let known = backends
                .iter()
                .any(|backend| resource::string(backend, "/name") == name);
            if !known && self.is_one(guest) {
                backends.push(guest.clone());
            }
        }
    }
}
