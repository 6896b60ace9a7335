//! The images that run, and for whom.

use super::experiment::ExperimentInfo;
use super::replica_set::ReplicaSetInfo;
use super::rollout::RolloutInfo;
use std::collections::BTreeMap;

/// An image and what it runs as: `demo:blue (stable, active)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTags {
    pub image: String,
    pub tags: Vec<String>,
}

/// The images of ReplicaSets that have pods, by name.
pub fn images(info: &RolloutInfo) -> Vec<ImageTags> {
    let own = info.replica_sets.iter().map(|set| (set, roles(set)));
    let experiments = info
        .experiments
        .iter()
        .flat_map(|one| &one.replica_sets)
        .map(of_template);
    collect(own.chain(experiments))
}

/// The images of an experiment's ReplicaSets that have pods, by name.
pub fn experiment_images(info: &ExperimentInfo) -> Vec<ImageTags> {
    collect(info.replica_sets.iter().map(of_template))
}

fn of_template(set: &ReplicaSetInfo) -> (&ReplicaSetInfo, Vec<String>) {
    (set, vec![format!("Σ:{}", set.template)])
}

fn collect<'a>(sets: impl Iterator<Item = (&'a ReplicaSetInfo, Vec<String>)>) -> Vec<ImageTags> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (set, tags) in sets.filter(|(set, _)| set.replicas > 0) {
        for image in &set.images {
            let known = all.entry(image).or_default();
            for tag in &tags {
                if !known.contains(tag) {
                    known.push(tag.clone());
                }
            }
        }
    }
    all.into_iter()
        .map(|(image, tags)| ImageTags {
            image: image.to_owned(),
            tags,
        })
        .collect()
}

fn roles(set: &ReplicaSetInfo) -> Vec<String> {
    let roles = [
        (set.canary, "canary"),
        (set.stable, "stable"),
        (set.active, "active"),
        (set.preview, "preview"),
        (set.ping, "ping"),
        (set.pong, "pong"),
    ];
    roles
        .iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, role)| (*role).to_owned())
        .collect()
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
pub(super) fn is_zero(number: &i64) -> bool {
    *number == 0
}
