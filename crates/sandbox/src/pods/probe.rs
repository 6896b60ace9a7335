//! Probes and hooks over real connections.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use cluster::workload::Script;
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use tokio::net::TcpStream;

use super::machine::port;
use crate::addresses::Addresses;

const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// One thing to check once.
#[derive(Debug)]
pub(super) struct Check {
    what: What,
    timeout: Duration,
}

#[derive(Debug)]
enum What {
    Get {
        address: SocketAddr,
        path: String,
        headers: Vec<(String, String)>,
    },
    Connect(SocketAddr),
    /// A command is read, not run: it fails if it says so.
    Exec(Script),
    Broken(String),
}

impl Check {
    pub(super) fn of(probe: &Probe, container: &Container, ip: IpAddr) -> Self {
        let timeout_s = u64::try_from(probe.timeout_seconds.unwrap_or(1).max(1)).unwrap_or(1);
        let what = if let Some(get) = &probe.http_get {
            What::get(get, container, ip)
        } else if let Some(socket) = &probe.tcp_socket {
            What::connect(port(container, &socket.port), ip)
        } else if let Some(grpc) = &probe.grpc {
            What::connect(u16::try_from(grpc.port).ok(), ip)
        } else {
            let words = probe.exec.as_ref().and_then(|exec| exec.command.as_ref());
            What::Exec(Script::read(
                &words.map(|words| words.join(" ")).unwrap_or_default(),
            ))
        };
        Self {
            what,
            timeout: Duration::from_secs(timeout_s),
        }
    }

    pub(super) fn hook(get: &HTTPGetAction, container: &Container, ip: IpAddr) -> Self {
        Self {
            what: What::get(get, container, ip),
            timeout: HOOK_TIMEOUT,
        }
    }

    /// The words of the kubelet when it fails.
    pub(super) async fn run(self, addresses: &Addresses) -> Result<(), String> {
        let timeout = self.timeout;
        let check = async {
            match self.what {
                What::Get {
                    address,
                    path,
                    headers,
                } => get(addresses.resolve(address), address, &path, &headers).await,
                What::Connect(address) => {
                    let stream = TcpStream::connect(addresses.resolve(address)).await;
                    stream
                        .map(drop)
                        .map_err(|error| format!("dial tcp {address}: {error}"))
                }
                What::Exec(script) => {
                    tokio::time::sleep(Duration::from_secs(script.sleep_s)).await;
                    match script.code {
                        Some(code) if code != 0 => {
                            Err(format!("command terminated with exit code {code}"))
                        }
                        _ => Ok(()),
                    }
                }
                What::Broken(message) => Err(message),
            }
        };
        let late = || {
            Err(
                "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                    .to_owned(),
            )
        };
        tokio::time::timeout(timeout, check)
            .await
            .unwrap_or_else(|_| late())
    }
}

impl What {
    fn get(get: &HTTPGetAction, container: &Container, ip: IpAddr) -> Self {
        // A probe's own host could point anywhere; the sandbox talks to its pods only.
        let Some(port) = port(container, &get.port) else {
            return Self::Broken("couldn't find port of the probe in the container".to_owned());
        };
        let headers = get.http_headers.iter().flatten();
        Self::Get {
            address: SocketAddr::new(ip, port),
            path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
            headers: headers.map(|h| (h.name.clone(), h.value.clone())).collect(),
        }
    }

    fn connect(port: Option<u16>, ip: IpAddr) -> Self {
        match port {
            Some(port) => Self::Connect(SocketAddr::new(ip, port)),
            None => Self::Broken("couldn't find port of the probe in the container".to_owned()),
        }
    }
}

async fn get(
    dial: SocketAddr,
    address: SocketAddr,
    path: &str,
    headers: &[(String, String)],
) -> Result<(), String> {
    let refused =
        |error: &dyn std::fmt::Display| format!("Get \"http://{address}{path}\": {error}");
    let stream = TcpStream::connect(dial)
        .await
        .map_err(|error| refused(&format!("dial tcp {address}: connect: {error}")))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| refused(&error))?;
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let mut request = Request::get(path)
        .header(header::USER_AGENT, "kube-probe/1.34")
        .header(header::CONNECTION, "close");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request = request.header(header::HOST, address.to_string());
    }
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|error| refused(&error))?;
        let value = HeaderValue::try_from(value).map_err(|error| refused(&error))?;
        request = request.header(name, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| refused(&error))?;
    // Ends with this function, whichever way that is.
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| refused(&error))?;
    let code = response.status().as_u16();
    if (200..400).contains(&code) {
        Ok(())
    } else {
        Err(format!("HTTP probe failed with statuscode: {code}"))
    }
}
