//! The namespace that an Application deploys to: it is made where `CreateNamespace=true` asks for
//! it, and has the labels and annotations of `managedNamespaceMetadata`, also if it was there
//! before (gitops.md items 16, 34, 68). A Namespace that Git declares is an object like any other,
//! and none of this is done with it.

use super::assess::{Assessment, project_rules};
use super::options::SyncOptions;
use super::outcome::Outcome;
use super::planner::later;
use super::run::{Pass, Running, record, result_of};
use super::snapshot::ApplicationSnapshot;
use super::tasks::{Task, Todo};
use crate::compare::{FieldSet, owned_by};
use crate::resource::{self, ResourceId, is_deleting};
use api::{Application, ManagedNamespaceMetadata, OperationPhase, OperationState, ResultCode};
use plan::Action;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Who owns these labels and annotations begins so. Not the manager of objects: an apply takes back
/// what its manager has applied before and does not name any more, and another Application may
/// declare this very Namespace, or want other labels on it.
const MANAGER: &str = "weir-namespace";
/// What the API server takes for the name of a manager, in bytes.
const MANAGER_MAX: usize = 128;
/// How often it is looked for a namespace that is made and not in view. Seconds.
const LOOK_S: i64 = 1;

/// What the namespace of an Application is to have, under these sync options.
pub(super) fn wanted<'a>(
    app: &'a Application,
    options: SyncOptions<'_>,
) -> Option<&'a ManagedNamespaceMetadata> {
    let policy = app.spec.sync_policy.as_ref()?;
    let metadata = policy.managed_namespace_metadata.as_ref()?;
    options.has("CreateNamespace=true").then_some(metadata)
}

/// In what the live namespace differs from what the Application wants of it; a sentence. `None` if
/// in nothing, or if it is not there, or can't be seen.
pub(super) fn difference(
    snapshot: &ApplicationSnapshot,
    assessment: &Assessment,
    options: SyncOptions<'_>,
) -> Option<String> {
    let metadata = wanted(&snapshot.app, options)?;
    let id = destination(&snapshot.app);
    if is_declared(assessment, &id) {
        return None;
    }
    let live = snapshot.live.get(&id)?;
    // What stands for a namespace that can't be looked at has no uid.
    if is_deleting(live) || resource::uid(live).is_none() {
        return None;
    }
    let manager = manager(&snapshot.app);
    let own = owned_by(live, &|entry| {
        resource::string(entry, "/manager") == Some(&manager)
            && resource::string(entry, "/operation") == Some("Apply")
    });
    let parts = [
        ("labels", "label", &metadata.labels),
        ("annotations", "annotation", &metadata.annotations),
    ];
    let mut keys = parts.into_iter().filter_map(|(part, one, wanted)| {
        let own = own.as_ref().and_then(|own| own.field("metadata"));
        let own = own.and_then(|own| own.field(part));
        let key = differing(live.pointer(&format!("/metadata/{part}")), own, wanted)?;
        Some(format!("its {one} {key}"))
    });
    let what = keys.next()?;
    Some(format!(
        "namespace {}: {what} is not as spec.syncPolicy.managedNamespaceMetadata says",
        id.name
    ))
}

/// The first key that is missing or has another value, or that we have set and is not wanted any
/// more.
fn differing(
    live: Option<&Value>,
    own: Option<&FieldSet>,
    wanted: &BTreeMap<String, String>,
) -> Option<String> {
    let value = |key: &str| live.and_then(|live| live.get(key)).and_then(Value::as_str);
    let missing = wanted
        .iter()
        .find(|(key, wanted)| value(key) != Some(wanted.as_str()));
    let is_left = |key: &&String| {
        let is_own = own.is_some_and(|own| own.field(key).is_some());
        is_own && !wanted.contains_key(*key)
    };
    let left = || {
        let all = live.and_then(Value::as_object)?;
        all.keys().find(is_left).cloned()
    };
    missing.map(|(key, _)| key.clone()).or_else(left)
}

/// The Namespace that an Application deploys to; without a name if it names none.
pub(super) fn destination(app: &Application) -> ResourceId {
    let name = app.spec.destination.namespace.as_deref();
    ResourceId::new("", "Namespace", "", name.unwrap_or_default())
}

/// Whether Git declares the Namespace itself.
pub(super) fn is_declared(assessment: &Assessment, id: &ResourceId) -> bool {
    let compared = assessment.comparison.get(id);
    compared.is_some_and(|compared| compared.in_target)
}

fn failed(text: String) -> Pass {
    Pass::Done(OperationPhase::Failed, text)
}

impl Running<'_> {
    /// Makes the destination namespace where that is asked for, and says so clearly where it is
    /// not. Sees to its metadata once it is there.
    pub(super) fn namespace(self, state: &mut OperationState) -> Result<Option<Action>, Pass> {
        let Some(id) = self.lacking_namespace() else {
            return self.namespace_metadata(state);
        };
        let name = &id.name;
        if let Some(why) = self.snapshot.live.hidden("", "Namespace") {
            return Err(failed(format!(
                "namespace \"{name}\" can't be looked for, so it is not created: {why}"
            )));
        }
        if !self.creates_namespace() {
            return Err(failed(format!(
                "namespace \"{name}\" not found: create it, declare it in Git, or set the sync option \
                 CreateNamespace=true"
            )));
        }
        if let Err(rule) = self.permit_namespace(&id) {
            return Err(failed(format!(
                "cannot create namespace \"{name}\": {rule}"
            )));
        }
        if let Some(pass) = self.after_creation(&id, state) {
            return Err(pass);
        }
        Ok(Some(match wanted(&self.snapshot.app, self.options) {
            // By an apply, so that what is taken out of it later is taken off.
            Some(metadata) => apply(&self.snapshot.app, name, metadata),
            None => Action::Create {
                object: Box::new(bare(name)),
            },
        }))
    }

    /// The destination namespace, if objects are to go there and it is neither there nor declared.
    /// Where it can't be seen and nobody asks for it to be made, the API server tells.
    pub(super) fn lacking_namespace(self) -> Option<ResourceId> {
        let id = destination(&self.snapshot.app);
        let live = &self.snapshot.live;
        if id.name.is_empty() || live.has_namespace(&id.name) {
            return None;
        }
        let mut manifests = self.assessment.manifests.iter();
        let is_needed = manifests.any(|manifest| manifest.id.namespace == id.name);
        let is_known = live.hidden("", "Namespace").is_none() || self.creates_namespace();
        (is_needed && is_known && !is_declared(self.assessment, &id)).then_some(id)
    }

    pub(super) fn creates_namespace(self) -> bool {
        self.options.has("CreateNamespace=true")
    }

    fn permit_namespace(self, id: &ResourceId) -> Result<(), String> {
        let destination = &self.snapshot.app.spec.destination;
        match project_rules(self.snapshot) {
            Some(rules) => rules.permit_resource(id, false, destination),
            None => Ok(()),
        }
    }

    /// What has come of making the namespace, or keeps it from being made for now.
    fn after_creation(self, id: &ResourceId, state: &OperationState) -> Option<Pass> {
        let name = &id.name;
        let unseen = || {
            let text = format!("waiting for namespace {name} to be seen");
            Pass::WaitUntil(text, later(self.now, LOOK_S))
        };
        match self.snapshot.inbox.get(state, id) {
            Some(Outcome::Applied) => return Some(unseen()),
            // By somebody else.
            Some(Outcome::Failed(message)) if message.contains("already exists") => {
                return Some(unseen());
            }
            Some(Outcome::Failed(message)) => {
                let text = format!("cannot create namespace \"{name}\": {message}");
                return Some(failed(text));
            }
            _ => {}
        }
        let live = self.snapshot.live.get(id)?;
        is_deleting(live).then(|| Pass::Wait(format!("waiting for deletion of {id}")))
    }

    /// Puts the labels and annotations of a namespace right that is there: once in an attempt, for
    /// it may be that somebody changes them back at once.
    fn namespace_metadata(self, state: &mut OperationState) -> Result<Option<Action>, Pass> {
        let id = destination(&self.snapshot.app);
        let Some(metadata) = wanted(&self.snapshot.app, self.options) else {
            return Ok(None);
        };
        if is_declared(self.assessment, &id) || result_of(state, &id).is_some() {
            return Ok(None);
        }
        let outcome = self.snapshot.inbox.get(state, &id);
        if outcome == Some(&Outcome::Applied) {
            let task = Task {
                id,
                version: "v1".to_owned(),
                wave: 0,
                todo: Todo::Nothing,
            };
            let text = format!("{} serverside-applied", task.shown());
            record(state, &task, ResultCode::Synced, text);
            return Ok(None);
        }
        if difference(self.snapshot, self.assessment, self.options).is_none() {
            return Ok(None);
        }
        let name = &id.name;
        let refusal = match outcome {
            Some(Outcome::Failed(message)) => Some(message.clone()),
            _ => self.permit_namespace(&id).err(),
        };
        match refusal {
            Some(why) => Err(failed(format!(
                "cannot set metadata of namespace \"{name}\": {why}"
            ))),
            None => Ok(Some(apply(&self.snapshot.app, name, metadata))),
        }
    }
}

fn bare(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// Each Application has its own.
fn manager(app: &Application) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let (namespace, name) = (part(&app.metadata.namespace), part(&app.metadata.name));
    let whole = format!("{MANAGER}.{namespace}.{name}");
    whole.chars().take(MANAGER_MAX).collect()
}

fn apply(app: &Application, name: &str, metadata: &ManagedNamespaceMetadata) -> Action {
    let mut object = bare(name);
    if !metadata.labels.is_empty() {
        object["metadata"]["labels"] = json!(metadata.labels);
    }
    if !metadata.annotations.is_empty() {
        object["metadata"]["annotations"] = json!(metadata.annotations);
    }
    Action::Apply {
        object: Box::new(object),
        manager: manager(app).into(),
    }
}
