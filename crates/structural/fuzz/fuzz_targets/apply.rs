//! Server-side apply: input is a JSON array `[live, applied]`. Applying twice must change nothing.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use structural::apply::{self, FieldSet, Request};
use structural::builtin;

fuzz_target!(|data: &[u8]| {
    let Ok([live, mut applied]) = serde_json::from_slice::<[Value; 2]>(data) else {
        return;
    };
    let Some(kind) = builtin::kind_of("apps/v1", "Deployment") else { return };
    if applied.is_object() {
        applied["apiVersion"] = json!("apps/v1");
        applied["kind"] = json!("Deployment");
    }
    let ignored = FieldSet::new();
    let request = Request {
        schema: kind.schema(),
        api_version: "apps/v1",
        kind: "Deployment",
        manager: "fuzz",
        subresource: None,
        now: Timestamp::UNIX_EPOCH,
        ignored: &ignored,
    };
    let _ = FieldSet::from_fields_v1(&live);
    let live = apply::record_update(&request, None, live);
    if let Ok(once) = apply::apply(&request, Some(&live), &applied, true) {
        let _ = apply::apply(&request, Some(&once.object), &applied, false);
    }
});
