//! YAML: what can be read can be written, and read again to the same value.
#![no_main]

use gocompat::yaml;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(documents) = yaml::from_str(text) else { return };
    for document in documents {
        if let Ok(text) = yaml::to_string(&document) {
            assert_eq!(yaml::from_str_single(&text).ok().as_ref(), Some(&document), "{text}");
        }
    }
});
