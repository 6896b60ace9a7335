//! `x-kubernetes-validations`: transition rules that keep a value from changing.
//!
//! What is evaluated: `self == oldSelf`, `self.a.b == oldSelf.a.b`, and both the other way round. Every
//! other rule is reported by [`unsupported`], for the server to refuse the CRD rather than ignore the rule.

use serde_json::Value;

use super::model::{Additional, ListType, Rule, Schema};
use super::validate::correlate;
use crate::{ErrorKind, FieldError};

type Pair<'v> = (&'v Value, Option<&'v Value>);

pub(super) fn check(schema: &Schema, pair: Pair<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let schema = schema.resolve();
    let (value, old) = pair;
    if let Some(old) = old.filter(|old| !old.is_null()) {
        for rule in &schema.rules {
            let Some(steps) = immutable(&rule.rule) else {
                continue;
            };
            if lookup(value, &steps) != lookup(old, &steps) {
                errors.push(broken(rule, schema, path));
            }
        }
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let property = match (schema.properties.get(name), &schema.additional) {
                    (Some(property), _) => property,
                    (None, Additional::Schema(property)) => property,
                    _ => continue,
                };
                let child = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                check(
                    property,
                    (value, old.and_then(|old| old.get(name))),
                    &child,
                    errors,
                );
            }
        }
        Value::Array(items) => {
            let Some(item) = &schema.items else { return };
            let keyed = schema.effective_list_type() == ListType::Map;
            for (index, value) in items.iter().enumerate() {
                let before = if keyed {
                    correlate(schema, value, index, old)
                } else {
                    None
                };
                check(item, (value, before), &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

fn broken(rule: &Rule, schema: &Schema, path: &str) -> FieldError {
    let at = match (&rule.field_path, path) {
        (Some(below), path) => format!("{path}{below}").trim_start_matches('.').to_owned(),
        (None, "") => "<nil>".to_owned(),
        (None, path) => path.to_owned(),
    };
    let detail = match &rule.message {
        Some(message) => message.trim().to_owned(),
        None => format!("failed rule: {}", rule.rule.trim()),
    };
    let kind = schema.kind.map_or("", super::model::Type::name);
    match rule.reason.as_deref() {
        Some("FieldValueForbidden") => FieldError::forbidden(at, detail),
        Some("FieldValueRequired") => FieldError::required(at, detail),
        Some("FieldValueDuplicate") => FieldError {
            kind: ErrorKind::Duplicate,
            ..FieldError::invalid(at, kind, "")
        },
        _ => FieldError::invalid(at, kind, detail),
    }
}

/// The path that a rule keeps from changing; `None` if the rule says something else.
fn immutable(rule: &str) -> Option<Vec<String>> {
    let (left, right) = rule.split_once("==")?;
    let (left, right) = (left.trim(), right.trim());
    let ours = steps(left, "self").or_else(|| steps(right, "self"))?;
    let theirs = steps(right, "oldSelf").or_else(|| steps(left, "oldSelf"))?;
    (ours == theirs).then_some(ours)
}

/// The fields of `ROOT.a.b`.
fn steps(text: &str, root: &str) -> Option<Vec<String>> {
    let rest = text.strip_prefix(root)?;
    if rest.is_empty() {
        return Some(Vec::new());
    }
    let name = |name: &str| {
        let mut chars = name.chars();
        let first = chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        (first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')).then(|| name.to_owned())
    };
    rest.strip_prefix('.')?.split('.').map(name).collect()
}

fn lookup<'v>(value: &'v Value, steps: &[String]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| value.get(step))
}

/// Whether there is a rule anywhere.
pub(super) fn any(schema: &Schema) -> bool {
    let additional = match &schema.additional {
        Additional::Schema(additional) => Some(&**additional),
        _ => None,
    };
    let below = schema.properties.values().chain(additional);
    !schema.rules.is_empty() || below.chain(schema.items.as_deref()).any(any)
}

/// One error per rule that [`check`] cannot evaluate.
pub(super) fn unsupported(schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    for (index, rule) in schema.rules.iter().enumerate() {
        if immutable(&rule.rule).is_none()
            || rule.message_expression.is_some()
            || rule.optional_old_self
        {
            let at = format!("{path}.x-kubernetes-validations[{index}].rule");
            let detail = "this API server evaluates only immutability rules such as self == oldSelf, without messageExpression and optionalOldSelf";
            errors.push(FieldError::invalid(at, rule.rule.clone(), detail));
        }
    }
    for (name, property) in &schema.properties {
        unsupported(property, &format!("{path}.properties[{name}]"), errors);
    }
    if let Additional::Schema(additional) = &schema.additional {
        unsupported(additional, &format!("{path}.additionalProperties"), errors);
    }
    if let Some(items) = &schema.items {
        unsupported(items, &format!("{path}.items"), errors);
    }
}
