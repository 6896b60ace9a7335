//! What to show the API server before anything is sent in earnest.

use super::assess::assess;
use super::options::SyncOptions;
use super::snapshot::{ApplicationSnapshot, Config, Target};
use super::tasks::{apply, tasks};
use crate::ResourceId;
use crate::resource::string;
use api::OperationPhase;
use plan::Action;
use serde_json::Value;
use std::collections::BTreeSet;

/// The objects of the running operation that a server-side dry run can say something about: all
/// that would be applied, but for those whose namespace or whose kind comes with the same sync.
/// Empty if no operation runs. The answer goes into [`ApplicationSnapshot::dry_run`], good for as long
/// as `status.operationState.startedAt` and `retryCount` stay the same.
pub fn dry_run_objects(snapshot: &ApplicationSnapshot, config: &Config) -> Vec<Value> {
    let state = snapshot
        .app
        .status
        .as_ref()
        .and_then(|status| status.operation_state.as_ref());
    let running = state.filter(|state| state.phase == OperationPhase::Running);
    let Some(sync) = running.and_then(|state| state.operation.sync.as_ref()) else {
        return Vec::new();
    };
    let target = snapshot
        .operation_target
        .as_ref()
        .unwrap_or(&snapshot.target);
    let Target::Rendered(rendered) = target else {
        return Vec::new();
    };
    let assessment = assess(snapshot, rendered, config);
    let new_kinds: BTreeSet<(&str, &str)> = assessment
        .manifests
        .iter()
        .filter(|manifest| manifest.id.kind == "CustomResourceDefinition")
        .filter_map(|manifest| {
            let group = string(&manifest.object, "/spec/group")?;
            Some((group, string(&manifest.object, "/spec/names/kind")?))
        })
        .collect();
    let is_ready = |id: &ResourceId| {
        (id.namespace.is_empty() || snapshot.live.has_namespace(&id.namespace))
            && !new_kinds.contains(&(id.group.as_str(), id.kind.as_str()))
    };
    let options = SyncOptions(&sync.sync_options);
    tasks(snapshot, &assessment, sync, options)
        .iter()
        .filter(|task| is_ready(&task.id))
        .filter_map(|task| apply(snapshot, &assessment, task))
        .filter_map(|action| match action {
            Action::Apply { object, .. } => Some(*object),
            _ => None,
        })
        .collect()
}
