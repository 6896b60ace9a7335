//! `workqueue_*`, by the names that all Kubernetes controllers use.

use super::page::Page;
use super::series::{counter_vec, histogram_vec};
use crate::queue::{Kind, Queue};
use prometheus::core::Collector;
use prometheus::{HistogramVec, IntCounterVec};
use std::time::Duration;

/// As client-go: ten decades, from 10 ns.
const SECONDS: &[f64] = &[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// What the queue counts. Cloning gives the same families again.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    adds: IntCounterVec,
    retries: IntCounterVec,
    waited: HistogramVec,
    worked: HistogramVec,
}

impl Default for QueueMetrics {
    fn default() -> Self {
        let name = &["name"];
        Self {
            adds: counter_vec("workqueue_adds_total", "Keys that were added.", name),
            retries: counter_vec(
                "workqueue_retries_total",
                "Keys that are tried again after a failure.",
                name,
            ),
            waited: histogram_vec(
                "workqueue_queue_duration_seconds",
                "How long keys that were due waited for a worker.",
                name,
                SECONDS,
            ),
            worked: histogram_vec(
                "workqueue_work_duration_seconds",
                "How long keys were worked on.",
                name,
                SECONDS,
            ),
        }
    }
}

/// Names of the peer's queues (rollouts.md §9.1).
fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Rollout => "Rollouts",
        Kind::AnalysisRun => "AnalysisRuns",
        Kind::Experiment => "Experiments",
        Kind::Service => "Services",
        Kind::Application => "Applications",
    }
}

impl QueueMetrics {
    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.adds.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.waited.clone()),
            Box::new(self.worked.clone()),
        ]
    }

    pub(crate) fn added(&self, kind: Kind) {
        self.adds.with_label_values(&[name_of(kind)]).inc();
    }

    pub(crate) fn retried(&self, kind: Kind) {
        self.retries.with_label_values(&[name_of(kind)]).inc();
    }

    pub(crate) fn taken(&self, kind: Kind, waited: Duration) {
        let family = self.waited.with_label_values(&[name_of(kind)]);
        family.observe(waited.as_secs_f64());
    }

    pub(crate) fn done(&self, kind: Kind, worked: Duration) {
        let family = self.worked.with_label_values(&[name_of(kind)]);
        family.observe(worked.as_secs_f64());
    }
}

/// Writes what the queue is at now.
pub(super) fn write(page: &mut Page, queue: &Queue) {
    let now = queue.by_kind();
    let mut depth = page.gauge("workqueue_depth", "Keys that are due.");
    for (kind, load) in &now {
        depth.sample(&[("name", name_of(*kind))], load.due);
    }
    let mut unfinished = page.gauge(
        "workqueue_unfinished_work_seconds",
        "How long the keys that are being worked on have been so, together.",
    );
    for (kind, load) in &now {
        unfinished.sample(&[("name", name_of(*kind))], load.unfinished.as_secs_f64());
    }
    let mut longest = page.gauge(
        "workqueue_longest_running_processor_seconds",
        "How long the key that has been worked on for longest has been so.",
    );
    for (kind, load) in &now {
        longest.sample(&[("name", name_of(*kind))], load.longest.as_secs_f64());
    }
}
