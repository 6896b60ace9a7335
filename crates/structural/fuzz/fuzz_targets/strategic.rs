//! Strategic merge patch: input is a JSON array `[document, patch]`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use structural::{builtin, patch};

fuzz_target!(|data: &[u8]| {
    let Ok([document, change]) = serde_json::from_slice::<[Value; 2]>(data) else {
        return;
    };
    for kind in builtin::KINDS.iter().filter(|kind| matches!(kind.kind, "Deployment" | "Pod")) {
        let _ = patch::strategic(&document, &change, kind.schema());
    }
    let merged = patch::merge(&document, &change);
    assert_eq!(patch::merge(&merged, &change), merged);
    let _ = patch::json(&document, &change);
});
