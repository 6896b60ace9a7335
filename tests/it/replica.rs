//! One of several controllers on the same cluster: what it asks of the API server is written down,
//! and can be made to fail.

use crate::world::{NAMESPACE, World};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir::lease::{Election, Role, Timing};
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

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The API server refuses it.
    Status(u16),
    /// The connection breaks.
    Broken,
    /// The answer comes so late.
    Slow(Duration),
    /// Of watches only: the stream ends as soon as it has begun.
    Closed,
    /// Of watches only: the version is too old.
    Expired,
}

type AnyBody = UnsyncBoxBody<Bytes, tower::BoxError>;
type Chosen = Box<dyn Fn(usize, &Asked) -> bool + Send>;

impl Asked {
    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    pub fn is_event(&self) -> bool {
        self.path.contains("/events")
    }

    fn is_lease(&self) -> bool {
        self.path.contains("/leases")
    }

    /// Whether it changes anything but the Lease.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET && !self.is_lease()
    }
}

#[derive(Default)]
struct Wire {
    asked: Mutex<Vec<Asked>>,
    no_lease: AtomicBool,
    fault: Mutex<Option<(Fault, Chosen)>>,
    /// Cancelled: the streams that are open end.
    open: Mutex<CancellationToken>,
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
        Self::start_as(world, name, Role::Candidate)
    }

    pub fn start_as(world: &World, name: &str, role: Role) -> Self {
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
            role,
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

    /// From now on requests fail so, where they or their numbers are chosen.
    pub fn fail_with(&self, fault: Fault, chosen: impl Fn(usize, &Asked) -> bool + Send + 'static) {
        *self.wire.fault.lock().unwrap() = Some((fault, Box::new(chosen)));
    }

    pub fn heal(&self) {
        *self.wire.fault.lock().unwrap() = None;
    }

    /// Ends all streams that are open.
    pub fn cut(&self) {
        let mut open = self.wire.open.lock().unwrap();
        open.cancel();
        *open = CancellationToken::new();
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
            let watch = asked.is_watch();
            let number = {
                let mut all = wire.asked.lock().unwrap();
                all.push(asked.clone());
                all.len()
            };
            if refused {
                return Ok(status(403, "Forbidden"));
            }
            if let Some(answer) = fail(&wire, number, &asked).await {
                return answer;
            }
            let open = wire.open.lock().unwrap().clone();
            let (parts, body) = inner.send(request).await?.into_parts();
            let body = body.map_err(tower::BoxError::from).boxed_unsync();
            if !watch {
                return Ok(Response::from_parts(parts, body));
            }
            let frames = body.into_data_stream().take_until(open.cancelled_owned());
            let body = StreamBody::new(frames.map_ok(Frame::data)).boxed_unsync();
            Ok(Response::from_parts(parts, body))
        }
    });
    Client::new(service, namespace)
}

/// What a request gets that is made to fail; `None` if it is not.
async fn fail(
    wire: &Wire,
    number: usize,
    asked: &Asked,
) -> Option<Result<Response<AnyBody>, kube::Error>> {
    let fault = {
        let fault = wire.fault.lock().unwrap();
        fault
            .as_ref()
            .filter(|(_, chosen)| chosen(number, asked))
            .map(|(fault, _)| *fault)
    };
    let watch = asked.is_watch();
    match fault? {
        Fault::Status(code) => Some(Ok(status(code, "Injected"))),
        Fault::Broken => {
            let broken = std::io::Error::other("connection reset by peer");
            Some(Err(kube::Error::Service(broken.into())))
        }
        Fault::Slow(by) => {
            tokio::time::sleep(by).await;
            None
        }
        Fault::Closed => watch.then(|| Ok(Response::new(of_text(String::new())))),
        Fault::Expired => watch.then(|| {
            let gone = json!({"type": "ERROR", "object": of_status(410, "Expired")});
            Ok(Response::new(of_text(format!("{gone}\n"))))
        }),
    }
}

fn of_status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
        "message": format!("the test says {code}"), "reason": reason, "code": code})
}

fn of_text(text: String) -> AnyBody {
    let never = |never: std::convert::Infallible| match never {};
    Full::new(Bytes::from(text)).map_err(never).boxed_unsync()
}

fn status(code: u16, reason: &str) -> Response<AnyBody> {
    let text = of_status(code, reason).to_string();
    let mut response = Response::new(of_text(text));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
