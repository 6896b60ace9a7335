//! The one HTTP client for metric providers.

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt};
use plan::{HttpAnswer, HttpRequest};
use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

/// Makes HTTP requests. A trait, so that tests under paused time can answer themselves.
pub trait Fetch: Debug + Send + Sync {
    fn fetch<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, HttpAnswer>;
}

/// Makes all requests at once; the answers are in the order of the requests. None takes longer than
/// its own time limit, whoever fetches it.
pub(super) async fn fetch_all(fetch: &dyn Fetch, requests: &[HttpRequest]) -> Vec<HttpAnswer> {
    join_all(requests.iter().map(|request| limited(fetch, request))).await
}

async fn limited(fetch: &dyn Fetch, request: &HttpRequest) -> HttpAnswer {
    let limit = Duration::from_secs(u64::from(request.timeout_s));
    let answer = tokio::time::timeout(limit, fetch.fetch(request)).await;
    answer.unwrap_or_else(|_| HttpAnswer::Failed {
        error: format!("no answer within {} s", request.timeout_s),
    })
}

/// The real thing: one client that verifies certificates, one that does not.
#[derive(Clone, Debug)]
pub struct Http {
    verifying: reqwest::Client,
    insecure: reqwest::Client,
}

impl Http {
    /// # Errors
    /// When the platform's certificates can't be loaded.
    pub fn new() -> Result<Self, reqwest::Error> {
        let builder =
            || reqwest::Client::builder().user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")));
        Ok(Self {
            verifying: builder().build()?,
            insecure: builder().danger_accept_invalid_certs(true).build()?,
        })
    }

    async fn send(&self, request: &HttpRequest) -> Result<HttpAnswer, String> {
        let client = if request.insecure {
            &self.insecure
        } else {
            &self.verifying
        };
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| format!("{} is not an HTTP method", request.method))?;
        let mut builder = client.request(method, request.url.reveal());
        for (name, value) in &request.headers {
            builder = builder.header(name, value.reveal());
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.reveal().clone());
        }
        let at = request.url.reveal();
        let response = builder.send().await.map_err(|error| unsent(error, at))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(sentence)?;
            if body.len() + chunk.len() > request.max_bytes {
                return Err(format!(
                    "the answer is larger than {} bytes",
                    request.max_bytes
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer::Response { status, body })
    }
}

impl Fetch for Http {
    fn fetch<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, HttpAnswer> {
        self.send(request)
            .map(|answer| answer.unwrap_or_else(|error| HttpAnswer::Failed { error }))
            .boxed()
    }
}

/// As [`sentence`]; that nobody listens is said in the words of the peer, which alerts may look for.
fn unsent(error: reqwest::Error, url: &str) -> String {
    let address = url.parse::<reqwest::Url>().ok().and_then(|url| {
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        Some(format!("{host}:{port}"))
    });
    match address {
        Some(address) if is_refused(&error) => {
            format!("dial tcp {address}: connect: connection refused")
        }
        _ => sentence(error),
    }
}

/// The causes of an error, the nearest first.
fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&source| source.source())
}

fn is_refused(error: &reqwest::Error) -> bool {
    sources(error)
        .filter_map(|source| source.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// What went wrong, without the URL: it may hold a secret.
fn sentence(error: reqwest::Error) -> String {
    let error = error.without_url();
    sources(&error).fold(error.to_string(), |line, source| {
        format!("{line}: {source}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Redacted;

    #[tokio::test]
    async fn nobody_listens_in_the_words_of_the_peer() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let request = HttpRequest {
            method: "GET",
            url: Redacted::new(format!("http://{address}/none?token=hidden")),
            headers: Vec::new(),
            body: None,
            timeout_s: 5,
            max_bytes: 100,
            insecure: false,
        };
        let answer = Http::new().unwrap().fetch(&request).await;
        let HttpAnswer::Failed { error } = answer else {
            panic!("somebody answered: {answer:?}");
        };
        assert_eq!(
            error,
            format!("dial tcp {address}: connect: connection refused")
        );
    }
}
