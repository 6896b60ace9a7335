//! Which Rollouts refer to an object: by their spec, or because of one that they had. Whoever asks
//! what an object means to Rollouts need not look at all of them.

use super::Name;
use api::Rollout;
use engine::snapshot::{References, TemplateName, references};
use kube::ResourceExt;
use plan::ObjectKey;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// What a Rollout can be found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referent {
    Service(Name),
    Template(Name),
    ClusterTemplate(String),
    /// Of a router, or the workload.
    Object(ObjectKey),
}

impl Referent {
    /// Everything that a Rollout can be found by.
    pub fn all_of(rollout: &Arc<Rollout>) -> BTreeSet<Self> {
        let namespace = rollout.namespace().unwrap_or_default();
        let References {
            services,
            templates,
            objects,
            workload,
            ..
        } = references(rollout);
        let services = services
            .into_iter()
            .map(|name| Self::Service((namespace.clone(), name)));
        let templates = templates.into_iter().map(|template| match template {
            TemplateName::Namespaced(name) => Self::Template((namespace.clone(), name)),
            TemplateName::Cluster(name) => Self::ClusterTemplate(name),
        });
        let objects = objects.into_iter().chain(workload).map(Self::Object);
        services.chain(templates).chain(objects).collect()
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Referents(RwLock<BTreeMap<Referent, BTreeSet<Name>>>);

impl Referents {
    /// A Rollout refers to other objects than before.
    pub(super) fn update(
        &self,
        rollout: &Name,
        before: &BTreeSet<Referent>,
        after: &BTreeSet<Referent>,
    ) {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for gone in before.difference(after) {
            let Some(rollouts) = index.get_mut(gone) else {
                continue;
            };
            rollouts.remove(rollout);
            if rollouts.is_empty() {
                index.remove(gone);
            }
        }
        for new in after.difference(before) {
            index
                .entry(new.clone())
                .or_default()
                .insert(rollout.clone());
        }
    }

    /// The Rollouts that refer to an object.
    pub fn of(&self, referent: &Referent) -> BTreeSet<Name> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        index.get(referent).cloned().unwrap_or_default()
    }

    /// The Rollouts that refer to any object that `is_meant`, which is told the namespace of the
    /// Rollout too: some names are relative to it.
    pub fn of_any(&self, is_meant: impl Fn(&Referent, &str) -> bool) -> BTreeSet<Name> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = index
            .iter()
            .flat_map(|(referent, rollouts)| rollouts.iter().map(move |name| (referent, name)));
        pairs
            .filter(|(referent, (namespace, _))| is_meant(referent, namespace))
            .map(|(_, name)| name.clone())
            .collect()
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> Vec<Referent> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        index.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollouts_are_found_by_what_they_refer_to_now() {
        let service = |name: &str| Referent::Service(("ns".to_owned(), name.to_owned()));
        let rollout = |name: &str| ("ns".to_owned(), name.to_owned());
        let none = BTreeSet::new();
        let referents = Referents::default();
        let (one, both) = ([service("a")].into(), [service("a"), service("b")].into());
        referents.update(&rollout("x"), &none, &both);
        referents.update(&rollout("y"), &none, &one);
        let found = |of: &Referent| -> Vec<String> {
            let names = referents.of(of).into_iter();
            names.map(|(_, name)| name).collect()
        };
        assert_eq!(found(&service("a")), ["x", "y"]);
        assert_eq!(found(&service("b")), ["x"]);
        let near =
            referents.of_any(|referent, namespace| namespace == "ns" && *referent == service("b"));
        assert_eq!(near, [rollout("x")].into());
        referents.update(&rollout("x"), &both, &one);
        assert_eq!(referents.known(), [service("a")]);
        referents.update(&rollout("x"), &one, &none);
        assert_eq!(found(&service("a")), ["y"]);
    }
}
