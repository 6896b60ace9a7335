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
        let at = request.url.reveal();
        let bare = is_signed(request).then(|| without_user(at)).flatten();
        let mut builder = client.request(method, bare.as_deref().unwrap_or(at));
        for (name, value) in &request.headers {
            builder = builder.header(name, value.reveal());
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.reveal().clone());
        }
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

/// Whether a header says who asks.
fn is_signed(request: &HttpRequest) -> bool {
    let mut headers = request.headers.iter();
    headers.any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
}

/// The URL, if it says who asks, without that: the client would send it as a header of its own. Of
/// two, a server takes none, or either. With Go's client the one in the URL does not count then.
fn without_user(url: &str) -> Option<String> {
    let mut url: reqwest::Url = url.parse().ok()?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url.into())
}

/// As [`sentence`]; that nobody listens is said in the words of the peer, which alerts may look
/// for.
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
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn request(url: String, headers: &[(&str, &str)]) -> HttpRequest {
        let header = |(name, value): &(&str, &str)| {
            let value = Redacted::new((*value).to_owned());
            ((*name).to_owned(), value)
        };
        HttpRequest {
            method: "GET",
            url: Redacted::new(url),
            headers: headers.iter().map(header).collect(),
            body: None,
            timeout_s: 5,
            max_bytes: 10_000,
            insecure: false,
        }
    }

    async fn fetched(url: String, headers: &[(&str, &str)]) -> HttpAnswer {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Http::new().unwrap();
        http.fetch(&request(url, headers)).await
    }

    /// Reads the head of one request, in small letters, and answers `with` what it makes of it.
    async fn answering(with: impl FnOnce(&str) -> String + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let answer = with(&head);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        address
    }

    /// The `Authorization` headers that a server gets.
    async fn signed(headers: &[(&str, &str)]) -> Vec<String> {
        let address = answering(|head| {
            let signed = head
                .lines()
                .filter(|line| line.starts_with("authorization:"));
            let body = signed.collect::<Vec<_>>().join("\n");
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        });
        let address = address.await;
        let url = format!("http://ann:hunter2@{address}/a");
        match fetched(url, headers).await {
            HttpAnswer::Response { status: 200, body } => {
                let body = String::from_utf8(body).unwrap();
                body.lines().map(str::to_owned).collect()
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    #[tokio::test]
    async fn who_asks_is_told_once() {
        let of_url = signed(&[]).await;
        assert_eq!(of_url, ["authorization: basic yw5uomh1bnrlcji="]);
        let of_header = signed(&[("authorization", "Bearer T")]).await;
        assert_eq!(of_header, ["authorization: bearer t"]);
    }

    #[tokio::test]
    async fn a_password_is_not_told_wherever_the_url_came_from() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = free.local_addr().unwrap();
        drop(free);
        let secret = format!("http://ann:hunter2@{nobody}/a");
        let location = secret.clone();
        let redirects = answering(move |_| {
            format!(
                "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            )
        });
        let address = redirects.await;
        let redirecting = format!("http://{address}/a");
        let malformed = "http://ann:hunter2@p:port/a".to_owned();
        for url in [secret, redirecting, malformed] {
            let HttpAnswer::Failed { error } = fetched(url.clone(), &[]).await else {
                panic!("somebody answered at {url}");
            };
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn nobody_listens_in_the_words_of_the_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let answer = fetched(format!("http://{address}/none?token=hidden"), &[]).await;
        let HttpAnswer::Failed { error } = answer else {
            panic!("somebody answered: {answer:?}");
        };
        assert_eq!(
            error,
            format!("dial tcp {address}: connect: connection refused")
        );
    }
}
