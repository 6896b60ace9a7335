//! kube's client and runtime on the server, in one process, on tokio's paused clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apiserver::{ApiServer, TokioClock};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Api, ResourceExt as _};
use serde_json::json;

fn server() -> ApiServer {
    let clock = TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    ApiServer::builder().clock(Arc::new(clock)).build()
}

fn config(name: &str) -> ConfigMap {
    let data = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let mut config = ConfigMap {
        data: Some(data),
        ..ConfigMap::default()
    };
    config.metadata.name = Some(name.to_owned());
    config
}

#[tokio::test(start_paused = true)]
async fn the_client_creates_patches_lists_and_deletes() {
    let api: Api<ConfigMap> = Api::default_namespaced(server().client_for_tests());
    let created = api
        .create(&PostParams::default(), &config("a"))
        .await
        .unwrap();
    assert!(created.uid().is_some());
    let patch = Patch::Merge(json!({"data": {"k": "w"}}));
    let patched = api
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap()["k"], "w");
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "x"}});
    let conflict = api
        .patch("a", &PatchParams::apply("me"), &Patch::Apply(&applied))
        .await
        .unwrap_err();
    assert!(matches!(conflict, kube::Error::Api(status) if status.code == 409));
    api.patch(
        "a",
        &PatchParams::apply("me").force(),
        &Patch::Apply(&applied),
    )
    .await
    .unwrap();
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        1
    );
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_base64_are_refused_however_they_come() {
    let api: Api<Secret> = Api::default_namespaced(server().client_for_tests());
    let bad = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "data": { "a": "***" },
    });
    let refused = |error: kube::Error| match error {
        kube::Error::Api(status) => (status.code, status.message),
        other => panic!("{other}"),
    };
    let apply = PatchParams::apply("me");
    let error = api.patch("s", &apply, &Patch::Apply(&bad)).await;
    let wanted = "failed to convert new object (/s; /v1, Kind=Secret) to proper version: unable to convert unstructured object to /v1, Kind=Secret: error decoding from json: illegal base64 data at input byte 0";
    assert_eq!(refused(error.unwrap_err()), (500, wanted.to_owned()));
    let mut good = bad;
    good["data"]["a"] = json!("YQ==");
    api.patch("s", &apply, &Patch::Apply(&good)).await.unwrap();
    let patch = Patch::Merge(json!({ "data": { "a": "YQ" } }));
    let error = api.patch("s", &PatchParams::default(), &patch).await;
    let (code, message) = refused(error.unwrap_err());
    assert_eq!(code, 422);
    assert!(
        message.contains("illegal base64 data at input byte 0"),
        "{message}"
    );
    assert_eq!(api.get("s").await.unwrap().data.unwrap()["a"].0, b"a");
}

/// Writes 200 objects while a watcher runs; returns what the watcher knows at the end.
async fn watched(config_of_watcher: watcher::Config) -> (BTreeSet<String>, bool) {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client_for_tests());
    for n in 0..50 {
        api.create(&PostParams::default(), &config(&format!("early-{n}")))
            .await
            .unwrap();
    }
    let mut known = BTreeSet::new();
    let mut initialised = false;
    let mut events = std::pin::pin!(watcher(api.clone(), config_of_watcher));
    let mut late = 0;
    while late < 100 || known.len() < 125 {
        let event = events.try_next().await.unwrap().unwrap();
        match event {
            Event::Init => {}
            Event::InitApply(object) | Event::Apply(object) => {
                known.insert(object.name_any());
            }
            Event::Delete(object) => {
                known.remove(&object.name_any());
            }
            Event::InitDone => initialised = true,
        }
        // Writes fall between any two events, also while the first list is still being told.
        if late < 100 {
            api.create(&PostParams::default(), &config(&format!("late-{late}")))
                .await
                .unwrap();
            if late % 4 == 0 {
                api.delete(&format!("early-{}", late / 4), &DeleteParams::default())
                    .await
                    .unwrap();
            }
            late += 1;
        }
    }
    (known, initialised)
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_lists_and_watches_loses_nothing() {
    let (known, initialised) = watched(watcher::Config::default().page_size(7)).await;
    assert_eq!((known.len(), initialised), (125, true));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_with_streaming_lists_loses_nothing() {
    let (known, initialised) = watched(watcher::Config::default().streaming_lists()).await;
    assert_eq!((known.len(), initialised), (125, true));
}

#[tokio::test(start_paused = true)]
async fn a_reflector_holds_what_the_server_holds() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client_for_tests());
    let (reader, writer) = reflector::store();
    let stream = watcher(api.clone(), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects();
    tokio::spawn(stream.for_each(|_| async {}));
    for n in 0..20 {
        api.create(&PostParams::default(), &config(&format!("c{n}")))
            .await
            .unwrap();
    }
    reader.wait_until_ready().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(reader.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_controller_reconciles_every_object_every_hour_for_a_day() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client_for_tests());
    for n in 0..25 {
        api.create(&PostParams::default(), &config(&format!("early-{n}")))
            .await
            .unwrap();
    }
    let counts: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let reconcile = |object: Arc<ConfigMap>, counts: Arc<Mutex<BTreeMap<String, u32>>>| async move {
        *counts.lock().unwrap().entry(object.name_any()).or_default() += 1;
        Ok::<_, std::convert::Infallible>(Action::requeue(Duration::from_hours(1)))
    };
    let controller = Controller::new(api.clone(), watcher::Config::default()).run(
        reconcile,
        |_, _, _| Action::await_change(),
        Arc::clone(&counts),
    );
    tokio::spawn(controller.for_each(|_| async {}));
    for n in 0..25 {
        api.create(&PostParams::default(), &config(&format!("late-{n}")))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_mins(24 * 60 + 1)).await;
    let counts = counts.lock().unwrap().clone();
    assert_eq!(counts.len(), 50);
    assert!(counts.values().all(|count| *count >= 25), "{counts:?}");
}

/// The client as `ApiServer::client` makes it (that one is behind a feature).
trait TestClient {
    fn client_for_tests(&self) -> kube::Client;
}

impl TestClient for ApiServer {
    fn client_for_tests(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }
}
