//! The live objects that an Application is compared with, and the kinds that can't be seen.

use crate::resource::{self, ResourceId};
use serde_json::Value;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Live objects around one Application: at least those that Git names, those whose tracking id
/// names the Application, the Rollouts that write to any of them, wherever these are, and the
/// Namespaces it deploys to. More does no harm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveTree {
    objects: BTreeMap<ResourceId, Arc<Value>>,
    /// Those of them that are looked at at several versions of their API, as they are at the
    /// others.
    at_other_versions: BTreeMap<ResourceId, Vec<Arc<Value>>>,
    /// Why the objects of a kind can't be seen, by its group and name.
    hidden: BTreeMap<(String, String), String>,
    /// Objects in the namespace of the Application that may be nobody's. They are not looked into.
    bystanders: BTreeSet<ResourceId>,
    /// Whether some of these could not be looked for.
    misses_bystanders: bool,
}

impl LiveTree {
    pub fn get(&self, id: &ResourceId) -> Option<&Arc<Value>> {
        self.objects.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ResourceId, &Arc<Value>)> {
        self.objects.iter()
    }

    /// An object as it is at a version of its API, if it is looked at at that one; otherwise as it
    /// is at another one. What Git declares is to be compared with the same fields.
    pub fn at(&self, id: &ResourceId, version: &str) -> Option<&Arc<Value>> {
        let object = self.objects.get(id)?;
        let is_meant = |one: &&Arc<Value>| resource::version(one) == version;
        if is_meant(&object) {
            return Some(object);
        }
        let others = self.at_other_versions.get(id).into_iter();
        Some(others.flatten().find(is_meant).unwrap_or(object))
    }

    pub fn insert(&mut self, object: Arc<Value>) {
        let mut entry = match self.objects.entry(ResourceId::of(&object)) {
            Entry::Vacant(entry) => {
                entry.insert(object);
                return;
            }
            Entry::Occupied(entry) => entry,
        };
        let before = entry.insert(object.clone());
        let (version, of_before) = (resource::version(&object), resource::version(&before));
        if version == of_before {
            return;
        }
        let id = entry.key().clone();
        let others = self.at_other_versions.entry(id).or_default();
        others.retain(|other| ![version, of_before].contains(&resource::version(other)));
        others.push(before);
    }

    pub fn remove(&mut self, id: &ResourceId) {
        self.objects.remove(id);
        self.at_other_versions.remove(id);
    }

    /// Adds an object that may be nobody's, which is not compared.
    pub fn stand_by(&mut self, id: ResourceId) {
        self.bystanders.insert(id);
    }

    /// Records that there may be more of these than can be seen now.
    pub fn miss_bystanders(&mut self) {
        self.misses_bystanders = true;
    }

    pub fn misses_bystanders(&self) -> bool {
        self.misses_bystanders
    }

    pub fn bystanders(&self) -> impl Iterator<Item = &ResourceId> {
        self.bystanders.iter()
    }

    /// Records that the objects of a kind can't be seen, and why: that none of them is in the tree
    /// says nothing of what is there.
    pub fn hide(&mut self, group: &str, kind: &str, why: &str) {
        self.hidden
            .insert((group.to_owned(), kind.to_owned()), why.to_owned());
    }

    /// Why the objects of a kind can't be seen; `None` if they are.
    pub fn hidden(&self, group: &str, kind: &str) -> Option<&str> {
        if self.hidden.is_empty() {
            return None;
        }
        let of_kind = (group.to_owned(), kind.to_owned());
        self.hidden.get(&of_kind).map(String::as_str)
    }

    /// Whether an object could be seen if it were there.
    pub fn sees(&self, id: &ResourceId) -> bool {
        self.hidden(&id.group, &id.kind).is_none()
    }

    /// Whether the Namespace object is there and not on its way out.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.get(&ResourceId::new("", "Namespace", "", name))
            .is_some_and(|namespace| !resource::is_deleting(namespace))
    }
}

impl FromIterator<Arc<Value>> for LiveTree {
    fn from_iter<I: IntoIterator<Item = Arc<Value>>>(objects: I) -> Self {
        let mut tree = Self::default();
        objects.into_iter().for_each(|object| tree.insert(object));
        tree
    }
}

impl FromIterator<Value> for LiveTree {
    fn from_iter<I: IntoIterator<Item = Value>>(objects: I) -> Self {
        objects.into_iter().map(Arc::new).collect()
    }
}
