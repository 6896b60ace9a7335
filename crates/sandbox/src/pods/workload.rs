//! The demo workload: a colour, an error rate, a latency, and the numbers to prove it.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::meta;
use cluster::workload::Workload;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::sync::watch;

use super::process::Phase;

/// Request bodies are read to this length, bytes; longer ones are refused.
const MAX_BODY: usize = 1024 * 1024;
/// Upper bounds of the latency histogram, seconds.
const BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
/// The golden ratio's fraction: multiples of it spread evenly over 0..1, at any length of the
/// sequence.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Header with the pod's name.
pub const POD_HEADER: &str = "x-weir-pod";
/// Header with the workload's colour.
pub const COLOR_HEADER: &str = "x-weir-color";
/// Header with the pod template hash of the pod.
pub const HASH_HEADER: &str = "x-weir-hash";
const HASH_LABELS: [&str; 2] = ["rollouts-pod-template-hash", "pod-template-hash"];

/// Who answers.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pod: String,
    namespace: String,
    hash: String,
}

impl Identity {
    pub(super) fn of(pod: &Pod) -> Self {
        let labels = pod.metadata.labels.as_ref();
        let hash = HASH_LABELS.iter().find_map(|label| labels?.get(*label));
        Self {
            pod: meta::name(&pod.metadata).to_owned(),
            namespace: meta::namespace(&pod.metadata).to_owned(),
            hash: hash.cloned().unwrap_or_default(),
        }
    }
}

/// One running workload.
#[derive(Debug)]
pub(super) struct Demo {
    workload: Workload,
    identity: Identity,
    started: Instant,
    phase: watch::Receiver<Phase>,
    sequence: AtomicU64,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    ok: u64,
    failed: u64,
    buckets: [u64; BUCKETS.len()],
    sum_s: f64,
}

impl Demo {
    pub(super) fn new(
        workload: Workload,
        identity: Identity,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Self {
            workload,
            identity,
            started: Instant::now(),
            phase,
            sequence: AtomicU64::new(0),
            numbers: Mutex::default(),
        }
    }

    /// One request. `/health` and `/metrics` are not counted; every other path is the workload's.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let mut response = match path.as_str() {
            "/health" | "/healthz" | "/ready" | "/readyz" | "/live" | "/livez" => {
                self.health(&path)
            }
            "/metrics" => text(StatusCode::OK, self.metrics()),
            _ => self.work(request).await,
        };
        let headers = response.headers_mut();
        let identity = [
            (POD_HEADER, &self.identity.pod),
            (COLOR_HEADER, &self.workload.color),
            (HASH_HEADER, &self.identity.hash),
        ];
        for (name, value) in identity {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        if *self.phase.borrow() >= Phase::Draining {
            // Whoever keeps connections shall take the next request elsewhere.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn health(&self, path: &str) -> Response<Full<Bytes>> {
        let started = self.started.elapsed() >= Duration::from_secs(self.workload.start_s);
        let alive = path.starts_with("/live");
        if alive || (started && !self.workload.unready) {
            text(StatusCode::OK, "ok\n".to_owned())
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned())
        }
    }

    async fn work(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        if body.is_err() {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "body too large\n".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(self.workload.latency_ms)).await;
        let fails = self.fails();
        let status = if fails {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        };
        self.count(fails, began.elapsed());
        let answer = json!({
            "color": self.workload.color,
            "pod": self.identity.pod,
            "namespace": self.identity.namespace,
            "status": status.as_u16(),
        });
        let mut response = text(status, format!("{answer}\n"));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// The n-th request fails if the n-th point of an even sequence falls into the failing share.
    fn fails(&self) -> bool {
        let pct = self
            .workload
            .error_pct_at(self.started.elapsed().as_secs_f64());
        let n = self.sequence.fetch_add(1, Ordering::Relaxed);
        // From the upper end, so that a small share does not begin with a failure.
        1.0 - (n as f64 * GOLDEN).fract() <= pct / 100.0 && pct > 0.0
    }

    fn count(&self, failed: bool, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut numbers = self
            .numbers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if failed {
            numbers.failed += 1;
        } else {
            numbers.ok += 1;
        }
        numbers.sum_s += seconds;
        if let Some(at) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            numbers.buckets[at] += 1;
        }
    }

    /// Prometheus text exposition.
    fn metrics(&self) -> String {
        let numbers = self
            .numbers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let labels = format!(
            "pod=\"{}\",namespace=\"{}\",color=\"{}\"",
            escape(&self.identity.pod),
            escape(&self.identity.namespace),
            escape(&self.workload.color)
        );
        let mut out = String::from(
            "# HELP http_requests_total Requests answered, by status code.\n# TYPE http_requests_total counter\n",
        );
        for (code, count) in [(200, numbers.ok), (500, numbers.failed)] {
            let _ = writeln!(
                out,
                "http_requests_total{{code=\"{code}\",{labels}}} {count}"
            );
        }
        out.push_str("# HELP http_request_duration_seconds Time to answer.\n");
        out.push_str("# TYPE http_request_duration_seconds histogram\n");
        let mut below = 0;
        for (bound, count) in BUCKETS.iter().zip(numbers.buckets) {
            below += count;
            let _ = writeln!(
                out,
                "http_request_duration_seconds_bucket{{le=\"{bound}\",{labels}}} {below}"
            );
        }
        let total = numbers.ok + numbers.failed;
        let _ = writeln!(
            out,
            "http_request_duration_seconds_bucket{{le=\"+Inf\",{labels}}} {total}"
        );
        let _ = writeln!(
            out,
            "http_request_duration_seconds_sum{{{labels}}} {}",
            numbers.sum_s
        );
        let _ = writeln!(
            out,
            "http_request_duration_seconds_count{{{labels}}} {total}"
        );
        out
    }
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
