//! Checking values against a schema, with the messages of kube-openapi's validator.

use serde_json::{Map, Number, Value};

use super::model::{Additional, ListType, Schema, Type};
use super::{format, lists, rules};
use crate::{ErrorKind, FieldError, go};

const UNCHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// Checks `object`, a whole custom resource, against its schema: value validations, then uniqueness
/// of sets and maps, then `x-kubernetes-validations` (see [`Schema::unsupported_rules`]).
///
/// `old` is the stored object of an update: transition rules compare against it, and a value that
/// did not change is not checked again (so tightened schemas do not block unrelated updates).
pub fn validate(schema: &Schema, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(schema.resolve(), (object, old), "", &mut errors);
    lists::check(schema, object, "", &mut errors);
    let blocking = errors.iter().any(|error: &FieldError| {
        matches!(
            error.kind,
            ErrorKind::Required | ErrorKind::TooLong | ErrorKind::TooMany | ErrorKind::TypeInvalid
        )
    });
    if !blocking {
        rules::check(schema, (object, old), "", &mut errors);
    } else if rules::any(schema) {
        errors.push(FieldError::invalid("<nil>", Value::Null, UNCHECKED));
    }
    errors
}

/// A value and the one that stood at its place before.
type Pair<'v> = (&'v Value, Option<&'v Value>);

fn node(schema: &Schema, (value, old): Pair<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let schema = schema.resolve();
    if old == Some(value) {
        return;
    }
    check_type(schema, value, path, errors);
    if value.is_null() {
        check_enum(schema, value, path, errors);
        return;
    }
    check_junctors(schema, (value, old), path, errors);
    match value {
        Value::String(text) => check_string(schema, text, path, errors),
        Value::Number(number) => check_number(schema, number, path, errors),
        Value::Array(items) => check_array(schema, items, (old, path), errors),
        _ => {}
    }
    check_enum(schema, value, path, errors);
    if let Value::Object(map) = value {
        check_object(schema, map, (old, path), errors);
    }
}

/// The field error's path; the whole object has none.
fn at(path: &str) -> String {
    if path.is_empty() {
        "<nil>".to_owned()
    } else {
        path.to_owned()
    }
}

fn invalid(path: &str, value: impl Into<Value>, text: &str) -> FieldError {
    FieldError::invalid(at(path), value, format!("{path} in body {text}"))
}

fn check_type(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let wanted = match schema.kind {
        _ if schema.int_or_string => "integer,string",
        Some(kind) => kind.name(),
        None => return,
    };
    let found = match value {
        Value::Null if schema.nullable => return,
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if whole(number) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = wanted.split(',').any(|name| name == found)
        || (found == "integer" && schema.kind == Some(Type::Number));
    if !fits {
        let text = format!(
            "{path} in body must be of type {wanted}: {}",
            go::quote(found)
        );
        errors.push(FieldError::type_invalid(at(path), found, text));
    }
}

/// Whether a number is an integer to the validator: `1.0` is.
fn whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn check_junctors(schema: &Schema, pair: Pair<'_>, path: &str, errors: &mut Vec<FieldError>) {
    let checks = &schema.checks;
    let name = go::quote(path);
    let attempt = |branch: &Schema| {
        let mut found = Vec::new();
        node(branch, pair, path, &mut found);
        found
    };
    if !checks.any_of.is_empty() {
        let failures: Vec<_> = checks.any_of.iter().map(attempt).collect();
        if failures.iter().all(|failure| !failure.is_empty()) {
            let text = format!("{name} must validate at least one schema (anyOf)");
            errors.push(FieldError::invalid("<nil>", "", text));
            errors.extend(failures.into_iter().next().unwrap_or_default());
        }
    }
    if !checks.one_of.is_empty() {
        let failures: Vec<_> = checks.one_of.iter().map(attempt).collect();
        let valid = failures.iter().filter(|failure| failure.is_empty()).count();
        if valid != 1 {
            let found = match valid {
                0 => "Found none valid".to_owned(),
                n => format!("Found {n} valid alternatives"),
            };
            let text = format!("{name} must validate one and only one schema (oneOf). {found}");
            errors.push(FieldError::invalid("<nil>", "", text));
            if valid == 0 {
                errors.extend(failures.into_iter().next().unwrap_or_default());
            }
        }
    }
    if !checks.all_of.is_empty() {
        let failures: Vec<_> = checks.all_of.iter().map(attempt).collect();
        let valid = failures.iter().filter(|failure| failure.is_empty()).count();
        errors.extend(failures.into_iter().flatten());
        if valid != checks.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            let text = format!("{name} must validate all the schemas (allOf){none}");
            errors.push(FieldError::invalid("<nil>", "", text));
        }
    }
    if checks
        .not
        .as_deref()
        .is_some_and(|not| attempt(not).is_empty())
    {
        let text = format!("{name} must not validate the schema (not)");
        errors.push(FieldError::invalid("<nil>", "", text));
    }
}

fn check_string(schema: &Schema, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let checks = &schema.checks;
    let length = text.chars().count() as u64;
    if let Some(max) = checks.max_length.filter(|max| length > *max) {
        errors.push(FieldError::too_long(at(path), max as usize));
    } else if let Some(min) = checks.min_length.filter(|min| length < *min) {
        errors.push(invalid(
            path,
            text,
            &format!("should be at least {min} chars long"),
        ));
    } else if let Some(pattern) = checks.pattern.as_ref().filter(|p| !p.is_match(text)) {
        let detail = format!("should match '{}'", pattern.text());
        errors.push(invalid(path, text, &detail));
    }
    if let Some(name) = &checks.format
        && !format::holds(name, text)
    {
        let detail = format!("{path} in body must be of type {name}: {}", go::quote(text));
        errors.push(FieldError::type_invalid(at(path), text, detail));
    }
}

fn check_number(schema: &Schema, number: &Number, path: &str, errors: &mut Vec<FieldError>) {
    let checks = &schema.checks;
    let value = number.as_f64().unwrap_or(0.0);
    let mut fail = |text: String| errors.push(invalid(path, Value::Number(number.clone()), &text));
    if let Some(factor) = &checks.multiple_of {
        let ratio = value / factor.as_f64().unwrap_or(1.0);
        if ratio.fract() != 0.0 {
            fail(format!("should be a multiple of {}", go::number(factor)));
        }
    }
    if let Some(max) = &checks.maximum {
        let limit = max.as_f64().unwrap_or(f64::MAX);
        if checks.exclusive_maximum && value >= limit {
            fail(format!("should be less than {}", go::number(max)));
        } else if value > limit {
            fail(format!(
                "should be less than or equal to {}",
                go::number(max)
            ));
        }
    }
    if let Some(min) = &checks.minimum {
        let limit = min.as_f64().unwrap_or(f64::MIN);
        if checks.exclusive_minimum && value <= limit {
            fail(format!("should be greater than {}", go::number(min)));
        } else if value < limit {
            fail(format!(
                "should be greater than or equal to {}",
                go::number(min)
            ));
        }
    }
}

fn check_array(
    schema: &Schema,
    items: &[Value],
    (old, path): (Option<&Value>, &str),
    errors: &mut Vec<FieldError>,
) {
    if let Some(item) = &schema.items {
        for (index, value) in items.iter().enumerate() {
            let before = correlate(schema, value, index, old);
            node(item, (value, before), &format!("{path}[{index}]"), errors);
        }
    }
    let checks = &schema.checks;
    if let Some(min) = checks.min_items.filter(|min| (items.len() as u64) < *min) {
        errors.push(invalid(
            path,
            items.len(),
            &format!("should have at least {min} items"),
        ));
    }
    if let Some(max) = checks.max_items.filter(|max| items.len() as u64 > *max) {
        errors.push(FieldError::too_many(at(path), items.len(), max as usize));
    }
}

/// The old item that an item of a list succeeds: by key in maps, by value in sets, else by
/// position.
pub(super) fn correlate<'v>(
    schema: &Schema,
    value: &Value,
    index: usize,
    old: Option<&'v Value>,
) -> Option<&'v Value> {
    let old = old?.as_array()?;
    match schema.effective_list_type() {
        ListType::Atomic => old.get(index),
        ListType::Set => old.iter().find(|item| *item == value),
        ListType::Map => old.iter().find(|item| {
            schema
                .list_map_keys
                .iter()
                .all(|key| item.get(key.as_str()) == value.get(key.as_str()))
        }),
    }
}

fn check_enum(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let allowed = &schema.checks.values;
    let fits = allowed.is_empty()
        || allowed.iter().any(|other| match (other, value) {
            (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
            (a, b) => a == b,
        });
    if !fits {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let names: Vec<_> = allowed.iter().map(text).collect();
        errors.push(FieldError::not_supported(at(path), value.clone(), &names));
    }
}

fn check_object(
    schema: &Schema,
    map: &Map<String, Value>,
    (old, path): (Option<&Value>, &str),
    errors: &mut Vec<FieldError>,
) {
    let checks = &schema.checks;
    let count = map.len() as u64;
    if let Some(min) = checks.min_properties.filter(|min| count < *min) {
        errors.push(invalid(
            path,
            count,
            &format!("should have at least {min} properties"),
        ));
    }
    if let Some(max) = checks.max_properties.filter(|max| count > *max) {
        errors.push(FieldError::too_many(at(path), map.len(), max as usize));
    }
    let child = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    if schema.embedded {
        for name in ["apiVersion", "kind"] {
            if map
                .get(name)
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                errors.push(FieldError::required(child(name), ""));
            }
        }
    }
    for (name, value) in map {
        let property = match (schema.properties.get(name), &schema.additional) {
            (Some(property), _) => property,
            (None, Additional::Schema(property)) => property,
            _ => continue,
        };
        let before = old.and_then(|old| old.get(name));
        node(property, (value, before), &child(name), errors);
    }
    for name in checks
        .required
        .iter()
        .filter(|name| !map.contains_key(*name))
    {
        errors.push(FieldError::required(child(name), ""));
    }
}
