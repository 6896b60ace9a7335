//! Stored objects, however malformed: what can be read is written, and comes back as it was
//! written. Shared by `every_field.rs` and by `fuzz/fuzz_targets/objects.rs`.

use api::lenient::read;
use api::{AnalysisRun, AppProject, Application, Experiment, Rollout};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads JSON as an object of each kind, whatever its own kind is.
pub(crate) fn read_bytes(data: &[u8]) {
    let Ok(object) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    comes_back::<Rollout>(&object);
    comes_back::<AnalysisRun>(&object);
    comes_back::<Experiment>(&object);
    comes_back::<Application>(&object);
    comes_back::<AppProject>(&object);
}

fn comes_back<K: DeserializeOwned + JsonSchema + Serialize>(object: &Value) {
    // Not even its metadata can be read: there is nothing to keep.
    let Ok(read) = read::<K>(object.clone()) else {
        return;
    };
    let written = serde_json::to_value(&read.object).unwrap();
    let again: K = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), written);
}
