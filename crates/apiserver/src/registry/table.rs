//! The set of served resources at one moment. Immutable: a CRD change makes a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Resource, builtin, crd};
use crate::gvk::Gvk;

/// Name of a resource's path: group, version, plural.
type Path = (String, String, String);

/// Served resources by kind and by path.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    by_path: BTreeMap<Path, Arc<Resource>>,
    by_kind: BTreeMap<Gvk, Arc<Resource>>,
    /// Group/version in discovery order; core first.
    versions: Vec<(String, String)>,
    built_in: usize,
    /// Counts changes: caches of derived documents compare it.
    pub(crate) epoch: u64,
}

impl Registry {
    pub(crate) fn built_in() -> Self {
        let mut registry = Self {
            by_path: BTreeMap::new(),
            by_kind: BTreeMap::new(),
            versions: Vec::new(),
            built_in: 0,
            epoch: 0,
        };
        for resource in builtin::resources() {
            registry.insert(resource);
        }
        registry
            .versions
            .sort_by_key(|(group, _)| group_rank(group));
        registry.built_in = registry.versions.len();
        registry
    }

    /// This registry with one CRD's resources replaced by what `definition` serves now (`None`: it
    /// is gone).
    pub(crate) fn with_crd(&self, name: &str, definition: Option<&Value>) -> Self {
        let mut next = self.clone();
        next.epoch += 1;
        let of_crd = |resource: &Resource| {
            resource.is_crd() && format!("{}.{}", resource.plural, resource.gvk.group) == name
        };
        next.by_path.retain(|_, resource| !of_crd(resource));
        next.by_kind.retain(|_, resource| !of_crd(resource));
        for resource in definition.map(crd::resources).unwrap_or_default() {
            next.insert(resource);
        }
        let served: Vec<(String, String)> = next
            .by_path
            .keys()
            .map(|(group, version, _)| (group.clone(), version.clone()))
            .collect();
        next.versions.retain(|version| served.contains(version));
        let built_in = next.built_in;
        next.versions[built_in..].sort_by(|a, b| {
            a.0.cmp(&b.0)
                .then_with(|| crd::version_priority(&b.1).cmp(&crd::version_priority(&a.1)))
        });
        next
    }

    fn insert(&mut self, resource: Resource) {
        let version = (resource.gvk.group.clone(), resource.gvk.version.clone());
        if !self.versions.contains(&version) {
            self.versions.push(version);
        }
        let resource = Arc::new(resource);
        let path = (
            resource.gvk.group.clone(),
            resource.gvk.version.clone(),
            resource.plural.clone(),
        );
        self.by_kind
            .insert(resource.gvk.clone(), Arc::clone(&resource));
        self.by_path.insert(path, resource);
    }

    pub(crate) fn by_path(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<&Arc<Resource>> {
        self.by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    pub(crate) fn by_kind(&self, gvk: &Gvk) -> Option<&Arc<Resource>> {
        self.by_kind.get(gvk)
    }

    /// The resource that changes of a storage table are reported as: its storage version.
    pub(crate) fn by_table(&self, table: &str) -> Option<&Arc<Resource>> {
        self.by_path
            .values()
            .filter(|resource| &*resource.table == table)
            .min_by_key(|resource| {
                (
                    resource.api_version() != resource.storage,
                    resource.gvk.clone(),
                )
            })
    }

    /// Resources of one group and version, by plural.
    pub(crate) fn of_version(
        &self,
        group: &str,
        version: &str,
    ) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_path
            .values()
            .filter(move |resource| resource.gvk.group == group && resource.gvk.version == version)
    }

    /// True if a built-in resource is of this group.
    pub(crate) fn is_built_in(&self, group: &str) -> bool {
        let mut resources = self.by_path.values();
        resources.any(|resource| resource.gvk.group == group && !resource.is_crd())
    }

    /// True if the group and version are served.
    pub(crate) fn serves(&self, group: &str, version: &str) -> bool {
        self.versions
            .iter()
            .any(|(g, v)| g == group && v == version)
    }

    /// Groups in discovery order, each with its versions, best first. The core group is not among
    /// them.
    pub(crate) fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for (group, version) in self.versions.iter().filter(|(group, _)| !group.is_empty()) {
            match groups.iter_mut().find(|(known, _)| known == group) {
                Some((_, versions)) => versions.push(version.clone()),
                None => groups.push((group.clone(), vec![version.clone()])),
            }
        }
        groups
    }
}

/// kube-aggregator's group priorities, highest first.
fn group_rank(group: &str) -> usize {
    const ORDER: [&str; 15] = [
        "",
        "apps",
        "events.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
        "apiextensions.k8s.io",
        "scheduling.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
    ];
    ORDER
        .iter()
        .position(|known| *known == group)
        .unwrap_or(ORDER.len())
}
