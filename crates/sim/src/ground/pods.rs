//! Pods as numbers: when each becomes ready, and nothing else.

use crate::object::size_of;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How quick the cluster is, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// From a change of a ReplicaSet to its pods, at most.
    pub react_ms: i64,
    /// From a pod's creation to its readiness, at least and at most.
    pub ready_ms: (i64, i64),
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            react_ms: 50,
            ready_ms: (300, 900),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    /// The first moment at which it is ready; never for one that doesn't start.
    ready_at: i64,
    shown_ready: bool,
}

const NEVER: i64 = i64::MAX;

/// The pods of one ReplicaSet.
#[derive(Clone, Debug, Default)]
pub(super) struct PodSet {
    pub(super) pods: Vec<Pod>,
    observed: i64,
    react_at: Option<i64>,
}

/// What one look at a ReplicaSet led to.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) created: Vec<String>,
    pub(super) deleted: Vec<String>,
    /// Pods whose readiness is to be shown: name, ready.
    pub(super) turned: Vec<(String, bool)>,
    pub(super) next: Option<i64>,
}

fn generation(set: &ReplicaSet) -> i64 {
    set.metadata.generation.unwrap_or(0)
}

/// Images that never start say so in their name.
fn never_starts(set: &ReplicaSet) -> bool {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let spec = template.and_then(|template| template.spec.as_ref());
    let image = spec
        .and_then(|spec| spec.containers.first())
        .and_then(|container| container.image.as_deref());
    image.is_some_and(|image| image.contains("does-not-exist"))
}

fn min_ready_ms(set: &ReplicaSet) -> i64 {
    let spec = set.spec.as_ref();
    i64::from(spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0)) * 1000
}

impl PodSet {
    pub(super) fn ready(&self, now: i64) -> i32 {
        self.pods.iter().filter(|pod| pod.ready_at <= now).count() as i32
    }

    fn available(&self, now: i64, min_ready_ms: i64) -> i32 {
        let since = now.saturating_sub(min_ready_ms);
        self.pods.iter().filter(|pod| pod.ready_at <= since).count() as i32
    }

    /// Makes and removes pods when the ReplicaSet controller gets to it.
    pub(super) fn look(
        &mut self,
        set: &ReplicaSet,
        now: i64,
        pace: Pace,
        rng: &mut ChaCha8Rng,
    ) -> Look {
        let mut look = Look::default();
        let want = usize::try_from(size_of(set)).unwrap_or(0);
        if self.observed != generation(set) || self.pods.len() != want {
            let due = *self
                .react_at
                .get_or_insert_with(|| now + rng.random_range(1..=pace.react_ms.max(1)));
            if due <= now {
                self.react_at = None;
                self.observed = generation(set);
                self.resize(set, want, (now, pace, rng), &mut look);
            }
        } else {
            self.react_at = None;
        }
        for pod in &mut self.pods {
            let ready = pod.ready_at <= now;
            if ready != pod.shown_ready {
                pod.shown_ready = ready;
                look.turned.push((pod.name.clone(), ready));
            }
        }
        let min_ready_ms = min_ready_ms(set);
        let moments = self.pods.iter().flat_map(|pod| {
            let ready = pod.ready_at;
            [ready, ready.saturating_add(min_ready_ms)]
        });
        look.next = moments
            .chain(self.react_at)
            .filter(|at| *at > now && *at < NEVER)
            .min();
        look
    }

    fn resize(
        &mut self,
        set: &ReplicaSet,
        want: usize,
        (now, pace, rng): (i64, Pace, &mut ChaCha8Rng),
        look: &mut Look,
    ) {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        while self.pods.len() < want {
            let (least, most) = pace.ready_ms;
            let delay = rng.random_range(least..=most.max(least));
            // No two objects have one name, and a restart would wait for the second for ever.
            let name = loop {
                let drawn = format!("{name}-{:05x}", rng.random_range(0..0xfffff));
                if self.pods.iter().all(|pod| pod.name != drawn) {
                    break drawn;
                }
            };
            let pod = Pod {
                name,
                ready_at: if never_starts(set) {
                    NEVER
                } else {
                    now + delay
                },
                shown_ready: false,
            };
            look.created.push(pod.name.clone());
            self.pods.push(pod);
        }
        // Pods that are not ready go first.
        self.pods.sort_by_key(|pod| pod.ready_at);
        look.deleted
            .extend(self.pods.drain(want..).map(|pod| pod.name));
    }

    pub(super) fn status(&self, set: &ReplicaSet, now: i64) -> ReplicaSetStatus {
        let pods = self.pods.len() as i32;
        ReplicaSetStatus {
            replicas: pods,
            fully_labeled_replicas: Some(pods),
            ready_replicas: Some(self.ready(now)),
            available_replicas: Some(self.available(now, min_ready_ms(set))),
            observed_generation: Some(self.observed),
            ..ReplicaSetStatus::default()
        }
    }

    /// All pods stop being ready until `until`.
    pub(super) fn crash(&mut self, until: i64) {
        for pod in &mut self.pods {
            pod.ready_at = pod.ready_at.max(until);
        }
    }

    /// So many pods are never ready again.
    pub(super) fn stick(&mut self, count: usize) {
        for pod in self.pods.iter_mut().take(count) {
            pod.ready_at = NEVER;
        }
    }

    /// Those are ready, where the image starts at all.
    pub(super) fn mend(&mut self, set: &ReplicaSet, now: i64) {
        let stuck = |pod: &&mut Pod| pod.ready_at == NEVER && !never_starts(set);
        for pod in self.pods.iter_mut().filter(stuck) {
            pod.ready_at = now;
        }
    }

    /// The names of the first few.
    pub(super) fn names(&self, count: usize) -> Vec<String> {
        let first = self.pods.iter().take(count);
        first.map(|pod| pod.name.clone()).collect()
    }

    /// Removes a pod by name; whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let before = self.pods.len();
        self.pods.retain(|pod| pod.name != name);
        self.pods.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_pods_of_a_set_have_one_name() {
        let spec = json!({"replicas": 5000, "selector": {}});
        let set = json!({"metadata": {"name": "app", "generation": 1}, "spec": spec});
        let set: ReplicaSet = serde_json::from_value(set).unwrap();
        let mut pods = PodSet::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        // It gets to it after a while.
        let mut look = pods.look(&set, 0, Pace::default(), &mut rng);
        if look.created.is_empty() {
            look = pods.look(&set, 1000, Pace::default(), &mut rng);
        }
        let names: BTreeSet<&String> = look.created.iter().collect();
        assert_eq!((look.created.len(), names.len()), (5000, 5000));
    }
}
