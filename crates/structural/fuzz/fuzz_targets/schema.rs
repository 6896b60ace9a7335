//! Schemas of custom resources: input is a JSON array `[schema, object]`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use structural::{Schema, schema};

fuzz_target!(|data: &[u8]| {
    let Ok([document, mut object]) = serde_json::from_slice::<[Value; 2]>(data) else {
        return;
    };
    let Ok(parsed) = Schema::parse(&document, "schema") else { return };
    let _ = parsed.broken_rules("schema", false);
    let _ = parsed.unsupported_rules("schema");
    let old = object.clone();
    schema::prune(&parsed, &mut object);
    assert!(schema::prune(&parsed, &mut object).is_empty());
    schema::default(&parsed, &mut object);
    let _ = schema::validate(&parsed, &object, Some(&old));
});
