//! Short texts that users write: quantities, durations, percentages, selectors, label keys, and the
//! JSON of pod templates and steps to hash.
#![no_main]

use gocompat::labels::{Selector, validate};
use gocompat::quantity::Quantity;
use gocompat::{duration, hash, intstr};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(quantity) = Quantity::parse(text) {
        let canonical = quantity.canonical();
        assert!(
            Quantity::parse(&canonical).is_ok(),
            "{text} became {canonical}"
        );
    }
    if let Ok(nanos) = duration::parse_go(text) {
        assert_eq!(
            duration::parse_go(&duration::format_go(nanos)),
            Ok(nanos),
            "{text}"
        );
    }
    let _ = duration::pause_seconds(text);
    let _ = intstr::percentage(text);
    let _ = (validate::qualified_name(text), validate::label_value(text));
    let _ = Selector::parse(text);
    if let Ok(value) = serde_json::from_str(text) {
        let _ = hash::pod_template_hash(&value, Some(1));
        let _ = hash::step_hash(Some(&value));
        let _ = Selector::from_label_selector(Some(&value));
    }
});
