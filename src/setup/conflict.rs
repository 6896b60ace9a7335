//! Whether another controller looks after the same objects.

use super::report::Finding;
use crate::lease::Election;
use deploy::Settings;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// A Lease that was renewed no longer ago is somebody's, even if our clocks differ a little.
const FRESH: SignedDuration = SignedDuration::from_mins(1);
/// Deployments of the peer, and ours.
const CONTROLLERS: &str = "app.kubernetes.io/name in (argo-rollouts, weir)";

pub(super) async fn findings(client: &Client, settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let wanted = Election::lease_name(settings.instance_id.as_deref());
    let (leases, deployments): (Api<Lease>, Api<Deployment>) = if settings.namespaced {
        let namespace = &settings.namespace;
        (
            Api::namespaced(client.clone(), namespace),
            Api::namespaced(client.clone(), namespace),
        )
    } else {
        (Api::all(client.clone()), Api::all(client.clone()))
    };
    let Ok(leases) = leases.list(&ListParams::default()).await else {
        return vec![Finding::doubt(
            "leases can't be listed with your rights: another controller would not be seen",
            "ask somebody who may list them to run `weir check`",
        )];
    };
    let mut findings: Vec<Finding> = leases
        .items
        .iter()
        .filter(|lease| lease.name_any() == wanted && is_fresh(lease, now))
        .map(|lease| of_lease(lease, settings))
        .collect();
    if let Ok(deployments) = deployments
        .list(&ListParams::default().labels(CONTROLLERS))
        .await
    {
        let others = deployments.items.iter().filter(|deployment| {
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            deployment.namespace().as_deref() != Some(&settings.namespace) && wanted != Some(0)
        });
        findings.extend(
            others
                .filter(|other| !is_another_instance(other, settings))
                .map(of_deployment),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::good("no other controller of these objects"));
    }
    findings
}

fn is_fresh(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else {
        return false;
    };
    let held = spec
        .holder_identity
        .as_ref()
        .is_some_and(|holder| !holder.is_empty());
    let renewed = spec.renew_time.as_ref();
    held && renewed.is_some_and(|at| now.duration_since(at.0).abs() < FRESH)
}

fn of_lease(lease: &Lease, settings: &Settings) -> Finding {
    let namespace = lease.namespace().unwrap_or_default();
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.clone());
    let holder = holder.unwrap_or_default();
    if namespace == settings.namespace {
        return Finding::good(format!(
            "the Lease {} is held by {holder}",
            lease.name_any()
        ));
    }
    Finding::bad(
        format!(
            "one controller only: {holder} leads by the Lease {} of the namespace {namespace}, which one in {} would not see",
            lease.name_any(),
            settings.namespace
        ),
        "scale the other to 0, or give the two different --instance-id, or install in its namespace",
    )
}

/// Whether it has an `--instance-id` that is not ours.
fn is_another_instance(deployment: &Deployment, settings: &Settings) -> bool {
    let spec = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let containers = spec.iter().flat_map(|spec| &spec.containers);
    let mut words = containers.flat_map(|container| {
        let command = container.command.iter().flatten();
        command.chain(container.args.iter().flatten())
    });
    let mut theirs = None;
    while let Some(word) = words.next() {
        if let Some(id) = word.strip_prefix("--instance-id=") {
            theirs = Some(id.to_owned());
        } else if word == "--instance-id" {
            theirs = words.next().cloned();
        }
    }
    theirs.filter(|id| !id.is_empty()) != settings.instance_id
}

fn of_deployment(deployment: &Deployment) -> Finding {
    let (namespace, name) = (
        deployment.namespace().unwrap_or_default(),
        deployment.name_any(),
    );
    Finding::bad(
        format!("one controller only: there is the Deployment {name} in the namespace {namespace}"),
        format!(
            "kubectl scale deployment {name} --namespace {namespace} --replicas 0, or give the two different --instance-id"
        ),
    )
}
