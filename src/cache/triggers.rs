//! The table of triggers: which change of which object sets which reconciliation in motion.
//!
//! | changed | reconciled |
//! |---|---|
//! | Rollout | itself; every Service that it refers to, or did; the Rollouts that share its workload, or did |
//! | ReplicaSet, AnalysisRun | the Rollout or Experiment that controls it; an AnalysisRun itself |
//! | Experiment | itself; the Rollout that controls it |
//! | Job of an AnalysisRun, pod of such a Job | the AnalysisRun |
//! | Service | itself; every Rollout that refers to it; the Experiment that controls it |
//! | route and other router objects, workloads | every Rollout that refers to it |
//! | AnalysisTemplate | the Rollouts of its namespace that refer to it |
//! | ClusterAnalysisTemplate | the Rollouts that refer to it |
//! | Application | itself |
//! | AppProject | the Applications of the project |
//! | any object that an Application tracks | that Application |
//! | CustomResourceDefinition, which none tracks | the Applications that list it |
//!
//! A ReplicaSet of which nothing has changed that a plan reads sets nothing in motion.

use super::one::version;
use super::referents::{Referent, Referents};
use super::{Caches, Change, Name, controller_ref};
use crate::queue::{Key, Kind, Queue};
use api::constants::gitops::TRACKING_ID_ANNOTATION;
use api::constants::{ANALYSIS_RUN_NAME_ANNOTATION, ANALYSIS_RUN_NAMESPACE_ANNOTATION};
use api::{AppProject, Application, Rollout};
use engine::snapshot::references;
use engine::traffic::remembered;
use gitops::sync::project_name;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::batch::v1::Job;
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt};
use plan::ObjectKey;
use std::collections::BTreeSet;
use std::sync::Arc;

const DEFINITION: &str = "CustomResourceDefinition";

/// See the module's documentation.
#[derive(Debug)]
pub struct Triggers {
    queue: Arc<Queue>,
    /// The namespace whose Applications are named without it in tracking ids.
    control_namespace: String,
    index: Arc<Referents>,
}

impl Triggers {
    /// `index` is kept up to date.
    pub fn new(queue: Arc<Queue>, control_namespace: String, index: Arc<Referents>) -> Self {
        Self {
            queue,
            control_namespace,
            index,
        }
    }

    /// Subscribes to every cache. Before the watches start.
    pub fn subscribe(self: &Arc<Self>, caches: &Arc<Caches>) {
        let me = self.clone();
        caches.rollouts.on_change(move |change| me.rollout(change));
        let me = self.clone();
        caches.replica_sets.on_change(move |change| {
            if concerns_plans(change) {
                me.child(change);
            }
        });
        let me = self.clone();
        caches.experiments.on_change(move |change| {
            me.itself(Kind::Experiment, change);
            me.child(change);
        });
        let me = self.clone();
        caches.analysis_runs.on_change(move |change| {
            me.itself(Kind::AnalysisRun, change);
            me.child(change);
        });
        let me = self.clone();
        caches.jobs.on_change(move |change| {
            for job in change.versions() {
                me.run_of(job);
            }
        });
        // As below: no strong reference back.
        let (me, weak) = (self.clone(), Arc::downgrade(caches));
        caches.job_pods.on_change(move |change| {
            if let (Some(caches), Some(pod)) = (weak.upgrade(), change.versions().last()) {
                let job = controller_ref(pod.as_ref()).and_then(|owner| {
                    let namespace = pod.namespace().unwrap_or_default();
                    caches.jobs.get(&namespace, &owner.name)
                });
                if let Some(job) = job {
                    me.run_of(&job);
                }
            }
        });
        let me = self.clone();
        caches.services.on_change(move |change| {
            me.itself(Kind::Service, change);
            me.referring(change, Referent::Service);
            me.child(change);
        });
        let me = self.clone();
        caches
            .analysis_templates
            .on_change(move |change| me.referring(change, Referent::Template));
        let me = self.clone();
        caches.cluster_analysis_templates.on_change(move |change| {
            me.referring(change, |(_, name)| Referent::ClusterTemplate(name));
        });
        self.subscribe_applications(caches);
    }

    fn subscribe_applications(self: &Arc<Self>, caches: &Arc<Caches>) {
        let me = self.clone();
        caches
            .applications
            .on_change(move |change| me.itself(Kind::Application, change));
        // The caches own their listeners: a strong reference back would keep both for ever.
        let (me, weak) = (self.clone(), Arc::downgrade(caches));
        caches.projects.on_change(move |change| {
            if let Some(caches) = weak.upgrade() {
                me.project(change, &caches.applications.all());
            }
        });
        let (me, weak) = (self.clone(), Arc::downgrade(caches));
        caches
            .dynamic
            .on_change(move |(api_version, kind), change| {
                me.dynamic(api_version, kind, change);
                if kind == DEFINITION
                    && let Some(caches) = weak.upgrade()
                {
                    me.definition(change, &caches.applications.all());
                }
            });
    }

    fn add(&self, kind: Kind, (namespace, name): Name) {
        self.queue.add(Key {
            kind,
            namespace,
            name,
        });
    }

    fn itself<K: Resource>(&self, kind: Kind, change: &Change<K>) {
        if let Some(object) = change.versions().last() {
            self.add(
                kind,
                (object.namespace().unwrap_or_default(), object.name_any()),
            );
        }
    }

    /// A change of something that a Rollout or an Experiment controls.
    fn child<K: Resource>(&self, change: &Change<K>) {
        let owners = change.versions().filter_map(|object| {
            let owner = controller_ref(object.as_ref())?;
            let kind = match owner.kind.as_str() {
                "Rollout" => Kind::Rollout,
                "Experiment" => Kind::Experiment,
                _ => return None,
            };
            let name = (object.namespace().unwrap_or_default(), owner.name.clone());
            Some((kind, name))
        });
        // Mostly it is one.
        let owners: BTreeSet<(Kind, Name)> = owners.collect();
        for (kind, name) in owners {
            self.add(kind, name);
        }
    }

    /// The AnalysisRun that measures with a Job.
    fn run_of(&self, job: &Job) {
        if let Some(owner) = controller_ref(job).filter(|owner| owner.kind == "AnalysisRun") {
            let namespace = job.namespace().unwrap_or_default();
            self.add(Kind::AnalysisRun, (namespace, owner.name.clone()));
            return;
        }
        // In a namespace of its own it has no owner.
        let annotation = |name: &str| job.annotations().get(name).cloned();
        let namespace = annotation(ANALYSIS_RUN_NAMESPACE_ANNOTATION);
        if let Some(name) = namespace.zip(annotation(ANALYSIS_RUN_NAME_ANNOTATION)) {
            self.add(Kind::AnalysisRun, name);
        }
    }

    fn rollout(&self, change: &Change<Rollout>) {
        let Some(object) = change.versions().last() else {
            return;
        };
        let name = (object.namespace().unwrap_or_default(), object.name_any());
        let (old, new) = (change.old.as_ref(), change.new.as_ref());
        let is_same = old
            .zip(new)
            .is_some_and(|(old, new)| refers_to_the_same(old, new));
        if !is_same {
            self.refers(change, &name);
        }
        // Of those that refer to one workload, one may work on it.
        if !is_same || is_going(old) != is_going(new) {
            let workload = |object: Option<&Arc<Rollout>>| {
                let rollout = object.filter(|own| own.spec.workload_ref.is_some())?;
                references(rollout).workload
            };
            let (before, after) = (workload(old), workload(new));
            if before != after || is_going(old) != is_going(new) {
                for workload in before.into_iter().chain(after) {
                    self.add_referring(&Referent::Object(workload));
                }
            }
        }
        self.add(Kind::Rollout, name);
    }

    /// Takes note of what a Rollout refers to now.
    fn refers(&self, change: &Change<Rollout>, name: &Name) {
        let referents =
            |object: Option<&Arc<Rollout>>| object.map(Referent::all_of).unwrap_or_default();
        let before = referents(change.old.as_ref());
        let after = referents(change.new.as_ref());
        if before != after {
            self.index.update(name, &before, &after);
        }
        // A Service that is no longer referred to has its selector cleaned up.
        let services = before
            .symmetric_difference(&after)
            .filter_map(|referent| match referent {
                Referent::Service(service) => Some(service.clone()),
                _ => None,
            });
        services.for_each(|service| self.add(Kind::Service, service));
    }

    /// A change of something that Rollouts refer to by name.
    fn referring<K: Resource>(&self, change: &Change<K>, referent: impl Fn(Name) -> Referent) {
        if let Some(object) = change.versions().last() {
            let name = (object.namespace().unwrap_or_default(), object.name_any());
            self.add_referring(&referent(name));
        }
    }

    fn add_referring(&self, referent: &Referent) {
        for rollout in self.index.of(referent) {
            self.add(Kind::Rollout, rollout);
        }
    }

    fn project(&self, change: &Change<AppProject>, applications: &[Arc<Application>]) {
        for project in change.versions() {
            let of_project = applications
                .iter()
                .filter(|app| project_name(app) == project.name_any());
            for app in of_project {
                self.add(
                    Kind::Application,
                    (app.namespace().unwrap_or_default(), app.name_any()),
                );
            }
        }
    }

    /// A definition says nothing of Applications: they say it of the definition.
    fn definition(&self, change: &Change<DynamicObject>, applications: &[Arc<Application>]) {
        let Some(object) = change.versions().last() else {
            return;
        };
        let name = object.name_any();
        let is_it = |kind: &str, one: &str| kind == DEFINITION && one == name;
        let lists = |app: &Application| {
            let status = app.status.as_ref();
            let state = status.and_then(|status| status.operation_state.as_ref());
            let result = state.and_then(|state| state.sync_result.as_ref());
            let mut listed = status.iter().flat_map(|status| &status.resources);
            let mut applied = result.iter().flat_map(|result| &result.resources);
            listed.any(|one| is_it(&one.kind, &one.name))
                || applied.any(|one| is_it(&one.kind, &one.name))
        };
        for app in applications.iter().filter(|app| lists(app)) {
            self.add(
                Kind::Application,
                (app.namespace().unwrap_or_default(), app.name_any()),
            );
        }
    }

    fn dynamic(&self, api_version: &str, kind: &str, change: &Change<DynamicObject>) {
        for object in change.versions() {
            let tracking = object.annotations().get(TRACKING_ID_ANNOTATION);
            if let Some(application) = tracking.and_then(|id| self.application_of(id)) {
                self.add(Kind::Application, application);
            }
        }
        if let Some(object) = change.versions().last() {
            self.add_referring(&Referent::Object(ObjectKey {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                namespace: object.namespace(),
                name: object.name_any(),
            }));
        }
    }

    /// The Application that a tracking id names (gitops.md §1 item 3, §5 item 31):
    /// `<app>:<group>/<kind>:<namespace>/<name>`, `<app>` being `<namespace>_<name>` outside the
    /// control namespace.
    fn application_of(&self, tracking_id: &str) -> Option<Name> {
        let (app, _) = tracking_id.split_once(':')?;
        Some(match app.split_once('_') {
            Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
            None => (self.control_namespace.clone(), app.to_owned()),
        })
    }
}

/// Whether two versions of an object have one spec: every change of it makes a generation, unless
/// the cluster was put back and forgot some.
fn is_same_spec<K: Resource>(old: &Arc<K>, new: &Arc<K>) -> bool {
    let is_later = version(new.as_ref()) >= version(old.as_ref());
    let (old, new) = (old.meta(), new.meta());
    let is_same = old.generation.is_some() && old.generation == new.generation;
    is_later && is_same && old.uid == new.uid
}

/// Whether two versions of a Rollout refer to the same objects. Beside those of its spec there are
/// those of a spec that it had: they end by its status and its annotations, which make no
/// generation.
fn refers_to_the_same(old: &Arc<Rollout>, new: &Arc<Rollout>) -> bool {
    is_same_spec(old, new) && remembered(old) == remembered(new)
}

/// Whether anything has changed that a plan may read: not the version alone, nor counts that none
/// looks at.
fn concerns_plans(change: &Change<ReplicaSet>) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else {
        return true;
    };
    let (before, after) = (&old.metadata, &new.metadata);
    let is_same_metadata = before.labels == after.labels
        && before.annotations == after.annotations
        && before.owner_references == after.owner_references
        && before.deletion_timestamp == after.deletion_timestamp;
    let status = |set: &ReplicaSet| {
        set.status.as_ref().map(|status| ReplicaSetStatus {
            fully_labeled_replicas: None,
            terminating_replicas: None,
            ..status.clone()
        })
    };
    !(is_same_metadata && is_same_spec(old, new) && status(old) == status(new))
}

fn is_going(rollout: Option<&Arc<Rollout>>) -> bool {
    rollout.is_some_and(|rollout| rollout.metadata.deletion_timestamp.is_some())
}

#[cfg(test)]
#[path = "triggers_tests.rs"]
mod tests;
