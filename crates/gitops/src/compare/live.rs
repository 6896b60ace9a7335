use crate::ResourceId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Live objects around one Application: at least those that Git names, those whose tracking id
/// names the Application, the Rollouts of the namespaces it deploys to, and those Namespaces. More
/// does no harm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveTree {
    objects: BTreeMap<ResourceId, Arc<Value>>,
}

impl LiveTree {
    pub fn get(&self, id: &ResourceId) -> Option<&Arc<Value>> {
        self.objects.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ResourceId, &Arc<Value>)> {
        self.objects.iter()
    }

    pub fn insert(&mut self, object: Arc<Value>) {
        self.objects.insert(ResourceId::of(&object), object);
    }

    pub fn remove(&mut self, id: &ResourceId) {
        self.objects.remove(id);
    }

    /// Whether the Namespace object is there and not on its way out.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.get(&ResourceId::new("", "Namespace", "", name))
            .is_some_and(|namespace| !crate::resource::is_deleting(namespace))
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
