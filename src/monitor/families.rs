//! What has happened: counters and histograms.

use super::ended::Gone;
use super::queue::QueueMetrics;
use super::series::{Requests, Series, counter_vec, histogram_vec};
use crate::queue::{Key, Kind};
use plan::{EventKind, Release};
use prometheus::core::Collector;
use prometheus::{Encoder, HistogramVec, IntCounterVec, Registry, TextEncoder};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

type Counters = Series<IntCounterVec>;
type Histograms = Series<HistogramVec>;

const RECONCILE: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];
const TOTAL: &[f64] = &[
    30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0,
];
const PROGRESSION: &[f64] = &[30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0];
const MANUAL_PAUSE: &[f64] = &[
    0.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0,
];
const SYNC: &[f64] = &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// See the module's documentation.
pub struct Metrics {
    registry: Registry,
    pub(super) passes: BTreeMap<Kind, (Histograms, Counters)>,
    app_reconcile: HistogramVec,
    pub(super) events: Counters,
    pub(super) duration: Histograms,
    pub(super) progression: Histograms,
    pub(super) manual_pause: Histograms,
    pub(super) deployments: Counters,
    pub(super) sync_total: Counters,
    pub(super) sync_duration: Histograms,
    pub(super) sync_failures: Counters,
    requests: Requests,
    pub(crate) queue: QueueMetrics,
    pub(super) gone: Gone,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The object that something happened to.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub key: &'a Key,
    /// As it was before the status was written.
    pub object: &'a Value,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::new(),
            passes: passes(),
            app_reconcile: histogram_vec(
                "argocd_app_reconcile",
                "How long passes over Applications took, in seconds.",
                &["namespace", "dest_server"],
                &[0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0],
            ),
            events: counters(
                "rollout_events_total",
                "Events of Rollouts.",
                &["namespace", "name", "type", "reason"],
            ),
            duration: histograms(
                "rollout_duration_seconds",
                "How long updates took from beginning to end.",
                &["namespace", "name", "status"],
                TOTAL,
            ),
            progression: histograms(
                "rollout_progression_duration_seconds",
                "How long updates took, without the time that they waited for somebody.",
                &["namespace", "name", "status"],
                PROGRESSION,
            ),
            manual_pause: histograms(
                "rollout_manual_pause_duration_seconds",
                "How long updates waited for somebody.",
                &["namespace", "name", "status"],
                MANUAL_PAUSE,
            ),
            deployments: counters(
                "weir_deployments_total",
                "Updates of Rollouts that have ended, by the Application they belong to.",
                &["namespace", "name", "app", "result"],
            ),
            sync_total: counters(
                "argocd_app_sync_total",
                "Sync operations that have ended.",
                &[
                    "namespace",
                    "name",
                    "project",
                    "dest_server",
                    "phase",
                    "dry_run",
                ],
            ),
            sync_duration: histograms(
                "weir_app_sync_duration_seconds",
                "How long sync operations took from beginning to end.",
                &["namespace", "name", "phase"],
                SYNC,
            ),
            sync_failures: counters(
                "weir_app_sync_failures_total",
                "Attempts to sync that failed: while applying, or because the source could not be \
                 loaded.",
                &["namespace", "name", "reason"],
            ),
            requests: Requests::default(),
            queue: QueueMetrics::default(),
            gone: Gone::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut all: Vec<Box<dyn Collector>> = vec![
            self.events.collector(),
            self.duration.collector(),
            self.progression.collector(),
            self.manual_pause.collector(),
            self.deployments.collector(),
            self.sync_total.collector(),
            self.sync_duration.collector(),
            self.sync_failures.collector(),
            Box::new(self.app_reconcile.clone()),
            self.requests.collector(),
        ];
        all.extend(self.queue.collectors());
        for (took, failed) in self.passes.values() {
            all.extend([took.collector(), failed.collector()]);
        }
        for collector in all {
            self.registry
                .register(collector)
                .expect("the names of the families of this file differ");
        }
    }

    /// A pass has ended. `server` is the destination of an Application.
    pub fn pass(&self, key: &Key, took: Duration, failed: bool, server: &str) {
        let seconds = took.as_secs_f64();
        if key.kind == Kind::Application {
            let labels = [key.namespace.as_str(), server];
            self.app_reconcile
                .with_label_values(&labels)
                .observe(seconds);
        }
        if let Some((passes, failures)) = self.passes.get(&key.kind) {
            passes.of(&key.namespace, &key.name, &[]).observe(seconds);
            if failed {
                failures.of(&key.namespace, &key.name, &[]).inc();
            }
        }
    }

    /// An event was written, or would have been.
    pub fn event(&self, key: &Key, kind: EventKind, reason: &str) {
        if key.kind == Kind::Rollout {
            self.events
                .of(&key.namespace, &key.name, &[kind.as_str(), reason])
                .inc();
        }
    }

    /// Something may be told, now that the status which records it is stored.
    pub fn release(&self, subject: Subject<'_>, release: &Release) {
        let key = subject.key;
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        match release {
            Release::Event { kind, reason, .. } => self.event(key, *kind, reason),
            Release::EventOn {
                object,
                kind,
                reason,
                ..
            } if object.kind == "Rollout" => {
                let namespace = object.namespace.as_deref().unwrap_or_default();
                let key = Key::new(Kind::Rollout, namespace, &*object.name);
                self.event(&key, *kind, reason);
            }
            Release::EventOn { .. } => {}
            Release::Completed {
                status,
                total_s,
                progression_s,
                manual_pause_s,
            } => {
                let observe = |series: &Histograms, value: f64| {
                    series.of(namespace, name, &[status]).observe(value);
                };
                observe(&self.duration, *total_s);
                observe(&self.progression, *progression_s);
                observe(&self.manual_pause, *manual_pause_s);
                let app = application_of(subject.object);
                self.deployments.of(namespace, name, &[app, status]).inc();
            }
            Release::Synced {
                phase,
                duration_s,
                dry_run,
            } => {
                let text = |pointer: &str| text(subject.object, pointer);
                let labels = [
                    text("/spec/project"),
                    text("/spec/destination/server"),
                    phase.as_str(),
                    if *dry_run { "true" } else { "false" },
                ];
                self.sync_total.of(namespace, name, &labels).inc();
                self.sync_duration
                    .of(namespace, name, &[phase])
                    .observe(*duration_s);
            }
            Release::SyncFailed { reason } => {
                self.sync_failures.of(namespace, name, &[reason]).inc();
            }
        }
    }

    /// A request to the API server was answered.
    pub(super) fn request(&self, kind: &str, namespace: &str, verb: &str, status: &str) {
        self.requests.count(namespace, [kind, verb, status]);
    }

    /// All families that have a series, as text.
    pub(super) fn text(&self) -> String {
        self.sweep();
        self.requests.sweep();
        let mut text = Vec::new();
        let families = self.registry.gather();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics can't be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Kinds whose passes are told of, and by which name.
fn passes() -> BTreeMap<Kind, (Histograms, Counters)> {
    let families = |took: &str, failed: &str, what: &str| {
        let labels = &["namespace", "name"];
        (
            histograms(
                took,
                &format!("How long passes over {what} took, in seconds."),
                labels,
                RECONCILE,
            ),
            counters(failed, &format!("Passes over {what} that failed."), labels),
        )
    };
    [
        (
            Kind::Rollout,
            families("rollout_reconcile", "rollout_reconcile_error", "Rollouts"),
        ),
        (
            Kind::AnalysisRun,
            families(
                "analysis_run_reconcile",
                "analysis_run_reconcile_error",
                "AnalysisRuns",
            ),
        ),
        (
            Kind::Experiment,
            families(
                "experiment_reconcile",
                "experiment_reconcile_error",
                "Experiments",
            ),
        ),
    ]
    .into()
}

/// The Application that an object is tracked by (gitops.md §5).
fn application_of(object: &Value) -> &str {
    let annotations = object.pointer("/metadata/annotations");
    let id = annotations
        .and_then(|all| all.get(api::constants::gitops::TRACKING_ID_ANNOTATION))
        .and_then(Value::as_str);
    id.and_then(|id| id.split_once(':'))
        .map_or("", |(app, _)| app)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let text = object.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Counters {
    Series::new(counter_vec(name, help, labels))
}

fn histograms(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Histograms {
    Series::new(histogram_vec(name, help, labels, buckets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key() -> Key {
        Key::new(Kind::Rollout, "ns", "app")
    }

    fn completed() -> Release {
        Release::Completed {
            status: "Promoted".to_owned(),
            total_s: 100.0,
            progression_s: 40.0,
            manual_pause_s: 60.0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_finished_update_is_told_in_all_its_families() {
        let metrics = Metrics::default();
        let tracking = "argocd.argoproj.io/tracking-id";
        let object =
            json!({"metadata": {"annotations": {tracking: "shop:argoproj.io/Rollout:ns/app"}}});
        let key = key();
        let subject = Subject {
            key: &key,
            object: &object,
        };
        metrics.release(subject, &completed());
        let text = metrics.text();
        for line in [
            r#"rollout_duration_seconds_bucket{name="app",namespace="ns",status="Promoted",le="60"} 0"#,
            r#"rollout_duration_seconds_bucket{name="app",namespace="ns",status="Promoted",le="120"} 1"#,
            r#"rollout_progression_duration_seconds_sum{name="app",namespace="ns",status="Promoted"} 40"#,
            r#"rollout_manual_pause_duration_seconds_bucket{name="app",namespace="ns",status="Promoted",le="60"} 1"#,
            r#"weir_deployments_total{app="shop",name="app",namespace="ns",result="Promoted"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
