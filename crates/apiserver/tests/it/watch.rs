//! The watch: replay from any revision gives the list at head; what was compacted is refused.

use std::collections::BTreeMap;

use apiserver::{ApiServer, DeleteOptions, Gvk, Patch, PatchOptions};
use http_body_util::{BodyExt as _, Empty};
use proptest::prelude::*;
use serde_json::{Value, json};

fn config_map() -> Gvk {
    Gvk::new("", "v1", "ConfigMap")
}

#[derive(Debug, Clone)]
enum Write {
    Put { name: u8, label: u8, value: u8 },
    Delete { name: u8 },
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let put = (0_u8..4, 0_u8..2, any::<u8>()).prop_map(|(name, label, value)| Write::Put {
        name,
        label,
        value,
    });
    let delete = (0_u8..4).prop_map(|name| Write::Delete { name });
    proptest::collection::vec(prop_oneof![3 => put, 1 => delete], 1..40)
}

fn write(api: &ApiServer, write: &Write) {
    let options = PatchOptions {
        force: true,
        ..PatchOptions::manager("test")
    };
    match write {
        Write::Put { name, label, value } => {
            let name = format!("c{name}");
            let body = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "labels": {"l": label.to_string()}}, "data": {"v": value.to_string()},
            });
            api.patch(
                &config_map(),
                Some("default"),
                &name,
                None,
                &Patch::Apply(body),
                &options,
            )
            .unwrap();
        }
        Write::Delete { name } => {
            let _ = api.delete(
                &config_map(),
                Some("default"),
                &format!("c{name}"),
                &DeleteOptions::default(),
            );
        }
    }
}

async fn get(api: &ApiServer, path: &str) -> String {
    let request = http::Request::get(path)
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let body = api
        .handle(request)
        .await
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

type State = BTreeMap<String, Value>;

/// Name → object, without what built-in list items leave out.
fn state(items: &[Value]) -> State {
    let bare = |item: &Value| {
        let mut item = item.clone();
        item.as_object_mut()
            .unwrap()
            .retain(|key, _| key != "kind" && key != "apiVersion");
        (item["metadata"]["name"].as_str().unwrap().to_owned(), item)
    };
    items.iter().map(bare).collect()
}

async fn list(api: &ApiServer, selector: &str, at: Option<u64>) -> State {
    let at = at.map_or_else(String::new, |at| {
        format!("&resourceVersion={at}&resourceVersionMatch=Exact")
    });
    let path = format!("/api/v1/namespaces/default/configmaps?labelSelector={selector}{at}");
    let list: Value = serde_json::from_str(&get(api, &path).await).unwrap();
    state(list["items"].as_array().unwrap())
}

/// Follows a finished watch from `state`.
fn follow(mut state: State, events: &str) -> State {
    for event in events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
    {
        let (name, object) = self::state(std::slice::from_ref(&event["object"]))
            .pop_first()
            .unwrap();
        match event["type"].as_str().unwrap() {
            "ADDED" => assert!(state.insert(name, object).is_none(), "added twice: {event}"),
            "MODIFIED" => assert!(
                state.insert(name, object).is_some(),
                "modified before added: {event}"
            ),
            "DELETED" => assert!(
                state.remove(&name).is_some(),
                "deleted before added: {event}"
            ),
            other => panic!("unexpected {other}"),
        }
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn replay_from_any_revision_on_top_of_its_list_is_the_list_at_head(
        writes in writes(), selector in prop_oneof![Just(""), Just("l=0"), Just("l!=0"), Just("l")],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let api = ApiServer::builder().build();
            let start = api.revision();
            for one in &writes {
                write(&api, one);
            }
            let head = list(&api, selector, None).await;
            for revision in start..=api.revision() {
                let before = list(&api, selector, Some(revision)).await;
                let path = format!(
                    "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&resourceVersion={revision}&labelSelector={selector}"
                );
                assert_eq!(follow(before, &get(&api, &path).await), head, "from {revision}");
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_compacted_version_ends_the_watch_with_410_and_an_exact_list_too() {
    let api = ApiServer::builder().history(4).build();
    let old = api.revision();
    for value in 0..10 {
        write(
            &api,
            &Write::Put {
                name: 0,
                label: 0,
                value,
            },
        );
    }
    let base = "/api/v1/namespaces/default/configmaps";
    let events = get(&api, &format!("{base}?watch=1&resourceVersion={old}")).await;
    let event: Value = serde_json::from_str(&events).unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(event["object"]["reason"], "Expired");
    let list = get(
        &api,
        &format!("{base}?resourceVersion={old}&resourceVersionMatch=Exact"),
    )
    .await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["code"], 410);
    assert!(api.changes_since(old).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_expired_page_offers_an_inconsistent_rest() {
    let api = ApiServer::builder().history(4).build();
    for name in 0..3 {
        write(
            &api,
            &Write::Put {
                name,
                label: 0,
                value: 0,
            },
        );
    }
    let base = "/api/v1/namespaces/default/configmaps?limit=1";
    let first: Value = serde_json::from_str(&get(&api, base).await).unwrap();
    for value in 0..10 {
        write(
            &api,
            &Write::Put {
                name: 2,
                label: 0,
                value,
            },
        );
    }
    let token = first["metadata"]["continue"].as_str().unwrap();
    let expired: Value =
        serde_json::from_str(&get(&api, &format!("{base}&continue={token}")).await).unwrap();
    assert_eq!(
        (&expired["code"], &expired["reason"]),
        (&json!(410), &json!("Expired"))
    );
    let token = expired["metadata"]["continue"].as_str().unwrap();
    let rest: Value =
        serde_json::from_str(&get(&api, &format!("{base}&continue={token}")).await).unwrap();
    assert_eq!(rest["items"][0]["metadata"]["name"], "c1");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_to_those_who_asked() {
    let api = ApiServer::builder().build();
    let base = "/api/v1/namespaces/default/secrets?watch=1&resourceVersion=5&timeoutSeconds=150";
    let events = get(&api, &format!("{base}&allowWatchBookmarks=true")).await;
    let kinds: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(kinds, [json!("BOOKMARK"), json!("BOOKMARK")]);
    assert_eq!(get(&api, base).await, "");
}
