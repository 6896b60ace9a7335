//! The snapshot of an Application.

use crate::act::{Purpose, Wanted};
use crate::driver::Context;
use crate::error::{Error, Result};
use crate::queue::{Key, Kind};
use api::constants::gitops::REFRESH_ANNOTATION;
use api::{Application, ApplicationSource};
use engine::snapshot::references;
use gitops::sync::{
    self, ApplicationSnapshot, DryRun, Target, comparison_request, operation_request,
};
use gitops::{LiveTree, ResourceId, Scopes, resource, tracking};
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::discovery::Scope;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// `apiVersion` and `kind`.
type KindName = (String, String);

/// # Errors
/// When a kind could not be looked up. Kinds that the cluster does not serve are no error here:
/// applying says so.
pub async fn application(cx: &Context, app: Arc<Application>) -> Result<ApplicationSnapshot> {
    let namespace = app.namespace().unwrap_or_default();
    let key = Key::new(Kind::Application, namespace.clone(), app.name_any());
    let refresh = app.annotations().contains_key(REFRESH_ANNOTATION);
    let poll_s = cx.gitops.poll_s;
    let project = cx
        .caches
        .projects
        .get(&cx.gitops.control_namespace, project_of(&app));
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
    Ok(ApplicationSnapshot {
        project,
        target,
        operation_target,
        refreshed,
        live,
        scopes,
        dry_run: DryRun::Off,
        inbox: cx.outcomes.of(&key),
        app,
    })
}

/// Tells the tries of operations apart.
fn attempt_of(app: &Application) -> String {
    let status = app.status.as_ref();
    let state = status.and_then(|status| status.operation_state.as_ref());
    state.map_or_else(String::new, |state| {
        format!("{}/{}", state.started_at.0, state.retry_count)
    })
}

fn project_of(app: &Application) -> &str {
    match app.spec.project.as_str() {
        "" => api::constants::gitops::DEFAULT_PROJECT,
        project => project,
    }
}

/// The kinds and names that the target state and the last status speak of.
#[derive(Debug, Default)]
struct Named {
    kinds: BTreeSet<KindName>,
    /// By group and kind, without namespace: whether a kind has one is only known to the planner.
    names: BTreeMap<(String, String), BTreeSet<String>>,
}

fn named(targets: &[Option<&Target>], app: &Application) -> Named {
    let mut named = Named::default();
    for target in targets.iter().flatten() {
        if let Target::Rendered(rendered) = target {
            rendered
                .documents
                .iter()
                .for_each(|document| named.add(&document.object));
        }
    }
    for known in app.status.iter().flat_map(|status| &status.resources) {
        let api_version = match known.group.as_str() {
            "" => known.version.clone(),
            group => format!("{group}/{}", known.version),
        };
        named.kinds.insert((api_version, known.kind.clone()));
        named.name(&known.group, &known.kind, &known.name);
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
        for (api_version, kind) in &self.named.kinds {
            match cx.kinds.resolve(api_version, kind).await {
                Ok(served) => {
                    scopes.insert(
                        &served.resource.group,
                        kind,
                        served.scope == Scope::Namespaced,
                    );
                }
                Err(Error::UnknownKind { .. }) => continue,
                Err(error) => return Err(error),
            }
            let cache = cx.caches.dynamic.of_kind(api_version, kind).await?;
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            let names = self.named.of_kind(group, kind);
            for object in cache.all() {
                let is_destination =
                    kind == "Namespace" && object.metadata.name.as_ref() == Some(&self.namespace);
                if is_destination || self.wants(names, &object) {
                    tree.insert(typed(&object, api_version, kind));
                }
            }
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

    /// Rollouts that write to objects of the Application without being a part of it: which of their
    /// fields are theirs must be known. Only those are encoded, however many there are.
    fn collect_rollouts(&self, cx: &Context, tree: &mut LiveTree) {
        let services = self.named.of_kind("", "Service");
        for rollout in cx.caches.rollouts.in_namespace(&self.namespace) {
            let used = references(&rollout);
            let writes_service = services.is_some_and(|names| !names.is_disjoint(&used.services));
            let writes_object = used.objects.iter().chain(&used.workload).any(|key| {
                let names = self.named.of_kind(key.group(), &key.kind);
                names.is_some_and(|names| names.contains(&key.name))
            });
            let id = ResourceId::new(
                "argoproj.io",
                "Rollout",
                &self.namespace,
                &rollout.name_any(),
            );
            if (writes_service || writes_object) && tree.get(&id).is_none() {
                tree.insert(Arc::new(
                    serde_json::to_value(rollout.as_ref()).unwrap_or_default(),
                ));
            }
        }
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
    use super::is_api_version;

    #[test]
    fn only_what_could_be_served_is_asked_for() {
        for good in ["v1", "apps/v1", "example.com/v1alpha1"] {
            assert!(is_api_version(good), "{good}");
        }
        for bad in ["", "/", "v1/", "/v1", "a/b/c", "a b/v1", "../../x", "v1?x"] {
            assert!(!is_api_version(bad), "{bad}");
        }
    }
}
