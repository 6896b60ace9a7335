//! What is: gauges of all objects, out of the caches (rollouts.md §9.1).

use super::page::Page;
use crate::cache::Caches;
use api::constants::gitops::DEFAULT_PROJECT;
use api::constants::{condition, condition_status, reason};
use api::{
    AnalysisPhase, AnalysisRun, Application, HealthStatusCode, Metric, Rollout,
    RolloutTrafficRouting,
};
use kube::{Resource, ResourceExt};
use std::sync::Arc;

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
    rollouts(page, &caches.rollouts.all());
    analysis_runs(page, &caches.analysis_runs.all());
    templates(page, caches);
    let experiments: Vec<Phased> = caches
        .experiments
        .all()
        .iter()
        .map(|experiment| {
            let status = experiment.status.as_ref();
            Phased::new(experiment.as_ref(), status.and_then(|status| status.phase))
        })
        .collect();
    phases(page, "experiment_info", "experiment_phase", &experiments);
    applications(page, &caches.applications.all());
}

/// Namespace and name.
fn name_of<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

struct RolloutView {
    name: (String, String),
    strategy: &'static str,
    router: &'static str,
    phase: &'static str,
    rollout: Arc<Rollout>,
}

fn rollouts(page: &mut Page, rollouts: &[Arc<Rollout>]) {
    let views: Vec<RolloutView> = rollouts
        .iter()
        .map(|rollout| RolloutView {
            name: name_of(rollout.as_ref()),
            strategy: strategy(rollout),
            router: router(rollout),
            phase: phase(rollout),
            rollout: rollout.clone(),
        })
        .collect();
    let mut info = page.gauge("rollout_info", "Rollouts and where they stand: always 1.");
    for view in &views {
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
    for view in &views {
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
    replicas(page, &views);
}

fn replicas(page: &mut Page, views: &[RolloutView]) {
    let mut family = |name, help, value: fn(&Rollout) -> i32| {
        let mut family = page.gauge(name, help);
        for view in views {
            let labels = [
                ("namespace", view.name.0.as_str()),
                ("name", view.name.1.as_str()),
            ];
            family.sample(&labels, value(&view.rollout));
        }
    };
    family(
        "rollout_info_replicas_available",
        "Pods that are available.",
        |rollout| of_status(rollout, |status| status.available_replicas),
    );
    family(
        "rollout_info_replicas_unavailable",
        "Pods that are not available.",
        |rollout| {
            of_status(rollout, |status| {
                status.replicas - status.available_replicas
            })
        },
    );
    family(
        "rollout_info_replicas_desired",
        "Pods that are wanted.",
        |rollout| rollout.spec.replicas_or_default(),
    );
    family(
        "rollout_info_replicas_updated",
        "Pods of the current version.",
        |rollout| of_status(rollout, |status| status.updated_replicas),
    );
}

fn of_status(rollout: &Rollout, field: fn(&api::RolloutStatus) -> i32) -> i32 {
    rollout.status.as_ref().map_or(0, field)
}

fn strategy(rollout: &Rollout) -> &'static str {
    let strategy = &rollout.spec.strategy;
    match (&strategy.blue_green, &strategy.canary) {
        (Some(_), _) => "blueGreen",
        (None, Some(_)) => "canary",
        (None, None) => "none",
    }
}

/// The last that is set, in this order.
fn router(rollout: &Rollout) -> &'static str {
    let canary = rollout.spec.strategy.canary.as_ref();
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

fn phase(rollout: &Rollout) -> &'static str {
    let conditions = rollout.status.iter().flat_map(|status| &status.conditions);
    let mut phase = "Progressing";
    for found in conditions {
        if found.type_ == condition::INVALID_SPEC && found.status == condition_status::TRUE {
            return "InvalidSpec";
        }
        if found.type_ == condition::PROGRESSING {
            phase = match found.reason.as_str() {
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

/// An object with a phase of analysis.
struct Phased {
    name: (String, String),
    /// Empty before the first status.
    phase: &'static str,
}

impl Phased {
    fn new<K: Resource>(object: &K, phase: Option<AnalysisPhase>) -> Self {
        Self {
            name: name_of(object),
            phase: phase.map_or("", AnalysisPhase::as_str),
        }
    }
}

fn phases(page: &mut Page, info: &'static str, deprecated: &'static str, objects: &[Phased]) {
    let mut family = page.gauge(info, "Objects and their phases: always 1.");
    for object in objects {
        let labels = [
            ("namespace", object.name.0.as_str()),
            ("name", object.name.1.as_str()),
            ("phase", object.phase),
        ];
        family.sample(&labels, 1);
    }
    let mut family = page.gauge(
        deprecated,
        "Deprecated: the info has the phase as a label. 1 for the phase that it is in.",
    );
    for object in objects {
        for phase in AnalysisPhase::ALL {
            let labels = [
                ("namespace", object.name.0.as_str()),
                ("name", object.name.1.as_str()),
                ("phase", phase.as_str()),
            ];
            family.sample(&labels, u8::from(phase.as_str() == object.phase));
        }
    }
}

fn analysis_runs(page: &mut Page, runs: &[Arc<AnalysisRun>]) {
    let phased: Vec<Phased> = runs
        .iter()
        .map(|run| {
            let status = run.status.as_ref();
            Phased::new(run.as_ref(), status.and_then(|status| status.phase))
        })
        .collect();
    phases(page, "analysis_run_info", "analysis_run_phase", &phased);
    let mut family = page.gauge(
        "analysis_run_metric_type",
        "Metrics of analysis runs and who answers them: always 1.",
    );
    for run in runs {
        let (namespace, name) = name_of(run.as_ref());
        for metric in &run.spec.metrics {
            let labels = [
                ("namespace", namespace.as_str()),
                ("name", name.as_str()),
                ("metric", metric.name.as_str()),
                ("type", provider(metric)),
            ];
            family.sample(&labels, 1);
        }
    }
    let mut family = page.gauge(
        "analysis_run_metric_phase",
        "Phases of the metrics of analysis runs. 1 for the phase that it is in.",
    );
    for run in runs {
        let (namespace, name) = name_of(run.as_ref());
        let results = run.status.iter().flat_map(|status| &status.metric_results);
        for result in results {
            for phase in AnalysisPhase::ALL {
                let labels = [
                    ("namespace", namespace.as_str()),
                    ("name", name.as_str()),
                    ("metric", result.name.as_str()),
                    ("type", provider_of(&run.spec.metrics, &result.name)),
                    ("dry_run", if result.dry_run { "true" } else { "false" }),
                    ("phase", phase.as_str()),
                ];
                family.sample(&labels, u8::from(*phase == result.phase));
            }
        }
    }
}

/// Who answers a metric, by the name in its result: arguments are filled in there.
fn provider_of(metrics: &[Metric], name: &str) -> &'static str {
    let is_it = |metric: &&Metric| match metric.name.split_once("{{") {
        Some((start, _)) => name.starts_with(start),
        None => metric.name == name,
    };
    metrics.iter().find(is_it).map_or("", provider)
}

fn templates(page: &mut Page, caches: &Caches) {
    let namespaced = caches.analysis_templates.all();
    let cluster = caches.cluster_analysis_templates.all();
    let namespaced = namespaced
        .iter()
        .map(|template| (name_of(template.as_ref()), &template.spec.metrics));
    let cluster = cluster
        .iter()
        .map(|template| (name_of(template.as_ref()), &template.spec.metrics));
    let all: Vec<_> = namespaced.chain(cluster).collect();
    let mut family = page.gauge("analysis_template_info", "Analysis templates: always 1.");
    for ((namespace, name), _) in &all {
        family.sample(&[("namespace", namespace), ("name", name)], 1);
    }
    let mut family = page.gauge(
        "analysis_template_metric_info",
        "Metrics of analysis templates and who answers them: always 1.",
    );
    for ((namespace, name), metrics) in &all {
        for metric in *metrics {
            let labels = [
                ("namespace", namespace.as_str()),
                ("name", name.as_str()),
                ("type", provider(metric)),
                ("metric", metric.name.as_str()),
            ];
            family.sample(&labels, 1);
        }
    }
}

/// Names of providers, as the peer writes them.
fn provider(metric: &Metric) -> &'static str {
    let provider = &metric.provider;
    let set = [
        ("Prometheus", provider.prometheus.is_some()),
        ("Job", provider.job.is_some()),
        ("Kayenta", provider.kayenta.is_some()),
        ("Web", provider.web.is_some()),
        ("Datadog", provider.datadog.is_some()),
        ("Wavefront", provider.wavefront.is_some()),
        ("NewRelic", provider.new_relic.is_some()),
        ("CloudWatch", provider.cloud_watch.is_some()),
        ("Graphite", provider.graphite.is_some()),
        ("Influxdb", provider.influxdb.is_some()),
        ("skywalking", provider.skywalking.is_some()),
        ("Pods", provider.pods.is_some()),
        ("RPCPlugin", !provider.plugin.is_empty()),
    ];
    let found = set.iter().find(|(_, is_set)| *is_set);
    found.map_or("Unknown Provider", |(name, _)| name)
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
            assert_eq!(phase(&rollout(&status)), expected);
        }
        let invalid = of("InvalidSpec", "InvalidSpec");
        let status = json!({"conditions": [progressing("RolloutPaused"), invalid]});
        assert_eq!(phase(&rollout(&status)), "InvalidSpec");
    }

    #[test]
    fn a_rollout_is_told_with_the_labels_of_the_peer() {
        let status = json!({"replicas": 6, "availableReplicas": 4, "updatedReplicas": 1});
        let mut page = Page::default();
        rollouts(&mut page, &[Arc::new(rollout(&status))]);
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
