//! Rules that header and mirror steps add to a route (rollouts.md §3.13, §6.9), in front of its
//! own.
//!
//! Each rule of the route that shares traffic between the two services is copied, with narrower
//! matches: to the canary alone for a header route, with a copy of the requests to the canary for a
//! mirror route. What was added stands in an annotation of the same route, written in the same
//! patch: rules have no identity that every version of the Gateway API keeps. A route may serve
//! several Rollouts: each has its own record there, and leaves the rules of the others where they
//! are.

use super::router::Want;
use api::constants::MANAGED_ROUTES_ANNOTATION;
use api::{RouteMatch, SetHeaderRoute, SetMirrorRoute, StringMatch};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a step wants beside the weights.
#[derive(Clone, Debug, PartialEq)]
pub enum ManagedRoute {
    Header(SetHeaderRoute),
    Mirror(SetMirrorRoute),
}

impl ManagedRoute {
    pub fn name(&self) -> &str {
        match self {
            Self::Header(route) => route.name.as_deref().unwrap_or_default(),
            Self::Mirror(route) => &route.name,
        }
    }

    /// Without a match a route is removed.
    pub fn is_removal(&self) -> bool {
        match self {
            Self::Header(route) => route.match_.is_empty(),
            Self::Mirror(route) => route.match_.is_empty(),
        }
    }
}

/// Operations of a JSON patch that put the wanted rules in front and take away those of before.
/// They come after operations on single rules: they move all others.
pub(super) fn operations(route: &Value, want: &Want<'_>, takes_rules: bool) -> Vec<Value> {
    let none = Vec::new();
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let rules = rules.unwrap_or(&none);
    let mut recorded = recorded(route);
    let owner = owner(want.namespace, &want.owner.name);
    let before = recorded.remove(&owner).unwrap_or_default();
    let ours = positions(rules, &before);
    let of_others: Vec<usize> = recorded
        .values()
        .flat_map(|record| positions(rules, record))
        .collect();
    let own: Vec<&Value> = (0..rules.len())
        .filter(|at| !ours.contains(at))
        .map(|at| &rules[at])
        .collect();
    let wanted: Vec<Value> = want
        .routes
        .iter()
        .filter(|_| takes_rules)
        .flat_map(|managed| added(managed, &own, want))
        .collect();
    let record: Vec<Value> = wanted.iter().map(|rule| identity(rule, want)).collect();
    // In front of the route's own rules, that is: whose rules come first there is nobody's
    // business, or two Rollouts would go on overtaking each other.
    let in_front = ours.last().is_none_or(|last| {
        let mut before = 0..*last;
        before.all(|at| ours.contains(&at) || of_others.contains(&at))
    });
    if in_front && ours.len() == wanted.len() && record == before {
        return Vec::new();
    }
    if !record.is_empty() {
        recorded.insert(owner, record);
    }
    let mut operations = Vec::new();
    for at in ours.iter().rev() {
        operations.push(json!({"op": "remove", "path": format!("/spec/rules/{at}")}));
    }
    for (at, rule) in wanted.into_iter().enumerate() {
        operations.push(json!({"op": "add", "path": format!("/spec/rules/{at}"), "value": rule}));
    }
    operations.extend(annotate(route, &recorded));
    operations
}

/// Whether rules that were added for a Rollout are on a route still.
pub(super) fn has_rules_of(route: &Value, namespace: &str, rollout: &str) -> bool {
    let own = recorded(route).remove(&owner(namespace, rollout));
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let (Some(own), Some(rules)) = (own, rules) else {
        return false;
    };
    !positions(rules, &own).is_empty()
}

/// The added rules of each Rollout, by its namespace and name.
type Recorded = BTreeMap<String, Vec<Value>>;

fn owner(namespace: &str, rollout: &str) -> String {
    format!("{namespace}/{rollout}")
}

/// Keeps the record of what was added.
fn annotate(route: &Value, record: &Recorded) -> Vec<Value> {
    let annotations = route.pointer("/metadata/annotations");
    let path = format!(
        "/metadata/annotations/{}",
        MANAGED_ROUTES_ANNOTATION.replace('/', "~1")
    );
    let there = annotations.is_some_and(|all| all.get(MANAGED_ROUTES_ANNOTATION).is_some());
    if record.is_empty() {
        return there
            .then(|| json!({"op": "remove", "path": path}))
            .into_iter()
            .collect();
    }
    let mut operations = Vec::new();
    if annotations.is_none() {
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    let text = json!(record).to_string();
    operations.push(json!({"op": "add", "path": path, "value": text}));
    operations
}

/// What the annotation says was added.
fn recorded(route: &Value) -> Recorded {
    route
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(MANAGED_ROUTES_ANNOTATION))
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// A rule as it is recorded: without its weights, which move, without its name, which older
/// versions of the API drop, and of its backends the two arms, since those of experiments come and
/// go.
fn identity(rule: &Value, want: &Want<'_>) -> Value {
    let arms = [want.canary_service, want.stable_service];
    of_services(rule, &arms)
}

fn of_services(rule: &Value, services: &[&str]) -> Value {
    let mut rule = rule.clone();
    if let Some(rule) = rule.as_object_mut() {
        rule.remove("name");
    }
    let mut backends = rule.get_mut("backendRefs").and_then(Value::as_array_mut);
    if let Some(backends) = &mut backends {
        backends.retain(|backend| {
            let mut services = services.iter();
            services.any(|name| super::gateway_api::is_service(backend, name))
        });
    }
    for backend in backends.into_iter().flatten() {
        if let Some(backend) = backend.as_object_mut() {
            backend.remove("weight");
        }
    }
    rule
}

/// Positions of the recorded rules, ascending. One that is gone, or was edited into another, has
/// none. Filters count: but for its filter, a mirrored rule may be the route's own. The services
/// are those of the record: the spec may name others by now.
fn positions(rules: &[Value], recorded: &[Value]) -> Vec<usize> {
    let mut found = Vec::new();
    for record in recorded {
        let services = services(record);
        let is_it = |rule: &Value| {
            let live = of_services(rule, &services);
            let mut fields = ["matches", "filters", "backendRefs"].iter();
            fields.all(|field| covers(&kept(record, field), &kept(&live, field)))
        };
        let position = (0..rules.len()).find(|at| !found.contains(at) && is_it(&rules[*at]));
        found.extend(position);
    }
    found.sort_unstable();
    found
}

fn services(record: &Value) -> Vec<&str> {
    let backends = record.get("backendRefs").and_then(Value::as_array);
    let names = backends.into_iter().flatten();
    names.filter_map(|one| one.get("name")?.as_str()).collect()
}

/// A field of a rule without what older versions of the Gateway API drop.
fn kept(rule: &Value, field: &str) -> Value {
    let mut value = rule.get(field).cloned().unwrap_or_default();
    if field == "filters" {
        for filter in value.as_array_mut().into_iter().flatten() {
            let mirror = filter.get_mut("requestMirror");
            if let Some(mirror) = mirror.and_then(Value::as_object_mut) {
                mirror.remove("percent");
                mirror.remove("fraction");
            }
        }
    }
    value
}

/// Whether `live` says all that `wanted` says; the API server adds defaults.
fn covers(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted
            .iter()
            .all(|(key, value)| live.get(key).is_some_and(|live| covers(value, live))),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(a, b)| covers(a, b))
        }
        (a, b) => a == b,
    }
}

/// The rules of one managed route: one for each rule of the route's own that names both services.
fn added(managed: &ManagedRoute, own: &[&Value], want: &Want<'_>) -> Vec<Value> {
    let mut rules = Vec::new();
    for base in own {
        let Some((canary, _)) = super::gateway_api::arms(base, want) else {
            continue;
        };
        let mut rule = (*base).clone();
        let matches = base.get("matches").and_then(Value::as_array);
        let any = vec![json!({})];
        let matches = matches.filter(|all| !all.is_empty()).unwrap_or(&any);
        match managed {
            ManagedRoute::Header(route) => {
                let narrowed = matches.iter().filter_map(|one| with_headers(one, route));
                let narrowed: Vec<Value> = narrowed.collect();
                if narrowed.is_empty() {
                    // No request of this rule has such headers.
                    continue;
                }
                rule["matches"] = Value::Array(narrowed);
                let mut backend = base["backendRefs"][canary].clone();
                forget_weight(&mut backend);
                rule["backendRefs"] = json!([backend]);
            }
            ManagedRoute::Mirror(route) => {
                let combined = matches
                    .iter()
                    .flat_map(|one| route.match_.iter().filter_map(move |more| both(one, more)));
                let combined: Vec<Value> = combined.collect();
                if combined.is_empty() {
                    // No request of this rule is one to mirror.
                    continue;
                }
                rule["matches"] = Value::Array(combined);
                mirror(&mut rule, route, canary, want);
            }
        }
        let name = managed.name();
        rule["name"] = match rules.len() {
            0 => json!(name),
            at => json!(format!("{name}-{at}")),
        };
        rules.push(rule);
    }
    rules
}

fn forget_weight(backend: &mut Value) {
    if let Some(fields) = backend.as_object_mut() {
        fields.remove("weight");
    }
}

/// A match that asks for the headers too: all of them. `None` if no request has these and those of
/// the match.
fn with_headers(base: &Value, route: &SetHeaderRoute) -> Option<Value> {
    let headers = route
        .match_
        .iter()
        .map(|header| header_match(&header.header_name, &header.header_value));
    let mut combined = base.clone();
    push_headers(&mut combined, headers.collect())?;
    Some(combined)
}

/// Names of headers are unique in a match. `None` if it asks for another value already.
fn push_headers(target: &mut Value, more: Vec<Value>) -> Option<()> {
    let mut headers = target
        .get("headers")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for header in more {
        let name = header_name(&header);
        match headers.iter().find(|own| header_name(own) == name) {
            Some(own) if is_same_match(own, &header) => {}
            Some(_) => return None,
            None => headers.push(header),
        }
    }
    if !headers.is_empty() {
        target["headers"] = Value::Array(headers);
    }
    Some(())
}

/// Names of headers are compared without regard to case.
fn header_name(header: &Value) -> String {
    let name = header.get("name").and_then(Value::as_str);
    name.unwrap_or_default().to_lowercase()
}

fn is_same_match(a: &Value, b: &Value) -> bool {
    let kind = |header: &Value| {
        let kind = header.get("type").and_then(Value::as_str);
        kind.unwrap_or("Exact").to_owned()
    };
    kind(a) == kind(b) && a.get("value") == b.get("value")
}

fn header_match(name: &str, value: &StringMatch) -> Value {
    let (kind, value) = match (&value.exact, pattern(value)) {
        (Some(exact), _) if !exact.is_empty() => ("Exact", exact.clone()),
        (_, pattern) => ("RegularExpression", pattern),
    };
    json!({"type": kind, "name": name, "value": value})
}

/// As a regular expression for all of a text.
fn pattern(value: &StringMatch) -> String {
    match (&value.prefix, &value.regex) {
        (Some(prefix), _) if !prefix.is_empty() => format!("^{}.*", regex::escape(prefix)),
        (_, regex) => regex.clone().unwrap_or_default(),
    }
}

/// The requests that both a match of the route and one of the mirror step take; `None` if there are
/// none, or if the Gateway API has no words for them.
fn both(base: &Value, more: &RouteMatch) -> Option<Value> {
    let mut combined = base.clone();
    if let Some(method) = more
        .method
        .as_ref()
        .and_then(|method| method.exact.as_ref())
    {
        match base.get("method").and_then(Value::as_str) {
            Some(own) if own != method => return None,
            _ => combined["method"] = json!(method),
        }
    }
    if let Some(path) = &more.path {
        combined["path"] = both_paths(base.get("path"), path)?;
    }
    let headers = more.headers.iter();
    let headers = headers.map(|(name, value)| header_match(name, value));
    push_headers(&mut combined, headers.collect())?;
    Some(combined)
}

fn both_paths(base: Option<&Value>, more: &StringMatch) -> Option<Value> {
    let text = |field| {
        base.and_then(|base| base.get(field))
            .and_then(Value::as_str)
    };
    let (kind, own) = (
        text("type").unwrap_or("PathPrefix"),
        text("value").unwrap_or("/"),
    );
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let wanted = match (given(&more.exact), given(&more.prefix)) {
        (Some(exact), _) => ("Exact", exact),
        (None, Some(prefix)) => ("PathPrefix", prefix),
        (None, None) => ("RegularExpression", given(&more.regex)?),
    };
    let narrower = match (kind, wanted.0) {
        ("PathPrefix", _) if own == "/" => true,
        ("PathPrefix", "Exact" | "PathPrefix") if is_below(&wanted.1, own) => true,
        ("PathPrefix" | "Exact", "PathPrefix") if is_below(own, &wanted.1) => false,
        (kind, wanted_kind) if kind == wanted_kind && own == wanted.1 => false,
        _ => return None,
    };
    if narrower {
        return Some(json!({"type": wanted.0, "value": wanted.1}));
    }
    base.cloned()
}

/// Whether a path is one that a prefix takes: by whole elements.
fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Requests go where they went, with the weights of this pass, and a copy to the canary.
fn mirror(rule: &mut Value, route: &SetMirrorRoute, canary: usize, want: &Want<'_>) {
    let backend = rule["backendRefs"][canary].clone();
    let mut reference = Map::new();
    for field in ["group", "kind", "namespace", "name", "port"] {
        if let Some(value) = backend.get(field) {
            reference.insert(field.to_owned(), value.clone());
        }
    }
    let mut request = json!({ "backendRef": reference });
    if let Some(percentage) = route.percentage.filter(|percentage| *percentage < 100) {
        request["percent"] = json!(percentage);
    }
    let mut filters = rule
        .get("filters")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    filters.push(json!({"type": "RequestMirror", "requestMirror": request}));
    rule["filters"] = Value::Array(filters);
    let arms = super::gateway_api::arms(rule, want);
    if let (Some((canary, stable)), true) = (arms, want.moves_weights) {
        rule["backendRefs"][canary]["weight"] = json!(want.weight);
        rule["backendRefs"][stable]["weight"] = json!(want.stable_weight());
    }
}
