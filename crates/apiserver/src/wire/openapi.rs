//! An OpenAPI v2 document as `kubectl` asks for it: protobuf messages of gnostic's `openapi.v2`.
//!
//! Written is what clients read: definitions whole, and of paths their operations with parameters'
//! names and the extensions that say which kind they are about. Field numbers are those of
//! `OpenAPIv2.proto`.

use serde_json::{Map, Value};

/// The media type clients ask for, and the one that is answered.
pub(crate) const ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
pub(crate) const ANSWERED: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn text(&mut self, field: u64, value: Option<&Value>) {
        if let Some(text) = value.and_then(Value::as_str) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, value: Option<&Value>) {
        for item in value.and_then(Value::as_array).into_iter().flatten() {
            self.text(field, Some(item));
        }
    }

    fn flag(&mut self, field: u64, value: Option<&Value>) {
        if value == Some(&Value::Bool(true)) {
            self.key(field, 0);
            self.varint(1);
        }
    }

    fn int(&mut self, field: u64, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_i64) {
            self.key(field, 0);
            self.varint(number.cast_unsigned());
        }
    }

    fn double(&mut self, field: u64, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_f64) {
            self.key(field, 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Any JSON value: `Any.yaml`, of which JSON is a part.
    fn any(&mut self, field: u64, value: Option<&Value>) {
        if let Some(value) = value {
            self.message(field, &any(value));
        }
    }

    /// Everything called `x-…`.
    fn extensions(&mut self, field: u64, fields: &Map<String, Value>) {
        for (name, value) in fields.iter().filter(|(name, _)| name.starts_with("x-")) {
            self.message(field, &named(name, &any(value)));
        }
    }
}

fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, format!("{value}\n").as_bytes());
    message
}

/// `NamedSchema`, `NamedAny`, `NamedPathItem`…: all a name and a value.
fn named(name: &str, value: &Message) -> Message {
    let mut message = Message::default();
    message.bytes(1, name.as_bytes());
    message.message(2, value);
    message
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Encodes a whole document.
pub(crate) fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, document.get("swagger"));
    let mut info = Message::default();
    info.text(1, document.pointer("/info/title"));
    info.text(2, document.pointer("/info/version"));
    message.message(2, &info);
    let mut paths = Message::default();
    for (path, item) in object(&document["paths"]) {
        paths.message(2, &named(path, &path_item(item)));
    }
    message.message(8, &paths);
    let mut definitions = Message::default();
    for (name, definition) in object(&document["definitions"]) {
        definitions.message(1, &named(name, &schema(definition)));
    }
    message.message(9, &definitions);
    message.0
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    let verbs = ["get", "put", "post", "delete", "options", "head", "patch"];
    for (number, verb) in (2..).zip(verbs) {
        if let Some(operation) = item.get(verb) {
            message.message(number, &self::operation(operation));
        }
    }
    parameters(9, item, &mut message);
    message
}

fn operation(operation: &Value) -> Message {
    let mut message = Message::default();
    message.text(5, operation.get("operationId"));
    message.texts(6, operation.get("produces"));
    message.texts(7, operation.get("consumes"));
    parameters(8, operation, &mut message);
    if let Some(fields) = operation.as_object() {
        message.extensions(13, fields);
    }
    message
}

/// `ParametersItem` → `Parameter` → body, path or query parameter.
fn parameters(field: u64, of: &Value, message: &mut Message) {
    for parameter in of["parameters"].as_array().into_iter().flatten() {
        let mut inner = Message::default();
        let kind = match parameter["in"].as_str() {
            Some("body") => {
                inner.text(2, parameter.get("name"));
                inner.text(3, parameter.get("in"));
                inner.flag(4, parameter.get("required"));
                None
            }
            Some("path") => {
                inner.flag(1, parameter.get("required"));
                inner.text(2, parameter.get("in"));
                inner.text(4, parameter.get("name"));
                inner.text(5, parameter.get("type"));
                Some(4)
            }
            _ => {
                inner.flag(1, parameter.get("required"));
                inner.text(2, parameter.get("in"));
                inner.text(4, parameter.get("name"));
                inner.text(6, parameter.get("type"));
                Some(3)
            }
        };
        let mut outer = Message::default();
        match kind {
            None => outer.message(1, &inner),
            Some(kind) => {
                let mut plain = Message::default();
                plain.message(kind, &inner);
                outer.message(2, &plain);
            }
        }
        let mut item = Message::default();
        item.message(1, &outer);
        message.message(field, &item);
    }
}

fn schema(schema: &Value) -> Message {
    let mut message = Message::default();
    let field = |name: &str| schema.get(name);
    message.text(1, field("$ref"));
    message.text(2, field("format"));
    message.text(3, field("title"));
    message.text(4, field("description"));
    message.any(5, field("default"));
    message.double(6, field("multipleOf"));
    message.double(7, field("maximum"));
    message.flag(8, field("exclusiveMaximum"));
    message.double(9, field("minimum"));
    message.flag(10, field("exclusiveMinimum"));
    message.int(11, field("maxLength"));
    message.int(12, field("minLength"));
    message.text(13, field("pattern"));
    message.int(14, field("maxItems"));
    message.int(15, field("minItems"));
    message.flag(16, field("uniqueItems"));
    message.int(17, field("maxProperties"));
    message.int(18, field("minProperties"));
    message.texts(19, field("required"));
    for value in field("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        message.any(20, Some(value));
    }
    match field("additionalProperties") {
        Some(Value::Bool(flag)) => {
            let mut item = Message::default();
            item.key(2, 0);
            item.varint(u64::from(*flag));
            message.message(21, &item);
        }
        Some(values) => {
            let mut item = Message::default();
            item.message(1, &self::schema(values));
            message.message(21, &item);
        }
        None => {}
    }
    nested(schema, &mut message);
    message
}

/// Type, items, parts, properties and extensions.
fn nested(schema: &Value, message: &mut Message) {
    let mut types = Message::default();
    match &schema["type"] {
        Value::Array(_) => types.texts(1, schema.get("type")),
        one => types.text(1, Some(one)),
    }
    if !types.0.is_empty() {
        message.message(22, &types);
    }
    if let Some(items) = schema.get("items") {
        let mut item = Message::default();
        item.message(1, &self::schema(items));
        message.message(23, &item);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        message.message(24, &self::schema(part));
    }
    let mut properties = Message::default();
    for (name, property) in object(&schema["properties"]) {
        properties.message(1, &named(name, &self::schema(property)));
    }
    if !properties.0.is_empty() {
        message.message(25, &properties);
    }
    if let Some(fields) = schema.as_object() {
        message.extensions(31, fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_written_field_by_field() {
        let document = json!({
            "swagger": "2.0", "info": {"title": "T", "version": "1"}, "paths": {},
            "definitions": {"A": {"type": "object", "maxItems": 300}},
        });
        let schema = [
            &[0x70, 0xac, 0x02][..],
            &[0xb2, 0x01, 8, 0x0a, 6],
            b"object",
        ]
        .concat();
        let entry = [&[0x0a, 1, b'A', 0x12, 14][..], &schema].concat();
        let want = [
            &[0x0a, 3][..],
            b"2.0",
            &[0x12, 6, 0x0a, 1, b'T', 0x12, 1, b'1'],
            &[0x42, 0, 0x4a, 21, 0x0a, 19],
            &entry,
        ]
        .concat();
        assert_eq!(encode(&document), want);
    }
}
