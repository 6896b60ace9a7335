//! AppProjects that are being deleted (gitops.md item 23). Nothing else is ever done with a
//! project, and what it waits for is that Applications are gone, of any instance: instead of a key
//! of the queue there is a look at all of them every few seconds, which costs nothing as long as
//! none is being deleted.

use super::{Context, at_version, guarded, key_of};
use crate::error::{Error, Result, Retry};
use crate::queue::{Key, Kind};
use api::{AppProject, Application, ApplicationSpec};
use gitops::sync;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, ResourceExt};
use plan::{Plan, WaitingOn};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// How long a project is left alone that could not be let go, or that only Applications use which
/// are in no cache: to know of these all there are have to be listed.
const LONG: Duration = Duration::from_mins(1);

/// What was said of projects, and which of them are left alone for now.
#[derive(Debug, Default)]
struct Memory {
    said: BTreeMap<String, String>,
    until: BTreeMap<String, Instant>,
}

/// What a project waits for.
#[derive(Debug)]
struct Waiting {
    why: String,
    /// The API server had to be asked for it.
    is_listed: bool,
}

/// Takes our finalizer off projects that are being deleted and not used, until the term is over.
pub async fn remove_project_finalizers(cx: Arc<Context>, over: CancellationToken) {
    let mut memory = Memory::default();
    loop {
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        look(&cx, &mut memory).await;
    }
}

/// Only the projects of the control namespace are any.
async fn look(cx: &Context, memory: &mut Memory) {
    let mut projects = cx
        .caches
        .projects
        .in_namespace(&cx.gitops.control_namespace);
    projects.retain(|project| project.metadata.deletion_timestamp.is_some());
    let names: BTreeSet<String> = projects.iter().map(|project| project.name_any()).collect();
    memory.said.retain(|name, _| names.contains(name));
    memory.until.retain(|name, _| names.contains(name));
    let now = Instant::now();
    for project in projects {
        let name = project.name_any();
        if memory.until.get(&name).is_some_and(|until| now < *until) {
            continue;
        }
        match let_go(cx, &project).await {
            Ok(Some(Waiting { why, is_listed })) => {
                if is_listed {
                    memory.until.insert(name.clone(), now + LONG);
                }
                if memory.said.get(&name) != Some(&why) {
                    tracing::info!(project = name, why, "a project that is being deleted waits");
                    memory.said.insert(name, why);
                }
            }
            Ok(None) => {}
            // Somebody else was quicker, or it is not our turn any more.
            Err(error) if error.retry() == Retry::Stale => {}
            Err(error) => {
                let (why, remedy) = (error.chain(), error.remedy());
                tracing::warn!(
                    project = name,
                    error = why,
                    remedy,
                    "a project that is being deleted can't be let go, trying again"
                );
                memory.until.insert(name, now + LONG);
            }
        }
    }
}

/// One pass over a project. What it waits for, if for anything.
async fn let_go(cx: &Context, project: &AppProject) -> Result<Option<Waiting>> {
    let name = project.name_any();
    let seen = cx.caches.applications.all();
    let mut users = sync::users_of(&name, seen.iter().map(AsRef::as_ref));
    // Of those that another instance looks after nothing is in the caches.
    let is_listed = users.is_empty() && plan(cx, project, &users)?.root.patch.is_some();
    if is_listed {
        users = all_users(cx, project).await?;
    }
    let plan = plan(cx, project, &users)?;
    if let Some(patch) = plan.root.patch {
        let patch = at_version(patch, project.resource_version().as_deref());
        cx.kubernetes.merge(&key_of(project), &patch, None).await?;
    }
    Ok(plan.trace.waiting_on.into_iter().find_map(|on| match on {
        WaitingOn::Object { why, .. } => Some(Waiting { why, is_listed }),
        _ => None,
    }))
}

fn plan(cx: &Context, project: &AppProject, users: &BTreeSet<String>) -> Result<Plan<()>> {
    let namespace = cx.gitops.control_namespace.as_str();
    // For what is said of a panic: it is about Applications.
    let key = Key::new(Kind::Application, namespace, project.name_any());
    guarded(&key, || sync::retire(project, users))
}

/// The Applications in a project as the API server lists them.
async fn all_users(cx: &Context, project: &AppProject) -> Result<BTreeSet<String>> {
    let resource = ApiResource::erase::<Application>(&());
    let api: Api<DynamicObject> = match cx.caches.dynamic.namespace() {
        Some(namespace) => Api::namespaced_with(cx.client.clone(), namespace, &resource),
        None => Api::all_with(cx.client.clone(), &resource),
    };
    let listed = api
        .list(&ListParams::default())
        .await
        .map_err(|source| Error::Read {
            object: key_of(project),
            source: Box::new(source),
        })?;
    let name = project.name_any();
    let applications: Vec<Application> = listed.items.into_iter().map(named).collect();
    Ok(sync::users_of(&name, &applications))
}

/// An Application as far as it matters here: one that does not fit its type may well be in the
/// project.
fn named(object: DynamicObject) -> Application {
    let project = object.data.pointer("/spec/project");
    let project = project.and_then(serde_json::Value::as_str);
    let spec = ApplicationSpec {
        project: project.unwrap_or_default().to_owned(),
        ..ApplicationSpec::default()
    };
    Application {
        metadata: object.metadata,
        spec,
        ..Application::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_project_of_an_application_is_known_though_the_rest_of_it_is_not() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {"project": "team", "source": 7, "destination": []},
        }))
        .unwrap();
        let users = sync::users_of("team", &[named(object)]);
        assert_eq!(users, BTreeSet::from(["argocd/shop".to_owned()]));
    }
}
