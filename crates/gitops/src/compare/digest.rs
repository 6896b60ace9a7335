//! The digest of a manifest, by which a change in Git is seen that no field of the live object
//! tells of.

use crate::resource::kind;
use crate::tracking::TRACKING_ANNOTATION;
use api::constants::gitops::DIGEST_ANNOTATION;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// A digest of what a manifest declares, independent of the order of its keys. Data of Secrets is
/// left out: its values must not be guessable from metadata, and its keys are owned one by one, so
/// nothing is lost.
pub(super) fn digest(target: &Value) -> String {
    let mut hasher = Sha256::new();
    let mut copy = target.clone();
    if let Some(map) = copy.as_object_mut().filter(|_| kind(target) == "Secret") {
        map.remove("data");
    }
    if let Some(annotations) = copy
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(TRACKING_ANNOTATION);
        annotations.remove(DIGEST_ANNOTATION);
    }
    absorb(&mut hasher, &copy);
    let mut text = "sha256:".to_owned();
    for byte in &hasher.finalize()[..16] {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Hashes a value in a form that is the same for all key orders. A null field counts as absent.
fn absorb(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_by_key(|(key, _)| *key);
            hasher.update([b'{']);
            for (key, value) in entries {
                hasher.update(Value::String(key.clone()).to_string());
                hasher.update([b':']);
                absorb(hasher, value);
            }
            hasher.update([b'}']);
        }
        Value::Array(list) => {
            hasher.update([b'[']);
            for item in list {
                absorb(hasher, item);
                hasher.update([b',']);
            }
            hasher.update([b']']);
        }
        scalar => hasher.update(scalar.to_string()),
    }
}
