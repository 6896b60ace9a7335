//! The snapshot of an Application.

use crate::act::{Purpose, Served, Wanted};
use crate::cache::Cache;
use crate::driver::{Context, guarded};
use crate::error::{Error, Result, chain, code_of};
use crate::queue::{Key, Kind};
use api::constants::gitops::REFRESH_ANNOTATION;
use api::{Application, ApplicationSource, Rollout};
use engine::snapshot::references;
use gitops::sync::{
    self, ApplicationSnapshot, DryRun, Target, comparison_request, operation_request,
};
use gitops::{LiveTree, ResourceId, Scopes, resource, tracking};
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::discovery::Scope;
use kube::{Api, Client, ResourceExt};
use plan::ObjectKey;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long the API server may take to say why a kind is not listed.
const REASON_MAX: Duration = Duration::from_secs(3);

/// `apiVersion` and `kind`.
type KindName = (String, String);

/// What may be known of an Application. A kind that can't be looked up, or listed, hides its own
/// objects and no others; one that the cluster does not serve has none: applying says so.
pub async fn application(cx: &Context, app: Arc<Application>) -> Result<ApplicationSnapshot> {
    let namespace = app.namespace().unwrap_or_default();
    let key = Key::new(Kind::Application, namespace.clone(), app.name_any());
    let refresh = app.annotations().contains_key(REFRESH_ANNOTATION);
    let poll_s = cx.gitops.poll_s;
    let project = cx
        .caches
        .projects
        .get(&cx.gitops.control_namespace, sync::project_name(&app));
    // A repository that the project denies is not even asked.
    let may_fetch = |source: &ApplicationSource| {
        sync::may_fetch(&app, project.as_deref(), source, &cx.gitops).is_ok()
    };
    let request = comparison_request(&app).filter(|request| may_fetch(&request.source));
    let (target, refreshed) = match request {
        Some(request) => {
            let wanted = Wanted {
                request: &request,
                refresh,
                poll_s,
                attempt: "",
            };
            cx.renderer.target(&key, Purpose::Comparison, wanted)
        }
        None => (Target::Pending, false),
    };
    let request = operation_request(&app).filter(|request| may_fetch(&request.source));
    let operation_target = request.map(|request| {
        // What an operation was started with does not move while it runs; the next one, or the
        // next try, asks anew.
        let wanted = Wanted {
            request: &request,
            refresh: false,
            poll_s: i64::MAX,
            attempt: &attempt_of(&app),
        };
        cx.renderer.target(&key, Purpose::Operation, wanted).0
    });
    let wanted = Live {
        instance: tracking::instance_name(
            &namespace,
            &app.name_any(),
            &cx.gitops.control_namespace,
        ),
        namespace: app.spec.destination.namespace.clone().unwrap_or_default(),
        named: named(&[Some(&target), operation_target.as_ref()], &app),
    };
    let (live, scopes) = wanted.collect(cx).await?;
    let mut snapshot = ApplicationSnapshot {
        project,
        target,
        operation_target,
        refreshed,
        live,
        scopes,
        dry_run: DryRun::Pending,
        inbox: cx.outcomes.of(&key),
        app,
    };
    snapshot.dry_run = dry_run(cx, &key, &snapshot).await?;
    Ok(snapshot)
}

/// What the API server says of the objects of the operation that runs: asked once for each try of
/// it, before it writes anything.
async fn dry_run(cx: &Context, key: &Key, snapshot: &ApplicationSnapshot) -> Result<DryRun> {
    let now = cx.clock.now();
    let objects = guarded(key, || sync::dry_run_objects(snapshot, &cx.gitops, now))?;
    let Some(objects) = objects else {
        // Of two operations that begin in one second the second asks as well.
        cx.dry_runs.forget(key);
        return Ok(DryRun::Pending);
    };
    let attempt = attempt_of(&snapshot.app);
    Ok(cx.dry_runs.of(key, &attempt, objects).await)
}

/// Tells the tries of operations apart.
fn attempt_of(app: &Application) -> String {
    let status = app.status.as_ref();
    let state = status.and_then(|status| status.operation_state.as_ref());
    state.map_or_else(String::new, |state| {
        format!("{}/{}", state.started_at.0, state.retry_count)
    })
}

/// What the target state and the last status speak of.
#[derive(Debug, Default)]
struct Named {
    kinds: BTreeSet<KindName>,
    /// By group and kind, without namespace: whether a kind has one is only known to the planner.
    names: BTreeMap<(String, String), BTreeSet<String>>,
    namespaces: BTreeSet<String>,
}

fn named(targets: &[Option<&Target>], app: &Application) -> Named {
    let mut named = Named::default();
    named
        .namespaces
        .extend(app.spec.destination.namespace.clone());
    for target in targets.iter().flatten() {
        if let Target::Rendered(rendered) = target {
            rendered
                .documents
                .iter()
                .for_each(|document| named.add(&document.object));
        }
    }
    let Some(status) = &app.status else {
        return named;
    };
    for known in &status.resources {
        let id = ResourceId::new(&known.group, &known.kind, &known.namespace, &known.name);
        named.know(&id, &known.version);
    }
    // A sync of another revision may have applied what is in neither, and be cut short.
    let state = status.operation_state.as_ref();
    let result = state.and_then(|state| state.sync_result.as_ref());
    for done in result.into_iter().flat_map(|result| &result.resources) {
        let id = ResourceId::new(&done.group, &done.kind, &done.namespace, &done.name);
        named.know(&id, &done.version);
    }
    named
}

impl Named {
    fn name(&mut self, group: &str, kind: &str, name: &str) {
        let of_kind = (group.to_owned(), kind.to_owned());
        let names = self.names.entry(of_kind).or_default();
        names.insert(name.to_owned());
    }

    fn of_kind(&self, group: &str, kind: &str) -> Option<&BTreeSet<String>> {
        self.names.get(&(group.to_owned(), kind.to_owned()))
    }

    /// Adds what a status tells of.
    fn know(&mut self, id: &ResourceId, version: &str) {
        let key = id.key(version);
        if !is_api_version(&key.api_version) {
            return;
        }
        self.kinds.insert((key.api_version, key.kind));
        self.name(&id.group, &id.kind, &id.name);
        self.namespaces.extend(key.namespace);
    }

    /// Whether a Rollout of `namespace` that refers to this object may mean one of the Application.
    fn has(&self, key: &ObjectKey, namespace: &str) -> bool {
        let names = self.of_kind(key.group(), &key.kind);
        let place = key.namespace.as_deref().unwrap_or(namespace);
        self.namespaces.contains(place) && names.is_some_and(|names| names.contains(&key.name))
    }

    fn add(&mut self, object: &Value) {
        if let Some(items) = object.get("items").and_then(Value::as_array) {
            for item in items {
                self.add(item);
            }
            return;
        }
        let id = ResourceId::of(object);
        if id.kind.is_empty() || !is_api_version(resource::api_version(object)) {
            // What is wrong with it is for the planner to say; nobody serves it.
            return;
        }
        self.kinds
            .insert((resource::api_version(object).to_owned(), id.kind.clone()));
        self.name(&id.group, &id.kind, &id.name);
        self.namespaces
            .extend(Some(id.namespace).filter(|namespace| !namespace.is_empty()));
    }
}

/// `version` or `group/version`, fit to be asked for.
fn is_api_version(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    text.split('/').count() <= 2 && text.split('/').all(is_part)
}

/// Which live objects are looked at.
struct Live {
    instance: String,
    namespace: String,
    named: Named,
}

impl Live {
    async fn collect(mut self, cx: &Context) -> Result<(LiveTree, Scopes)> {
        self.named
            .kinds
            .insert(("v1".to_owned(), "Namespace".to_owned()));
        let mut tree = LiveTree::default();
        let mut scopes = Scopes::default();
        let mut seen = BTreeSet::new();
        let mut hidden = BTreeMap::new();
        for (api_version, kind) in &self.named.kinds {
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            let cache = match listed(cx, api_version, kind, &mut scopes).await? {
                Listed::Seen(cache) => cache,
                Listed::NotServed => continue,
                Listed::Hidden(why) => {
                    hidden.insert((group, kind), why);
                    continue;
                }
            };
            seen.insert((group, kind));
            let names = self.named.of_kind(group, kind);
            for object in cache.all() {
                let is_destination =
                    kind == "Namespace" && object.metadata.name.as_ref() == Some(&self.namespace);
                if is_destination || self.wants(names, &object) {
                    tree.insert(typed(&object, api_version, kind));
                }
            }
        }
        // The objects of a kind are the same at each of its versions.
        hidden.retain(|of_kind, _| !seen.contains(of_kind));
        for ((group, kind), why) in hidden {
            tree.hide(group, kind, &why);
        }
        if let Some(own) = cx.caches.dynamic.namespace() {
            // It is there, though a controller of one namespace may not look at it.
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": own}});
            tree.insert(Arc::new(namespace));
        }
        self.collect_rollouts(cx, &mut tree);
        Ok((tree, scopes))
    }

    /// Rollouts that write to objects of the Application without being a part of it, in whichever
    /// namespace they are: which of their fields are theirs must be known. Only those are encoded,
    /// however many there are.
    fn collect_rollouts(&self, cx: &Context, tree: &mut LiveTree) {
        for rollout in cx.caches.rollouts.all() {
            let namespace = rollout.namespace().unwrap_or_default();
            if !self.may_be_written_by(&rollout, &namespace) {
                continue;
            }
            let id = ResourceId::new("argoproj.io", "Rollout", &namespace, &rollout.name_any());
            if tree.get(&id).is_none() {
                tree.insert(Arc::new(
                    serde_json::to_value(rollout.as_ref()).unwrap_or_default(),
                ));
            }
        }
    }

    fn may_be_written_by(&self, rollout: &Rollout, namespace: &str) -> bool {
        let is_near = self.named.namespaces.contains(namespace);
        // From elsewhere only routes are written to.
        if !is_near && rollout.spec.traffic_routing().is_none() {
            return false;
        }
        let used = references(rollout);
        let services = self.named.of_kind("", "Service").filter(|_| is_near);
        let writes_service = services.is_some_and(|names| !names.is_disjoint(&used.services));
        let mut objects = used.objects.iter().chain(&used.workload);
        writes_service || objects.any(|key| self.named.has(key, namespace))
    }

    /// Asked for every object of a kind: nothing is copied here.
    fn wants(&self, names: Option<&BTreeSet<String>>, object: &DynamicObject) -> bool {
        let meta = &object.metadata;
        let tracked = meta
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(tracking::TRACKING_ANNOTATION))
            .and_then(|id| id.split_once(':'))
            .is_some_and(|(app, _)| app == self.instance);
        let name = meta.name.as_deref().unwrap_or_default();
        tracked || names.is_some_and(|names| names.contains(name))
    }
}

/// What is known of the objects of a kind.
enum Listed {
    Seen(Arc<Cache<DynamicObject>>),
    NotServed,
    /// They can't be listed; why not.
    Hidden(String),
}

/// # Errors
/// [`Error::NotListed`] while the first list goes on: what nobody knows yet is nothing to tell of.
async fn listed(
    cx: &Context,
    api_version: &str,
    kind: &str,
    scopes: &mut Scopes,
) -> Result<Listed> {
    let served = match cx.kinds.resolve(api_version, kind).await {
        Ok(served) => served,
        Err(Error::UnknownKind { .. }) => return Ok(Listed::NotServed),
        Err(error) => return Ok(Listed::Hidden(error.chain())),
    };
    scopes.serve(api_version, kind, served.scope == Scope::Namespaced);
    let error = match cx.caches.dynamic.of_kind(api_version, kind).await {
        Ok(cache) => return Ok(Listed::Seen(cache)),
        Err(error) => error,
    };
    if matches!(error, Error::UnknownKind { .. }) {
        return Ok(Listed::NotServed);
    }
    if !matches!(error, Error::NotListed { .. }) {
        return Ok(Listed::Hidden(error.chain()));
    }
    match why_not_listed(&cx.client, &served, cx.caches.dynamic.namespace()).await {
        Reason::Slow => Err(error),
        Reason::Gone => Ok(Listed::NotServed),
        Reason::Refused(why) => Ok(Listed::Hidden(why)),
    }
}

/// Why a kind is not listed.
#[derive(Debug, PartialEq, Eq)]
enum Reason {
    /// The first list goes on.
    Slow,
    /// The cluster does not serve the kind any more.
    Gone,
    Refused(String),
}

/// Asks why a kind is not listed: a cache that is not complete does not know.
async fn why_not_listed(client: &Client, served: &Served, namespace: Option<&str>) -> Reason {
    let api: Api<DynamicObject> = Api::dynamic(client.clone(), &served.resource, &served.scope);
    let api = match namespace {
        Some(namespace) => api.constrain(namespace),
        None => api,
    };
    let one = ListParams::default().limit(1);
    let answer = tokio::time::timeout(REASON_MAX, api.list(&one)).await;
    let error = match answer {
        Err(_) => return Reason::Refused("the API server does not answer in time".to_owned()),
        Ok(Ok(_)) => return Reason::Slow,
        Ok(Err(error)) => error,
    };
    match code_of(&error) {
        Some(404) => Reason::Gone,
        Some(403) => Reason::Refused(format!(
            "{}; grant list and watch, with a ClusterRole that has the label \
             weir.dev/aggregate-to-gitops: \"true\"",
            chain(&error)
        )),
        _ => Reason::Refused(chain(&error)),
    }
}

/// Objects of a list carry no kind of their own.
fn typed(object: &DynamicObject, api_version: &str, kind: &str) -> Arc<Value> {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), api_version.into());
        fields.insert("kind".to_owned(), kind.into());
    }
    Arc::new(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use kube::core::{ApiResource, GroupVersionKind};

    #[test]
    fn only_what_could_be_served_is_asked_for() {
        for good in ["v1", "apps/v1", "example.com/v1alpha1"] {
            assert!(is_api_version(good), "{good}");
        }
        for bad in ["", "/", "v1/", "/v1", "a/b/c", "a b/v1", "../../x", "v1?x"] {
            assert!(!is_api_version(bad), "{bad}");
        }
    }

    /// A cluster that answers every request so; not at all without a code.
    fn answering(code: Option<u16>) -> Client {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            let Some(code) = code else {
                return std::future::pending::<Result<Response<Body>, kube::Error>>().await;
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
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn why_a_kind_is_not_listed_is_said_in_the_words_of_the_api_server() {
        let widget = Served {
            resource: ApiResource::from_gvk(&GroupVersionKind::gvk("example.org", "v1", "Widget")),
            scope: Scope::Namespaced,
        };
        for (code, words) in [
            (Some(500), "widgets is so"),
            (None, "the API server does not answer in time"),
        ] {
            for namespace in [None, Some("demo")] {
                let why = why_not_listed(&answering(code), &widget, namespace).await;
                assert_eq!(why, Reason::Refused(words.to_owned()), "{code:?}");
            }
        }
        let forbidden = why_not_listed(&answering(Some(403)), &widget, None).await;
        let Reason::Refused(forbidden) = forbidden else {
            panic!("it is refused: {forbidden:?}");
        };
        assert!(
            forbidden.starts_with("widgets is so; grant list and watch"),
            "{forbidden}"
        );
        let slow = why_not_listed(&answering(Some(200)), &widget, None).await;
        assert_eq!(slow, Reason::Slow);
        let gone = why_not_listed(&answering(Some(404)), &widget, None).await;
        assert_eq!(gone, Reason::Gone);
    }

    fn application(status: &Value) -> Application {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {"project": "default", "destination": {"namespace": "production"},
                "source": {"repoURL": "https://example.com/x", "path": "."}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn what_a_sync_has_applied_is_looked_at_though_nothing_else_tells_of_it() {
        let status = json!({
            "resources": [{"version": "v1", "kind": "Service", "namespace": "edge", "name": "web"}],
            "operationState": {
                "operation": {}, "phase": "Running", "startedAt": "2026-01-01T00:00:00Z",
                "syncResult": {"resources": [{"group": "example.com", "version": "v1", "kind": "Gadget",
                    "namespace": "production", "name": "g"}]},
            },
        });
        let named = named(&[], &application(&status));
        let kinds: Vec<(&str, &str)> = named
            .kinds
            .iter()
            .map(|(api_version, kind)| (api_version.as_str(), kind.as_str()))
            .collect();
        assert_eq!(kinds, [("example.com/v1", "Gadget"), ("v1", "Service")]);
        assert!(named.of_kind("example.com", "Gadget").is_some());
        let namespaces: Vec<&str> = named.namespaces.iter().map(String::as_str).collect();
        assert_eq!(namespaces, ["edge", "production"]);
    }

    /// With a route in the namespace `place`; its own if that is empty.
    fn rollout(place: &str) -> Rollout {
        let gateway = json!({"httpRoute": "shared", "namespace": place});
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "team"},
            "spec": {"strategy": {"canary": {"stableService": "stable", "canaryService": "canary",
                "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": gateway}}}}},
        }))
        .unwrap()
    }

    #[test]
    fn rollouts_that_write_to_its_objects_are_looked_at_wherever_they_are() {
        let with = |object: Value| {
            let mut named = named(&[], &application(&json!({})));
            named.add(&object);
            Live {
                instance: "shop".to_owned(),
                namespace: "production".to_owned(),
                named,
            }
        };
        let route = |namespace: Option<&str>| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                "metadata": {"name": "shared", "namespace": namespace}})
        };
        let service = |namespace: &str| {
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "canary", "namespace": namespace}})
        };
        // The route is in the namespace of the Application, by name or by default.
        for namespace in [None, Some("production")] {
            let live = with(route(namespace));
            assert!(live.may_be_written_by(&rollout("production"), "team"));
            assert!(!live.may_be_written_by(&rollout("elsewhere"), "team"));
            assert!(!live.may_be_written_by(&rollout(""), "team"));
        }
        // Or the Application reaches out to that of the Rollout.
        assert!(with(route(Some("team"))).may_be_written_by(&rollout(""), "team"));
        assert!(with(service("team")).may_be_written_by(&rollout(""), "team"));
        // A Service of that name somewhere else is another one.
        assert!(!with(service("production")).may_be_written_by(&rollout(""), "team"));
    }
}
