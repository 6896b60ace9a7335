use super::*;
use http::{Request, Response};
use kube::client::Body;
use serde_json::json;

fn answer(code: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string().into_bytes()));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response
}

/// The kinds of `example.org/v1`.
fn discovery() -> Response<Body> {
    let resource = json!({"name": "widgets", "singularName": "widget", "kind": "Widget",
        "namespaced": true, "verbs": ["list", "watch"]});
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": "example.org/v1", "resources": [resource]});
    answer(200, &list)
}

/// Serves the kind `Widget` and refuses to list it.
async fn refuse(request: Request<Body>) -> std::result::Result<Response<Body>, kube::Error> {
    if !request.uri().path().ends_with("/widgets") {
        return Ok(discovery());
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "widgets is forbidden", "reason": "Forbidden", "code": 403});
    Ok(answer(403, &status))
}

/// Serves it with one object, to which nothing ever happens.
async fn serve(request: Request<Body>) -> std::result::Result<Response<Body>, kube::Error> {
    serve_those(request, &["a"]).await
}

/// The same with objects of these names.
async fn serve_those(
    request: Request<Body>,
    names: &[&str],
) -> std::result::Result<Response<Body>, kube::Error> {
    if !request.uri().path().ends_with("/widgets") {
        return Ok(discovery());
    }
    if request
        .uri()
        .query()
        .is_some_and(|query| query.contains("watch=true"))
    {
        std::future::pending::<()>().await;
    }
    let widgets = names.iter().map(|name| {
        json!({"metadata": {"namespace": "demo", "name": name, "resourceVersion": "6",
            "managedFields": [{"manager": "m"}]}})
    });
    let list = json!({"kind": "WidgetList", "apiVersion": "example.org/v1",
        "metadata": {"resourceVersion": "7"}, "items": widgets.collect::<Vec<_>>()});
    Ok(answer(200, &list))
}

fn served() -> Dynamic {
    let client = Client::new(tower::service_fn(serve), "default");
    Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None)
}

const WIDGET: (&str, &str) = ("example.org/v1", "Widget");

fn kinds(dynamic: &Dynamic) -> Vec<KindName> {
    dynamic.lock().keys().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_nobody_uses_any_more_is_not_watched_any_more() {
    let dynamic = served();
    let (api_version, kind) = WIDGET;
    let name = (api_version.to_owned(), kind.to_owned());
    let cache = dynamic.lean_of_kind(api_version, kind).await.unwrap();
    let nobody = BTreeSet::new;
    tokio::time::advance(UNUSED / 2).await;
    dynamic.lean_of_kind(api_version, kind).await.unwrap();
    tokio::time::advance(UNUSED / 2).await;
    dynamic.end_unused(nobody);
    assert_eq!(
        kinds(&dynamic),
        std::slice::from_ref(&name),
        "it was asked for"
    );
    tokio::time::advance(UNUSED / 2).await;
    dynamic.end_unused(|| [name.clone()].into());
    assert_eq!(
        kinds(&dynamic),
        std::slice::from_ref(&name),
        "somebody refers to it"
    );
    dynamic.end_unused(nobody);
    assert_eq!(kinds(&dynamic), std::slice::from_ref(&name), "a moment ago");
    tokio::time::advance(UNUSED).await;
    dynamic.end_unused(nobody);
    assert_eq!(kinds(&dynamic), Vec::<KindName>::new());
    // The task lets go of it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&cache), 1);
    let again = dynamic.lean_of_kind(api_version, kind).await.unwrap();
    assert!(!Arc::ptr_eq(&again, &cache) && again.get("demo", "a").is_some());
}

#[tokio::test(start_paused = true)]
async fn who_owns_which_field_is_known_once_somebody_asks() {
    let dynamic = served();
    let (api_version, kind) = WIDGET;
    let owners = |cache: &Cache<DynamicObject>| {
        let object = cache.get("demo", "a").unwrap();
        object.metadata.managed_fields.clone()
    };
    let lean = dynamic.lean_of_kind(api_version, kind).await.unwrap();
    assert_eq!(owners(&lean), None);
    let key = ObjectKey::namespaced(api_version, kind, "demo", "a");
    let written = json!({"apiVersion": api_version, "kind": kind, "metadata": {
        "namespace": "demo", "name": "a", "resourceVersion": "8",
        "managedFields": [{"manager": "m"}]}});
    dynamic.absorb(&key, &written.to_string(), Origin::Answer);
    assert_eq!(owners(&lean), None);
    let whole = dynamic.of_kind(api_version, kind).await.unwrap();
    assert!(owners(&whole).is_some());
    assert_eq!(kinds(&dynamic).len(), 1);
    let same = dynamic.lean_of_kind(api_version, kind).await.unwrap();
    assert!(Arc::ptr_eq(&same, &whole), "one watch does for both");
    dynamic.absorb(&key, &written.to_string(), Origin::Answer);
    assert!(owners(&whole).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_goes_while_one_watch_follows_another_is_told_of() {
    let names = Arc::new(Mutex::new(vec!["a", "gone"]));
    let there = names.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let names = there.lock().unwrap().clone();
        async move { serve_those(request, &names).await }
    });
    let client = Client::new(service, "default");
    let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = told.clone();
    dynamic.on_change(move |_, change| {
        let name = |object: &Arc<DynamicObject>| object.metadata.name.clone().unwrap();
        if change.new.is_none() {
            heard.lock().unwrap().extend(change.old.as_ref().map(name));
        }
    });
    let (api_version, kind) = WIDGET;
    let lean = dynamic.lean_of_kind(api_version, kind).await.unwrap();
    assert_eq!(lean.all().len(), 2);
    names.lock().unwrap().pop();
    let whole = dynamic.of_kind(api_version, kind).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["gone"]);
    assert_eq!(whole.all().len(), 1);
    let kept = whole.get("demo", "a").unwrap();
    assert!(kept.metadata.managed_fields.is_some(), "it is as listed");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_listed_gives_the_worker_back() {
    let client = Client::new(tower::service_fn(refuse), "default");
    let dynamic = Dynamic::new(client.clone(), Arc::new(Kinds::new(client)), None);
    for _ in 0..2 {
        let start = Instant::now();
        let answer = dynamic.of_kind(WIDGET.0, WIDGET.1).await;
        assert!(matches!(answer, Err(Error::NotListed { .. })), "{answer:?}");
        assert!(start.elapsed() <= LIST_MAX + Duration::from_secs(1));
    }
    let failing = dynamic.failing();
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0].0, "example.org/v1 Widget");
    assert!(failing[0].1 > Duration::from_secs(5), "{failing:?}");
}
