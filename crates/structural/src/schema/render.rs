//! A schema as an OpenAPI document has it.

use serde_json::{Map, Value, json};

use super::model::{Additional, Checks, ListType, MapType, Rule, Schema, Type};

/// How to render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAPI 2: references may have siblings, no `oneOf`, `nullable` or `not`. What only those
    /// could say is left open instead, since `kubectl` checks objects against this document.
    V2,
    /// OpenAPI 3: a reference with siblings stands in an `allOf`.
    V3,
}

impl Dialect {
    /// A reference to a definition.
    pub(crate) fn reference(self, name: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        }
    }
}

impl Schema {
    /// Whether a dialect cannot say which parts a value has: one that may be null, or has fields
    /// nobody listed.
    fn is_open(&self, dialect: Dialect) -> bool {
        dialect == Dialect::V2 && (self.nullable || self.preserve_unknown)
    }

    /// The type, where the dialect can hold a value to it: `kubectl` cannot read an array without
    /// items, and does badly with an object of unknown fields.
    fn said_kind(&self, dialect: Dialect) -> Option<Type> {
        let open = self.is_open(dialect);
        self.kind.filter(|kind| match kind {
            _ if dialect == Dialect::V3 => true,
            _ if self.nullable => false,
            Type::Object => !open,
            Type::Array => !open && self.items.is_some(),
            _ => true,
        })
    }

    /// The required properties, without those whose null the dialect would take for absence.
    fn said_required(&self, dialect: Dialect) -> Vec<&str> {
        let all = self.checks.required.iter().map(String::as_str);
        let nullable_values =
            matches!(&self.additional, Additional::Schema(values) if values.nullable);
        let may_be_null = |name: &str| self.properties.get(name).is_some_and(|p| p.nullable);
        match dialect {
            Dialect::V2 if nullable_values => Vec::new(),
            Dialect::V2 if !self.is_open(dialect) => {
                all.filter(|name| !may_be_null(name)).collect()
            }
            _ => all.collect(),
        }
    }

    /// The schema as JSON.
    pub(crate) fn render(&self, dialect: Dialect) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                out.insert(key.to_owned(), value);
            }
        };
        put("title", self.title.as_ref().map(|text| json!(text)));
        put(
            "description",
            self.description.as_ref().map(|text| json!(text)),
        );
        let kind = self.said_kind(dialect);
        put("type", kind.map(|kind| json!(kind.name())));
        put("default", self.default.clone());
        put(
            "nullable",
            (self.nullable && dialect == Dialect::V3).then_some(Value::Bool(true)),
        );
        if !self.is_open(dialect) {
            let properties: Map<String, Value> = self
                .properties
                .iter()
                .map(|(name, p)| (name.clone(), p.render(dialect)))
                .collect();
            put(
                "properties",
                (!properties.is_empty()).then_some(Value::Object(properties)),
            );
            put(
                "items",
                self.items.as_ref().map(|items| items.render(dialect)),
            );
        }
        put(
            "additionalProperties",
            match &self.additional {
                Additional::Undefined => None,
                Additional::Allowed(allowed) => Some(json!(allowed)),
                Additional::Schema(schema) => Some(schema.render(dialect)),
            },
        );
        extensions(self, &mut out);
        checks(&self.checks, dialect, &mut out);
        let required = self.said_required(dialect);
        if !required.is_empty() {
            out.insert("required".to_owned(), json!(required));
        }
        match &self.link {
            None => {}
            Some(name) => {
                let reference = json!(dialect.reference(name));
                if out.is_empty() || dialect == Dialect::V2 {
                    out.insert("$ref".to_owned(), reference);
                } else {
                    out.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
                }
            }
        }
        Value::Object(out)
    }
}

fn extensions(schema: &Schema, out: &mut Map<String, Value>) {
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(format!("x-kubernetes-{key}"), value);
        }
    };
    put(
        "preserve-unknown-fields",
        schema.preserve_unknown.then_some(Value::Bool(true)),
    );
    put(
        "embedded-resource",
        schema.embedded.then_some(Value::Bool(true)),
    );
    put(
        "int-or-string",
        schema.int_or_string.then_some(Value::Bool(true)),
    );
    put(
        "list-type",
        schema.list_type.map(|kind| match kind {
            ListType::Atomic => json!("atomic"),
            ListType::Set => json!("set"),
            ListType::Map => json!("map"),
        }),
    );
    let keys = &schema.list_map_keys;
    put("list-map-keys", (!keys.is_empty()).then(|| json!(keys)));
    put(
        "map-type",
        schema.map_type.map(|kind| match kind {
            MapType::Granular => json!("granular"),
            MapType::Atomic => json!("atomic"),
        }),
    );
    let names = [
        (schema.patch.merge, "merge"),
        (schema.patch.retain_keys, "retainKeys"),
    ];
    let strategy: Vec<_> = names
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| name)
        .collect();
    put(
        "patch-strategy",
        (!strategy.is_empty()).then(|| json!(strategy.join(","))),
    );
    put(
        "patch-merge-key",
        schema.patch.key.as_ref().map(|key| json!(key)),
    );
    let rules: Vec<_> = schema.rules.iter().map(rule).collect();
    put("validations", (!rules.is_empty()).then(|| json!(rules)));
}

fn rule(rule: &Rule) -> Value {
    let mut out = Map::new();
    out.insert("rule".to_owned(), json!(rule.rule));
    let texts = [
        ("message", &rule.message),
        ("messageExpression", &rule.message_expression),
        ("reason", &rule.reason),
        ("fieldPath", &rule.field_path),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            out.insert(key.to_owned(), json!(text));
        }
    }
    if rule.optional_old_self {
        out.insert("optionalOldSelf".to_owned(), json!(true));
    }
    Value::Object(out)
}

fn checks(checks: &Checks, dialect: Dialect, out: &mut Map<String, Value>) {
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(key.to_owned(), value);
        }
    };
    let flag = |on: bool| on.then_some(Value::Bool(true));
    put("format", checks.format.as_ref().map(|text| json!(text)));
    put("maximum", checks.maximum.clone().map(Value::Number));
    put("exclusiveMaximum", flag(checks.exclusive_maximum));
    put("minimum", checks.minimum.clone().map(Value::Number));
    put("exclusiveMinimum", flag(checks.exclusive_minimum));
    put("maxLength", checks.max_length.map(Value::from));
    put("minLength", checks.min_length.map(Value::from));
    put(
        "pattern",
        checks.pattern.as_ref().map(|pattern| json!(pattern.text())),
    );
    put("maxItems", checks.max_items.map(Value::from));
    put("minItems", checks.min_items.map(Value::from));
    put("uniqueItems", flag(checks.unique_items));
    put("multipleOf", checks.multiple_of.clone().map(Value::Number));
    put(
        "enum",
        (!checks.values.is_empty()).then(|| json!(checks.values)),
    );
    put("maxProperties", checks.max_properties.map(Value::from));
    put("minProperties", checks.min_properties.map(Value::from));
    if dialect == Dialect::V2 {
        return;
    }
    let branches = |schemas: &[Schema]| {
        let rendered: Vec<_> = schemas
            .iter()
            .map(|schema| schema.render(dialect))
            .collect();
        (!rendered.is_empty()).then(|| json!(rendered))
    };
    put("allOf", branches(&checks.all_of));
    put("anyOf", branches(&checks.any_of));
    put("oneOf", branches(&checks.one_of));
    put("not", checks.not.as_ref().map(|not| not.render(dialect)));
}
