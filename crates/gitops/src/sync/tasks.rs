//! What one operation has to do, in order.

use super::assess::Assessment;
use super::options::{SyncOptions, object_has};
use super::removal::Removal;
use super::snapshot::ApplicationSnapshot;
use super::{definitions, removal};
use crate::compare::{
    DIGEST_ANNOTATION, FIELD_MANAGER, ResourceComparison, handed_over, target_digest,
};
use crate::manifest::Manifest;
use crate::order::sort_key;
use crate::resource::{self, ResourceId};
use api::{SyncOperation, SyncOperationResource};
use plan::{Action, Guard, PatchKind};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Why a definition is not pruned, whatever the options are.
const DEFINITION_KEPT: &str = "ignored (a CustomResourceDefinition is not pruned, since all objects of its \
                               kind would go with it: delete it by hand)";

/// What is to be done with one object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Todo {
    /// Apply; `manifest` is its index in the assessment.
    Apply {
        manifest: usize,
    },
    /// It is as Git says, applied from this very manifest: nothing to send.
    Nothing,
    Prune,
    /// Not to be pruned, for this reason.
    Keep(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    pub(super) id: ResourceId,
    pub(super) version: String,
    pub(super) wave: i64,
    pub(super) todo: Todo,
}

impl Task {
    pub(super) fn is_prune(&self) -> bool {
        self.todo == Todo::Prune
    }

    /// `rollout.argoproj.io/backend`, as messages about applied objects name them.
    pub(super) fn shown(&self) -> String {
        let kind = self.id.kind.to_lowercase();
        if self.id.group.is_empty() {
            format!("{kind}/{}", self.id.name)
        } else {
            format!("{kind}.{}/{}", self.id.group, self.id.name)
        }
    }
}

/// The tasks of an operation: by wave; in a wave what is pruned first; then by kind and name. The
/// order of manifests in Git has no influence.
pub(super) fn tasks(
    snapshot: &ApplicationSnapshot,
    assessment: &Assessment,
    sync: &SyncOperation,
    options: SyncOptions<'_>,
) -> Vec<Task> {
    let by_id: BTreeMap<&ResourceId, usize> = assessment
        .manifests
        .iter()
        .enumerate()
        .map(|(at, manifest)| (&manifest.id, at))
        .collect();
    let mut out: Vec<Task> = assessment
        .comparison
        .resources
        .iter()
        .filter(|resource| {
            sync.resources.is_empty() || sync.resources.iter().any(|s| selects(s, &resource.id))
        })
        .map(|resource| Task {
            id: resource.id.clone(),
            version: resource.version.clone(),
            wave: resource.wave,
            todo: match by_id.get(&resource.id) {
                Some(_) if resource.is_synced() && resource.applied => Todo::Nothing,
                Some(at) => Todo::Apply { manifest: *at },
                None => prune(snapshot, resource, sync, options),
            },
        })
        .collect();
    place_prunes(snapshot, &mut out, options);
    out.sort_by(|a, b| {
        let key = |task: &Task| (task.wave, !task.is_prune());
        key(a).cmp(&key(b)).then_with(|| {
            let order = sort_key(0, &a.id).cmp(&sort_key(0, &b.id));
            // What was made last goes first.
            if a.is_prune() { order.reverse() } else { order }
        })
    });
    out
}

fn selects(selector: &SyncOperationResource, id: &ResourceId) -> bool {
    let namespace = selector.namespace.as_deref().unwrap_or_default();
    selector.group.as_deref().unwrap_or_default() == id.group
        && selector.kind == id.kind
        && selector.name == id.name
        && (namespace.is_empty() || namespace == id.namespace)
}

fn prune(
    snapshot: &ApplicationSnapshot,
    resource: &ResourceComparison,
    sync: &SyncOperation,
    options: SyncOptions<'_>,
) -> Todo {
    match kept(snapshot, &resource.id, options) {
        Some(why) => Todo::Keep(why),
        None if !sync.prune.unwrap_or(false) => Todo::Keep("ignored (requires pruning)"),
        None => Todo::Prune,
    }
}

/// Why an object is not pruned even by a sync that prunes.
pub(super) fn kept(
    snapshot: &ApplicationSnapshot,
    id: &ResourceId,
    options: SyncOptions<'_>,
) -> Option<&'static str> {
    if definitions::is_definition(id) {
        return Some(DEFINITION_KEPT);
    }
    let removal = removal::of_pruning(snapshot, id, options);
    (removal == Removal::Never).then_some("ignored (no prune)")
}

/// Mirrors the waves of what is pruned, so that what was applied last goes first; with `PruneLast`
/// it goes after everything else.
fn place_prunes(snapshot: &ApplicationSnapshot, tasks: &mut [Task], options: SyncOptions<'_>) {
    let waves: BTreeSet<i64> = tasks
        .iter()
        .filter(|task| task.is_prune())
        .map(|task| task.wave)
        .collect();
    let mirrored: BTreeMap<i64, i64> = waves
        .iter()
        .copied()
        .zip(waves.iter().rev().copied())
        .collect();
    let last = tasks.iter().map(|task| task.wave).max().unwrap_or(0) + 1;
    for task in tasks.iter_mut().filter(|task| task.is_prune()) {
        let live = snapshot.live.get(&task.id);
        let is_last = options.has("PruneLast=true")
            || live.is_some_and(|live| object_has(live, "PruneLast=true"));
        task.wave = if is_last {
            last
        } else {
            mirrored.get(&task.wave).copied().unwrap_or(task.wave)
        };
    }
}

/// The deletion of what is to be pruned; `None` if it is on its way, or gone.
pub(super) fn prune_action(
    snapshot: &ApplicationSnapshot,
    task: &Task,
    options: SyncOptions<'_>,
) -> Option<Action> {
    let live = snapshot.live.get(&task.id)?;
    (!resource::is_deleting(live)).then(|| Action::Delete {
        target: task.id.key(&task.version),
        guard: guard(live),
        propagation: options.propagation(),
    })
}

/// What client-side apply owns of an object that was never applied here becomes ours, and so does
/// what we have replaced. The apply itself follows in the next pass: this changes the version that
/// it may depend on.
pub(super) fn hand_over(
    snapshot: &ApplicationSnapshot,
    assessment: &Assessment,
    id: &ResourceId,
) -> Option<Action> {
    let live = snapshot.live.get(id)?;
    if snapshot.inbox.handed_over(id) {
        return None;
    }
    let fields = handed_over(live, &assessment.rules)?;
    Some(Action::Patch {
        target: id.key(resource::version(live)),
        kind: PatchKind::Merge,
        patch: json!({"metadata": {"managedFields": fields}}),
        subresource: None,
        guard: guard(live),
    })
}

/// The object that goes out: what Git declares, with what others decide taken from the live object
/// where the API server would otherwise drop it. In that case the apply is good only for the live
/// object that was looked at. `None` if the task is not to apply one.
pub(super) fn apply(
    snapshot: &ApplicationSnapshot,
    assessment: &Assessment,
    task: &Task,
) -> Option<Action> {
    let Todo::Apply { manifest } = task.todo else {
        return None;
    };
    let manifest: &Manifest = assessment.manifests.get(manifest)?;
    let rules = &assessment.rules;
    let mut object = manifest.object.clone();
    let digest = target_digest(manifest, rules);
    resource::set_annotation(&mut object, DIGEST_ANNOTATION, &digest);
    if let Some(live) = snapshot.live.at(&manifest.id, manifest.version()) {
        let kept = rules.keep(&manifest.id, &mut object, live);
        if (kept || rules.is_shared_with_controller(&manifest.id, live))
            && let (Some(version), Some(metadata)) = (
                resource::resource_version(live),
                resource::child_map(&mut object, &["metadata"]),
            )
        {
            metadata.insert("resourceVersion".to_owned(), version.into());
        }
    }
    Some(Action::Apply {
        object: Box::new(object),
        manager: FIELD_MANAGER.into(),
    })
}

/// Deletes what was looked at, and nothing that has taken its place or changed hands since.
pub(super) fn guard(live: &serde_json::Value) -> Guard {
    Guard {
        uid: resource::uid(live).map(str::to_owned),
        resource_version: resource::resource_version(live).map(str::to_owned),
    }
}
