//! The two ports (rollouts.md §9.1): metrics, and health. Both are served by a process that stands
//! by as well.

use super::health::Health;
use super::state::Monitor;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A client that sends its request slower than that is dropped.
const HEADER_MAX: Duration = Duration::from_secs(10);
/// How many connections are served at a time: there is one Prometheus and one kubelet.
const CONNECTIONS_MAX: usize = 64;
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a port serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// `/metrics`
    Metrics,
    /// `/healthz`, `/readyz`
    Health,
}

/// Both ports; dropping it closes them.
#[derive(Debug)]
pub struct Endpoints {
    pub metrics: Option<SocketAddr>,
    pub health: Option<SocketAddr>,
    _tasks: JoinSet<()>,
}

/// Serves both on all addresses; port 0 is none.
///
/// # Errors
/// When a port can't be listened on; the flag that chooses another is named.
pub async fn serve(monitor: &Arc<Monitor>, metrics: u16, health: u16) -> io::Result<Endpoints> {
    let mut tasks = JoinSet::new();
    let mut open = async |port: u16, served, flag: &str| {
        if port == 0 {
            return Ok(None);
        }
        let listener = listen(port).await.map_err(|error| {
            let text =
                format!("port {port} can't be listened on ({error}): choose another with {flag}");
            io::Error::new(error.kind(), text)
        })?;
        let address = listener.local_addr()?;
        tasks.spawn(accept(listener, monitor.clone(), served));
        Ok::<_, io::Error>(Some(address))
    };
    let metrics = open(metrics, Served::Metrics, "--metricsPort").await?;
    let health = open(health, Served::Health, "--healthzPort").await?;
    Ok(Endpoints {
        metrics,
        health,
        _tasks: tasks,
    })
}

/// On all addresses of both families, or of IPv4 where there is no IPv6.
async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        answer => answer,
    }
}

/// Serves connections until it is dropped.
async fn accept(listener: TcpListener, monitor: Arc<Monitor>, served: Served) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(
                    %error,
                    "a connection to the port of metrics or health could not be accepted, trying again: \
                     is the limit of open files reached?"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let monitor = monitor.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let monitor = monitor.clone();
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                async move { Ok::<_, Infallible>(answer(monitor, served, &method, &path).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_MAX)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
        });
    }
}

async fn answer(
    monitor: Arc<Monitor>,
    served: Served,
    method: &Method,
    path: &str,
) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    match (served, path) {
        (Served::Metrics, "/metrics") => page(monitor).await,
        (Served::Health, "/healthz") => health(monitor.view().alive()),
        (Served::Health, "/readyz") => health(monitor.view().ready()),
        _ => plain(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

/// Of thousands of objects it takes a while: whoever renews the Lease must not wait for it.
async fn page(monitor: Arc<Monitor>) -> Response<Full<Bytes>> {
    match tokio::task::spawn_blocking(move || monitor.page()).await {
        Ok(text) => plain(StatusCode::OK, text),
        Err(error) => {
            tracing::error!(%error, "the page of metrics could not be made");
            let text = "the page could not be made: see the log\n".to_owned();
            plain(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}

fn health(health: Health) -> Response<Full<Bytes>> {
    match health {
        Health::Good => plain(StatusCode::OK, "ok".to_owned()),
        Health::Bad(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static(TEXT);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn get(served: Served, request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(accept(listener, Arc::default(), served));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        server.abort();
        answer
    }

    #[tokio::test]
    async fn each_port_serves_its_own() {
        let healthy = get(Served::Health, "GET /healthz").await;
        assert!(
            healthy.starts_with("HTTP/1.1 200") && healthy.ends_with("\r\n\r\nok"),
            "{healthy}"
        );
        let starting = get(Served::Health, "GET /readyz").await;
        assert!(starting.starts_with("HTTP/1.1 503"), "{starting}");
        let page = get(Served::Metrics, "GET /metrics").await;
        assert!(page.contains("text/plain; version=0.0.4"), "{page}");
        assert!(page.contains("\nbuild_info{version="), "{page}");
        for (served, request) in [
            (Served::Metrics, "GET /healthz"),
            (Served::Health, "GET /metrics"),
            (Served::Health, "GET /"),
        ] {
            assert!(get(served, request).await.starts_with("HTTP/1.1 404"));
        }
        assert!(
            get(Served::Metrics, "POST /metrics")
                .await
                .starts_with("HTTP/1.1 405")
        );
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_flag_that_chooses_another() {
        let taken = listen(0).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = serve(&Arc::default(), port, 0).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&port.to_string()) && text.contains("--metricsPort"),
            "{text}"
        );
        let none = serve(&Arc::default(), 0, 0).await.unwrap();
        assert_eq!((none.metrics, none.health), (None, None));
    }
}
