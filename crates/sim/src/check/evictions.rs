//! The rules of restarts: how many pods may be away at once, and who is left.

use super::{Facts, SetFacts, rules};
use crate::object::{Kind, Object};
use crate::view::View;
use plan::Action;

/// What is wrong with the evictions of one plan: more pods that answer would go than there are
/// above the floor, as the planner saw it.
pub fn too_many_evictions(actions: &[Action], view: &View, seen: &Facts) -> Option<String> {
    let evicted: Vec<&str> = actions.iter().filter_map(evicted).collect();
    if evicted.is_empty() {
        return None;
    }
    let rollout = seen.rollout.as_ref()?;
    let ready: Vec<&str> = view
        .of_kind(Kind::Pod)
        .filter(|(_, object)| object.is_ready() && !is_leaving(object))
        .map(|(id, _)| &*id.name)
        .collect();
    let of_set = |set: &SetFacts| {
        let own = ready.iter().filter(|name| name.contains(&set.hash));
        (own.count() as i32).min(set.size)
    };
    let available: i32 = seen.sets.iter().map(of_set).sum();
    let wanted: i32 = seen.sets.iter().map(|set| set.size).sum();
    let floor = seen.replicas().max(wanted) - rules::away(rollout, seen.replicas());
    let going = evicted.iter().filter(|name| ready.contains(name)).count() as i32;
    (going > (available - floor).max(0))
        .then(|| format!("{going} of {available} ready pods, and the floor is {floor}"))
}

/// The hashes of the ReplicaSets that a plan leaves a ready pod, as the planner saw them. Whoever
/// loses that one while the others are evicted has lost it to somebody else.
pub fn left_ready(actions: &[Action], view: &View, seen: &Facts) -> Vec<String> {
    let evicted: Vec<&str> = actions.iter().filter_map(evicted).collect();
    if evicted.is_empty() {
        return Vec::new();
    }
    let leaves_one = |set: &&SetFacts| {
        let (mut staying, mut left): (i32, i32) = (0, 0);
        for (id, pod) in view.of_kind(Kind::Pod) {
            if id.name.contains(&set.hash) && !is_leaving(pod) {
                staying += 1;
                left += i32::from(pod.is_ready() && !evicted.contains(&&*id.name));
            }
        }
        // A smaller size takes some away, and nobody knows which.
        left > (staying - set.size).max(0)
    };
    let sets = seen.sets.iter().filter(leaves_one);
    sets.map(|set| set.hash.clone()).collect()
}

fn evicted(action: &Action) -> Option<&str> {
    match action.deed() {
        Action::Evict { pod, .. } => Some(&pod.name),
        _ => None,
    }
}

fn is_leaving(pod: &Object) -> bool {
    let metadata = pod.metadata();
    metadata.is_some_and(|own| own.deletion_timestamp.is_some())
}
