//! Why the objects of a kind are not listed. A cache that is not complete does not know, so the API
//! server is asked, once in a while for each kind and not for each Application that has objects of
//! it: what it says is remembered for as long as the kind is watched, and for [`BELIEVED`].

use super::{Dynamic, KindName};
use crate::act::Served;
use crate::error::{Error, Result, chain, code_of};
use kube::Api;
use kube::api::ListParams;
use kube::core::DynamicObject;
use std::time::Duration;
use tokio::time::Instant;

/// How long the API server may take to say why.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long its answer is believed. Only the words may be old by then: the watch goes on trying,
/// and once it has a list nobody asks any more.
const BELIEVED: Duration = Duration::from_mins(1);

/// Why a kind is not listed, where that is no matter of patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unlisted {
    /// The cluster does not serve the kind any more.
    Gone,
    Refused(String),
}

impl Dynamic {
    /// Why a kind is refused whose first list does not come to an end.
    ///
    /// # Errors
    /// [`Error::NotListed`] while that list goes on, [`Error::UnknownKind`] if the cluster does not
    /// serve the kind any more.
    pub async fn why_not_listed(
        &self,
        api_version: &str,
        kind: &str,
        served: &Served,
    ) -> Result<String> {
        let name = (api_version.to_owned(), kind.to_owned());
        let reason = match self.believed(&name) {
            Some(reason) => Some(reason),
            None => self.ask_why(&name, served).await,
        };
        let (api_version, kind) = name;
        match reason {
            None => Err(Error::NotListed { api_version, kind }),
            Some(Unlisted::Gone) => Err(Error::UnknownKind { api_version, kind }),
            Some(Unlisted::Refused(why)) => Ok(why),
        }
    }

    fn believed(&self, name: &KindName) -> Option<Unlisted> {
        let watched = self.lock();
        let (asked, reason) = watched.get(name)?.unlisted.as_ref()?;
        (asked.elapsed() < BELIEVED).then(|| reason.clone())
    }

    /// Asks, and remembers the answer.
    async fn ask_why(&self, name: &KindName, served: &Served) -> Option<Unlisted> {
        let reason = ask(&self.api(served)).await?;
        if let Some(watched) = self.lock().get_mut(name) {
            watched.unlisted = Some((Instant::now(), reason.clone()));
        }
        Some(reason)
    }
}

/// `None` if the objects can be listed: the first list goes on.
async fn ask(api: &Api<DynamicObject>) -> Option<Unlisted> {
    let one = ListParams::default().limit(1);
    let error = match tokio::time::timeout(ANSWER_MAX, api.list(&one)).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => error,
        Err(_) => {
            let why = "the API server does not answer in time".to_owned();
            return Some(Unlisted::Refused(why));
        }
    };
    Some(match code_of(&error) {
        Some(404) => Unlisted::Gone,
        Some(403) => Unlisted::Refused(format!(
            "{}; grant list and watch, with a ClusterRole that has the label \
             weir.dev/aggregate-to-gitops: \"true\"",
            chain(&error)
        )),
        _ => Unlisted::Refused(chain(&error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::Kinds;
    use http::{Request, Response, StatusCode};
    use kube::Client;
    use kube::client::Body;
    use kube::core::{ApiResource, GroupVersionKind};
    use kube::discovery::Scope;
    use serde_json::json;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn widget() -> Served {
        Served {
            resource: ApiResource::from_gvk(&GroupVersionKind::gvk("example.org", "v1", "Widget")),
            scope: Scope::Namespaced,
        }
    }

    /// A cluster that answers every list with this code; not at all without one.
    async fn answer(code: Option<u16>) -> Result<Response<Body>, kube::Error> {
        let Some(code) = code else {
            return std::future::pending().await;
        };
        let body = if code == 200 {
            json!({"kind": "WidgetList", "apiVersion": "example.org/v1", "metadata": {}, "items": []})
        } else {
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "widgets is so", "reason": "So", "code": code})
        };
        let mut response = Response::new(Body::from(body.to_string().into_bytes()));
        *response.status_mut() = StatusCode::from_u16(code).unwrap();
        Ok(response)
    }

    fn answering(code: Option<u16>, namespace: Option<&str>) -> Dynamic {
        let service = tower::service_fn(move |_: Request<Body>| answer(code));
        let client = Client::new(service, "default");
        let kinds = Arc::new(Kinds::new(client.clone()));
        Dynamic::new(client, kinds, namespace.map(str::to_owned))
    }

    async fn why(code: Option<u16>, namespace: Option<&str>) -> Result<String> {
        let dynamic = answering(code, namespace);
        dynamic
            .why_not_listed("example.org/v1", "Widget", &widget())
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn why_a_kind_is_not_listed_is_said_in_the_words_of_the_api_server() {
        for (code, words) in [
            (Some(500), "widgets is so"),
            (None, "the API server does not answer in time"),
        ] {
            for namespace in [None, Some("demo")] {
                assert_eq!(why(code, namespace).await.unwrap(), words, "{code:?}");
            }
        }
        let forbidden = why(Some(403), None).await.unwrap();
        assert!(
            forbidden.starts_with("widgets is so; grant list and watch"),
            "{forbidden}"
        );
        let slow = why(Some(200), None).await;
        assert!(matches!(slow, Err(Error::NotListed { .. })), "{slow:?}");
        let gone = why(Some(404), None).await;
        assert!(matches!(gone, Err(Error::UnknownKind { .. })), "{gone:?}");
    }

    /// A cluster that serves widgets and refuses to list them: it counts the questions why.
    fn refusing(asked: &Arc<AtomicUsize>) -> Dynamic {
        let asked = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let is_list = request.uri().path().ends_with("/widgets");
            // The watch lists in pages of another size.
            let is_question = request
                .uri()
                .query()
                .is_some_and(|query| query.split('&').any(|part| part == "limit=1"));
            if is_list && is_question {
                asked.fetch_add(1, Ordering::Relaxed);
            }
            async move {
                if is_list {
                    return answer(Some(403)).await;
                }
                let resource = json!({"name": "widgets", "singularName": "widget",
                    "kind": "Widget", "namespaced": true, "verbs": ["list", "watch"]});
                let list = json!({"kind": "APIResourceList", "apiVersion": "v1",
                    "groupVersion": "example.org/v1", "resources": [resource]});
                Ok(Response::new(Body::from(list.to_string().into_bytes())))
            }
        });
        let client = Client::new(service, "default");
        Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None)
    }

    #[tokio::test(start_paused = true)]
    async fn the_api_server_is_asked_why_once_in_a_while() {
        let asked = Arc::new(AtomicUsize::new(0));
        let dynamic = refusing(&asked);
        let widget = widget();
        let look = async || {
            let listed = dynamic.of_kind("example.org/v1", "Widget").await;
            assert!(matches!(listed, Err(Error::NotListed { .. })), "{listed:?}");
            let why = dynamic.why_not_listed("example.org/v1", "Widget", &widget);
            assert!(why.await.unwrap().starts_with("widgets is so"));
            asked.load(Ordering::Relaxed)
        };
        assert_eq!(look().await, 1);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(look().await, 1, "it has said so a moment ago");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(look().await, 2);
    }
}
