//! Carries one request to an endpoint and its answer back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::route::Asked;
use super::table::{Backend, Key, NoBackend, Table};
use crate::addresses::Addresses;

/// Longest request body, bytes.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// Until an endpoint's headers.
const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than any workload's drain: a kept connection is never the last to know.
const IDLE: Duration = Duration::from_millis(500);
/// Endpoints tried for a request that none has seen.
const ATTEMPTS: u64 = 3;
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body on its way through, or one of our own.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// What a listener is for.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Routes by host and path.
    Gateway,
    /// One port of one Service.
    Service(Key, i32),
}

/// The table in force and the connections to endpoints.
#[derive(Debug)]
pub(crate) struct Proxy {
    table: RwLock<Arc<Table>>,
    client: Client<HttpConnector, Body>,
    addresses: Arc<Addresses>,
    sequence: AtomicU64,
}

impl Proxy {
    pub(crate) fn new(addresses: Arc<Addresses>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            table: RwLock::default(),
            client,
            addresses,
            sequence: AtomicU64::new(0),
        }
    }

    pub(super) fn set_table(&self, table: Table) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    pub(super) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One request. Never fails: what goes wrong is an answer.
    pub(super) async fn handle(
        &self,
        entry: &Entry,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let n = self.sequence.fetch_add(1, Ordering::Relaxed);
        match self.choose(entry, &request, n) {
            Ok(backend) if backend.addresses.is_empty() => refuse(NoBackend::NotReady),
            Ok(backend) => self.forward(&backend, peer, request, n).await,
            Err(why) => refuse(why),
        }
    }

    fn choose(
        &self,
        entry: &Entry,
        request: &Request<Incoming>,
        n: u64,
    ) -> Result<Arc<Backend>, NoBackend> {
        let table = self.table();
        match entry {
            Entry::Service(key, port) => table.by_service(key, *port),
            Entry::Gateway => {
                let host = request
                    .headers()
                    .get(header::HOST)
                    .and_then(|host| host.to_str().ok());
                let host = host.or_else(|| request.uri().host()).unwrap_or_default();
                let asked = Asked {
                    path: request.uri().path(),
                    query: request.uri().query().unwrap_or_default(),
                    method: request.method().as_str(),
                    headers: request.headers(),
                };
                table.by_host(host, &asked, n)
            }
        }
    }

    async fn forward(
        &self,
        backend: &Backend,
        peer: SocketAddr,
        request: Request<Incoming>,
        n: u64,
    ) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        strip(&mut parts.headers);
        if let Ok(peer) = HeaderValue::from_str(&peer.ip().to_string()) {
            parts
                .headers
                .append(HeaderName::from_static("x-forwarded-for"), peer);
        }
        let repeatable = body.is_end_stream()
            && matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let mut body = Some(body);
        for attempt in 0..ATTEMPTS {
            let Some(endpoint) = backend.pick(n.wrapping_add(attempt)) else {
                break;
            };
            let uri = self.uri(endpoint, &parts.uri);
            let mut copy = Request::new(match body.take() {
                Some(body) => Limited::new(body, MAX_BODY).boxed_unsync(),
                None => full(Bytes::new()),
            });
            *copy.method_mut() = parts.method.clone();
            *copy.uri_mut() = uri;
            copy.headers_mut().clone_from(&parts.headers);
            match tokio::time::timeout(TIMEOUT, self.client.request(copy)).await {
                Ok(Ok(response)) => return answer(response),
                // A refused connect: nobody has seen the request, so another endpoint may.
                Ok(Err(error)) if error.is_connect() && repeatable => {
                    tracing::debug!(%endpoint, "connect refused, trying another endpoint");
                }
                Ok(Err(error)) => return failed(&error),
                Err(_) => return text(StatusCode::GATEWAY_TIMEOUT, "endpoint did not answer\n"),
            }
        }
        text(StatusCode::BAD_GATEWAY, "no endpoint could be reached\n")
    }

    fn uri(&self, endpoint: SocketAddr, original: &Uri) -> Uri {
        let path = original
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        let dial = self.addresses.resolve(endpoint);
        format!("http://{dial}{path}").parse().unwrap_or_default()
    }
}

/// Headers that belong to one connection end here.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

fn answer(response: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    parts.version = http::Version::HTTP_11;
    Response::from_parts(parts, body.map_err(Into::into).boxed_unsync())
}

fn failed(error: &hyper_util::client::legacy::Error) -> Response<Body> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<http_body_util::LengthLimitError>() {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "body too large\n");
        }
        source = inner.source();
    }
    tracing::debug!(%error, "endpoint failed");
    text(StatusCode::BAD_GATEWAY, "endpoint failed\n")
}

fn refuse(why: NoBackend) -> Response<Body> {
    match why {
        NoBackend::NoRoute => text(StatusCode::NOT_FOUND, "no route\n"),
        NoBackend::Unresolved => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the route's backends do not resolve\n",
        ),
        NoBackend::NotReady => text(StatusCode::SERVICE_UNAVAILABLE, "no ready endpoints\n"),
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An answer of the gateway itself, marked as such.
fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::from_static(message.as_bytes())));
    *response.status_mut() = status;
    let own = HeaderValue::from_static("weir-gateway");
    response.headers_mut().insert(header::SERVER, own);
    response
}
