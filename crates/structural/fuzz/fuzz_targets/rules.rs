//! Rules of custom resources: input is a JSON array `[rule, list type, object, old object]`. The
//! rule is installed on an object with a list, and both objects are held against it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use structural::{Schema, schema};

fuzz_target!(|data: &[u8]| {
    let Ok([rule, list_type, object, old]) = serde_json::from_slice::<[Value; 4]>(data) else {
        return;
    };
    let Some(rule) = rule.as_str() else { return };
    let list_type = list_type.as_str().unwrap_or("atomic");
    let document = json!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-validations": [
            { "rule": rule, "messageExpression": rule },
            { "rule": rule, "optionalOldSelf": true },
        ],
        "properties": { "list": {
            "type": "array", "x-kubernetes-list-type": list_type, "items": { "type": "string" },
        } },
    });
    let Ok(parsed) = Schema::parse(&document, "schema") else { return };
    let broken = parsed.broken_rules("schema", false);
    let _ = parsed.unsupported_rules("schema");
    if !broken.is_empty() {
        return;
    }
    let _ = schema::validate(&parsed, &object, None);
    let _ = schema::validate(&parsed, &object, Some(&old));
});
