//! Whether another controller acts on the objects of one that runs. Those of one namespace have a
//! Lease that keeps them apart; of those elsewhere only their Deployments can be seen, and of Argo
//! CD, which acts on Applications, its pods.
//!
//! Nothing is asked for that the roles of the installation do not allow.

use super::report::Finding;
use super::{argo_cd, conflict};
use deploy::Settings;
use gitops::sync::Config;
use kube::Client;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks: a second controller is somebody's mistake, and may come at any time.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// After a look at which nothing could be seen.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// For a controller that runs, installed as in `settings`, with these settings of Applications:
/// says once of each other controller that acts on the same objects. Never ends.
pub async fn warn_of_others(client: Client, settings: Settings, applications: Config) {
    let mut told = [Told::new(), Told::new()];
    loop {
        let found = [
            controllers(&client, &settings).await,
            argo_cd::running(&client, &settings, &applications).await,
        ];
        let is_all_seen = found.iter().all(Option::is_some);
        for (told, found) in told.iter_mut().zip(found) {
            if let Some(found) = found {
                *told = tell(told, found);
            }
        }
        sleep(if is_all_seen { LOOK_AGAIN } else { TRY_AGAIN }).await;
    }
}

/// Controllers of Rollouts elsewhere. One of a single namespace has no right to look for them.
async fn controllers(client: &Client, settings: &Settings) -> Option<Vec<Finding>> {
    if settings.namespaced {
        return Some(Vec::new());
    }
    conflict::others(client, settings).await
}

/// What was found, and its remedy.
type Told = BTreeMap<String, String>;

/// Says what was not said before; what is there now.
fn tell(told: &Told, found: Vec<Finding>) -> Told {
    let there: Told = found
        .into_iter()
        .filter_map(|finding| match finding {
            Finding::Bad { what, remedy } => Some((what, remedy)),
            Finding::Good(_) | Finding::Doubt { .. } => None,
        })
        .collect();
    for (what, remedy) in &there {
        if !told.contains_key(what) {
            tracing::warn!(remedy, "{what}");
        }
    }
    for what in told.keys().filter(|what| !there.contains_key(*what)) {
        tracing::info!("this is over: {what}");
    }
    there
}

#[cfg(test)]
mod tests {
    use super::*;
    use apiserver::{ApiServer, Gvk};
    use deploy::RULES;
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;
    use kube::api::PostParams;
    use serde_json::json;

    /// A cluster with a controller in the namespace `other`, with these arguments.
    async fn cluster(arguments: &[&str]) -> Client {
        let client = ApiServer::builder().build().client();
        let params = PostParams::default();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = json!({"metadata": {"name": "other"}});
        let namespace = serde_json::from_value(namespace).unwrap();
        namespaces.create(&params, &namespace).await.unwrap();
        let labels = json!({"app.kubernetes.io/name": "argo-rollouts"});
        let deployment = json!({
            "metadata": {"name": "argo-rollouts", "labels": labels},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "c", "image": "i", "args": arguments}]},
                },
            },
        });
        let deployment = serde_json::from_value(deployment).unwrap();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), "other");
        deployments.create(&params, &deployment).await.unwrap();
        client
    }

    #[tokio::test]
    async fn one_of_another_namespace_is_told_once_unless_it_has_objects_of_its_own() {
        let settings = Settings::default();
        let client = cluster(&["--loglevel=info"]).await;
        let found = conflict::others(&client, &settings).await.unwrap();
        let told = tell(&Told::new(), found.clone());
        let (what, remedy) = told.first_key_value().unwrap();
        assert!(what.contains("Deployment argo-rollouts in the namespace other"));
        assert!(remedy.contains("--instance-id"), "{remedy}");
        assert_eq!(tell(&told, found), told);
        let apart = cluster(&["--instance-id=blue"]).await;
        let found = conflict::others(&apart, &settings).await;
        assert_eq!(found, Some(Vec::new()));
    }

    /// A cluster without our definitions, in which Argo CD runs in the namespace `argocd`.
    fn with_argo_cd() -> ApiServer {
        let api = ApiServer::builder().build();
        let namespace = json!({"metadata": {"name": "argocd"}});
        let kind = Gvk::new("", "v1", "Namespace");
        api.create(&kind, None, namespace).unwrap();
        let pod = json!({
            "metadata": {
                "name": "argocd-application-controller-0",
                "labels": {"app.kubernetes.io/name": "argocd-application-controller"},
            },
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        let kind = Gvk::new("", "v1", "Pod");
        api.create(&kind, Some("argocd"), pod).unwrap();
        api
    }

    #[tokio::test]
    async fn argo_cd_is_told_of_where_applications_are_looked_after() {
        let (api, settings) = (with_argo_cd(), Settings::default());
        let client = api.client();
        let nothing = Some(Vec::new());
        let usual = Config::default();
        assert_eq!(argo_cd::running(&client, &settings, &usual).await, nothing);
        let kind = Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        for definition in deploy::crds() {
            api.create(&kind, None, definition).unwrap();
        }
        let found = argo_cd::running(&client, &settings, &usual).await;
        let found = found.unwrap();
        let told = tell(&Told::new(), found.clone());
        let (what, remedy) = told.first_key_value().unwrap();
        assert!(what.contains("Argo CD runs in the namespace argocd"));
        assert!(remedy.contains("--gitops=false"), "{remedy}");
        assert_eq!(tell(&told, found), told);
        let alone = Settings {
            gitops: false,
            ..settings.clone()
        };
        assert_eq!(argo_cd::running(&client, &alone, &usual).await, nothing);
        // It looks after its own namespace, and that is none of ours.
        let apart = Config {
            control_namespace: "apps".to_owned(),
            ..Config::default()
        };
        assert_eq!(argo_cd::running(&client, &settings, &apart).await, nothing);
        let elsewhere = Settings {
            namespaced: true,
            ..settings
        };
        assert_eq!(argo_cd::running(&client, &elsewhere, &usual).await, nothing);
        let allowed = RULES.iter().any(|rule| rule.allows("", "pods", "list"));
        assert!(allowed, "the roles must allow what it lists");
    }

    #[tokio::test]
    async fn where_nothing_can_be_seen_nothing_is_known() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("refused"))
        });
        let client = Client::new(service, "default");
        let found = conflict::others(&client, &Settings::default()).await;
        assert_eq!(found, None);
        let found = argo_cd::running(&client, &Settings::default(), &Config::default()).await;
        assert_eq!(found, None);
    }
}
