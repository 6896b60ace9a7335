//! Open-loop load: requests leave at a fixed rate whatever comes back, and each is accounted for.
//!
//! Latency is measured from the time a request was due, so that a slow answer can't hide by
//! delaying the next request.

mod histogram;
mod report;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use histogram::Histogram;
pub use report::{Arm, LoadReport};

use crate::gateway::{COLOR_HEADER, HASH_HEADER};

/// Answers are read to this length, bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// What to send.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// `Host` header; the address if `None`.
    pub host: Option<String>,
    pub path: String,
    /// Requests per second, 1 to 100 000.
    pub rate: u32,
    /// `None` = until stopped.
    pub duration: Option<Duration>,
    pub timeout: Duration,
    /// Requests in flight at most; one that is due beyond counts as failed (`overload`).
    pub in_flight: usize,
}

impl Target {
    /// Endless load of `rate` requests a second.
    pub fn new(address: SocketAddr, rate: u32) -> Self {
        Self {
            address,
            host: None,
            path: "/".to_owned(),
            rate,
            duration: None,
            timeout: Duration::from_secs(10),
            in_flight: 4_096,
        }
    }
}

/// Load that runs.
#[derive(Debug)]
pub struct Load {
    report: Arc<Mutex<LoadReport>>,
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    /// Starts sending.
    pub fn start(target: Target) -> Self {
        let report = Arc::new(Mutex::new(LoadReport::default()));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let task = tokio::spawn(generate(target, Arc::clone(&report), stopped));
        Self { report, stop, task }
    }

    /// The counts so far; requests in flight are the difference between `sent` and all others.
    pub fn so_far(&self) -> LoadReport {
        self.report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stops sending, waits for what is in flight, and reports.
    pub async fn stop(self) -> LoadReport {
        self.stop.send_replace(true);
        self.finish().await
    }

    /// Waits for the end of the duration and of what is in flight, and reports.
    pub async fn finish(self) -> LoadReport {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "load generator ended early");
        }
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.clone()
    }
}

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// What every request needs.
#[derive(Debug)]
struct Shared {
    target: Target,
    client: HttpClient,
    report: Arc<Mutex<LoadReport>>,
}

async fn generate(
    target: Target,
    report: Arc<Mutex<LoadReport>>,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(target.timeout));
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    let rate = target.rate.clamp(1, 100_000);
    let limit = Arc::new(Semaphore::new(target.in_flight));
    let end = target.duration.map(|duration| Instant::now() + duration);
    let shared = Arc::new(Shared {
        target,
        client,
        report,
    });
    let mut requests = JoinSet::new();
    let start = Instant::now();
    for n in 0_u64.. {
        let due = start + Duration::from_nanos(n.saturating_mul(1_000_000_000 / u64::from(rate)));
        if end.is_some_and(|end| due >= end) {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
        shared.with(|report| report.sent += 1);
        while requests.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&limit).try_acquire_owned() else {
            shared.with(|report| report.fail("overload"));
            continue;
        };
        let shared = Arc::clone(&shared);
        requests.spawn(async move {
            shared.send(due).await;
            drop(permit);
        });
    }
    while requests.join_next().await.is_some() {}
}

impl Shared {
    fn with(&self, change: impl FnOnce(&mut LoadReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn send(&self, due: Instant) {
        match tokio::time::timeout(self.target.timeout, self.exchange()).await {
            Ok(Ok((status, hash, color))) => {
                let took = due.elapsed();
                self.with(|report| report.answer(&hash, &color, status, took));
            }
            Ok(Err(kind)) => self.with(|report| report.fail(kind)),
            Err(_) => self.with(|report| report.fail("timeout")),
        }
    }

    /// Status and arm of a whole answer; a body that breaks off is no answer.
    async fn exchange(&self) -> Result<(u16, String, String), &'static str> {
        let target = &self.target;
        let uri = format!("http://{}{}", target.address, target.path);
        let mut request = Request::get(uri);
        if let Some(host) = &target.host {
            request = request.header(header::HOST, host);
        }
        let request = request.body(Empty::new()).map_err(|_| "bad request")?;
        let response = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                "connect"
            } else {
                "broken connection"
            }
        })?;
        let (parts, body) = response.into_parts();
        Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|_| "broken answer")?;
        let text = |name: &str| {
            let value = parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        Ok((parts.status.as_u16(), text(HASH_HEADER), text(COLOR_HEADER)))
    }
}
