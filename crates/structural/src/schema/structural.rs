//! What makes a schema structural, and the other rules that a CRD's schema must keep.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Value, json};

use super::model::{Additional, ListType, Schema, Type};
use crate::FieldError;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Appends what is wrong with a parsed schema; `raw` is the document it was parsed from.
pub(super) fn check(schema: &Schema, raw: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if schema.nullable {
        let at = format!("{path}.nullable");
        errors.push(FieldError::forbidden(
            at,
            "nullable cannot be true at the root",
        ));
    }
    node(schema, Level::Root, path, errors);
    unset(raw, path, errors);
    complete_checks(schema, Some(schema), (path, path), errors);
}

/// `x-kubernetes-preserve-unknown-fields: false` is not a way to say nothing.
fn unset(raw: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match raw {
        Value::Object(map) => {
            if map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
                let at = format!("{path}.x-kubernetes-preserve-unknown-fields");
                errors.push(FieldError::invalid(at, false, "must be true or undefined"));
            }
            let properties = map.get("properties").and_then(Value::as_object);
            for (name, schema) in properties.into_iter().flatten() {
                unset(schema, &format!("{path}.properties[{name}]"), errors);
            }
            for key in ["items", "additionalProperties"] {
                if let Some(schema) = map.get(key) {
                    unset(schema, &format!("{path}.{key}"), errors);
                }
            }
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn node(schema: &Schema, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    if schema.kind == Some(Type::Array) && schema.items.is_none() {
        errors.push(FieldError::required(
            format!("{path}.items"),
            "must be specified",
        ));
    }
    if let Some(items) = &schema.items {
        node(items, Level::Item, &format!("{path}.items"), errors);
    }
    for (name, property) in &schema.properties {
        node(
            property,
            Level::Field,
            &format!("{path}.properties[{name}]"),
            errors,
        );
    }
    let additional = format!("{path}.additionalProperties");
    if !matches!(schema.additional, Additional::Undefined) && level == Level::Root {
        errors.push(FieldError::forbidden(
            additional.as_str(),
            "must not be used at the root",
        ));
    }
    if let Additional::Schema(value) = &schema.additional {
        node(value, Level::Field, &additional, errors);
    }
    extensions(schema, path, errors);
    lists(schema, path, errors);
    junctors(schema, level, path, errors);
    kind(schema, level, path, errors);
    metadata(schema, level, path, errors);
}

fn extensions(schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    let mut clash = |flag: bool, key: &str| {
        if flag && schema.int_or_string {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(format!("{path}.{key}"), true, detail));
        }
    };
    clash(
        schema.preserve_unknown,
        "x-kubernetes-preserve-unknown-fields",
    );
    clash(schema.embedded, "x-kubernetes-embedded-resource");
    let typed = |wanted: Type, key: &str| {
        let detail = format!("must be {} if {key} is specified", wanted.name());
        let at = format!("{path}.type");
        match schema.kind {
            None => Some(FieldError::required(at, detail)),
            Some(kind) if kind != wanted => Some(FieldError::invalid(at, kind.name(), detail)),
            Some(_) => None,
        }
    };
    if schema.map_type.is_some() {
        errors.extend(typed(Type::Object, "x-kubernetes-map-type"));
    }
    if schema.list_type.is_some() {
        errors.extend(typed(Type::Array, "x-kubernetes-list-type"));
    }
}

fn lists(schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    let list_type = format!("{path}.x-kubernetes-list-type");
    if !schema.list_map_keys.is_empty() && schema.list_type != Some(ListType::Map) {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match schema.list_type {
            None => FieldError::required(list_type, detail),
            Some(ListType::Set) => FieldError::invalid(list_type, "set", detail),
            Some(_) => FieldError::invalid(list_type, "atomic", detail),
        });
    }
    let name = match schema.list_type {
        Some(ListType::Map) => "map",
        Some(ListType::Set) => "set",
        _ => return,
    };
    if schema.items.as_deref().is_some_and(|items| items.nullable) {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {name}");
        errors.push(FieldError::forbidden(
            format!("{path}.items.nullable"),
            detail,
        ));
    }
    if name == "map" {
        list_map(schema, path, errors);
    }
}

fn list_map(schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    let keys_at = format!("{path}.x-kubernetes-list-map-keys");
    if schema.list_map_keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(keys_at.as_str(), detail));
    }
    let Some(items) = schema.items.as_deref() else {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(format!("{path}.items"), detail));
        return;
    };
    if items.kind != Some(Type::Object) {
        let found = items.kind.map_or("", Type::name);
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(
            format!("{path}.items.type"),
            found,
            detail,
        ));
        return;
    }
    let mut seen = BTreeSet::new();
    for key in &schema.list_map_keys {
        let at = format!("{path}.items.properties[{key}]");
        if !seen.insert(key) {
            let detail = "must not contain duplicate entries";
            errors.push(FieldError::invalid(
                keys_at.as_str(),
                json!(schema.list_map_keys),
                detail,
            ));
        }
        let Some(property) = items.properties.get(key) else {
            let detail = "entries must all be names of item properties";
            errors.push(FieldError::invalid(
                keys_at.as_str(),
                json!(schema.list_map_keys),
                detail,
            ));
            continue;
        };
        if matches!(property.kind, Some(Type::Array | Type::Object)) {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(format!("{at}.type"), "object", detail));
        }
        if !items.checks.required.contains(key) && property.default.is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(format!("{at}.default"), detail));
        }
        if property.nullable {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(format!("{at}.nullable"), detail));
        }
    }
}

fn kind(schema: &Schema, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    let at = format!("{path}.type");
    let embedded = "must be object if x-kubernetes-embedded-resource is true";
    match schema.kind {
        None if schema.embedded => errors.push(FieldError::required(at.as_str(), embedded)),
        Some(kind) if schema.embedded && kind != Type::Object => {
            errors.push(FieldError::invalid(at.as_str(), kind.name(), embedded));
        }
        None if !schema.int_or_string && !schema.preserve_unknown => {
            let detail = match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            };
            errors.push(FieldError::required(at.as_str(), detail));
        }
        _ => {}
    }
    if schema.embedded && !matches!(schema.additional, Additional::Undefined) {
        let at = format!("{path}.additionalProperties");
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(at, detail));
    }
    if schema.embedded && !schema.preserve_unknown && schema.properties.is_empty() {
        let at = format!("{path}.properties");
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(at, detail));
    }
    if level == Level::Root
        && let Some(kind) = schema.kind.filter(|kind| *kind != Type::Object)
    {
        errors.push(FieldError::invalid(
            at,
            kind.name(),
            "must be object at the root",
        ));
    }
}

fn metadata(schema: &Schema, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    if level != Level::Root && !schema.embedded {
        return;
    }
    for name in ["kind", "apiVersion"] {
        if let Some(property) = schema.properties.get(name)
            && property.kind != Some(Type::String)
        {
            let found = property.kind.map_or("", Type::name);
            let at = format!("{path}.properties[{name}].type");
            errors.push(FieldError::invalid(at, found, "must be string"));
        }
    }
    let Some(property) = schema.properties.get("metadata") else {
        return;
    };
    let at = format!("{path}.properties[metadata]");
    if property.kind != Some(Type::Object) {
        let found = property.kind.map_or("", Type::name);
        errors.push(FieldError::invalid(
            format!("{at}.type"),
            found,
            "must be object",
        ));
    }
    let mut rest = Schema {
        kind: None,
        description: None,
        ..property.clone()
    };
    rest.properties
        .retain(|name, _| name != "name" && name != "generateName");
    rest.default = None;
    if level == Level::Root && rest != Schema::default() {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(at, detail));
    }
}

fn junctors(schema: &Schema, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    let checks = &schema.checks;
    let skip_any = int_or_string(&checks.any_of);
    let skip_all = checks
        .all_of
        .first()
        .is_some_and(|first| int_or_string(&first.checks.any_of));
    branches(schema, level, (skip_any, skip_all), path, errors);
}

/// The two branches that an int-or-string may spell out.
fn int_or_string(branches: &[Schema]) -> bool {
    let plain = |kind| Schema {
        kind: Some(kind),
        ..Schema::default()
    };
    *branches == [plain(Type::Integer), plain(Type::String)]
}

fn branches(
    schema: &Schema,
    level: Level,
    (skip_any, skip_all): (bool, bool),
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let checks = &schema.checks;
    if !skip_any {
        for (index, branch) in checks.any_of.iter().enumerate() {
            nested(
                branch,
                (level, false),
                &format!("{path}.anyOf[{index}]"),
                errors,
            );
        }
    }
    for (index, branch) in checks.all_of.iter().enumerate() {
        let skip = skip_all && index == 0;
        nested(
            branch,
            (level, skip),
            &format!("{path}.allOf[{index}]"),
            errors,
        );
    }
    for (index, branch) in checks.one_of.iter().enumerate() {
        nested(
            branch,
            (level, false),
            &format!("{path}.oneOf[{index}]"),
            errors,
        );
    }
    if let Some(not) = &checks.not {
        nested(not, (level, false), &format!("{path}.not"), errors);
    }
    if let Some(pattern) = &checks.pattern
        && let Err(error) = Regex::new(pattern.text())
    {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(FieldError::invalid(
            format!("{path}.pattern"),
            pattern.text(),
            detail,
        ));
    }
}

/// What stands under a junctor may only validate, not describe.
fn nested(
    schema: &Schema,
    (level, skip_any): (Level, bool),
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    branches(schema, level, (skip_any, false), path, errors);
    if let Some(items) = &schema.items {
        nested(items, (level, false), &format!("{path}.items"), errors);
    }
    for (name, property) in &schema.properties {
        nested(
            property,
            (Level::Field, false),
            &format!("{path}.properties[{name}]"),
            errors,
        );
    }
    let undefined = "must be undefined to be structural";
    let (empty, no) = (
        "must be empty to be structural",
        "must be false to be structural",
    );
    let forbidden = [
        (schema.kind.is_some(), "type", empty),
        (
            !matches!(schema.additional, Additional::Undefined),
            "additionalProperties",
            undefined,
        ),
        (schema.default.is_some(), "default", undefined),
        (schema.title.is_some(), "title", empty),
        (schema.description.is_some(), "description", empty),
        (schema.nullable, "nullable", no),
        (
            schema.preserve_unknown,
            "x-kubernetes-preserve-unknown-fields",
            no,
        ),
        (schema.embedded, "x-kubernetes-embedded-resource", no),
        (schema.int_or_string, "x-kubernetes-int-or-string", no),
        (
            !schema.list_map_keys.is_empty(),
            "x-kubernetes-list-map-keys",
            empty,
        ),
        (
            schema.list_type.is_some(),
            "x-kubernetes-list-type",
            undefined,
        ),
        (
            schema.map_type.is_some(),
            "x-kubernetes-map-type",
            undefined,
        ),
        (!schema.rules.is_empty(), "x-kubernetes-validations", empty),
    ];
    for (_, key, detail) in forbidden.into_iter().filter(|(present, ..)| *present) {
        errors.push(FieldError::forbidden(format!("{path}.{key}"), detail));
    }
    if schema.properties.contains_key("metadata") {
        let at = format!("{path}.properties[metadata]");
        errors.push(FieldError::forbidden(
            at,
            "must not be specified in a nested context",
        ));
    }
}

/// Every field that a junctor speaks of must be described outside of it.
fn complete(
    branch: &Schema,
    described: Option<&Schema>,
    (at, from): (&str, &str),
    errors: &mut Vec<FieldError>,
) {
    let Some(described) = described else {
        errors.push(FieldError::required(
            at,
            format!("because it is defined in {from}"),
        ));
        return;
    };
    complete_checks(branch, Some(described), (at, from), errors);
    if let Some(items) = &branch.items {
        let (at, from) = (format!("{at}.items"), format!("{from}.items"));
        complete(items, described.items.as_deref(), (&at, &from), errors);
    }
    for (name, property) in &branch.properties {
        let at = format!("{at}.properties[{name}]");
        let from = format!("{from}.properties[{name}]");
        complete(
            property,
            described.properties.get(name),
            (&at, &from),
            errors,
        );
    }
}

fn complete_checks(
    schema: &Schema,
    described: Option<&Schema>,
    (at, from): (&str, &str),
    errors: &mut Vec<FieldError>,
) {
    let checks = &schema.checks;
    if let Some(not) = &checks.not {
        complete(not, described, (at, &format!("{from}.not")), errors);
    }
    let lists = [
        ("allOf", &checks.all_of),
        ("anyOf", &checks.any_of),
        ("oneOf", &checks.one_of),
    ];
    for (key, branches) in lists {
        for (index, branch) in branches.iter().enumerate() {
            complete(
                branch,
                described,
                (at, &format!("{from}.{key}[{index}]")),
                errors,
            );
        }
    }
}
