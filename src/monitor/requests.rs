//! Between the controller and the API server: counts requests, and gives up on those that are not
//! answered. There is no limit of our own on how many are made: the API server's priority and
//! fairness says when it is too much, and what it refuses backs off.

use super::families::Metrics;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the head of an answer may take. A watch is answered at once and then goes on.
pub const REQUEST_MAX: Duration = Duration::from_secs(30);

/// No answer.
#[derive(Debug, thiserror::Error)]
#[error("the API server has not answered {verb} {path} within {} s", REQUEST_MAX.as_secs())]
struct Unanswered {
    verb: Method,
    path: String,
}

/// The same client, observed.
pub fn observed(inner: Client, metrics: Arc<Metrics>) -> Client {
    let namespace = inner.default_namespace().to_owned();
    let inner = Arc::new(inner);
    let reopening = Arc::<Reopening>::default();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, metrics, reopening) = (inner.clone(), metrics.clone(), reopening.clone());
        async move {
            if is_watch(request.uri()) {
                let pause = reopening.pause(&watched(request.uri()));
                tokio::time::sleep(pause).await;
            }
            send(&inner, &metrics, request).await
        }
    });
    Client::new(service, namespace)
}

/// A watch that ends as soon as it has begun is no error, and would be opened again at once: an API
/// server that closes streams must not be asked in circles.
#[derive(Debug, Default)]
struct Reopening {
    by_watch: Mutex<BTreeMap<String, Opened>>,
}

#[derive(Debug)]
struct Opened {
    at: Instant,
    /// How often in a row it was opened again soon.
    soon: u32,
}

/// A watch that lasted so long has done its work.
const LASTED: Duration = Duration::from_secs(5);
const REOPEN_FIRST: Duration = Duration::from_millis(250);
const REOPEN_MAX: Duration = Duration::from_secs(30);
/// A watch that was not opened again for so long has ended for good.
const ENDED: Duration = Duration::from_mins(10);

impl Reopening {
    /// How long to wait before the watch is opened.
    fn pause(&self, watch: &str) -> Duration {
        let now = Instant::now();
        let mut by_watch = self.by_watch.lock().unwrap_or_else(PoisonError::into_inner);
        let before = by_watch.get(watch);
        let soon = match before {
            Some(before) if now.saturating_duration_since(before.at) < LASTED => before.soon + 1,
            _ => 0,
        };
        let pause = match soon {
            0 => Duration::ZERO,
            soon => REOPEN_FIRST
                .saturating_mul(1 << soon.min(16))
                .min(REOPEN_MAX),
        };
        let pause = pause.mul_f64(0.75 + 0.5 * rand::random::<f64>());
        let opened = Opened {
            at: now + pause,
            soon,
        };
        by_watch.insert(watch.to_owned(), opened);
        by_watch.retain(|_, opened| now.saturating_duration_since(opened.at) < ENDED);
        pause
    }
}

/// Which watch it is. Two of one path select different objects, and end in the same moment: neither
/// is one that ends as soon as it has begun.
fn watched(uri: &http::Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let selectors = query
        .split('&')
        .filter(|pair| pair.starts_with("labelSelector=") || pair.starts_with("fieldSelector="));
    selectors.fold(uri.path().to_owned(), |watch, pair| watch + "?" + pair)
}

fn is_watch(uri: &http::Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query
        .split('&')
        .any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"))
}

async fn send(
    inner: &Client,
    metrics: &Metrics,
    request: Request<Body>,
) -> Result<Response<Body>, tower::BoxError> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let answer = tokio::time::timeout(REQUEST_MAX, inner.send(request)).await;
    let status = match &answer {
        Ok(Ok(response)) => Some(response.status()),
        Ok(Err(_)) | Err(_) => None,
    };
    // As client-go: an error of the connection has no code.
    let code = status.as_ref().map_or("0", StatusCode::as_str);
    let asked = Asked::of(&method, &uri);
    metrics.request(asked.resource, asked.namespace, asked.verb, code);
    let Ok(answer) = answer else {
        let (verb, path) = (method, uri.path().to_owned());
        return Err(Unanswered { verb, path }.into());
    };
    Ok(answer?)
}

/// What a request is about, in the words of the peer: resource, and verb with a capital.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'u> {
    resource: &'u str,
    namespace: &'u str,
    verb: &'static str,
}

impl<'u> Asked<'u> {
    fn of(method: &Method, uri: &'u http::Uri) -> Self {
        let parts: Vec<&str> = uri
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let rest = match parts.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            _ => &[],
        };
        let (namespace, rest) = match rest {
            // A Namespace itself is not in one.
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let watch = is_watch(uri);
        let verb = match *method {
            Method::GET if watch => "Watch",
            Method::GET if rest.len() == 1 => "List",
            Method::GET => "Get",
            Method::POST => "Create",
            Method::PUT => "Update",
            Method::PATCH => "Patch",
            Method::DELETE => "Delete",
            _ => "Unknown",
        };
        Self {
            resource: rest.first().copied().unwrap_or_default(),
            namespace,
            verb,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &Method, uri: &str) -> (String, String, &'static str) {
        let uri = uri.parse().unwrap();
        let asked = Asked::of(method, &uri);
        let (resource, namespace) = (asked.resource.to_owned(), asked.namespace.to_owned());
        (resource, namespace, asked.verb)
    }

    #[test]
    fn requests_are_told_by_resource_namespace_and_verb() {
        let of = |resource: &str, namespace: &str, verb| {
            (resource.to_owned(), namespace.to_owned(), verb)
        };
        assert_eq!(
            asked(&Method::GET, "/api/v1/services?limit=500"),
            of("services", "", "List")
        );
        assert_eq!(
            asked(
                &Method::GET,
                "/apis/argoproj.io/v1alpha1/rollouts?watch=true&resourceVersion=5"
            ),
            of("rollouts", "", "Watch")
        );
        assert_eq!(
            asked(
                &Method::PATCH,
                "/apis/argoproj.io/v1alpha1/namespaces/a/rollouts/b/status"
            ),
            of("rollouts", "a", "Patch")
        );
        assert_eq!(
            asked(&Method::POST, "/api/v1/namespaces/a/events"),
            of("events", "a", "Create")
        );
        assert_eq!(
            asked(&Method::GET, "/api/v1/namespaces/a"),
            of("namespaces", "", "Get")
        );
        assert_eq!(asked(&Method::GET, "/version"), of("", "", "Get"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_at_once_is_opened_more_and_more_slowly() {
        let reopening = Reopening::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let pause = reopening.pause("/api/v1/pods");
            tokio::time::advance(pause).await;
            pauses.push(pause);
        }
        assert_eq!(pauses[0], Duration::ZERO);
        assert!(pauses[1] < Duration::from_secs(1), "{pauses:?}");
        assert!(pauses[11] > Duration::from_secs(20), "{pauses:?}");
        assert_eq!(reopening.pause("/api/v1/services"), Duration::ZERO);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(reopening.pause("/api/v1/pods"), Duration::ZERO);
        tokio::time::advance(ENDED).await;
        reopening.pause("/api/v1/services");
        assert_eq!(reopening.by_watch.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_watch_is_known_by_what_it_selects_and_not_by_where_it_begins() {
        let of = |query: &str| watched(&format!("/api/v1/pods?{query}").parse().unwrap());
        let first = of("watch=true&labelSelector=a&resourceVersion=5");
        assert_eq!(first, of("watch=true&labelSelector=a&resourceVersion=9"));
        assert_ne!(first, of("watch=true&labelSelector=b&resourceVersion=5"));
        assert_ne!(first, of("watch=true&resourceVersion=5"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_says_nothing_is_given_up_on_and_counted() {
        let silent = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, kube::Error>>()
        });
        let metrics = Arc::<Metrics>::default();
        let client = observed(Client::new(silent, "default"), metrics.clone());
        let start = Instant::now();
        let error = client.apiserver_version().await.unwrap_err();
        let text = crate::error::chain(&error);
        assert!(
            text.contains("has not answered GET /version within 30 s"),
            "{text}"
        );
        assert_eq!(start.elapsed(), REQUEST_MAX);
        let page = metrics.text();
        assert!(page.contains("status_code=\"0\",verb=\"Get\"} 1"), "{page}");
    }
}
