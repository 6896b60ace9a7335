use super::*;
use crate::ResourceId;
use serde_json::json;

#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
fn code(object: Value) -> Option<(HealthCode, String)> {
    health(&object).map(|health| (health.code, health.message))
}

#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
fn rollout(status: Value) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "backend", "generation": 3}, "spec": {}, "status": status})
}

#[test]
fn a_rollout_is_as_well_as_its_phase() {
    use HealthCode::{Degraded, Healthy, Progressing, Suspended, Unknown};
    for (phase, code) in [
        ("Healthy", Healthy),
        ("Paused", Suspended),
        ("Degraded", Degraded),
        ("Progressing", Progressing),
        ("Odd", Unknown),
    ] {
        let object = rollout(json!({"phase": phase, "message": "m", "observedGeneration": "3"}));
        assert_eq!(
            health(&object).map(|health| health.code),
            Some(code),
            "{phase}"
        );
    }
    let stale = rollout(json!({"phase": "Healthy", "observedGeneration": "2"}));
    assert_eq!(health(&stale).map(|health| health.code), Some(Progressing));
    assert_eq!(
        health(&rollout(json!({}))).map(|health| health.code),
        Some(Progressing)
    );
}

#[test]
fn an_aborted_rollout_is_degraded_and_says_why() {
    let aborted = rollout(
        json!({"phase": "Degraded", "abort": true, "observedGeneration": "3",
        "message": "RolloutAborted: metric \"success-rate\" assessed Failed"}),
    );
    assert_eq!(
        code(aborted),
        Some((
            HealthCode::Degraded,
            "RolloutAborted: metric \"success-rate\" assessed Failed".to_owned()
        ))
    );
}

#[allow(clippy::needless_pass_by_value, reason = "takes `json!` literals")]
fn of(kind: &str, api: &str, spec: Value, status: Value) -> &'static str {
    health(
        &json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x", "generation": 2},
        "spec": spec, "status": status}),
    )
    .map_or("None", |health| health.code.as_str())
}

#[test]
fn a_deployment_is_judged_by_its_replicas() {
    let deployment = |spec, status| of("Deployment", "apps/v1", spec, status);
    let full = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
    assert_eq!(deployment(json!({"replicas": 2}), full.clone()), "Healthy");
    assert_eq!(
        deployment(json!({"replicas": 3}), full.clone()),
        "Progressing"
    );
    assert_eq!(deployment(json!({"paused": true}), full), "Suspended");
    assert_eq!(
        deployment(json!({"replicas": 2}), json!({"observedGeneration": 1})),
        "Progressing"
    );
    let late = json!({"observedGeneration": 2,
        "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]});
    assert_eq!(deployment(json!({}), late), "Degraded");
}

#[test]
fn a_stateful_set_is_judged_by_its_strategy() {
    let set = |spec| {
        let status = json!({"observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 1,
            "currentRevision": "a", "updateRevision": "b"});
        of("StatefulSet", "apps/v1", spec, status)
    };
    assert_eq!(set(json!({"replicas": 2})), "Progressing");
    assert_eq!(
        set(json!({"replicas": 2, "updateStrategy": {"type": "OnDelete"}})),
        "Healthy"
    );
    let partitioned = json!({"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}});
    assert_eq!(set(partitioned), "Healthy");
}

#[test]
fn a_pod_is_judged_by_phase_and_restart_policy() {
    let pod = |spec, status| of("Pod", "v1", spec, status);
    let backoff = json!({"phase": "Pending",
        "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]});
    assert_eq!(pod(json!({}), backoff), "Degraded");
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    assert_eq!(pod(json!({}), ready), "Healthy");
    assert_eq!(
        pod(
            json!({"restartPolicy": "Never"}),
            json!({"phase": "Running"})
        ),
        "Progressing"
    );
}

#[test]
fn other_kinds_are_judged_by_their_status_if_they_can_be_unwell() {
    let job = |condition: &str| {
        let status = json!({"conditions": [{"type": condition, "status": "True"}]});
        of("Job", "batch/v1", json!({}), status)
    };
    assert_eq!(job("Failed"), "Degraded");
    assert_eq!(job("Complete"), "Healthy");
    assert_eq!(job("Suspended"), "Suspended");
    assert_eq!(job("Other"), "Progressing");
    assert_eq!(of("Service", "v1", json!({}), json!({})), "Healthy");
    assert_eq!(
        of("Service", "v1", json!({"type": "LoadBalancer"}), json!({})),
        "Progressing"
    );
    assert_eq!(of("ConfigMap", "v1", json!({}), json!({})), "None");
    assert_eq!(
        of(
            "PersistentVolumeClaim",
            "v1",
            json!({}),
            json!({"phase": "Lost"})
        ),
        "Degraded"
    );
    let pending = json!({"observedGeneration": 2, "desiredNumberScheduled": 1});
    assert_eq!(
        of("DaemonSet", "apps/v1", json!({}), pending),
        "Progressing"
    );
    let available = json!({"observedGeneration": 2, "availableReplicas": 1});
    assert_eq!(of("ReplicaSet", "apps/v1", json!({}), available), "Healthy");
}

#[test]
fn an_application_is_as_well_as_its_worst_part() {
    let ids: Vec<ResourceId> = (0..6)
        .map(|n| ResourceId::new("apps", "Deployment", "n", &format!("d{n}")))
        .collect();
    let bad = Health::degraded("broken");
    let good = Health::healthy();
    let child = |n: usize, live: bool, health| Child {
        id: &ids[n],
        live,
        health,
    };
    let whole = aggregate([
        child(0, true, Some(&good)),
        child(1, false, None),
        child(2, true, Some(&bad)),
    ]);
    assert_eq!(whole, Health::degraded("apps/Deployment:n/d2"));
    assert_eq!(
        aggregate([child(0, true, Some(&good)), child(1, false, None)]).code,
        HealthCode::Healthy
    );
    assert_eq!(aggregate([child(0, false, None)]).code, HealthCode::Missing);
    assert_eq!(aggregate([]).code, HealthCode::Healthy);
    let many = aggregate((0..6).map(|n| child(n, true, Some(&bad))));
    assert_eq!(
        many.message,
        "apps/Deployment:n/d0, apps/Deployment:n/d1, apps/Deployment:n/d2, … and 3 more"
    );
}

#[test]
fn an_autoscaler_is_judged_by_its_conditions_wherever_its_version_has_them() {
    let working = json!([{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}]);
    let failing = json!([{"type": "ScalingActive", "status": "False",
        "reason": "FailedGetResourceMetric", "message": "no metrics"}]);
    for (conditions, wanted) in [
        (json!([]), "Progressing"),
        (working, "Healthy"),
        (failing, "Degraded"),
    ] {
        let kind = "HorizontalPodAutoscaler";
        let status = json!({"conditions": conditions.clone()});
        assert_eq!(of(kind, "autoscaling/v2", json!({}), status), wanted);
        let old = json!({"apiVersion": "autoscaling/v1", "kind": kind, "metadata": {"name": "x",
            "annotations": {"autoscaling.alpha.kubernetes.io/conditions": conditions.to_string()}},
            "spec": {}, "status": {"currentReplicas": 1}});
        let health = health(&old).map(|health| health.code.as_str());
        assert_eq!(health, Some(wanted), "{conditions}");
    }
}

#[test]
fn a_workflow_is_as_well_as_its_phase() {
    for (phase, wanted) in [
        ("", "Progressing"),
        ("Pending", "Progressing"),
        ("Running", "Progressing"),
        ("Succeeded", "Healthy"),
        ("Failed", "Degraded"),
        ("Error", "Degraded"),
        ("Odd", "Unknown"),
    ] {
        let status = json!({"phase": phase});
        let found = of("Workflow", "argoproj.io/v1alpha1", json!({}), status);
        assert_eq!(found, wanted, "{phase}");
    }
}
