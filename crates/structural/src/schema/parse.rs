//! Reading `openAPIV3Schema`.

use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::model::{Additional, Checks, ListType, MapType, PatchMeta, Rule, Schema, Type};
use super::pattern::Pattern;
use super::{installed, rules, structural};
use crate::MAX_DEPTH;
use crate::error::FieldError;

/// The most nodes one schema may have.
const MAX_NODES: usize = 100_000;
/// Keywords that a CRD must not use, with what the server says of each.
const FORBIDDEN: [(&str, &str); 6] = [
    ("$ref", "$ref is not supported"),
    ("definitions", "definitions is not supported"),
    ("dependencies", "dependencies is not supported"),
    ("id", "id is not supported"),
    ("patternProperties", "patternProperties is not supported"),
    ("additionalItems", "additionalItems is not supported"),
];

impl Schema {
    /// Reads the schema of a custom resource. `path` is where it stands, for error messages
    /// (such as `spec.versions[0].schema.openAPIV3Schema`).
    ///
    /// Errors: everything that is not structural, in the API server's words, sorted.
    pub fn parse(schema: &Value, path: &str) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader {
            errors: Vec::new(),
            nodes: 0,
            links: false,
        };
        let parsed = reader.node(schema, path, 0);
        let mut errors = reader.errors;
        structural::check(&parsed, schema, path, &mut errors);
        if errors.is_empty() {
            return Ok(parsed);
        }
        errors.sort_by_cached_key(ToString::to_string);
        Err(errors)
    }

    /// The rules of `x-kubernetes-validations` that an API server refuses: expressions that are
    /// none or do not fit the schema, and those whose estimated cost is over the limits. `path` as
    /// for [`Schema::parse`]; `unchanged` for a schema that was installed before as it is, whose
    /// rules may each cost what they do.
    pub fn broken_rules(&self, path: &str, unchanged: bool) -> Vec<FieldError> {
        installed::errors(self, path, unchanged)
    }

    /// The rules that [`super::validate`] does not evaluate: one sentence each, to be told as a
    /// warning when the CRD is installed, since nothing holds objects to them. `path` as for
    /// [`Schema::parse`].
    pub fn unsupported_rules(&self, path: &str) -> Vec<String> {
        let mut sentences = Vec::new();
        rules::unsupported(self, path, &mut sentences);
        sentences
    }

    /// Reads a definition of the generated table: `$ref`s become links, nothing is checked.
    pub(crate) fn from_table(schema: &Value) -> Self {
        Reader {
            errors: Vec::new(),
            nodes: 0,
            links: true,
        }
        .node(schema, "", 0)
    }
}

struct Reader {
    errors: Vec<FieldError>,
    nodes: usize,
    links: bool,
}

impl Reader {
    fn node(&mut self, value: &Value, path: &str, depth: usize) -> Schema {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            if self.nodes <= MAX_NODES + 1 {
                self.errors.push(FieldError::forbidden(
                    path,
                    "the schema is too deep or too large",
                ));
            }
            return Schema::default();
        }
        let Value::Object(map) = value else {
            self.errors.push(FieldError::invalid(
                path,
                value.clone(),
                "must be an object",
            ));
            return Schema::default();
        };
        if !self.links {
            self.forbidden(map, path);
        }
        Schema {
            link: map.get("$ref").and_then(Value::as_str).map(Arc::from),
            kind: self.kind(map, path),
            title: text(map, "title"),
            description: text(map, "description"),
            nullable: flag(map, "nullable"),
            default: map.get("default").cloned(),
            properties: self.properties(map, path, depth),
            additional: self.additional(map, path, depth),
            items: self.items(map, path, depth),
            preserve_unknown: flag(map, "x-kubernetes-preserve-unknown-fields"),
            embedded: flag(map, "x-kubernetes-embedded-resource"),
            int_or_string: flag(map, "x-kubernetes-int-or-string"),
            list_type: self.list_type(map, path),
            list_map_keys: texts(map, "x-kubernetes-list-map-keys"),
            map_type: self.map_type(map, path),
            patch: patch_meta(map),
            rules: rule_list(map),
            checks: self.checks(map, path, depth),
            unordered: Default::default(),
        }
    }

    fn forbidden(&mut self, map: &Map<String, Value>, path: &str) {
        for (key, detail) in FORBIDDEN {
            if map.contains_key(key) {
                self.errors
                    .push(FieldError::forbidden(format!("{path}.{key}"), detail));
            }
        }
        if flag(map, "uniqueItems") {
            let at = format!("{path}.uniqueItems");
            let detail =
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.errors.push(FieldError::forbidden(at, detail));
        }
        if map.get("additionalProperties") == Some(&Value::Bool(false)) {
            let at = format!("{path}.additionalProperties");
            self.errors.push(FieldError::forbidden(
                at,
                "additionalProperties cannot be set to false",
            ));
        } else if map.contains_key("additionalProperties")
            && map
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|p| !p.is_empty())
        {
            let at = format!("{path}.additionalProperties");
            let detail = "additionalProperties and properties are mutual exclusive";
            self.errors.push(FieldError::forbidden(at, detail));
        }
    }

    fn kind(&mut self, map: &Map<String, Value>, path: &str) -> Option<Type> {
        let name = map
            .get("type")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty())?;
        let kind = Type::parse(name);
        if kind.is_none() {
            let supported = ["array", "boolean", "integer", "number", "object", "string"];
            self.errors.push(FieldError::not_supported(
                format!("{path}.type"),
                name,
                &supported,
            ));
        }
        kind
    }

    fn properties(
        &mut self,
        map: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> std::collections::BTreeMap<String, Schema> {
        let Some(Value::Object(properties)) = map.get("properties") else {
            return Default::default();
        };
        let mut out = std::collections::BTreeMap::new();
        for (name, schema) in properties {
            let at = format!("{path}.properties[{name}]");
            out.insert(name.clone(), self.node(schema, &at, depth + 1));
        }
        out
    }

    fn additional(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Additional {
        match map.get("additionalProperties") {
            None | Some(Value::Null) => Additional::Undefined,
            Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
            Some(schema) => {
                let at = format!("{path}.additionalProperties");
                Additional::Schema(Arc::new(self.node(schema, &at, depth + 1)))
            }
        }
    }

    fn items(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Option<Arc<Schema>> {
        match map.get("items") {
            None | Some(Value::Null) => None,
            Some(Value::Array(_)) => {
                let detail = "items must be a schema object and not an array";
                self.errors
                    .push(FieldError::forbidden(format!("{path}.items"), detail));
                None
            }
            Some(schema) => Some(Arc::new(self.node(
                schema,
                &format!("{path}.items"),
                depth + 1,
            ))),
        }
    }

    fn list_type(&mut self, map: &Map<String, Value>, path: &str) -> Option<ListType> {
        let name = map.get("x-kubernetes-list-type").and_then(Value::as_str)?;
        match name {
            "atomic" => Some(ListType::Atomic),
            "set" => Some(ListType::Set),
            "map" => Some(ListType::Map),
            other => {
                let at = format!("{path}.x-kubernetes-list-type");
                let supported = ["atomic", "map", "set"];
                self.errors
                    .push(FieldError::not_supported(at, other, &supported));
                None
            }
        }
    }

    fn map_type(&mut self, map: &Map<String, Value>, path: &str) -> Option<MapType> {
        let name = map.get("x-kubernetes-map-type").and_then(Value::as_str)?;
        match name {
            "atomic" => Some(MapType::Atomic),
            "granular" => Some(MapType::Granular),
            other => {
                let at = format!("{path}.x-kubernetes-map-type");
                let supported = ["atomic", "granular"];
                self.errors
                    .push(FieldError::not_supported(at, other, &supported));
                None
            }
        }
    }

    fn checks(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Checks {
        Checks {
            format: text(map, "format").filter(|format| !format.is_empty()),
            maximum: number(map, "maximum"),
            exclusive_maximum: flag(map, "exclusiveMaximum"),
            minimum: number(map, "minimum"),
            exclusive_minimum: flag(map, "exclusiveMinimum"),
            max_length: map.get("maxLength").and_then(Value::as_u64),
            min_length: map.get("minLength").and_then(Value::as_u64),
            pattern: text(map, "pattern")
                .filter(|pattern| !pattern.is_empty())
                .map(Pattern::new),
            max_items: map.get("maxItems").and_then(Value::as_u64),
            min_items: map.get("minItems").and_then(Value::as_u64),
            unique_items: flag(map, "uniqueItems"),
            multiple_of: number(map, "multipleOf"),
            values: map
                .get("enum")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            max_properties: map.get("maxProperties").and_then(Value::as_u64),
            min_properties: map.get("minProperties").and_then(Value::as_u64),
            required: texts(map, "required"),
            all_of: self.junctor(map, "allOf", path, depth),
            any_of: self.junctor(map, "anyOf", path, depth),
            one_of: self.junctor(map, "oneOf", path, depth),
            not: map
                .get("not")
                .filter(|not| !not.is_null())
                .map(|not| Box::new(self.node(not, &format!("{path}.not"), depth + 1))),
        }
    }

    fn junctor(
        &mut self,
        map: &Map<String, Value>,
        key: &str,
        path: &str,
        depth: usize,
    ) -> Vec<Schema> {
        let Some(Value::Array(branches)) = map.get(key) else {
            return Vec::new();
        };
        let mut out = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            out.push(self.node(branch, &format!("{path}.{key}[{index}]"), depth + 1));
        }
        out
    }
}

fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn texts(map: &Map<String, Value>, key: &str) -> Vec<String> {
    let items = map.get(key).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn flag(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key) == Some(&Value::Bool(true))
}

fn number(map: &Map<String, Value>, key: &str) -> Option<Number> {
    match map.get(key) {
        Some(Value::Number(number)) => Some(number.clone()),
        _ => None,
    }
}

fn patch_meta(map: &Map<String, Value>) -> PatchMeta {
    let strategy = text(map, "x-kubernetes-patch-strategy").unwrap_or_default();
    PatchMeta {
        merge: strategy.split(',').any(|part| part == "merge"),
        retain_keys: strategy.split(',').any(|part| part == "retainKeys"),
        key: text(map, "x-kubernetes-patch-merge-key"),
    }
}

fn rule_list(map: &Map<String, Value>) -> Vec<Rule> {
    let Some(Value::Array(rules)) = map.get("x-kubernetes-validations") else {
        return Vec::new();
    };
    let objects = rules.iter().filter_map(Value::as_object);
    objects
        .map(|rule| Rule {
            rule: text(rule, "rule").unwrap_or_default(),
            message: text(rule, "message").filter(|message| !message.is_empty()),
            message_expression: text(rule, "messageExpression").filter(|text| !text.is_empty()),
            reason: text(rule, "reason"),
            field_path: text(rule, "fieldPath").filter(|path| !path.is_empty()),
            optional_old_self: flag(rule, "optionalOldSelf"),
        })
        .collect()
}
