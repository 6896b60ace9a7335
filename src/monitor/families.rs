//! What has happened: counters and histograms.

use super::queue::QueueMetrics;
use super::series::{Name, Requests, Series};
use crate::queue::{Key, Kind};
use plan::{EventKind, Release};
use prometheus::core::Collector;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

type Counters = Series<IntCounterVec>;
type Histograms = Series<HistogramVec>;

/// How long the series of an object outlive it (rollouts.md §9.1): the last scrape must see its
/// end.
const OUTLIVE: Duration = Duration::from_secs(65);

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
    passes: BTreeMap<Kind, (Histograms, Counters)>,
    app_reconcile: HistogramVec,
    events: Counters,
    duration: Histograms,
    progression: Histograms,
    manual_pause: Histograms,
    deployments: Counters,
    sync_total: Counters,
    sync_duration: Histograms,
    sync_failures: Counters,
    requests: Requests,
    pub(crate) queue: QueueMetrics,
    /// Objects that are gone, and since when.
    gone: Mutex<BTreeMap<Key, Instant>>,
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
            gone: Mutex::default(),
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

    /// The object is there: its series stay.
    pub fn seen(&self, key: &Key) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.remove(key);
    }

    /// The object is gone: its series end a while later.
    pub fn gone(&self, key: &Key) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.entry(key.clone()).or_insert_with(Instant::now);
        drop(gone);
        self.sweep();
    }

    /// The series of objects that are not there any more end, as those of [`Self::gone`]: for when
    /// no passes are made, which would find out.
    pub fn compare(&self, is_there: impl Fn(&Key) -> bool) {
        let now = Instant::now();
        let (there, left): (BTreeSet<Key>, BTreeSet<Key>) =
            self.keys().into_iter().partition(is_there);
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|key, _| !there.contains(key));
        for key in left {
            gone.entry(key).or_insert(now);
        }
        drop(gone);
        self.sweep();
    }

    /// The objects that have a series.
    fn keys(&self) -> BTreeSet<Key> {
        let of_kind = |kind: Kind, names: Vec<Name>| {
            let keys = names.into_iter();
            keys.map(move |(namespace, name)| Key::new(kind, namespace, name))
        };
        let passes = self.passes.iter();
        let passes = passes.flat_map(|(kind, (took, _))| of_kind(*kind, took.names()));
        let of_rollouts = [
            self.events.names(),
            self.duration.names(),
            self.deployments.names(),
        ];
        let of_rollouts = of_rollouts.concat();
        let of_applications = [self.sync_total.names(), self.sync_failures.names()].concat();
        passes
            .chain(of_kind(Kind::Rollout, of_rollouts))
            .chain(of_kind(Kind::Application, of_applications))
            .collect()
    }

    fn sweep(&self) {
        let now = Instant::now();
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = Vec::new();
        gone.retain(|key, since| {
            let stays = now.duration_since(*since) < OUTLIVE;
            if !stays {
                over.push(key.clone());
            }
            stays
        });
        drop(gone);
        for key in &over {
            self.forget(key);
        }
    }

    fn forget(&self, key: &Key) {
        let name: Name = (key.namespace.clone(), key.name.clone());
        if let Some((passes, failures)) = self.passes.get(&key.kind) {
            passes.forget(&name);
            failures.forget(&name);
        }
        match key.kind {
            Kind::Rollout => {
                self.events.forget(&name);
                self.duration.forget(&name);
                self.progression.forget(&name);
                self.manual_pause.forget(&name);
                self.deployments.forget(&name);
            }
            Kind::Application => {
                self.sync_total.forget(&name);
                self.sync_duration.forget(&name);
                self.sync_failures.forget(&name);
            }
            Kind::AnalysisRun | Kind::Experiment | Kind::Service => {}
        }
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

/// A family of counters that is not registered yet.
pub(crate) fn counter_vec(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels)
        .expect("the names of this file are valid metric names")
}

/// A family of histograms that is not registered yet.
pub(crate) fn histogram_vec(
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    HistogramVec::new(options, labels).expect("the names of this file are valid metric names")
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
    async fn the_series_of_an_object_end_a_while_after_it() {
        let metrics = Metrics::default();
        let key = key();
        let again = || {
            metrics.pass(&key, Duration::from_millis(200), true, "");
            metrics.event(&key, EventKind::Normal, "RolloutUpdated");
        };
        again();
        metrics.gone(&key);
        tokio::time::advance(Duration::from_secs(64)).await;
        assert!(metrics.text().contains("rollout_events_total{"));
        // Somebody has made it anew: nothing ends.
        metrics.seen(&key);
        tokio::time::advance(Duration::from_secs(10)).await;
        let text = metrics.text();
        assert!(text.contains(r#"rollout_reconcile_error{name="app",namespace="ns"} 1"#));
        metrics.gone(&key);
        tokio::time::advance(Duration::from_secs(65)).await;
        let text = metrics.text();
        assert!(!text.contains("namespace=\"ns\""), "{text}");
        again();
        assert!(
            metrics
                .text()
                .contains("reason=\"RolloutUpdated\",type=\"Normal\"} 1")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_while_nobody_worked_ends_too() {
        let metrics = Metrics::default();
        let (stays, goes) = (Key::new(Kind::Rollout, "ns", "stays"), key());
        let app = Key::new(Kind::Application, "argocd", "shop");
        metrics.pass(&stays, Duration::from_millis(200), false, "");
        metrics.event(&goes, EventKind::Normal, "RolloutUpdated");
        let failed = Release::SyncFailed { reason: "sync" };
        let subject = Subject {
            key: &app,
            object: &Value::Null,
        };
        metrics.release(subject, &failed);
        metrics.compare(|key| *key == stays);
        tokio::time::advance(Duration::from_secs(30)).await;
        metrics.compare(|key| *key == stays);
        assert!(metrics.text().contains("name=\"app\""));
        tokio::time::advance(Duration::from_secs(35)).await;
        let text = metrics.text();
        assert!(text.contains("name=\"stays\""), "{text}");
        assert!(!text.contains("name=\"app\""), "{text}");
        assert!(!text.contains("name=\"shop\""), "{text}");
    }
}
