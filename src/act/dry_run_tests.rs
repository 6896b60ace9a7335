use super::*;
use crate::lease::Leadership;
use crate::queue::{Kind, Outcome};
use http::{Request as HttpRequest, Response, StatusCode};
use kube::client::Body;
use plan::Guard;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// An API server that serves ConfigMaps, and answers an apply by the name of the object.
#[derive(Debug, Default)]
struct Fake {
    /// Codes and messages, first come first served; then 200. Code 0 is no answer at all.
    answers: Mutex<BTreeMap<String, VecDeque<(u16, &'static str)>>>,
    /// Methods, paths, queries and content types of what was asked.
    asked: Mutex<Vec<String>>,
}

impl Fake {
    fn say(&self, name: &str, code: u16, message: &'static str, times: usize) {
        let answers = std::iter::repeat_n((code, message), times);
        self.answers
            .lock()
            .unwrap()
            .insert(name.to_owned(), answers.collect());
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn next(&self, name: &str) -> (u16, &'static str) {
        let mut answers = self.answers.lock().unwrap();
        let next = answers.get_mut(name).and_then(VecDeque::pop_front);
        next.unwrap_or((200, ""))
    }

    async fn answer(&self, request: HttpRequest<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path == "/api/v1" {
            let map = json!({"name": "configmaps", "singularName": "configmap", "namespaced": true,
                "kind": "ConfigMap", "verbs": ["get", "list", "watch", "patch"]});
            let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1",
                "resources": [map]});
            return response(200, &list);
        }
        let Some((_, name)) = path.split_once("/configmaps") else {
            return response(404, &status(404, "the server could not find it"));
        };
        // What is created has its name in the body.
        let name = name.trim_start_matches('/');
        let content = request.headers().get(http::header::CONTENT_TYPE);
        let content = content.and_then(|content| content.to_str().ok());
        let content = content.unwrap_or_default();
        let asked = format!("{} {} {content}", request.method(), request.uri());
        self.asked.lock().unwrap().push(asked);
        match self.next(name) {
            (0, _) => std::future::pending().await,
            (200, _) => response(200, &map(name)),
            (code, message) => response(code, &status(code, message)),
        }
    }
}

fn status(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "So", "code": code})
}

fn response(code: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string().into_bytes()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "demo"}})
}

fn maps(names: &[&str]) -> Vec<Action> {
    names.iter().map(|name| applied(map(name))).collect()
}

fn applied(object: Value) -> Action {
    Action::Apply {
        object: Box::new(object),
        manager: api::constants::gitops::FIELD_MANAGER.into(),
    }
}

fn refused(name: &str, why: &str) -> DryRun {
    let id = ResourceId::new("", "ConfigMap", "demo", name);
    DryRun::Done(vec![(id, why.to_owned())])
}

fn key() -> Key {
    Key::new(Kind::Application, "argocd", "shop")
}

struct Setup {
    fake: Arc<Fake>,
    queue: Arc<Queue>,
    runs: DryRuns,
}

impl Setup {
    async fn new() -> Self {
        let (fake, queue) = (Arc::new(Fake::default()), Arc::new(Queue::default()));
        let served = fake.clone();
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            let fake = served.clone();
            async move { Ok::<_, kube::Error>(fake.answer(request).await) }
        });
        let client = Client::new(service, "default");
        let kinds = Arc::new(Kinds::new(client.clone()));
        let lead = Leadership::always().acquired().await;
        let runs = DryRuns::new(client, kinds, lead, queue.clone());
        Self { fake, queue, runs }
    }

    async fn of(&self, attempt: &str, names: &[&str]) -> DryRun {
        self.runs.of(&key(), attempt, maps(names)).await
    }

    /// What there is to know when the key is woken.
    async fn woken(&self, attempt: &str) -> DryRun {
        let key = self.queue.next().await;
        self.queue.done(key.clone(), Outcome::AwaitChange);
        self.runs.known(&key, attempt).expect("it is done")
    }
}

#[tokio::test(start_paused = true)]
async fn each_object_is_shown_once_for_an_attempt_and_nothing_is_stored() {
    let setup = Setup::new().await;
    setup.fake.say("bad", 422, "it is invalid", 9);
    let names = ["a", "bad", "c"];
    assert_eq!(setup.runs.known(&key(), "1/0"), None);
    let wanted = refused("bad", "it is invalid");
    assert_eq!(setup.of("1/0", &names).await, wanted);
    assert_eq!(setup.fake.asked(), 3);
    for asked in setup.fake.asked.lock().unwrap().iter() {
        for part in ["dryRun=All", "force=true", "fieldManager=argocd-controller"] {
            assert!(asked.contains(part), "{part} in {asked}");
        }
    }
    assert_eq!(setup.of("1/0", &names).await, wanted);
    assert_eq!(setup.runs.known(&key(), "1/0"), Some(wanted));
    assert_eq!(setup.fake.asked(), 3);
    // The next attempt asks anew, and so does whoever has forgotten.
    setup.fake.say("bad", 200, "", 0);
    assert_eq!(setup.of("1/1", &names).await, DryRun::Done(Vec::new()));
    assert_eq!(setup.runs.known(&key(), "1/0"), None);
    assert_eq!(setup.fake.asked(), 6);
    setup.runs.forget(&key());
    assert_eq!(setup.runs.known(&key(), "1/1"), None);
    assert_eq!(setup.of("2/0", &[]).await, DryRun::Done(Vec::new()));
    assert_eq!(setup.fake.asked(), 6, "there is nothing to ask");
}

#[tokio::test(start_paused = true)]
async fn what_is_replaced_or_created_anew_is_judged_as_such() {
    let setup = Setup::new().await;
    let replaced = |name: &str| Action::Replace {
        target: ObjectKey::namespaced("v1", "ConfigMap", "demo", name),
        patch: Box::new(json!({"data": {"k": "v", "other": null}})),
        manager: "weir-replace".into(),
        guard: Guard::default(),
    };
    let created = Action::Create {
        object: Box::new(map("new")),
    };
    // That it is there, or another version of it, says nothing of what it is to be.
    setup
        .fake
        .say("old", 409, "the object has been modified", 99);
    setup
        .fake
        .say("", 409, "configmaps \"new\" already exists", 99);
    setup.fake.say("bad", 422, "it is invalid", 99);
    let actions = vec![replaced("old"), created, replaced("bad")];
    let said = setup.runs.of(&key(), "1/0", actions).await;
    assert_eq!(said, refused("bad", "it is invalid"));
    let mut asked = setup.fake.asked.lock().unwrap().clone();
    asked.sort();
    let of_maps = "/api/v1/namespaces/demo/configmaps";
    // There is no right to PUT.
    let begins = [
        format!("PATCH {of_maps}/bad?"),
        format!("PATCH {of_maps}/old?"),
        format!("POST {of_maps}?"),
    ];
    assert_eq!(asked.len(), begins.len(), "{asked:?}");
    for (asked, begin) in asked.iter().zip(begins) {
        assert!(asked.starts_with(&begin), "{asked}");
        assert!(asked.contains("dryRun=All"), "{asked}");
        for part in ["fieldManager=weir-replace", "application/merge-patch+json"] {
            let is_patch = asked.starts_with("PATCH");
            assert_eq!(asked.contains(part), is_patch, "{part} in {asked}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_answer_is_asked_again_and_what_has_one_is_not() {
    let setup = Setup::new().await;
    setup.fake.say("a", 429, "too many requests", 1);
    setup.fake.say("b", 500, "etcdserver: request timed out", 2);
    setup.fake.say("c", 409, "the object has been modified", 99);
    assert_eq!(setup.of("1/0", &["a"]).await, DryRun::Done(Vec::new()));
    assert_eq!(setup.fake.asked(), 2);
    assert_eq!(setup.woken("1/0").await, DryRun::Done(Vec::new()));
    // This takes longer than a pass waits.
    assert_eq!(setup.of("1/1", &["b"]).await, DryRun::Pending);
    assert_eq!(setup.of("1/1", &["b"]).await, DryRun::Pending);
    assert_eq!(setup.woken("1/1").await, DryRun::Done(Vec::new()));
    assert_eq!(setup.fake.asked(), 5);
    // Another writer came first: that says nothing of the object.
    assert_eq!(setup.of("1/2", &["c"]).await, DryRun::Done(Vec::new()));
    assert_eq!(setup.fake.asked(), 6);
    let denied = "admission webhook \"x\" denied the request: it is taken";
    setup.fake.say("d", 409, denied, 99);
    let said = setup.of("1/3", &["d"]).await;
    assert_eq!(said, refused("d", denied));
}

#[tokio::test(start_paused = true)]
async fn patience_with_an_api_server_that_has_no_answer_comes_to_an_end() {
    for (code, why, seconds) in [
        (503, "the webhook is away", 61),
        (0, "the API server does not answer in time", 61 + 7 * 30),
    ] {
        let setup = Setup::new().await;
        setup.fake.say("a", code, "the webhook is away", 99);
        let began = Instant::now();
        assert_eq!(setup.of("1/0", &["a"]).await, DryRun::Pending);
        let why = format!("{why} (7 times in a row)");
        assert_eq!(setup.woken("1/0").await, refused("a", &why));
        assert_eq!(began.elapsed().as_secs(), seconds);
        assert_eq!(setup.fake.asked(), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_judged_without_writing_is_for_the_planner_to_weigh() {
    let setup = Setup::new().await;
    let why = "admission webhook \"x\" does not support dry run";
    setup.fake.say("a", 400, why, 1);
    assert_eq!(setup.of("1/0", &["a"]).await, refused("a", why));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_is_a_refusal() {
    let setup = Setup::new().await;
    let gadget = json!({"apiVersion": "example.org/v1", "kind": "Gadget",
        "metadata": {"name": "g", "namespace": "demo"}});
    let DryRun::Done(said) = setup.runs.of(&key(), "1/0", vec![applied(gadget)]).await else {
        panic!("it is not done");
    };
    let [(id, why)] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(id.to_string(), "example.org/Gadget:demo/g");
    assert!(
        why.contains("Gadget of example.org/v1 is not served"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_that_nobody_waits_for_ends() {
    let setup = Setup::new().await;
    setup.fake.say("a", 503, "no", 99);
    assert_eq!(setup.of("1/0", &["a"]).await, DryRun::Pending);
    setup.runs.forget(&key());
    let asked = setup.fake.asked();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(setup.fake.asked(), asked);
}
