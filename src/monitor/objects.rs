//! What is: gauges of all objects, out of the caches (rollouts.md §9.1).

use super::analyses;
use super::page::Page;
use crate::cache::Caches;
use api::constants::gitops::DEFAULT_PROJECT;
use api::constants::{condition, condition_status, reason};
use api::{
    Application, HealthStatusCode, Rollout, RolloutCondition, RolloutStatus, RolloutStrategy,
    RolloutTrafficRouting,
};
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

/// How many pods a Rollout wants that does not say so.
const REPLICAS: i32 = 1;

/// Phases of `rollout_info`.
const PHASES: [&str; 7] = [
    "Completed",
    "Progressing",
    "Paused",
    "Timeout",
    "Error",
    "Abort",
    "InvalidSpec",
];

/// Writes the families of all kinds.
pub fn write(page: &mut Page, caches: &Caches) {
    let views = caches.rollouts.parts(RolloutView::of, RolloutView::read);
    rollouts(page, &views);
    analyses::write(page, caches);
    applications(page, &caches.applications.all());
}

/// Namespace and name.
pub(super) fn name_of<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// As much of the metadata of an object as is told of it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NameText {
    namespace: String,
    name: String,
}

impl NameText {
    pub(super) fn into_name(self) -> (String, String) {
        (self.namespace, self.name)
    }
}

/// As much of the text of a Rollout as is told of it. Its template, which is most of it, is passed
/// over.
#[derive(Deserialize)]
struct RolloutText<'t> {
    metadata: NameText,
    spec: SpecText,
    #[serde(borrow)]
    status: Option<StatusText<'t>>,
}

#[derive(Deserialize)]
struct SpecText {
    replicas: Option<i32>,
    #[serde(default)]
    strategy: RolloutStrategy,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusText<'t> {
    replicas: i32,
    available_replicas: i32,
    updated_replicas: i32,
    #[serde(borrow)]
    conditions: Vec<ConditionText<'t>>,
}

#[derive(Deserialize)]
struct ConditionText<'t> {
    #[serde(borrow, rename = "type")]
    type_: Cow<'t, str>,
    #[serde(borrow)]
    status: Cow<'t, str>,
    #[serde(borrow)]
    reason: Cow<'t, str>,
}

/// As much of a Rollout as is told of it: a page has all of them at once.
#[derive(Debug, PartialEq, Eq)]
struct RolloutView {
    name: (String, String),
    strategy: &'static str,
    router: &'static str,
    phase: &'static str,
    available: i32,
    unavailable: i32,
    desired: i32,
    updated: i32,
}

impl RolloutView {
    fn of(rollout: &Rollout) -> Self {
        let status = rollout.status.as_ref();
        let count = |field: fn(&RolloutStatus) -> i32| status.map_or(0, field);
        let conditions = status.into_iter().flat_map(|status| &status.conditions);
        let conditions = conditions.map(|condition| {
            let RolloutCondition {
                type_,
                status,
                reason,
                ..
            } = condition;
            [type_, status, reason].map(String::as_str)
        });
        Self {
            name: name_of(rollout),
            strategy: strategy(&rollout.spec.strategy),
            router: router(&rollout.spec.strategy),
            phase: phase(conditions),
            available: count(|status| status.available_replicas),
            unavailable: count(|status| status.replicas - status.available_replicas),
            desired: rollout.spec.replicas_or_default(),
            updated: count(|status| status.updated_replicas),
        }
    }

    /// The same out of its text: of thousands that are packed, decoding is most of what they cost.
    fn read(text: &str) -> serde_json::Result<Self> {
        let RolloutText {
            metadata,
            spec,
            status,
        } = serde_json::from_str(text)?;
        let status = status.unwrap_or_default();
        let conditions = status.conditions.iter();
        let conditions = conditions.map(|condition| {
            let ConditionText {
                type_,
                status,
                reason,
            } = condition;
            [type_, status, reason].map(|text| &**text)
        });
        Ok(Self {
            name: metadata.into_name(),
            strategy: strategy(&spec.strategy),
            router: router(&spec.strategy),
            phase: phase(conditions),
            available: status.available_replicas,
            unavailable: status.replicas - status.available_replicas,
            desired: spec.replicas.unwrap_or(REPLICAS),
            updated: status.updated_replicas,
        })
    }
}

fn rollouts(page: &mut Page, views: &[RolloutView]) {
    let mut info = page.gauge("rollout_info", "Rollouts and where they stand: always 1.");
    for view in views {
        let labels = [
            ("namespace", view.name.0.as_str()),
            ("name", view.name.1.as_str()),
            ("strategy", view.strategy),
            ("traffic_router", view.router),
            ("phase", view.phase),
        ];
        info.sample(&labels, 1);
    }
    let mut deprecated = page.gauge(
        "rollout_phase",
        "Deprecated: rollout_info has the phase as a label. 1 for the phase that it is in.",
    );
    for view in views {
        for phase in PHASES {
            let labels = [
                ("namespace", view.name.0.as_str()),
                ("name", view.name.1.as_str()),
                ("strategy", view.strategy),
                ("phase", phase),
            ];
            deprecated.sample(&labels, u8::from(phase == view.phase));
        }
    }
    replicas(page, views);
}

fn replicas(page: &mut Page, views: &[RolloutView]) {
    let mut family = |name, help, value: fn(&RolloutView) -> i32| {
        let mut family = page.gauge(name, help);
        for view in views {
            let labels = [
                ("namespace", view.name.0.as_str()),
                ("name", view.name.1.as_str()),
            ];
            family.sample(&labels, value(view));
        }
    };
    family(
        "rollout_info_replicas_available",
        "Pods that are available.",
        |view| view.available,
    );
    family(
        "rollout_info_replicas_unavailable",
        "Pods that are not available.",
        |view| view.unavailable,
    );
    family(
        "rollout_info_replicas_desired",
        "Pods that are wanted.",
        |view| view.desired,
    );
    family(
        "rollout_info_replicas_updated",
        "Pods of the current version.",
        |view| view.updated,
    );
}

fn strategy(strategy: &RolloutStrategy) -> &'static str {
    match (&strategy.blue_green, &strategy.canary) {
        (Some(_), _) => "blueGreen",
        (None, Some(_)) => "canary",
        (None, None) => "none",
    }
}

/// The last that is set, in this order.
fn router(strategy: &RolloutStrategy) -> &'static str {
    let canary = strategy.canary.as_ref();
    let routing = canary.and_then(|canary| canary.traffic_routing.as_ref());
    routing.map_or("", router_name)
}

fn router_name(routing: &RolloutTrafficRouting) -> &'static str {
    let set = [
        ("ALB", routing.alb.is_some()),
        ("Ambassador", routing.ambassador.is_some()),
        ("Istio", routing.istio.is_some()),
        ("Nginx", routing.nginx.is_some()),
        ("SMI", routing.smi.is_some()),
        ("AppMesh", routing.app_mesh.is_some()),
    ];
    let last = set.iter().rev().find(|(_, is_set)| *is_set);
    last.map_or("", |(name, _)| name)
}

/// Of conditions type, status and reason are given.
fn phase<'c>(conditions: impl Iterator<Item = [&'c str; 3]>) -> &'static str {
    let mut phase = "Progressing";
    for [type_, status, reason] in conditions {
        if type_ == condition::INVALID_SPEC && status == condition_status::TRUE {
            return "InvalidSpec";
        }
        if type_ == condition::PROGRESSING {
            phase = match reason {
                reason::NEW_REPLICA_SET_AVAILABLE => "Completed",
                reason::ROLLOUT_PAUSED => "Paused",
                reason::REPLICA_SET_CREATE_ERROR => "Error",
                reason::PROGRESS_DEADLINE_EXCEEDED => "Timeout",
                reason::ROLLOUT_ABORTED => "Abort",
                _ => "Progressing",
            };
        }
    }
    phase
}

fn applications(page: &mut Page, applications: &[Arc<Application>]) {
    let mut info = page.gauge(
        "argocd_app_info",
        "Applications and where they stand: always 1.",
    );
    for app in applications {
        let (namespace, name) = name_of(app.as_ref());
        let spec = &app.spec;
        let status = app.status.as_ref();
        let automated = spec.sync_policy.as_ref().and_then(|policy| {
            let automated = policy.automated.as_ref()?;
            Some(automated.enabled.unwrap_or(true))
        });
        let sync = status.and_then(|status| status.sync.as_ref());
        let state = status.and_then(|status| status.operation_state.as_ref());
        let running = state.is_some_and(|state| state.finished_at.is_none());
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let source = spec.source.as_ref().or_else(|| spec.sources.first());
        let project = match spec.project.as_str() {
            "" => DEFAULT_PROJECT,
            project => project,
        };
        let labels = [
            ("namespace", namespace.as_str()),
            ("name", name.as_str()),
            ("project", project),
            ("repo", source.map_or("", |source| source.repo_url.as_str())),
            ("dest_server", &text(&spec.destination.server)),
            ("dest_namespace", &text(&spec.destination.namespace)),
            (
                "autosync_enabled",
                if automated == Some(true) {
                    "true"
                } else {
                    "false"
                },
            ),
            (
                "sync_status",
                sync.map_or("Unknown", |sync| sync.status.as_str()),
            ),
            (
                "health_status",
                health(app).map_or("Unknown", HealthStatusCode::as_str),
            ),
            ("operation", if running { "sync" } else { "" }),
        ];
        info.sample(&labels, 1);
    }
    let mut score = page.gauge(
        "weir_app_health_score",
        "Health of Applications: Healthy 1, Progressing 0.75, Suspended 0.5, Missing and Unknown \
         0.25, Degraded 0.",
    );
    for app in applications {
        let (namespace, name) = name_of(app.as_ref());
        let labels = [("namespace", namespace.as_str()), ("name", name.as_str())];
        score.sample(&labels, health_score(health(app)));
    }
}

fn health(app: &Application) -> Option<HealthStatusCode> {
    app.status.as_ref()?.health.as_ref()?.status
}

/// The mapping of `weir_app_health_score`.
pub fn health_score(health: Option<HealthStatusCode>) -> f64 {
    match health {
        Some(HealthStatusCode::Healthy) => 1.0,
        Some(HealthStatusCode::Progressing) => 0.75,
        Some(HealthStatusCode::Suspended) => 0.5,
        Some(HealthStatusCode::Missing | HealthStatusCode::Unknown) | None => 0.25,
        Some(HealthStatusCode::Degraded) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rollout(status: &serde_json::Value) -> Rollout {
        let rollout = json!({
            "metadata": {"namespace": "ns", "name": "app"},
            "spec": {"strategy": {"canary": {"trafficRouting": {"alb": {"ingress": "i", "servicePort": 80}, "nginx": {"stableIngress": "i"}}}},
                "replicas": 5},
            "status": status,
        });
        serde_json::from_value(rollout).unwrap()
    }

    #[test]
    fn the_phase_is_the_reason_of_progressing_unless_the_spec_is_invalid() {
        let of = |type_: &str, reason: &str| {
            json!({"type": type_, "status": "True", "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"})
        };
        let progressing = |reason: &str| of("Progressing", reason);
        for (reason, expected) in [
            ("NewReplicaSetAvailable", "Completed"),
            ("RolloutPaused", "Paused"),
            ("ReplicaSetCreateError", "Error"),
            ("ProgressDeadlineExceeded", "Timeout"),
            ("RolloutAborted", "Abort"),
            ("ReplicaSetUpdated", "Progressing"),
        ] {
            let status = json!({"conditions": [progressing(reason)]});
            assert_eq!(phase_of(&status), expected);
        }
        let invalid = of("InvalidSpec", "InvalidSpec");
        let status = json!({"conditions": [progressing("RolloutPaused"), invalid]});
        assert_eq!(phase_of(&status), "InvalidSpec");
    }

    /// By its value; by its text it must be the same.
    fn phase_of(status: &serde_json::Value) -> &'static str {
        let rollout = rollout(status);
        let view = RolloutView::of(&rollout);
        let text = serde_json::to_string(&rollout).unwrap();
        assert_eq!(RolloutView::read(&text).unwrap(), view);
        view.phase
    }

    #[test]
    fn what_is_packed_is_told_of_as_what_is_not() {
        let blue_green = json!({
            "metadata": {"namespace": "ns", "name": "app", "labels": {"a": "b"}},
            "spec": {"strategy": {"blueGreen": {"activeService": "a"}},
                "template": {"spec": {"containers": []}}},
            "status": {"replicas": 6, "availableReplicas": 4, "updatedReplicas": 1},
        });
        let nothing = json!({"metadata": {"name": "app"}, "spec": {}});
        for object in [blue_green, nothing] {
            let rollout: Rollout = serde_json::from_value(object).unwrap();
            let text = serde_json::to_string(&rollout).unwrap();
            let read = RolloutView::read(&text).unwrap();
            assert_eq!(read, RolloutView::of(&rollout), "{text}");
        }
    }

    #[test]
    fn a_rollout_is_told_with_the_labels_of_the_peer() {
        let status = json!({"replicas": 6, "availableReplicas": 4, "updatedReplicas": 1});
        let mut page = Page::default();
        rollouts(&mut page, &[RolloutView::of(&rollout(&status))]);
        let text = page.into_text();
        for line in [
            r#"rollout_info{namespace="ns",name="app",strategy="canary",traffic_router="Nginx",phase="Progressing"} 1"#,
            r#"rollout_info_replicas_available{namespace="ns",name="app"} 4"#,
            r#"rollout_info_replicas_unavailable{namespace="ns",name="app"} 2"#,
            r#"rollout_info_replicas_desired{namespace="ns",name="app"} 5"#,
            r#"rollout_info_replicas_updated{namespace="ns",name="app"} 1"#,
            r#"rollout_phase{namespace="ns",name="app",strategy="canary",phase="Progressing"} 1"#,
            r#"rollout_phase{namespace="ns",name="app",strategy="canary",phase="Paused"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
