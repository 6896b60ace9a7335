//! Keeping caches up to date: one watch for each.

use super::Cache;
use super::failures::{OPENED, WatchFailures, is_not_served};
use super::lean;
use super::select::Selected;
use super::slim::slim;
use super::stored::{Reported, Stored, Unpacked};
use super::unread::Unread;
use futures::{Stream, TryStreamExt};
use kube::runtime::watcher as watch_kind;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

/// For how long a watch is opened, in seconds. So much later, and five seconds more, a connection
/// is noticed that is dead without having been closed. It is more than the minute between two
/// bookmarks: each watch brings one, so that the next begins where the cluster is, and nothing has
/// to be listed anew.
const WATCH_S: u32 = 70;

/// Keeps `cache` up to date for ever, without who owns which field of the objects. Errors are
/// logged with what they mean and retried with back-off; a stream that ends is opened again. An
/// object that can't be read is reported, once for each version of it, and is as it was when it
/// could be. `what` is the kind, for those who read of them: with its `apiVersion` if it is watched
/// because somebody refers to it.
pub async fn watch<K>(
    api: Api<Unread<K>>,
    selected: Selected,
    what: impl Into<String>,
    cache: Arc<Cache<K>>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let kind = Kind {
        read: |text| Stored::strict(text, lean::from_str),
        may_be_absent: false,
    };
    keep(api, selected, what.into(), &cache, kind).await;
}

/// The same with everything that the objects have.
pub(super) async fn watch_whole<K>(
    api: Api<Unread<K>>,
    selected: Selected,
    what: impl Into<String>,
    cache: Arc<Cache<K>>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let kind = Kind {
        read: |text| Stored::strict(text, lean::whole),
        may_be_absent: false,
    };
    keep(api, selected, what.into(), &cache, kind).await;
}

/// As [`watch`], for custom resources: what does not fit their type is left out of them, and
/// reported.
pub async fn watch_stored<K>(
    api: Api<Unread<K>>,
    selected: Selected,
    what: &'static str,
    cache: Arc<Cache<K>>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + JsonSchema + Debug + Send + Sync,
    K: 'static,
{
    let kind = Kind {
        read: Stored::read,
        may_be_absent: true,
    };
    keep(api, selected, what.to_owned(), &cache, kind).await;
}

/// How objects of a kind are read.
struct Kind<K> {
    read: fn(&str) -> Stored<K>,
    /// No definition, no objects; when it comes, the watch begins.
    may_be_absent: bool,
}

async fn keep<K>(
    api: Api<Unread<K>>,
    selected: Selected,
    what: String,
    cache: &Cache<K>,
    kind: Kind<K>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let config = selected.config().timeout(WATCH_S);
    cache.select(selected);
    let mut failures = cache.failures(what.clone());
    let mut reported = Reported::new(what);
    let not_served = || {
        if kind.may_be_absent {
            cache.without_watch();
        }
        kind.may_be_absent
    };
    loop {
        let events = watch_kind(api.clone(), config.clone());
        let take = |event| take(cache, event, kind.read, &mut reported);
        tokio::select! {
            () = follow(events, &mut failures, take, not_served) => {}
            () = cache.standing().wanted_anew() => {}
        }
    }
}

/// Decodes what is news, and takes it over.
fn take<K: Resource + 'static>(
    cache: &Cache<K>,
    event: Event<Unread<K>>,
    read: fn(&str) -> Stored<K>,
    reported: &mut Reported,
) {
    if let Event::Apply(unread) = &event
        && cache.has(unread.metadata())
    {
        return;
    }
    match reported.unpack(each(event, |unread| read(unread.text()))) {
        Unpacked::Event(event) => cache.take(each(event, slim)),
        Unpacked::Unreadable(name) => cache.keep(name),
        Unpacked::Gone((namespace, name)) => cache.absorb_deletion(&namespace, &name, None),
    }
}

/// An event of other objects.
fn each<A, B>(event: Event<A>, unpack: impl FnOnce(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(unpack(object)),
        Event::Delete(object) => Event::Delete(unpack(object)),
        Event::InitApply(object) => Event::InitApply(unpack(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

/// Takes every event, until the stream ends. `not_served` is called when the cluster does not know
/// the kind, and says whether that is all right.
async fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    failures: &mut WatchFailures,
    mut take: impl FnMut(Event<K>),
    not_served: impl Fn() -> bool,
) {
    let mut events = std::pin::pin!(events);
    let mut is_listing = false;
    loop {
        let next = events.try_next();
        let next = if failures.is_open() && !is_listing {
            let Ok(next) = tokio::time::timeout(OPENED, next).await else {
                failures.over();
                continue;
            };
            next
        } else {
            next.await
        };
        match next {
            Ok(Some(event)) => {
                is_listing = match &event {
                    Event::Init => true,
                    Event::InitApply(_) => is_listing,
                    Event::InitDone | Event::Apply(_) | Event::Delete(_) => false,
                };
                // That a list has begun says nothing: it may fail.
                if !matches!(event, Event::Init) {
                    failures.over();
                }
                take(event);
            }
            Ok(None) => return,
            Err(error) => {
                is_listing = false;
                let is_all_right = is_not_served(&error) && not_served();
                failures.tell(&error, is_all_right);
                // The next look at the stream is the next try.
                tokio::time::sleep(failures.pause()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::state::Origin;
    use crate::cache::take_stored;
    use api::AnalysisTemplate;
    use serde_json::{Value, json};

    fn template(version: u64, metrics: &Value) -> String {
        let metadata = json!({"namespace": "demo", "name": "measured", "uid": "u",
            "resourceVersion": version.to_string()});
        let template = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
            "metadata": metadata, "spec": {"metrics": metrics}});
        template.to_string()
    }

    /// The cache, and what its watch has complained of.
    struct Watched(Cache<AnalysisTemplate>, Reported);

    impl Watched {
        fn new() -> Self {
            let reported = Reported::new("AnalysisTemplate".to_owned());
            Self(Cache::default(), reported)
        }

        fn answered(&self, text: &str) {
            take_stored(&self.0, text, Origin::Answer);
        }

        fn told(&mut self, text: &str) {
            let event = Event::Apply(serde_json::from_str(text).unwrap());
            take(&self.0, event, Stored::read, &mut self.1);
        }
    }

    /// A look may find an object before the watch brings it, and an answer does.
    #[test]
    fn what_is_malformed_is_complained_of_though_it_was_known_before_its_watch_told_of_it() {
        let (fine, malformed) = (json!([]), json!(7));
        let mut watched = Watched::new();
        watched.answered(&template(8, &malformed));
        // The watch is behind.
        watched.told(&template(7, &fine));
        assert_eq!(watched.1.versions(), [""; 0]);
        watched.told(&template(8, &malformed));
        assert_eq!(watched.1.versions(), ["8"]);
    }

    #[test]
    fn what_was_complained_of_is_not_complained_of_again_at_our_own_writes() {
        let malformed = json!(7);
        let mut watched = Watched::new();
        watched.told(&template(7, &malformed));
        assert_eq!(watched.1.versions(), ["7"]);
        watched.answered(&template(8, &malformed));
        watched.told(&template(8, &malformed));
        assert_eq!(watched.1.versions(), ["7"]);
    }
}
