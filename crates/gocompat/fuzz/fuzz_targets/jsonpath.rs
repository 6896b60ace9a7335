//! JSONPath: the input is a template, a zero byte, and the JSON that it is about.
#![no_main]

use gocompat::jsonpath::JsonPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (template, object) = text.split_once('\0').unwrap_or((text, "{}"));
    let Ok(object) = serde_json::from_str(object) else { return };
    if let Ok(path) = JsonPath::parse(template) {
        let _ = path.render(&object);
    }
});
