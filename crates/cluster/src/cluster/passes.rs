//! Builds what each controller's step looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apiserver::{ApiServer, Gvk};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{Cluster, Controller};
use crate::queue::Key;
use crate::{
    Step, Write, deployment, disruption, endpoints, garbage, job, load_balancer, meta, namespace,
    pods, replica_set, scheduler, selector,
};

impl Cluster {
    pub(super) fn step(
        &mut self,
        api: &ApiServer,
        (controller, key): (Controller, &Key),
        now: Timestamp,
    ) -> Step {
        let step = match controller {
            Controller::Namespace => self.namespace(key, now),
            Controller::Deployment => self.deployment(key, now),
            Controller::ReplicaSet => self.replica_set(key, now),
            Controller::Job => self.job(key, now),
            Controller::Endpoints => self.endpoints(key, now),
            Controller::LoadBalancer => self.load_balancer(key),
            Controller::Disruption => self.disruption(key, now),
            Controller::Garbage => self.garbage(api, key),
            Controller::Expiry => self.expiry(key),
            Controller::Scheduler | Controller::Kubelet => None,
        };
        if step.is_none() {
            self.forget(controller, key);
        }
        // A refused write of a controller that shows no failure is retried by time alone.
        let held = self
            .failure(controller, key)
            .filter(|failure| failure.retry_at > now);
        match (controller, held) {
            (Controller::ReplicaSet | Controller::Job, _) | (_, None) => step.unwrap_or_default(),
            (_, Some(failure)) => Step {
                writes: Vec::new(),
                next: Some(failure.retry_at),
            },
        }
    }

    fn replica_set(&self, key: &Key, now: Timestamp) -> Option<Step> {
        let rs = self.view.replica_sets.get(key)?;
        let uid = meta::uid(&rs.metadata);
        let owned = self.view.pods.controlled_by(uid);
        let pods: Vec<Arc<Pod>> = owned
            .chain(self.view.pods.orphans(&key.0))
            .cloned()
            .collect();
        let active = pods.iter().filter(|pod| pods::is_active(pod)).count();
        let related = if active > replica_set::desired(rs) {
            self.related(rs)
        } else {
            BTreeMap::new()
        };
        let failure = self.failure(Controller::ReplicaSet, key);
        let view = replica_set::View {
            replica_set: rs,
            pods: &pods,
            related: &related,
            failure,
        };
        Some(replica_set::step(&view, now))
    }

    /// Active pods per node over all ReplicaSets of the same owner.
    fn related(&self, rs: &ReplicaSet) -> BTreeMap<String, usize> {
        let owner = meta::controller_of(&rs.metadata);
        let family: Vec<&str> = match owner {
            Some(owner) => self
                .view
                .replica_sets
                .controlled_by(&owner.uid)
                .map(|rs| meta::uid(&rs.metadata))
                .collect(),
            None => vec![meta::uid(&rs.metadata)],
        };
        let mut per_node = BTreeMap::new();
        for pod in family
            .iter()
            .flat_map(|uid| self.view.pods.controlled_by(uid))
        {
            if pods::is_active(pod) {
                *per_node.entry(pods::node(pod).to_owned()).or_default() += 1;
            }
        }
        per_node
    }

    fn deployment(&self, key: &Key, now: Timestamp) -> Option<Step> {
        let deployment = self.view.deployments.get(key)?;
        let owned = self
            .view
            .replica_sets
            .controlled_by(meta::uid(&deployment.metadata));
        let replica_sets: Vec<_> = owned
            .chain(self.view.replica_sets.orphans(&key.0))
            .cloned()
            .collect();
        let left = replica_sets.iter().map(|rs| {
            let uid = meta::uid(&rs.metadata);
            let running = self
                .view
                .pods
                .controlled_by(uid)
                .filter(|pod| !pods::is_finished(pod))
                .count();
            (uid.to_owned(), running)
        });
        let pods_left = left.collect();
        let view = deployment::View {
            deployment,
            replica_sets: &replica_sets,
            pods_left: &pods_left,
        };
        Some(deployment::step(&view, now))
    }

    fn job(&self, key: &Key, now: Timestamp) -> Option<Step> {
        let job = self.view.jobs.get(key)?;
        let pods: Vec<_> = self
            .view
            .pods
            .controlled_by(meta::uid(&job.metadata))
            .cloned()
            .collect();
        let failure = self.failure(Controller::Job, key);
        Some(job::step(
            &job::View {
                job,
                pods: &pods,
                failure,
            },
            now,
        ))
    }

    fn endpoints(&self, key: &Key, now: Timestamp) -> Option<Step> {
        let Some(service) = self.view.services.get(key) else {
            return endpoints::leftover(self.view.endpoints.get(key)?);
        };
        let selector = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref());
        let pods = selector.map_or_else(Vec::new, |wanted| self.view.pods_with(&key.0, wanted));
        let slices: Vec<_> = self
            .view
            .slices
            .controlled_by(meta::uid(&service.metadata))
            .cloned()
            .collect();
        let view = endpoints::View {
            service,
            pods: &pods,
            slices: &slices,
            endpoints: self.view.endpoints.get(key).map(|endpoints| &**endpoints),
        };
        Some(endpoints::step(&view, now))
    }

    fn load_balancer(&mut self, key: &Key) -> Option<Step> {
        let service = Arc::clone(self.view.services.get(key)?);
        let wanted = load_balancer::is_wanted(&service);
        let address = wanted
            .then(|| self.runtime.load_balancer(&service))
            .flatten();
        Some(load_balancer::step(&service, address))
    }

    fn disruption(&self, key: &Key, now: Timestamp) -> Option<Step> {
        let budget = self.view.budgets.get(key)?;
        let wanted = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let all = self.view.pods.in_namespace(&key.0).map(|(_, pod)| pod);
        let pods: Vec<Arc<Pod>> = all
            .filter(|pod| {
                wanted.is_some_and(|wanted| selector::matches(wanted, pod.metadata.labels.as_ref()))
            })
            .cloned()
            .collect();
        let owners = pods
            .iter()
            .filter_map(|pod| meta::controller_of(&pod.metadata));
        let scales = owners.filter_map(|owner| {
            let set = self
                .view
                .replica_sets
                .get(&(key.0.clone(), owner.name.clone()))
                .filter(|set| {
                    owner.kind == "ReplicaSet" && meta::uid(&set.metadata) == owner.uid
                })?;
            Some((owner.uid.clone(), self.scale(key, set)?))
        });
        let scales: BTreeMap<_, _> = scales.collect();
        let view = disruption::View {
            budget,
            pods: &pods,
            scales: &scales,
        };
        Some(disruption::step(&view, now))
    }

    /// What a ReplicaSet is a part of, as disruption budgets count it: a Deployment with all its
    /// ReplicaSets, else itself.
    fn scale(&self, key: &Key, set: &ReplicaSet) -> Option<disruption::Scale> {
        let above = meta::controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment");
        let (metadata, replicas) = if let Some(owner) = above {
            let key = (key.0.clone(), owner.name.clone());
            let found = self.view.deployments.get(&key);
            let found = found.filter(|live| meta::uid(&live.metadata) == owner.uid)?;
            let replicas = found.spec.as_ref().and_then(|spec| spec.replicas);
            (&found.metadata, replicas)
        } else {
            let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
            (&set.metadata, replicas)
        };
        Some(disruption::Scale {
            uid: meta::uid(metadata).to_owned(),
            replicas: replicas.unwrap_or(1),
        })
    }

    /// An Event whose time has come: nothing but its own timer sets it in motion.
    fn expiry(&self, key: &Key) -> Option<Step> {
        let node = self.view.all.get(&key.1)?;
        let delete = Write::Delete {
            target: node.target.clone(),
            grace_s: None,
            propagation: None,
        };
        Some(Step {
            writes: vec![delete],
            next: None,
        })
    }

    fn garbage(&self, api: &ApiServer, key: &Key) -> Option<Step> {
        let node = self.view.all.get(&key.1)?;
        let owners = self.view.owners_of(node);
        let dependents = self.view.dependents_of(&key.1);
        // Owners that are there need no questions.
        let asked: Vec<&OwnerReference> = if owners.len() < node.owners.len() {
            node.owners.iter().collect()
        } else {
            Vec::new()
        };
        let mut foreign = asked.clone();
        foreign.retain(|owner| self.is_foreign(api, node, owner));
        let unresolvable = asked
            .iter()
            .any(|owner| self.is_unresolvable(api, node, owner));
        Some(garbage::step(&garbage::View {
            node,
            owners: &owners,
            unresolvable,
            foreign: &foreign,
            dependents: &dependents,
        }))
    }

    /// Whether an owner lives where its dependent must not look for it: in another namespace, or in
    /// one while the dependent lives in none.
    fn is_foreign(&self, api: &ApiServer, node: &garbage::Node, owner: &OwnerReference) -> bool {
        if node.target.namespace.is_none() {
            return api.is_namespaced(&kind_of(owner)) == Some(true);
        }
        let found = self.view.all.get(&owner.uid).map(|found| &found.target);
        found.is_some_and(|found| {
            let elsewhere = found.namespace.is_some() && found.namespace != node.target.namespace;
            elsewhere && garbage::names(owner, found)
        })
    }

    /// Whether nobody can say if an owner is there: its kind is not served, or lives in namespaces
    /// while the dependent lives in none. An owner that was seen to go is known to be absent, even
    /// if its kind went with it.
    fn is_unresolvable(
        &self,
        api: &ApiServer,
        node: &garbage::Node,
        owner: &OwnerReference,
    ) -> bool {
        if let Some(namespaced) = api.is_namespaced(&kind_of(owner)) {
            return namespaced && node.target.namespace.is_none();
        }
        let gone = self.view.gone.get(&owner.uid);
        !gone.is_some_and(|target| garbage::names(owner, target))
    }

    fn namespace(&self, key: &Key, now: Timestamp) -> Option<Step> {
        let namespace = self.view.namespaces.get(key)?;
        let uids = self.view.contents.get(&key.1);
        let nodes = || {
            uids.into_iter()
                .flatten()
                .filter_map(|uid| self.view.all.get(uid))
        };
        let ending = meta::is_deleting(&namespace.metadata);
        let contents: Vec<_> = nodes()
            .filter(|_| ending)
            .map(|node| namespace::Content {
                target: node.target.clone(),
                deleting: node.deleting,
                finalizers: node.finalizers.clone(),
            })
            .collect();
        let has_service_account = nodes().any(|node| {
            node.target.kind == crate::Kind::SERVICE_ACCOUNT && node.target.name == "default"
        });
        let view = namespace::View {
            namespace,
            has_service_account,
            contents: &contents,
        };
        Some(namespace::step(&view, now))
    }

    /// All unscheduled pods together: the nodes are counted once, and the count moves with each
    /// binding.
    pub(super) fn schedule(&mut self, api: &ApiServer, keys: BTreeSet<Key>, now: Timestamp) {
        if keys.is_empty() {
            return;
        }
        let mut nodes: Vec<scheduler::Candidate> = self
            .view
            .nodes
            .values()
            .map(|node| {
                let name = meta::name(&node.metadata);
                let pods = self.view.pods_per_node.get(name).copied().unwrap_or(0);
                scheduler::Candidate {
                    node: Arc::clone(node),
                    pods,
                }
            })
            .collect();
        for key in keys {
            let Some(pod) = self.view.pods.get(&key).cloned() else {
                continue;
            };
            let step = scheduler::step(&pod, &nodes, now);
            for write in &step.writes {
                if let Write::Bind { node: chosen, .. } = write
                    && let Some(candidate) = nodes
                        .iter_mut()
                        .find(|c| meta::name(&c.node.metadata) == chosen)
                {
                    candidate.pods += 1;
                }
            }
            self.carry_out(api, &(Controller::Scheduler, key), &step, now);
        }
    }
}

fn kind_of(owner: &OwnerReference) -> Gvk {
    let (group, version) = garbage::group_version(owner);
    Gvk::new(group, version, &owner.kind)
}
