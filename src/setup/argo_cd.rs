//! Whether Argo CD looks after the same Applications.

use super::conflict::Look;
use super::report::Finding;
use crate::act::Kinds;
use crate::error::Error;
use deploy::Settings;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeSet;

/// The part of Argo CD that acts on Applications; its workload and its pods have the label.
const LABEL: &str = "app.kubernetes.io/name=argocd-application-controller";

/// For `weir check`: controllers of Argo CD that run. They know no instance ids.
pub(super) async fn findings(look: &mut Look<'_>, settings: &Settings) -> Vec<Finding> {
    if !has_applications(look.client).await {
        return Vec::new();
    }
    let labelled = ListParams::default().labels(LABEL);
    let sets: Vec<StatefulSet> = look.list(&labelled).await;
    let deployments: Vec<Deployment> = look.list(&labelled).await;
    let sets = sets
        .iter()
        .filter(|set| set.spec.as_ref().and_then(|spec| spec.replicas) != Some(0))
        .map(|set| of_workload("statefulset", set, settings));
    let deployments = deployments
        .iter()
        .filter(|one| one.spec.as_ref().and_then(|spec| spec.replicas) != Some(0))
        .map(|one| of_workload("deployment", one, settings));
    sets.chain(deployments).collect()
}

/// For a controller that runs: pods of Argo CD that do. It has no right to list StatefulSets, which
/// Argo CD's controller usually is, but it has one to list pods, where it looks after Applications.
/// `None` if they can't be listed.
pub(super) async fn running(client: &Client, settings: &Settings) -> Option<Vec<Finding>> {
    if !settings.gitops || !has_applications(client).await {
        return Some(Vec::new());
    }
    let api: Api<Pod> = if settings.namespaced {
        Api::namespaced(client.clone(), &settings.namespace)
    } else {
        Api::all(client.clone())
    };
    // From the API server's memory: this is asked again and again.
    let labelled = ListParams::default().labels(LABEL).match_any();
    let pods = api.list(&labelled).await.ok()?;
    let running = pods.items.iter().filter(|pod| runs(pod));
    let namespaces: BTreeSet<String> = running.filter_map(ResourceExt::namespace).collect();
    Some(namespaces.iter().map(|at| of_pods(at)).collect())
}

fn runs(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

fn of_pods(namespace: &str) -> Finding {
    Finding::bad(
        format!(
            "one controller of Applications only: Argo CD runs in the namespace {namespace}, and acts on \
             Applications as this controller does"
        ),
        "give this one --gitops=false (`weir install --gitops=false`), for Rollouts alone; or scale \
         argocd-application-controller to 0",
    )
}

/// Whether there are Applications to contend for; true if that is not known.
async fn has_applications(client: &Client) -> bool {
    let kinds = Kinds::new(client.clone());
    let served = kinds.resolve("argoproj.io/v1alpha1", "Application").await;
    !matches!(served, Err(Error::UnknownKind { .. }))
}

fn of_workload(kind: &str, controller: &impl ResourceExt, settings: &Settings) -> Finding {
    let (namespace, name) = (
        controller.namespace().unwrap_or_default(),
        controller.name_any(),
    );
    let runs = format!("Argo CD runs: there is the {kind} {name} in the namespace {namespace}");
    let apart =
        "`weir install --gitops=false`, and `weir check --gitops=false`, for Rollouts alone";
    if settings.namespaced && namespace != settings.namespace {
        return Finding::doubt(
            format!(
                "{runs}; it acts on Applications in {} if its application.namespaces names that",
                settings.namespace
            ),
            apart,
        );
    }
    Finding::bad(
        format!("one controller of Applications only: {runs}"),
        format!("{apart}; or kubectl scale {kind} {name} --namespace {namespace} --replicas 0"),
    )
}
