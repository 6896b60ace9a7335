//! Routes that rollout controllers share: the weights that they move, and the rules that they add
//! (rollouts.md §3.13, §6.9).

use super::guests::Guests;
use super::rules::remove_key;
use crate::resource;
use api::constants::MANAGED_ROUTES_ANNOTATION;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn backend_name(reference: &Value) -> &str {
    reference
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Calls `each` for every backend reference of a route that is one of `arms`.
pub(super) fn for_each_arm(
    route: &mut Value,
    arms: &BTreeSet<String>,
    each: &mut dyn FnMut(&mut Value),
) {
    let rules = route
        .pointer_mut("/spec/rules")
        .and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let references = rule.get_mut("backendRefs").and_then(Value::as_array_mut);
        for reference in references.into_iter().flatten() {
            if arms.contains(backend_name(reference)) {
                each(reference);
            }
        }
    }
}

/// The rules that were added for each Rollout, by its namespace and name, as Weir records them at
/// the route.
fn record(live: &Value) -> Option<BTreeMap<String, Vec<Value>>> {
    let annotations = live.pointer("/metadata/annotations")?;
    let text = annotations.get(MANAGED_ROUTES_ANNOTATION)?.as_str()?;
    serde_json::from_str(text).ok()
}

pub(super) fn has_record(live: &Value) -> bool {
    record(live).is_some()
}

fn backends(rule: &Value) -> impl Iterator<Item = &str> {
    resource::list(rule, "/backendRefs")
        .iter()
        .map(backend_name)
}

/// The Services between which the weights are moved for Rollouts that are recorded and not known.
/// The record names those that the added rules lead to; the rules that share traffic with one of
/// these name the others.
pub(super) fn arms_of_others(live: &Value, is_known: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let record = record(live).unwrap_or_default();
    let others = record.iter().filter(|(owner, _)| !is_known(owner));
    let recorded: BTreeSet<&str> = others
        .flat_map(|(_, rules)| rules)
        .flat_map(backends)
        .collect();
    let shares = resource::list(live, "/spec/rules")
        .iter()
        .filter(|rule| backends(rule).count() > 1)
        .filter(|rule| backends(rule).any(|name| recorded.contains(name)));
    shares.flat_map(backends).map(str::to_owned).collect()
}

/// Positions of the rules that a controller added: those that Weir has recorded at the route.
/// Without a record (the peer keeps it elsewhere), as many as there are too many, of those that
/// lead to one of its Services alone and that Git does not declare.
pub(super) fn added_rules(
    live: &Value,
    declared: &[Value],
    arms: &BTreeSet<String>,
) -> BTreeSet<usize> {
    let rules = resource::list(live, "/spec/rules");
    if let Some(record) = record(live) {
        let all: Vec<Value> = record.into_values().flatten().collect();
        return recorded_rules(rules, &all);
    }
    let is_candidate = |rule: &Value| match resource::list(rule, "/backendRefs") {
        [only] => {
            let matches = rule.get("matches").unwrap_or(&Value::Null);
            let is_declared = declared.iter().any(|known| {
                resource::list(known, "/backendRefs").len() == 1
                    && covers(known.get("matches").unwrap_or(&Value::Null), matches)
            });
            arms.contains(backend_name(only)) && !is_declared
        }
        _ => false,
    };
    (0..rules.len())
        .filter(|&at| is_candidate(&rules[at]))
        .take(rules.len().saturating_sub(declared.len()))
        .collect()
}

/// Positions of recorded rules, as the engine finds them: by matches, filters, and those backends
/// that the record names; those of experiments come and go.
fn recorded_rules(rules: &[Value], record: &[Value]) -> BTreeSet<usize> {
    let of = |rule: &Value, field: &str, services: &BTreeSet<&str>| {
        let mut value = rule.get(field).cloned().unwrap_or_default();
        let entries = value.as_array_mut();
        match (field, entries) {
            ("backendRefs", Some(backends)) => {
                backends.retain(|backend| services.contains(backend_name(backend)));
            }
            // Older versions of the Gateway API drop how many requests are mirrored.
            ("filters", Some(filters)) => {
                for filter in filters {
                    remove_key(filter, "/requestMirror", "percent");
                    remove_key(filter, "/requestMirror", "fraction");
                }
            }
            _ => {}
        }
        value
    };
    let mut found = BTreeSet::new();
    for one in record {
        let services: BTreeSet<&str> = backends(one).collect();
        let is_it = |rule: &Value| {
            let mut fields = ["matches", "filters", "backendRefs"].iter();
            fields.all(|field| covers(&of(one, field, &services), &of(rule, field, &services)))
        };
        let position = (0..rules.len()).find(|at| !found.contains(at) && is_it(&rules[*at]));
        found.extend(position);
    }
    found
}

/// Whether `live` says everything that `declared` says.
fn covers(declared: &Value, live: &Value) -> bool {
    match (declared, live) {
        (Value::Object(declared), Value::Object(live)) => declared
            .iter()
            .all(|(key, value)| live.get(key).is_some_and(|live| covers(value, live))),
        (Value::Array(declared), Value::Array(live)) => {
            declared.len() == live.len() && declared.iter().zip(live).all(|(a, b)| covers(a, b))
        }
        (a, b) => a == b,
    }
}

/// Takes the weights of the arms, and rules and backends that the controller added, from the live
/// route.
pub(super) fn keep_weights(
    target: &mut Value,
    live: &Value,
    arms: &BTreeSet<String>,
    guests: Option<&Guests>,
) {
    let declared = resource::list(target, "/spec/rules").len();
    let seen = resource::list(live, "/spec/rules");
    let added = added_rules(live, resource::list(target, "/spec/rules"), arms);
    let (added, known): (Vec<_>, Vec<_>) = seen
        .iter()
        .enumerate()
        .partition(|(at, _)| added.contains(at));
    let known: Vec<&Value> = known.into_iter().map(|(_, rule)| rule).collect();
    let rules = target
        .pointer_mut("/spec/rules")
        .and_then(Value::as_array_mut);
    let Some(rules) = rules else {
        return;
    };
    for (index, rule) in rules.iter_mut().enumerate() {
        // Rules have no identity. Where their number is as declared, the position is one; else any
        // rule tells, since the controller gives all of them the same weights.
        let same_place = (known.len() == declared)
            .then(|| known.get(index))
            .flatten();
        let references = rule.get_mut("backendRefs").and_then(Value::as_array_mut);
        for reference in references.into_iter().flatten() {
            if !arms.contains(backend_name(reference)) {
                continue;
            }
            let seen = same_place
                .into_iter()
                .chain(&known)
                .flat_map(|rule| resource::list(rule, "/backendRefs"))
                .find(|live| backend_name(live) == backend_name(reference));
            if let (Some(live), Some(reference)) = (seen, reference.as_object_mut()) {
                match live.get("weight") {
                    Some(weight) => reference.insert("weight".to_owned(), weight.clone()),
                    None => reference.remove("weight"),
                };
            }
        }
        if let (Some(guests), Some(live)) = (guests, same_place) {
            guests.keep(rule, live);
        }
    }
    // Where they stood: of two rules that take a request, the first does.
    for (at, rule) in added {
        rules.insert(at.min(rules.len()), rule.clone());
    }
}
