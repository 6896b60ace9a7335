//! One of several controllers on the same cluster: what it asks of the API server is written down,
//! and can be made to fail.

use crate::world::{NAMESPACE, World};
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir::lease::{Election, Timing};
use weir::manager;
use weir::monitor::Monitor;

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub method: Method,
    pub path: String,
    pub query: String,
}

impl Asked {
    fn is_lease(&self) -> bool {
        self.path.contains("/leases")
    }

    /// Whether it changes anything but the Lease.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET && !self.is_lease()
    }
}

#[derive(Debug, Default)]
struct Wire {
    asked: Mutex<Vec<Asked>>,
    no_lease: AtomicBool,
}

/// See the module's documentation.
pub struct Replica {
    wire: Arc<Wire>,
    pub monitor: Arc<Monitor>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replica {
    pub fn start(world: &World, name: &str) -> Self {
        let wire = Arc::<Wire>::default();
        let monitor = Arc::<Monitor>::default();
        let shutdown = CancellationToken::new();
        let mut options = world.options();
        options.monitor = monitor.clone();
        options.election = Some(Election {
            namespace: NAMESPACE.to_owned(),
            lease: Election::lease_name(None),
            identity: name.to_owned(),
            timing: Timing::default(),
        });
        let client = through(world.api.client(), wire.clone());
        let run = manager::run(client, options, shutdown.clone());
        Self {
            wire,
            monitor,
            shutdown,
            task: tokio::spawn(run),
        }
    }

    /// As SIGKILL.
    pub async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// As SIGTERM: returns when it has ended.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        (&mut self.task).await.unwrap();
    }

    /// From now on it has no right to its Lease.
    pub fn forbid_lease(&self) {
        self.wire.no_lease.store(true, Ordering::SeqCst);
    }

    pub fn allow_lease(&self) {
        self.wire.no_lease.store(false, Ordering::SeqCst);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.wire.asked.lock().unwrap().clone()
    }

    pub fn writes(&self) -> Vec<Asked> {
        let mut asked = self.wire.asked.lock().unwrap().clone();
        asked.retain(Asked::is_write);
        asked
    }
}

fn through(inner: Client, wire: Arc<Wire>) -> Client {
    let namespace = inner.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, wire) = (inner.clone(), wire.clone());
        async move {
            let asked = Asked {
                at: Instant::now(),
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
                query: request.uri().query().unwrap_or_default().to_owned(),
            };
            let refused = asked.is_lease() && wire.no_lease.load(Ordering::SeqCst);
            wire.asked.lock().unwrap().push(asked);
            if refused {
                return Ok(forbidden());
            }
            inner.send(request).await
        }
    });
    Client::new(service, namespace)
}

fn forbidden() -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "leases is forbidden", "reason": "Forbidden", "code": 403});
    let mut response = Response::new(Body::from(status.to_string().into_bytes()));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}
