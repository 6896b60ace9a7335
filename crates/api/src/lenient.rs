//! Reading stored objects that don't fit their types (rollouts.md §9.3).
//!
//! A cluster may hold objects from before a schema was as strict as it is. One of them must not be
//! lost, let alone stop the others: [`read`] leaves out the fields that can't be read, as if they
//! were absent, and says which.

use crate::crd::full_schema;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// An object and what had to be left out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<K> {
    pub object: K,
    /// Paths of the fields that were left out or set to zero; empty for a well-formed object.
    pub malformed: Vec<String>,
}

/// Reads an object. An error means that not even what is left of it makes one: its metadata is
/// malformed, or it is no object at all.
pub fn read<K: DeserializeOwned + JsonSchema>(
    mut value: Value,
) -> Result<Read<K>, serde_json::Error> {
    if let Ok(object) = serde_json::from_value(value.clone()) {
        return Ok(Read {
            object,
            malformed: Vec::new(),
        });
    }
    let mut repair = Repair::default();
    repair.object("", &mut value, &full_schema::<K>());
    serde_json::from_value(value).map(|object| Read {
        object,
        malformed: repair.malformed,
    })
}

#[derive(Default)]
struct Repair {
    malformed: Vec<String>,
}

impl Repair {
    /// Makes a value fit a schema. False: it can't be made to.
    fn value(&mut self, path: &str, value: &mut Value, schema: &Value) -> bool {
        if schema["x-kubernetes-int-or-string"] == true {
            return value.is_string() || fits_integer(value, Some("int32"));
        }
        match schema["type"].as_str() {
            Some("string") => fits_text(value, schema),
            Some("integer") => fits_integer(value, schema["format"].as_str()),
            Some("boolean") => value.is_boolean(),
            Some("array") => self.array(path, value, &schema["items"]),
            Some("object") => self.object(path, value, schema),
            _ => true,
        }
    }

    fn array(&mut self, path: &str, value: &mut Value, schema: &Value) -> bool {
        let Value::Array(items) = value else {
            return false;
        };
        let mut index = 0;
        items.retain_mut(|item| {
            let path = format!("{path}[{index}]");
            index += 1;
            if self.value(&path, item, schema) {
                return true;
            }
            self.malformed.push(path);
            // Steps and the like are counted: better an empty item than one less.
            zero(schema).is_some_and(|zero| {
                *item = zero;
                true
            })
        });
        true
    }

    fn object(&mut self, path: &str, value: &mut Value, schema: &Value) -> bool {
        let Value::Object(fields) = value else {
            return false;
        };
        if let Some(schema) = schema.get("additionalProperties") {
            self.entries(path, fields, |_| Some(schema));
            return true;
        }
        let properties = &schema["properties"];
        self.entries(path, fields, |name| properties.get(name));
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                let Some(zero) = zero(&properties[name]) else {
                    return false;
                };
                self.malformed.push(format!("{path}.{name}"));
                fields.insert(name.to_owned(), zero);
            }
        }
        true
    }

    fn entries<'a>(
        &mut self,
        path: &str,
        fields: &mut Map<String, Value>,
        schema: impl Fn(&str) -> Option<&'a Value>,
    ) {
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names {
            let (Some(field), Some(schema)) = (fields.get_mut(&name), schema(&name)) else {
                continue;
            };
            let path = format!("{path}.{name}");
            if !self.value(&path, field, schema) {
                self.malformed.push(path);
                fields.remove(&name);
            }
        }
    }
}

fn fits_text(value: &Value, schema: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return false;
    };
    let closed = schema["enum"]
        .as_array()
        .or_else(|| schema["x-values"].as_array());
    if let Some(values) = closed {
        return values.iter().any(|value| value == text);
    }
    schema["format"] != "date-time" || text.parse::<jiff::Timestamp>().is_ok()
}

fn fits_integer(value: &Value, format: Option<&str>) -> bool {
    value
        .as_i64()
        .is_some_and(|number| format != Some("int32") || i32::try_from(number).is_ok())
}

/// What Go would have in place of a required field that can't be read. Members of closed sets and
/// times have no such value here.
fn zero(schema: &Value) -> Option<Value> {
    if schema["x-kubernetes-int-or-string"] == true {
        return Some(json!(0));
    }
    match schema["type"].as_str() {
        Some("string") => {
            let plain = ["enum", "x-values", "format"]
                .iter()
                .all(|key| schema[*key].is_null());
            plain.then(|| json!(""))
        }
        Some("integer") => Some(json!(0)),
        Some("boolean") => Some(json!(false)),
        Some("array") => Some(json!([])),
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields: Option<Map<String, Value>> = required
                .filter_map(Value::as_str)
                .map(|name| Some((name.to_owned(), zero(&schema["properties"][name])?)))
                .collect();
            fields.map(Value::Object)
        }
        _ => Some(json!({})),
    }
}
