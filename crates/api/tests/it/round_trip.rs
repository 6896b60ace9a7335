//! Objects as people write them, through the types and back.

use api::{AppProject, Application, Rollout, RolloutStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads a value, writes it again, and expects the same.
#[track_caller]
fn survives<T: DeserializeOwned + Serialize>(value: &Value) -> T {
    let typed: T = serde_json::from_value(value.clone()).unwrap();
    let after = serde_json::to_value(&typed).unwrap();
    assert_eq!(
        serde_json::to_string_pretty(&after).unwrap(),
        serde_json::to_string_pretty(value).unwrap()
    );
    typed
}

/// The acceptance Application.
#[test]
fn application_of_the_acceptance_inputs_survives() {
    let application: Application = survives(&json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "backend-production", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": "https://github.com/company/infrastructure",
                "targetRevision": "main",
                "path": "apps/production/backend",
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "production"},
            "syncPolicy": {
                "automated": {"prune": true, "selfHeal": true},
                "syncOptions": ["CreateNamespace=true"],
            },
        },
    }));
    let automated = application.spec.sync_policy.unwrap().automated.unwrap();
    assert_eq!(automated.prune, Some(true));
    assert_eq!(automated.allow_empty, None);
    assert!(application.operation.is_none());
}

/// The acceptance Rollout: without selector and template, as it was handed over.
#[test]
fn rollout_of_the_acceptance_inputs_survives() {
    let rollout: Rollout = survives(&json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "backend"},
        "spec": {
            "replicas": 5,
            "strategy": {"canary": {"steps": [
                {"setWeight": 20}, {"pause": {"duration": "5m"}},
                {"setWeight": 40}, {"pause": {"duration": "5m"}},
                {"setWeight": 60}, {"pause": {"duration": "5m"}},
                {"setWeight": 80}, {"pause": {"duration": "5m"}},
            ]}},
        },
    }));
    assert_eq!(rollout.spec.canary_steps().len(), 8);
    assert!(rollout.spec.selector.is_none());
    assert!(rollout.spec.pod_template().is_empty());
}

/// The acceptance AppProject.
#[test]
fn project_of_the_acceptance_inputs_survives() {
    let project: AppProject = survives(&json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "team-backend"},
        "spec": {
            "destinations": [{"namespace": "backend-*", "server": "*"}],
            "sourceRepos": ["https://github.com/company/infrastructure"],
        },
    }));
    assert_eq!(project.spec.namespace_resource_whitelist, None);
}

#[test]
fn an_empty_whitelist_is_not_an_absent_one() {
    let project: AppProject = survives(&json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "nothing"},
        "spec": {"namespaceResourceWhitelist": [], "clusterResourceWhitelist": []},
    }));
    assert_eq!(project.spec.namespace_resource_whitelist, Some(Vec::new()));
    assert_eq!(project.spec.cluster_resource_whitelist, Some(Vec::new()));
}

/// What is zero, false or empty, but was written, is still there.
#[test]
fn written_zeros_survive() {
    let rollout: Rollout = survives(&json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "zeros"},
        "spec": {
            "replicas": 0,
            "minReadySeconds": 0,
            "paused": false,
            "template": {},
            "strategy": {"canary": {
                "maxSurge": 0,
                "dynamicStableScale": false,
                "abortScaleDownDelaySeconds": 0,
                "steps": [{"setWeight": 0}, {"pause": {}}, {"setCanaryScale": {"replicas": 0}}],
            }},
        },
    }));
    assert_eq!(rollout.spec.replicas, Some(0));
    assert_eq!(
        rollout.spec.canary_steps()[1].pause,
        Some(api::RolloutPause::default())
    );
}

#[test]
fn an_absent_switch_is_not_a_false_one() {
    let with = |strategy: Value| -> Rollout {
        survives(&json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "switch"},
            "spec": {"strategy": {"blueGreen": strategy}},
        }))
    };
    let absent = with(json!({"activeService": "active"}));
    assert!(absent.spec.blue_green().unwrap().auto_promotes());
    let off = with(json!({"activeService": "active", "autoPromotionEnabled": false}));
    assert!(!off.spec.blue_green().unwrap().auto_promotes());
}

/// A status without anything in it is written as the peer writes it.
#[test]
fn an_empty_rollout_status_has_only_its_two_strategies() {
    let status = serde_json::to_value(RolloutStatus::default()).unwrap();
    assert_eq!(status, json!({"canary": {}, "blueGreen": {}}));
}

/// Go writes the phase of a run that has none as the empty string.
#[test]
fn a_run_without_a_phase_has_an_empty_one() {
    let status: api::AnalysisRunStatus = survives(&json!({"phase": "", "runSummary": {}}));
    assert_eq!(status.phase, None);
    let absent: api::AnalysisRunStatus = serde_json::from_value(json!({})).unwrap();
    assert_eq!(absent, status);
}

/// The API server's objects have fields that no type knows.
#[test]
fn unknown_fields_are_ignored_outside_of_the_template() {
    let rollout: Rollout = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "later"},
        "spec": {"strategy": {"canary": {"someday": {"a": 1}}}},
        "status": {"conditions": [], "novelty": true},
    }))
    .unwrap();
    assert!(rollout.spec.canary().is_some());
}
