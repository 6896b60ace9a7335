//! The controller's observation for one look: caches that are filled by a list instead of a watch.

use crate::act::Kinds;
use crate::cache::{Cache, Caches, Dynamic, Stored};
use crate::error::code_of;
use crate::observe;
use api::Rollout;
use cli::Observed;
use engine::snapshot::{Inbox, TemplateName, references};
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

/// See [`cli::Observer`].
pub fn observe(client: Client, rollout: Rollout) -> BoxFuture<'static, Result<Observed, String>> {
    look(client, rollout).boxed()
}

async fn look(client: Client, rollout: Rollout) -> Result<Observed, String> {
    let namespace = rollout.namespace().unwrap_or_default();
    let kinds = Arc::new(Kinds::new(client.clone()));
    let dynamic = Dynamic::new(client.clone(), kinds, Some(namespace.clone()));
    let caches = Caches::new(dynamic);
    let notes = fill(&caches, &client, &rollout).await?;
    let snapshot = observe::rollout(&caches, Arc::new(rollout), Inbox::default())
        .await
        .map_err(|error| error.chain())?;
    let snapshot = observe::with_all_pods(&caches, snapshot);
    Ok(Observed { snapshot, notes })
}

/// Lists what the snapshot is made of. What a plan can do without is noted when it may not be
/// listed; of anything else a plan would say what is not so.
async fn fill(caches: &Caches, client: &Client, rollout: &Rollout) -> Result<Vec<String>, String> {
    let namespace = rollout.namespace().unwrap_or_default();
    list(
        &caches.replica_sets,
        here(client, &namespace),
        "ReplicaSets",
    )
    .await?;
    list(&caches.services, here(client, &namespace), "Services").await?;
    list(
        &caches.analysis_runs,
        here(client, &namespace),
        "AnalysisRuns",
    )
    .await?;
    list(&caches.experiments, here(client, &namespace), "Experiments").await?;
    list(
        &caches.analysis_templates,
        here(client, &namespace),
        "AnalysisTemplates",
    )
    .await?;
    let wanted = references(rollout);
    let mut notes = Vec::new();
    let pods = list(&caches.pods, here(client, &namespace), "Pods").await;
    match pods {
        Err(why) if !wanted.pods => notes.push(format!("{why}: nothing is said of single pods.")),
        pods => pods?,
    }
    if wanted.workload.is_some() {
        let rollouts = list(&caches.rollouts, here(client, &namespace), "Rollouts").await;
        if let Err(why) = rollouts {
            notes.push(format!(
                "{why}: whether another one refers to its workload is not known."
            ));
        }
    }
    let of_cluster = |name: &TemplateName| matches!(name, TemplateName::Cluster(_));
    if wanted.templates.iter().any(of_cluster) {
        let all = Api::all(client.clone());
        let templates = list(
            &caches.cluster_analysis_templates,
            all,
            "ClusterAnalysisTemplates",
        );
        templates.await?;
    }
    Ok(notes)
}

fn here<K>(client: &Client, namespace: &str) -> Api<Stored<K>>
where
    Stored<K>: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), namespace)
}

async fn list<K>(cache: &Cache<K>, api: Api<Stored<K>>, what: &str) -> Result<(), String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + JsonSchema + Debug,
{
    match api.list(&ListParams::default()).await {
        Ok(found) => {
            for stored in found.items {
                if let Stored::Read { object, .. } = stored {
                    cache.absorb(object);
                }
            }
            Ok(())
        }
        // No CRD, no objects.
        Err(error) if code_of(&error) == Some(404) => Ok(()),
        Err(kube::Error::Api(status)) => Err(format!("cannot list {what}: {}", status.message)),
        Err(error) => Err(format!("cannot list {what}: {error}")),
    }
}
