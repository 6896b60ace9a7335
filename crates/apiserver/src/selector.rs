//! Label and field selectors as query strings.

use serde_json::Value;

use crate::object::{labels, meta, text};
use crate::registry::{Origin, Resource};
use crate::status::Status;

/// One requirement on labels.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    /// `key>n` and `key<n`.
    Compare(String, std::cmp::Ordering, i64),
}

/// One requirement on a field: path, wanted value, equal or not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldTerm {
    path: String,
    value: String,
    equal: bool,
}

/// What a list or watch is narrowed by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

impl Selector {
    /// Parses both query parameters for `resource`. Unsupported fields are refused as the real
    /// server does.
    pub(crate) fn parse(label: &str, field: &str, resource: &Resource) -> Result<Self, Status> {
        let labels = parse_labels(label)
            .map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))?;
        let fields = parse_fields(field)?;
        for term in &fields {
            check_field(&term.path, resource)?;
        }
        Ok(Self { labels, fields })
    }

    /// True without any requirement.
    pub(crate) fn matches_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels
            .iter()
            .all(|requirement| requirement.holds(object))
            && self
                .fields
                .iter()
                .all(|term| (field_value(object, &term.path) == term.value) == term.equal)
    }
}

impl Requirement {
    fn holds(&self, object: &Value) -> bool {
        let get = |key: &String| {
            labels(object)
                .and_then(|map| map.get(key))
                .and_then(Value::as_str)
        };
        match self {
            Self::In(key, values) => get(key).is_some_and(|have| values.iter().any(|v| v == have)),
            Self::NotIn(key, values) => {
                get(key).is_none_or(|have| values.iter().all(|v| v != have))
            }
            Self::Exists(key) => get(key).is_some(),
            Self::Absent(key) => get(key).is_none(),
            Self::Compare(key, order, bound) => get(key)
                .and_then(|have| have.parse::<i64>().ok())
                .is_some_and(|have| have.cmp(bound) == *order),
        }
    }
}

fn parse_labels(source: &str) -> Result<Vec<Requirement>, String> {
    split_outside_parens(source)
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(requirement)
        .collect()
}

fn split_outside_parens(source: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, c) in source.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&source[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&source[start..]);
    parts
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(check_key(key.trim())?));
    }
    if let Some(at) = part.find(['=', '!', '<', '>']) {
        let key = check_key(part[..at].trim())?;
        let rest = &part[at..];
        for (sign, order) in [
            (">", std::cmp::Ordering::Greater),
            ("<", std::cmp::Ordering::Less),
        ] {
            if let Some(bound) = rest.strip_prefix(sign) {
                let bound = bound.trim().parse().map_err(|_| {
                    format!("values[0][{key}]: Invalid value: {:?}: for 'Gt', 'Lt' operators, the value must be an integer", bound.trim())
                })?;
                return Ok(Requirement::Compare(key, order, bound));
            }
        }
        let (value, negated) = if let Some(value) = rest.strip_prefix("!=") {
            (value, true)
        } else if let Some(value) = rest.strip_prefix("==") {
            (value, false)
        } else if let Some(value) = rest.strip_prefix('=') {
            (value, false)
        } else {
            return Err(format!(
                "found '{rest}', expected: in, notin, =, ==, !=, gt, lt"
            ));
        };
        let values = vec![check_value(&key, value.trim())?];
        return Ok(if negated {
            Requirement::NotIn(key, values)
        } else {
            Requirement::In(key, values)
        });
    }
    set_requirement(part)
}

fn set_requirement(part: &str) -> Result<Requirement, String> {
    let mut words = part.splitn(2, char::is_whitespace);
    let key = check_key(words.next().unwrap_or_default().trim())?;
    let Some(rest) = words.next().map(str::trim) else {
        return Ok(Requirement::Exists(key));
    };
    let (negated, list) = if let Some(list) = rest.strip_prefix("notin") {
        (true, list)
    } else if let Some(list) = rest.strip_prefix("in") {
        (false, list)
    } else {
        let found = rest.split_whitespace().next().unwrap_or_default();
        return Err(format!(
            "found '{found}', expected: in, notin, =, ==, !=, gt, lt"
        ));
    };
    let list = list
        .trim()
        .strip_prefix('(')
        .and_then(|list| list.strip_suffix(')'))
        .ok_or_else(|| format!("found '{}' expected: '('", list.trim()))?;
    let values = list
        .split(',')
        .map(|value| check_value(&key, value.trim()))
        .collect::<Result<_, _>>()?;
    Ok(if negated {
        Requirement::NotIn(key, values)
    } else {
        Requirement::In(key, values)
    })
}

fn check_key(key: &str) -> Result<String, String> {
    let ok = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && key.matches('/').count() <= 1;
    if ok {
        Ok(key.to_owned())
    } else {
        Err(format!("found '{key}', expected: identifier"))
    }
}

fn check_value(key: &str, value: &str) -> Result<String, String> {
    let is_end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let ok = is_end(value.chars().next())
        && is_end(value.chars().next_back())
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if ok && value.len() > 63 {
        Err(format!(
            "values[0][{key}]: Invalid value: {value:?}: must be no more than 63 characters"
        ))
    } else if ok {
        Ok(value.to_owned())
    } else {
        Err(format!(
            "values[0][{key}]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ))
    }
}

fn parse_fields(source: &str) -> Result<Vec<FieldTerm>, Status> {
    source
        .split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let term = |path: &str, value: &str, equal| FieldTerm {
                path: path.trim().to_owned(),
                value: value.replace("\\,", ",").replace("\\=", "="),
                equal,
            };
            if let Some((path, value)) = part.split_once("!=") {
                Ok(term(path, value, false))
            } else if let Some((path, value)) =
                part.split_once("==").or_else(|| part.split_once('='))
            {
                Ok(term(path, value, true))
            } else {
                Err(Status::bad_request(format!(
                    "invalid selector: '{source}'; can't understand '{part}'"
                )))
            }
        })
        .collect()
}

const POD_FIELDS: [&str; 9] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];
const EVENT_FIELDS: [&str; 12] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
    "reportingController",
];

fn check_field(path: &str, resource: &Resource) -> Result<(), Status> {
    if ["metadata.name", "metadata.namespace"].contains(&path) {
        return Ok(());
    }
    let known: &[&str] = match (resource.gvk.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &POD_FIELDS,
        ("" | "events.k8s.io", "events") => &EVENT_FIELDS,
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    if known.contains(&path) {
        return Ok(());
    }
    let message = match &resource.origin {
        Origin::Crd { selectable, .. } if selectable.iter().any(|field| field == path) => {
            return Ok(());
        }
        Origin::BuiltIn if resource.is("batch", "jobs") => {
            format!("field label {path:?} not supported for Job")
        }
        Origin::BuiltIn if known.is_empty() => format!(
            "{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ),
        _ => format!("field label not supported: {path}"),
    };
    Err(Status::bad_request(message))
}

fn field_value(object: &Value, path: &str) -> String {
    match path {
        "metadata.name" => return meta(object, "name").to_owned(),
        "metadata.namespace" => return meta(object, "namespace").to_owned(),
        "source" => {
            let component = text(object, "/source/component");
            let known = if component.is_empty() {
                text(object, "/reportingComponent")
            } else {
                component
            };
            return known.to_owned();
        }
        _ => {}
    }
    let value = path
        .split('.')
        .try_fold(object, |value, part| value.get(part));
    match (path, value) {
        (_, Some(Value::String(text))) => text.clone(),
        (_, Some(value @ (Value::Bool(_) | Value::Number(_)))) => value.to_string(),
        ("spec.unschedulable" | "spec.hostNetwork", None) => "false".to_owned(),
        ("status.successful" | "status.replicas", None) => "0".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(source: &str, labels: &Value) -> bool {
        let selector = Selector {
            labels: parse_labels(source).unwrap(),
            fields: Vec::new(),
        };
        selector.matches(&json!({"metadata": {"labels": labels}}))
    }

    #[test]
    fn label_selectors_follow_their_grammar() {
        let labels = json!({"app": "web", "tier": "front", "n": "5"});
        for yes in [
            "app=web",
            "app==web,tier!=back",
            "app in (web, api)",
            "tier notin (back)",
            "app",
            "!zone",
            "n>4,n<6",
            "zone!=a",
            "",
        ] {
            assert!(matches(yes, &labels), "{yes}");
        }
        for no in [
            "app=api",
            "app!=web",
            "zone",
            "!app",
            "zone in (a)",
            "n>5",
            "app notin (web)",
        ] {
            assert!(!matches(no, &labels), "{no}");
        }
        for bad in [
            "app in web",
            "a b c",
            "=x",
            "app~web",
            "n>x",
            "a=-b",
            "a in (b.)",
        ] {
            assert!(parse_labels(bad).is_err(), "{bad}");
        }
        let long = parse_labels(&format!("a={}", "b".repeat(64))).unwrap_err();
        assert!(
            long.ends_with("must be no more than 63 characters"),
            "{long}"
        );
        assert!(matches("none=", &json!({"none": ""})));
    }
}
