//! What has happened: counters and histograms.

use super::ended::Gone;
use super::family::Family;
use super::page::Page;
use super::queue::QueueMetrics;
use super::series::{Requests, Series, histogram_vec};
use crate::queue::{Key, Kind};
use plan::{EventKind, Release};
use prometheus::core::Collector;
use prometheus::{HistogramVec, Registry, TextEncoder};
use serde_json::Value;
use std::time::Duration;

/// Bounds of passes, in seconds.
const RECONCILE: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];

static ROLLOUT_PASSES: Family = Family::histogram(
    "rollout_reconcile",
    "How long passes over Rollouts took, in seconds.",
    RECONCILE,
);
static ROLLOUT_FAILURES: Family = Family::counter(
    "rollout_reconcile_error",
    "Passes over Rollouts that failed.",
);
static RUN_PASSES: Family = Family::histogram(
    "analysis_run_reconcile",
    "How long passes over AnalysisRuns took, in seconds.",
    RECONCILE,
);
static RUN_FAILURES: Family = Family::counter(
    "analysis_run_reconcile_error",
    "Passes over AnalysisRuns that failed.",
);
static EXPERIMENT_PASSES: Family = Family::histogram(
    "experiment_reconcile",
    "How long passes over Experiments took, in seconds.",
    RECONCILE,
);
static EXPERIMENT_FAILURES: Family = Family::counter(
    "experiment_reconcile_error",
    "Passes over Experiments that failed.",
);
static EVENTS: Family = Family::counter("rollout_events_total", "Events of Rollouts.");
static DURATION: Family = Family::histogram(
    "rollout_duration_seconds",
    "How long updates took from beginning to end.",
    &[
        30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0,
    ],
);
static PROGRESSION: Family = Family::histogram(
    "rollout_progression_duration_seconds",
    "How long updates took, without the time that they waited for somebody.",
    &[30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0],
);
static MANUAL_PAUSE: Family = Family::histogram(
    "rollout_manual_pause_duration_seconds",
    "How long updates waited for somebody.",
    &[
        0.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0,
    ],
);
static DEPLOYMENTS: Family = Family::counter(
    "weir_deployments_total",
    "Updates of Rollouts that have ended, by the Application they belong to.",
);
static SYNC_TOTAL: Family =
    Family::counter("argocd_app_sync_total", "Sync operations that have ended.");
static SYNC_DURATION: Family = Family::histogram(
    "weir_app_sync_duration_seconds",
    "How long sync operations took from beginning to end.",
    &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0],
);
static SYNC_FAILURES: Family = Family::counter(
    "weir_app_sync_failures_total",
    "Attempts to sync that failed: while applying, or because the source could not be loaded.",
);

/// Those with series of objects, as they are on the page.
static OF_OBJECTS: [&Family; 14] = [
    &RUN_PASSES,
    &RUN_FAILURES,
    &SYNC_TOTAL,
    &EXPERIMENT_PASSES,
    &EXPERIMENT_FAILURES,
    &DURATION,
    &EVENTS,
    &MANUAL_PAUSE,
    &PROGRESSION,
    &ROLLOUT_PASSES,
    &ROLLOUT_FAILURES,
    &SYNC_DURATION,
    &SYNC_FAILURES,
    &DEPLOYMENTS,
];

/// How long passes took, and how many failed, of kinds for which that is told of each object.
fn passes(kind: Kind) -> Option<(&'static Family, &'static Family)> {
    match kind {
        Kind::Rollout => Some((&ROLLOUT_PASSES, &ROLLOUT_FAILURES)),
        Kind::AnalysisRun => Some((&RUN_PASSES, &RUN_FAILURES)),
        Kind::Experiment => Some((&EXPERIMENT_PASSES, &EXPERIMENT_FAILURES)),
        Kind::Service | Kind::Application => None,
    }
}

/// See the module's documentation.
pub struct Metrics {
    pub(super) series: Series,
    /// Of the families of the metrics library, which have few series.
    registry: Registry,
    app_reconcile: HistogramVec,
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
            series: Series::default(),
            registry: Registry::new(),
            app_reconcile: histogram_vec(
                "argocd_app_reconcile",
                "How long passes over Applications took, in seconds.",
                &["namespace", "dest_server"],
                &[0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0],
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
            Box::new(self.app_reconcile.clone()),
            self.requests.collector(),
        ];
        all.extend(self.queue.collectors());
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
        if let Some((passes, failures)) = passes(key.kind) {
            self.series.observe(passes, key, &[], seconds);
            if failed {
                self.series.count(failures, key, &[]);
            }
        }
    }

    /// An event was written, or would have been.
    pub fn event(&self, key: &Key, kind: EventKind, reason: &str) {
        if key.kind == Kind::Rollout {
            let labels = [("reason", reason), ("type", kind.as_str())];
            self.series.count(&EVENTS, key, &labels);
        }
    }

    /// Something may be told, now that the status which records it is stored.
    pub fn release(&self, subject: Subject<'_>, release: &Release) {
        let key = subject.key;
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
                let labels = [("status", status.as_str())];
                self.series.observe(&DURATION, key, &labels, *total_s);
                self.series
                    .observe(&PROGRESSION, key, &labels, *progression_s);
                self.series
                    .observe(&MANUAL_PAUSE, key, &labels, *manual_pause_s);
                let app = application_of(subject.object);
                let labels = [("app", app), ("result", status.as_str())];
                self.series.count(&DEPLOYMENTS, key, &labels);
            }
            Release::Synced {
                phase,
                duration_s,
                dry_run,
            } => {
                let text = |pointer: &str| text(subject.object, pointer);
                let labels = [
                    ("dest_server", text("/spec/destination/server")),
                    ("dry_run", if *dry_run { "true" } else { "false" }),
                    ("phase", phase.as_str()),
                    ("project", text("/spec/project")),
                ];
                self.series.count(&SYNC_TOTAL, key, &labels);
                let labels = [("phase", phase.as_str())];
                self.series
                    .observe(&SYNC_DURATION, key, &labels, *duration_s);
            }
            Release::SyncFailed { reason } => {
                self.series
                    .count(&SYNC_FAILURES, key, &[("reason", *reason)]);
            }
        }
    }

    /// A request to the API server was answered.
    pub(super) fn request(&self, kind: &str, namespace: &str, verb: &str, status: &str) {
        self.requests.count(namespace, [kind, verb, status]);
    }

    /// Writes all families that have a series.
    pub(super) fn write(&self, page: &mut Page) {
        self.sweep();
        self.requests.sweep();
        for family in OF_OBJECTS {
            self.series.write(page, family);
        }
        let mut text = String::new();
        let families = self.registry.gather();
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            tracing::error!(%error, "metrics can't be written");
        }
        page.append(&text);
    }

    /// The same by itself.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        let mut page = Page::default();
        self.write(&mut page);
        page.into_text()
    }
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

    #[tokio::test(start_paused = true)]
    async fn each_family_is_on_the_page_once_it_has_a_series() {
        let metrics = Metrics::default();
        assert_eq!(metrics.text(), "");
        let rollout = key();
        for kind in [Kind::Rollout, Kind::AnalysisRun, Kind::Experiment] {
            let key = Key::new(kind, "ns", "app");
            metrics.pass(&key, Duration::from_millis(200), true, "");
        }
        metrics.event(&rollout, EventKind::Normal, "RolloutUpdated");
        let subject = Subject {
            key: &rollout,
            object: &Value::Null,
        };
        metrics.release(subject, &completed());
        let app = Key::new(Kind::Application, "argocd", "shop");
        let spec = json!({"project": "default", "destination": {"server": "https://k"}});
        let object = json!({"spec": spec});
        let subject = Subject {
            key: &app,
            object: &object,
        };
        let synced = Release::Synced {
            phase: "Succeeded".to_owned(),
            duration_s: 4.5,
            dry_run: false,
        };
        metrics.release(subject, &synced);
        metrics.release(subject, &Release::SyncFailed { reason: "source" });
        let text = metrics.text();
        let families = text.lines().filter(|line| line.starts_with("# TYPE "));
        assert_eq!(families.count(), 14, "{text}");
        for line in [
            r#"rollout_reconcile_bucket{name="app",namespace="ns",le="0.25"} 1"#,
            r#"analysis_run_reconcile_sum{name="app",namespace="ns"} 0.2"#,
            r#"experiment_reconcile_error{name="app",namespace="ns"} 1"#,
            r#"rollout_events_total{name="app",namespace="ns",reason="RolloutUpdated",type="Normal"} 1"#,
            r#"argocd_app_sync_total{dest_server="https://k",dry_run="false",name="shop",namespace="argocd",phase="Succeeded",project="default"} 1"#,
            r#"weir_app_sync_duration_seconds_bucket{name="shop",namespace="argocd",phase="Succeeded",le="5"} 1"#,
            r#"weir_app_sync_failures_total{name="shop",namespace="argocd",reason="source"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
