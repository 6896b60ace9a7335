//! The images that the objects of an Application run.

use serde_json::Value;
use std::collections::BTreeSet;

/// Where a pod spec is found, by how deep its kind wraps it.
const POD_SPECS: [&str; 3] = [
    "/spec",
    "/spec/template/spec",
    "/spec/jobTemplate/spec/template/spec",
];

/// Adds every container image that `object` names.
pub(crate) fn collect(object: &Value, images: &mut BTreeSet<String>) {
    for pod in POD_SPECS
        .iter()
        .filter_map(|pointer| object.pointer(pointer))
    {
        for list in ["containers", "initContainers"] {
            for container in crate::resource::list(pod, &format!("/{list}")) {
                if let Some(image) = container.get("image").and_then(Value::as_str) {
                    images.insert(image.to_owned());
                }
            }
        }
    }
}
