//! The controller's observation for one look: caches that are filled by a list instead of a watch.

use crate::act::Kinds;
use crate::cache::{Cache, Caches, Dynamic, Selected, Stored};
use crate::error::code_of;
use crate::observe;
use api::constants::{HASH_LABEL, INSTANCE_ID_LABEL};
use api::{AnalysisTemplate, Rollout};
use cli::Observed;
use engine::snapshot::{Inbox, TemplateName, references};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
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
    let mut notes = fill(&caches, &client, &rollout).await?;
    let warnings = match warnings(&client, &rollout).await {
        Ok(warnings) => warnings,
        Err(why) => {
            notes.push(format!(
                "{why}: nothing is said of what the controller has warned of."
            ));
            Vec::new()
        }
    };
    let snapshot = observe::rollout(&caches, Arc::new(rollout), Inbox::default())
        .await
        .map_err(|error| error.chain())?;
    let snapshot = observe::with_all_pods(&caches, snapshot);
    Ok(Observed {
        snapshot,
        warnings,
        notes,
    })
}

/// The events that warn of a Rollout. The controller does not read them, but what it was refused
/// may stand nowhere else.
async fn warnings(client: &Client, rollout: &Rollout) -> Result<Vec<Event>, String> {
    let events: Api<Event> =
        Api::namespaced(client.clone(), &rollout.namespace().unwrap_or_default());
    let uid = rollout.uid().unwrap_or_default();
    let fields = format!("involvedObject.uid={uid},type=Warning");
    let found = events.list(&ListParams::default().fields(&fields)).await;
    Ok(found.map_err(|error| cannot_list("Events", &error))?.items)
}

/// Lists what the snapshot is made of, as far as the controller of this Rollout sees it: with the
/// selectors of [`crate::manager`]'s watches. What a plan can do without is noted when it may not
/// be listed; of anything else a plan would say what is not so.
async fn fill(caches: &Caches, client: &Client, rollout: &Rollout) -> Result<Vec<String>, String> {
    let namespace = rollout.namespace().unwrap_or_default();
    let all = ListParams::default();
    let ours = ListParams::default().labels(&instance_selector(rollout));
    let hashed = ListParams::default().labels(HASH_LABEL);
    macro_rules! needed {
        ($cache:ident, $what:literal, $params:expr) => {
            list(&caches.$cache, here(client, &namespace), ($what, $params)).await
        };
    }
    needed!(replica_sets, "ReplicaSets", &hashed)?;
    needed!(services, "Services", &all)?;
    needed!(analysis_runs, "AnalysisRuns", &ours)?;
    needed!(experiments, "Experiments", &ours)?;
    needed!(analysis_templates, "AnalysisTemplates", &ours)?;
    let wanted = references(rollout);
    let mut notes = Vec::new();
    match needed!(pods, "Pods", &hashed) {
        Err(why) if !wanted.pods => notes.push(format!("{why}: nothing is said of single pods.")),
        pods => pods?,
    }
    if wanted.workload.is_some()
        && let Err(why) = needed!(rollouts, "Rollouts", &ours)
    {
        notes.push(format!(
            "{why}: whether another one refers to its workload is not known."
        ));
    }
    caches.index_rollouts();
    let templates = caches.analysis_templates.in_namespace(&namespace);
    if leads_to_cluster(wanted.templates, &templates) {
        let cluster = &caches.cluster_analysis_templates;
        let what = ("ClusterAnalysisTemplates", &ours);
        list(cluster, Api::all(client.clone()), what).await?;
    }
    Ok(notes)
}

/// Selects the objects that the controller of a Rollout looks after, as that selects them itself
/// (rollouts.md §9.3).
fn instance_selector(rollout: &Rollout) -> String {
    let id = rollout.labels().get(INSTANCE_ID_LABEL);
    let ours = Selected::of_instance(id.map(String::as_str));
    ours.labels().unwrap_or_default()
}

/// Whether templates of the cluster are among those with these names, or among those that they name
/// in turn. Nobody needs a right to look at what is not used.
fn leads_to_cluster(
    names: impl IntoIterator<Item = TemplateName>,
    templates: &[Arc<AnalysisTemplate>],
) -> bool {
    let mut open: Vec<TemplateName> = names.into_iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        let TemplateName::Namespaced(name) = name else {
            return true;
        };
        let mut all = templates.iter();
        let found = all.find(|template| template.metadata.name.as_deref() == Some(&*name));
        if !seen.insert(name) {
            continue;
        }
        let nested = found
            .into_iter()
            .flat_map(|template| &template.spec.templates);
        open.extend(nested.map(TemplateName::of));
    }
    false
}

fn here<K>(client: &Client, namespace: &str) -> Api<Stored<K>>
where
    Stored<K>: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), namespace)
}

async fn list<K>(
    cache: &Cache<K>,
    api: Api<Stored<K>>,
    (what, params): (&str, &ListParams),
) -> Result<(), String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + JsonSchema + Debug,
{
    match api.list(params).await {
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
        Err(error) => Err(cannot_list(what, &error)),
    }
}

fn cannot_list(what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("cannot list {what}: {}", status.message),
        error => format!("cannot list {what}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apiserver::{ApiServer, Gvk};
    use serde_json::{Value, json};

    const NAMESPACE: &str = "demo";

    /// It names the template `smoke`.
    fn rollout(labels: &Value) -> Rollout {
        let analysis = json!({"templates": [{"templateName": "smoke"}]});
        serde_json::from_value(json!({
            "metadata": {"name": "app", "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "selector": {"matchLabels": {"app": "app"}},
                "template": {
                    "metadata": {"labels": {"app": "app"}},
                    "spec": {"containers": [{"name": "app", "image": "demo:blue"}]},
                },
                "strategy": {"canary": {"steps": [{"analysis": analysis}]}},
            },
        }))
        .unwrap()
    }

    fn template(name: &str, labels: &Value, nested: &Value) -> Value {
        json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "metrics": [{
                    "name": name,
                    "count": 1,
                    "successCondition": "true",
                    "provider": {"web": {"url": "https://example.com", "jsonPath": "{$.ok}"}},
                }],
                "templates": nested,
            },
        })
    }

    /// Names of the templates that are seen: those of the namespace, and those of the cluster.
    async fn seen(api: &ApiServer, labels: &Value) -> (Vec<String>, Vec<String>) {
        let observed = look(api.client(), rollout(labels)).await.unwrap();
        let templates = observed.snapshot.templates;
        let namespaced = templates.namespaced.into_keys().collect();
        (namespaced, templates.cluster.into_keys().collect())
    }

    #[tokio::test]
    async fn templates_are_those_that_the_controller_of_the_rollout_sees() {
        let api = ApiServer::builder().build();
        crate::sandbox::install_crds(&api).unwrap();
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        let kind = Gvk::new("", "v1", "Namespace");
        api.create(&kind, None, namespace).unwrap();
        let (blue, none) = (json!({INSTANCE_ID_LABEL: "blue"}), json!({}));
        let common = json!([{"templateName": "common", "clusterScope": true}]);
        let namespaced = Gvk::new("argoproj.io", "v1alpha1", "AnalysisTemplate");
        for (name, labels, nested) in [("smoke", &blue, &common), ("other", &none, &json!([]))] {
            let template = template(name, labels, nested);
            api.create(&namespaced, Some(NAMESPACE), template).unwrap();
        }
        let cluster = Gvk::new("argoproj.io", "v1alpha1", "ClusterAnalysisTemplate");
        for (name, labels) in [("common", &blue), ("foreign", &none)] {
            let template = template(name, labels, &json!([]));
            api.create(&cluster, None, template).unwrap();
        }
        let only = |name: &str| vec![name.to_owned()];
        assert_eq!(seen(&api, &blue).await, (only("smoke"), only("common")));
        assert_eq!(seen(&api, &none).await, (only("other"), Vec::new()));
    }

    #[test]
    fn templates_of_the_cluster_are_found_through_those_that_name_them() {
        let read = |(name, nested): (&str, Value)| -> Arc<AnalysisTemplate> {
            Arc::new(serde_json::from_value(template(name, &json!({}), &nested)).unwrap())
        };
        let templates = [
            ("plain", json!([])),
            (
                "round",
                json!([{"templateName": "round"}, {"templateName": "plain"}]),
            ),
            ("deep", json!([{"templateName": "nested"}])),
            (
                "nested",
                json!([{"templateName": "common", "clusterScope": true}]),
            ),
        ]
        .map(read);
        let leads = |name: &str| {
            let name = TemplateName::Namespaced(name.to_owned());
            leads_to_cluster([name], &templates)
        };
        assert_eq!(
            ["plain", "round", "gone", "deep", "nested"].map(leads),
            [false, false, false, true, true]
        );
        let cluster = TemplateName::Cluster("common".to_owned());
        assert!(leads_to_cluster([cluster], &[]));
    }

    #[test]
    fn the_selector_is_that_of_the_watches() {
        let selector = |labels: &Value| instance_selector(&rollout(labels));
        let id = "argo-rollouts.argoproj.io/controller-instance-id";
        assert_eq!(selector(&json!({})), format!("!{id}"));
        assert_eq!(selector(&json!({id: "blue"})), format!("{id}=blue"));
        assert_eq!(selector(&json!({id: ""})), format!("!{id}"));
    }
}
