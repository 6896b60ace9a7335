//! `autoscaling/v1` as a view of the stored `autoscaling/v2`: one CPU target, other metrics in an
//! annotation.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::object::{items, remove_meta, text};
use crate::registry::Resource;
use crate::server::Inner;

/// Where the v1 view keeps the metrics that it has no field for.
const OTHERS: &str = "autoscaling.alpha.kubernetes.io/metrics";

pub(super) fn is_old(resource: &Resource) -> bool {
    resource.is("autoscaling", "horizontalpodautoscalers") && resource.gvk.version == "v1"
}

/// The resource by whose rules objects of `resource` are stored: v2 for the v1 view, else itself
/// (`None`).
pub(super) fn stored_as(server: &Inner, resource: &Resource) -> Option<Arc<Resource>> {
    if !is_old(resource) {
        return None;
    }
    server
        .registry()
        .by_path("autoscaling", "v2", &resource.plural)
        .cloned()
}

fn is_cpu(metric: &Value) -> bool {
    text(metric, "/type") == "Resource"
        && text(metric, "/resource/name") == "cpu"
        && metric
            .pointer("/resource/target/averageUtilization")
            .is_some()
}

/// v1 → v2.
pub(super) fn upgrade(object: &mut Value) {
    let kept = object
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(OTHERS));
    let kept = kept
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    let mut metrics = kept.unwrap_or_default();
    if let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(OTHERS);
        if annotations.is_empty() {
            remove_meta(object, "annotations");
        }
    }
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
        let target = json!({"type": "Utilization", "averageUtilization": target});
        metrics.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
    }
    if !metrics.is_empty() {
        spec.insert("metrics".to_owned(), json!(metrics));
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
        && let Some(current) = status.remove("currentCPUUtilizationPercentage")
    {
        let current = json!({"averageUtilization": current});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "current": current}});
        status.insert("currentMetrics".to_owned(), json!([metric]));
    }
}

/// v2 → v1.
pub(super) fn downgrade(object: &mut Value) {
    let (cpu, others): (Vec<Value>, Vec<Value>) = items(object, "/spec/metrics")
        .iter()
        .cloned()
        .partition(is_cpu);
    let measured = items(object, "/status/currentMetrics")
        .iter()
        .find(|metric| {
            text(metric, "/type") == "Resource" && text(metric, "/resource/name") == "cpu"
        });
    let measured = measured
        .and_then(|metric| metric.pointer("/resource/current/averageUtilization"))
        .cloned();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("metrics");
        if let Some(target) = cpu
            .first()
            .and_then(|metric| metric.pointer("/resource/target/averageUtilization"))
        {
            spec.insert("targetCPUUtilizationPercentage".to_owned(), target.clone());
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("currentMetrics");
        status.remove("conditions");
        if let Some(measured) = measured {
            status.insert("currentCPUUtilizationPercentage".to_owned(), measured);
        }
        status.entry("currentReplicas").or_insert_with(|| json!(0));
    }
    if !others.is_empty() {
        object["metadata"]["annotations"][OTHERS] = json!(json!(others).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_view_loses_no_metric_on_the_way_back() {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
        let pods = json!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}}});
        let new =
            json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "metrics": [pods, cpu]}});
        let mut old = new.clone();
        downgrade(&mut old);
        assert_eq!(
            old["spec"],
            json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 80})
        );
        upgrade(&mut old);
        assert_eq!(old, new);
    }
}
