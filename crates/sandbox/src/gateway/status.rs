//! Status of an HTTPRoute: `Accepted` and `ResolvedRefs` per parent of ours. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::CONTROLLER;
use super::route::{BackendRef, ParentRef, Spec};
use super::table::Table;

/// What the status is made from.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) spec: &'a Spec,
    /// Parents that are Gateways of ours, with whether a listener takes the route.
    pub(super) parents: &'a [(ParentRef, bool)],
    pub(super) namespace: &'a str,
    pub(super) table: &'a Table,
    /// The live status.
    pub(super) live: &'a Value,
    pub(super) generation: i64,
}

/// The `status.parents` that a route should have: ours made anew, those of other controllers
/// untouched. Transition times of unchanged conditions stay.
pub(super) fn parents(observed: &Observed<'_>, now: Timestamp) -> Value {
    let Observed {
        spec,
        parents,
        namespace,
        table,
        generation,
        ..
    } = *observed;
    let empty = Vec::new();
    let live = observed.live["parents"].as_array().unwrap_or(&empty);
    let mut wanted: Vec<Value> = live
        .iter()
        .filter(|entry| entry["controllerName"] != CONTROLLER)
        .cloned()
        .collect();
    for (parent, attached) in parents {
        let reference = json!(parent);
        let old = live
            .iter()
            .find(|entry| entry["controllerName"] == CONTROLLER && entry["parentRef"] == reference);
        let conditions: Vec<Value> = [accepted(spec, *attached), resolved(spec, namespace, table)]
            .into_iter()
            .map(|condition| dated(condition, old, generation, now))
            .collect();
        wanted.push(json!({
            "parentRef": reference, "controllerName": CONTROLLER, "conditions": conditions,
        }));
    }
    json!(wanted)
}

type Condition = (&'static str, &'static str, &'static str, String);

fn accepted(spec: &Spec, attached: bool) -> Condition {
    if !attached {
        let text = "no listener of the Gateway fits the parent reference".to_owned();
        return ("Accepted", "False", "NoMatchingParent", text);
    }
    match unsupported(spec) {
        Some(text) => ("Accepted", "False", "UnsupportedValue", text),
        None => (
            "Accepted",
            "True",
            "Accepted",
            "the route is in force".to_owned(),
        ),
    }
}

/// What the gateway would have to ignore: such a route is not in force at all.
pub(super) fn unsupported(spec: &Spec) -> Option<String> {
    if spec.rules.len() > super::route::MAX_RULES {
        return Some(format!("more than {} rules", super::route::MAX_RULES));
    }
    spec.rules.iter().enumerate().find_map(|(at, rule)| {
        let filtered =
            !rule.filters.is_empty() || rule.backend_refs.iter().any(|b| !b.filters.is_empty());
        if filtered {
            return Some(format!("rules[{at}]: filters are not supported"));
        }
        let matches = rule
            .matches
            .iter()
            .find_map(super::route::Match::unsupported)?;
        Some(format!("rules[{at}]: {matches}"))
    })
}

fn resolved(spec: &Spec, namespace: &str, table: &Table) -> Condition {
    let backends = spec.rules.iter().flat_map(|rule| &rule.backend_refs);
    let broken = backends
        .into_iter()
        .find_map(|backend| broken(backend, namespace, table));
    match broken {
        Some((reason, text)) => ("ResolvedRefs", "False", reason, text),
        None => (
            "ResolvedRefs",
            "True",
            "ResolvedRefs",
            "all backends are there".to_owned(),
        ),
    }
}

fn broken(backend: &BackendRef, namespace: &str, table: &Table) -> Option<(&'static str, String)> {
    let name = &backend.name;
    if backend.kind != "Service" || !backend.group.is_empty() {
        return Some(("InvalidKind", format!("backend {name:?} is not a Service")));
    }
    if backend
        .namespace
        .as_deref()
        .is_some_and(|other| other != namespace)
    {
        return Some((
            "RefNotPermitted",
            format!("backend {name:?} is in another namespace"),
        ));
    }
    if !table.has_service(namespace, name) {
        return Some((
            "BackendNotFound",
            format!("Service {name:?} does not exist"),
        ));
    }
    if table.resolve(namespace, backend).is_none() {
        let port = backend
            .port
            .map_or_else(|| "none".to_owned(), |port| port.to_string());
        return Some((
            "BackendNotFound",
            format!("Service {name:?} has no port {port}"),
        ));
    }
    None
}

fn dated(condition: Condition, old: Option<&Value>, generation: i64, now: Timestamp) -> Value {
    let (kind, status, reason, message) = condition;
    let conditions = old.and_then(|old| old["conditions"].as_array());
    let old = conditions
        .into_iter()
        .flatten()
        .find(|c| c["type"] == kind && c["status"] == status);
    let since = old.map(|old| old["lastTransitionTime"].clone());
    let since = since.unwrap_or_else(|| json!(cluster::meta::time(now)));
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "observedGeneration": generation, "lastTransitionTime": since,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(spec: &Value, attached: bool) -> Vec<String> {
        let spec: Spec = serde_json::from_value(spec.clone()).unwrap();
        let parent = (
            ParentRef {
                name: "weir".to_owned(),
                ..ParentRef::default()
            },
            attached,
        );
        let table = Table::default();
        let other = json!({ "parents": [{ "controllerName": "else", "parentRef": {} }] });
        let observed = Observed {
            spec: &spec,
            parents: &[parent],
            namespace: "shop",
            table: &table,
            live: &other,
            generation: 3,
        };
        let found = parents(&observed, Timestamp::UNIX_EPOCH);
        assert_eq!(found[0]["controllerName"], "else");
        let conditions = found[1]["conditions"].as_array().unwrap();
        conditions
            .iter()
            .map(|c| format!("{}={}:{}", c["type"], c["status"], c["reason"]))
            .collect()
    }

    #[test]
    fn conditions_name_what_is_wrong() {
        let fine = json!({ "rules": [{}] });
        assert_eq!(
            conditions(&fine, true),
            [
                r#""Accepted"="True":"Accepted""#,
                r#""ResolvedRefs"="True":"ResolvedRefs""#
            ]
        );
        assert_eq!(
            conditions(&fine, false)[0],
            r#""Accepted"="False":"NoMatchingParent""#
        );
        let filter = json!({ "rules": [{ "filters": [{ "type": "URLRewrite" }] }] });
        assert_eq!(
            conditions(&filter, true)[0],
            r#""Accepted"="False":"UnsupportedValue""#
        );
        let gone = json!({ "rules": [{ "backendRefs": [{ "name": "a", "port": 80 }] }] });
        assert_eq!(
            conditions(&gone, true)[1],
            r#""ResolvedRefs"="False":"BackendNotFound""#
        );
    }
}
