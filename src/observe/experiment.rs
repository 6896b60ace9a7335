//! The snapshot of an Experiment.

use super::rollout::{templates, unique};
use crate::cache::{Cache, Caches};
use api::Experiment;
use engine::experiment::{ExperimentSnapshot, Refusals};
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Everything is in the caches.
pub fn experiment(
    caches: &Caches,
    experiment: Arc<Experiment>,
    refused: Refusals,
) -> ExperimentSnapshot {
    let namespace = experiment.namespace().unwrap_or_default();
    let named: BTreeSet<String> = experiment
        .spec
        .templates
        .iter()
        .filter_map(|template| template.service.as_ref()?.name.clone())
        .collect();
    let services = concerned(&caches.services, &experiment, &named);
    ExperimentSnapshot {
        replica_sets: concerned(&caches.replica_sets, &experiment, &BTreeSet::new()),
        services: services
            .into_iter()
            .map(|service| (service.name_any(), service))
            .collect(),
        analysis_runs: concerned(&caches.analysis_runs, &experiment, &BTreeSet::new()),
        templates: templates(caches, &namespace),
        refused,
        experiment,
    }
}

/// What the Experiment controls, and what has a name that it would give.
fn concerned<K: Resource>(
    cache: &Cache<K>,
    experiment: &Experiment,
    named: &BTreeSet<String>,
) -> Vec<Arc<K>> {
    let namespace = experiment.namespace().unwrap_or_default();
    let mut objects = cache.named(&namespace, &format!("{}-", experiment.name_any()));
    objects.extend(named.iter().filter_map(|name| cache.get(&namespace, name)));
    if let Some(uid) = experiment.uid() {
        objects.extend(cache.controlled_by(&namespace, &uid));
    }
    unique(objects)
}
