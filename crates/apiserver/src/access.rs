//! Synchronous access for actors in the same process, with the semantics of the HTTP interface.

use std::sync::Arc;

use serde_json::Value;

use crate::gvk::Gvk;
use crate::registry::{Resource, crd};
use crate::server::ApiServer;
use crate::status::Status;
use crate::store::{ChangeKind, Compacted};
use crate::strategy::{self, Target, WriteOptions};

/// One write, as seen by in-process watchers. Objects are in their storage version.
#[derive(Debug, Clone)]
pub struct Change {
    /// The revision the write made; equal to the object's resource version.
    pub revision: u64,
    /// Kind in its storage version.
    pub gvk: Gvk,
    /// What happened.
    pub kind: ChangeKind,
    /// The new state, or the last one of a deleted object.
    pub object: Arc<Value>,
}

/// What happens to an object's dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They lose their owner reference and stay.
    Orphan,
    /// The garbage collector removes them afterwards.
    Background,
    /// They go first; the object waits with finalizer `foregroundDeletion`.
    Foreground,
}

/// `metav1.DeleteOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Grace period, seconds; `None` takes the object's own.
    pub grace_s: Option<i64>,
    /// Propagation; `None` keeps the default (background).
    pub propagation: Option<Propagation>,
    /// Precondition on the uid.
    pub uid: Option<String>,
    /// Precondition on the resource version.
    pub resource_version: Option<String>,
    /// Decide and answer, but change nothing.
    pub dry_run: bool,
}

/// How a deletion ended.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// The object's last (or terminating) state.
    pub object: Arc<Value>,
    /// True if it is gone; false while finalizers or a grace period hold it.
    pub gone: bool,
}

/// A patch by its media type.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 6902, an array of operations.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Strategic merge; built-in kinds only.
    Strategic(Value),
    /// Server-side apply of a configuration; needs a field manager.
    Apply(Value),
}

/// Who patches and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchOptions {
    /// Field manager recorded in `managedFields`.
    pub field_manager: String,
    /// Take over conflicting fields (apply only).
    pub force: bool,
    /// Decide and answer, but change nothing.
    pub dry_run: bool,
}

impl PatchOptions {
    /// Options with only a manager.
    pub fn manager(name: &str) -> Self {
        Self {
            field_manager: name.to_owned(),
            ..Self::default()
        }
    }
}

/// Manager name of writes that give none.
const MANAGER: &str = "weir";

impl ApiServer {
    fn resource(&self, gvk: &Gvk) -> Result<Arc<Resource>, Status> {
        self.0
            .registry()
            .by_kind(gvk)
            .cloned()
            .ok_or_else(Status::no_such_resource)
    }

    /// One object. 404 if it is absent.
    pub fn get(
        &self,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Arc<Value>, Status> {
        let resource = self.resource(gvk)?;
        let found = self.0.find(&resource, scope(&resource, namespace), name);
        found
            .map(|object| strategy::to_version(&resource, object))
            .ok_or_else(|| Status::not_found(&*resource, name))
    }

    /// All objects of a kind, sorted by namespace and name; `namespace` narrows. An unknown kind
    /// has none.
    pub fn list(&self, gvk: &Gvk, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Ok(resource) = self.resource(gvk) else {
            return Vec::new();
        };
        let namespace = namespace.filter(|_| resource.namespaced);
        let (objects, _) = self.0.store.list(&resource.table, namespace);
        objects
            .into_iter()
            .map(|object| strategy::to_version(&resource, object))
            .collect()
    }

    /// Creates an object and returns it as stored.
    pub fn create(
        &self,
        gvk: &Gvk,
        namespace: Option<&str>,
        object: Value,
    ) -> Result<Arc<Value>, Status> {
        let resource = self.resource(gvk)?;
        let target = Target::new(&resource, scope(&resource, namespace), "", None);
        strategy::create(
            &self.0,
            &target,
            object,
            &mut WriteOptions::manager(MANAGER),
        )
    }

    /// Replaces an object (its `metadata.name` says which), or one subresource of it.
    pub fn update(
        &self,
        gvk: &Gvk,
        namespace: Option<&str>,
        object: Value,
        subresource: Option<&str>,
    ) -> Result<Arc<Value>, Status> {
        let resource = self.resource(gvk)?;
        let name = crate::object::name(&object).to_owned();
        let target = Target::new(&resource, scope(&resource, namespace), &name, subresource);
        strategy::replace(
            &self.0,
            &target,
            object,
            &mut WriteOptions::manager(MANAGER),
        )
    }

    /// Patches an object or one subresource of it. `Patch::Apply` creates an absent object.
    #[allow(
        clippy::too_many_arguments,
        reason = "mirrors the parts of the request line; callers read it as one"
    )]
    pub fn patch(
        &self,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
        subresource: Option<&str>,
        patch: &Patch,
        options: &PatchOptions,
    ) -> Result<Arc<Value>, Status> {
        let resource = self.resource(gvk)?;
        let target = Target::new(&resource, scope(&resource, namespace), name, subresource);
        let mut write = WriteOptions::from_patch(options, MANAGER);
        strategy::patch(&self.0, &target, patch, &mut write).map(|written| written.object)
    }

    /// Deletes an object, or starts its deletion.
    pub fn delete(
        &self,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let resource = self.resource(gvk)?;
        let target = Target::new(&resource, scope(&resource, namespace), name, None);
        strategy::delete(&self.0, &target, options)
    }

    /// Assigns a pod to a node, once: what `pods/binding` does.
    pub fn bind(&self, namespace: Option<&str>, pod: &str, node: &str) -> Result<(), Status> {
        let resource = self.resource(&Gvk::new("", "v1", "Pod"))?;
        let target = Target::new(&resource, scope(&resource, namespace), pod, Some("binding"));
        let binding = serde_json::json!({"target": {"kind": "Node", "name": node}});
        strategy::bind(&self.0, &target, &binding, &WriteOptions::manager(MANAGER))
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.0.store.revision()
    }

    /// Every object as an addition, and the revision they were read at: where to start, or start
    /// again after [`Compacted`].
    pub fn objects(&self) -> (Vec<Change>, u64) {
        let (objects, revision) = self.0.store.all();
        let registry = self.0.registry();
        let changes = objects.into_iter().filter_map(|(table, object)| {
            let gvk = match registry.by_table(&table) {
                Some(resource) => resource.gvk.clone(),
                None => Gvk::of(&object)?,
            };
            Some(Change {
                revision,
                gvk,
                kind: ChangeKind::Added,
                object,
            })
        });
        (changes.collect(), revision)
    }

    /// Every write after `revision`, oldest first.
    pub fn changes_since(&self, revision: u64) -> Result<Vec<Change>, Compacted> {
        let events = self.0.store.events_since(revision, usize::MAX)?;
        let registry = self.0.registry();
        let changes = events.into_iter().filter_map(|event| {
            let gvk = match registry.by_table(&event.table) {
                Some(resource) => resource.gvk.clone(),
                // The definition is gone by now; the object still says what it was.
                None => Gvk::of(&event.object)?,
            };
            Some(Change {
                revision: event.revision,
                gvk,
                kind: event.kind,
                object: event.object,
            })
        });
        Ok(changes.collect())
    }

    /// Resolves when the head revision is beyond `after`.
    pub async fn changed(&self, after: u64) -> u64 {
        let mut head = self.0.store.subscribe();
        let revision = head.wait_for(|revision| *revision > after).await;
        revision.map_or_else(|_| self.revision(), |revision| *revision)
    }

    /// True if a kind is served (built in, or by an established definition).
    pub fn serves(&self, gvk: &Gvk) -> bool {
        self.0.registry().by_kind(gvk).is_some()
    }

    /// Whether objects of a kind live in namespaces; `None` if it is not served.
    pub fn is_namespaced(&self, gvk: &Gvk) -> Option<bool> {
        let registry = self.0.registry();
        let resource = registry.by_kind(gvk)?;
        Some(resource.namespaced)
    }

    /// Names of the installed CustomResourceDefinitions.
    pub fn definitions(&self) -> Vec<String> {
        let (definitions, _) = self.0.store.list(crd::TABLE, None);
        definitions
            .iter()
            .map(|definition| crate::object::name(definition).to_owned())
            .collect()
    }
}

fn scope<'a>(resource: &Resource, namespace: Option<&'a str>) -> &'a str {
    if resource.namespaced {
        namespace.unwrap_or("default")
    } else {
        ""
    }
}
