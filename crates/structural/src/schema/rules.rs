//! `x-kubernetes-validations`: transition rules that keep a value from changing.
//!
//! What is evaluated: `self == oldSelf`, `self.a.b == oldSelf.a.b`, and both the other way round.
//! Of every other rule it is checked that it is an expression at all, and [`unsupported`] tells of
//! it, for the server to warn who installs it.

use serde_json::Value;

use super::cel;
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
                errors.push(failure(rule, schema, path));
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

fn failure(rule: &Rule, schema: &Schema, path: &str) -> FieldError {
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

/// Visits every rule with its place.
fn each<'s>(schema: &'s Schema, path: &str, visit: &mut impl FnMut(&'s Rule, String)) {
    for (index, rule) in schema.rules.iter().enumerate() {
        visit(rule, format!("{path}.x-kubernetes-validations[{index}]"));
    }
    for (name, property) in &schema.properties {
        each(property, &format!("{path}.properties[{name}]"), visit);
    }
    if let Additional::Schema(additional) = &schema.additional {
        each(additional, &format!("{path}.additionalProperties"), visit);
    }
    if let Some(items) = &schema.items {
        each(items, &format!("{path}.items"), visit);
    }
}

/// One error per rule that says nothing, or is no expression.
pub(super) fn broken(schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    each(schema, path, &mut |rule, at| {
        if rule.rule.trim().is_empty() {
            let at = format!("{at}.rule");
            errors.push(FieldError::required(at, "rule is not specified"));
        } else if let Some(why) = cel::syntax_error(&rule.rule) {
            let detail = format!("compilation failed: {why}");
            let at = format!("{at}.rule");
            errors.push(FieldError::invalid(at, rule.rule.clone(), detail));
        }
        let message = rule.message_expression.as_deref();
        if let Some((message, why)) = message.and_then(|m| Some((m, cel::syntax_error(m)?))) {
            let detail = format!("messageExpression compilation failed: {why}");
            let at = format!("{at}.messageExpression");
            errors.push(FieldError::invalid(at, message, detail));
        }
    });
}

/// One sentence per rule that [`check`] does not evaluate, or not with its message. They go into a
/// header, hence one line each.
pub(super) fn unsupported(schema: &Schema, path: &str, sentences: &mut Vec<String>) {
    each(schema, path, &mut |rule, at| {
        if immutable(&rule.rule).is_none() || rule.optional_old_self {
            sentences.push(format!(
                "{at}.rule is kept but not evaluated, this API server knows immutability rules such as self == oldSelf alone"
            ));
        } else if rule.message_expression.is_some() {
            sentences.push(format!(
                "{at}.messageExpression is kept but not evaluated by this API server"
            ));
        }
    });
}
