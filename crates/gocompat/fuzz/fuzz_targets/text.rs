//! Short texts that users write: quantities, durations, selectors, pod templates to hash.
#![no_main]

use gocompat::labels::Selector;
use gocompat::quantity::Quantity;
use gocompat::{duration, hash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(quantity) = Quantity::parse(text) {
        let canonical = quantity.canonical();
        assert!(Quantity::parse(&canonical).is_ok(), "{text} became {canonical}");
    }
    let _ = duration::parse_go(text);
    let _ = Selector::parse(text);
    if let Ok(template) = serde_json::from_str(text) {
        let _ = hash::pod_template_hash(&template, Some(1));
    }
});
