//! The event that says which images a new revision brings, from one tag to the other.
//!
//! Ours, the peer has nothing of it: its events name revisions and hashes, and nobody knows a
//! version by these.

use super::context::Context;
use super::replica_set::OwnedSet;
use api::PodTemplate;
use api::constants::reason;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Container;
use serde_json::Value;

/// Containers that one event tells of.
const MAX_CONTAINERS: usize = 8;

impl Context<'_> {
    /// Tells what the images were before `revision` and what they are with it. Silent where there
    /// was no revision before, and where only other things have changed.
    pub(super) fn announce_images(&mut self, revision: i64) {
        let Some(before) = self.revision_before() else {
            return;
        };
        let changes = changes(&before.live, self.rollout.spec.pod_template());
        if changes.is_empty() {
            return;
        }
        let surplus = changes.len().saturating_sub(MAX_CONTAINERS);
        let told = changes[..changes.len() - surplus].join(", ");
        let rest = match surplus {
            0 => String::new(),
            surplus => format!(", and those of {surplus} more containers"),
        };
        self.event_of(
            self.own_key(),
            reason::IMAGES_UPDATED,
            format!("Images of revision {revision}: {told}{rest}"),
        );
    }

    /// What the Rollout was at until now: its last revision, or what is stable if that is gone.
    fn revision_before(&self) -> Option<&OwnedSet> {
        let last = self.stored_current();
        let last = self
            .sets
            .iter()
            .find(|set| !last.is_empty() && set.hash() == last);
        let before = last.or_else(|| self.stable_set())?;
        (before.hash() != self.current_hash).then_some(before)
    }
}

/// A sentence for each container that has another image, or that is new.
fn changes(before: &ReplicaSet, template: &PodTemplate) -> Vec<String> {
    let pods = before.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let Some(pods) = pods.and_then(|template| template.spec.as_ref()) else {
        return Vec::new();
    };
    let inits = pods.init_containers.as_deref().unwrap_or_default();
    let lists = [
        (inits, template.init_containers()),
        (&pods.containers, template.containers()),
    ];
    let pairs = lists
        .into_iter()
        .flat_map(|(old, new)| new.iter().map(move |container| (old, container)));
    pairs
        .filter_map(|(old, container)| change(old, container))
        .collect()
}

fn change(before: &[Container], container: &Value) -> Option<String> {
    let name = container.get("name")?.as_str()?;
    let image = container.get("image")?.as_str()?;
    match before.iter().find(|old| old.name == name) {
        Some(old) => {
            let from = old.image.as_deref().unwrap_or_default();
            (from != image).then(|| format!("{name} from {from} to {image}"))
        }
        None => Some(format!("{name} is new with {image}")),
    }
}
