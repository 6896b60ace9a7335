//! The rule of restarts: how many pods may be away at once.

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
