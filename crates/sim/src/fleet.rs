//! Many Rollouts in one world, all updating at once: what plans cost, and what is kept of each.
//!
//! One store, one clock, one controller that keeps of every Rollout what the shell's caches keep:
//! text, but for what is worked on.
//! News are instant and nothing goes wrong: this is about numbers, not about rules.

use crate::ground::{Ground, Light, Pace, Patch, carry_out};
use crate::object::{Body, Id, Kind, Object};
use crate::setup;
use crate::time::stamp;
use api::{Rollout, RolloutPhase};
use engine::config::Config;
use engine::rollout;
use engine::snapshot::{Digest, Inbox, RolloutSnapshot, TemplateSet};
use jiff::Timestamp;
use plan::{Guard, Next, PatchKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Virtual time between two looks at everything.
const TICK_MS: i64 = 500;
/// An update of a few pods is over long before.
const TICKS_MAX: u32 = 2_000;

/// What is known of one Rollout: text, which is shared with the store, and parsed for each plan.
/// In lists: a map takes room for eleven where one or two are kept, and the caches of the shell
/// have no map of each Rollout either.
#[derive(Clone, Debug, Default)]
struct Cached {
    rollout: Option<Object>,
    digest: Option<Arc<Digest>>,
    sets: Vec<(Arc<str>, Object)>,
    services: Vec<(Arc<str>, Object)>,
    routes: Vec<(Arc<str>, Object)>,
    dirty: bool,
    /// As of the last plan.
    healthy: bool,
}

/// Puts what has this name in the place of its former version.
fn replace(list: &mut Vec<(Arc<str>, Object)>, name: &Arc<str>, object: Object) {
    if let Some((_, slot)) = list.iter_mut().find(|(own, _)| own == name) {
        *slot = object;
    } else {
        list.reserve_exact(1);
        list.push((name.clone(), object));
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Fleet {
    ground: Light,
    cached: Vec<Cached>,
    now_ms: i64,
    config: Config,
    /// What each plan took.
    pub times: Vec<Duration>,
}

fn name(index: usize) -> String {
    format!("r{index:05}")
}

/// Names begin with that of their Rollout.
fn index_of(name: &str) -> Option<usize> {
    name.get(1..6)?.parse().ok()
}

fn manifests(index: usize) -> Vec<Value> {
    let name = name(index);
    let services = ["stable", "canary"].map(|arm| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": format!("{name}-{arm}")},
            "spec": {"selector": {"app": "app"}, "ports": [{"port": 80}]},
        })
    });
    let backend = |arm: &str| json!({"name": format!("{name}-{arm}"), "port": 80});
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"rules": [{"backendRefs": [backend("stable"), backend("canary")]}]},
    });
    let rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "app"}},
            "template": setup::template(0),
            "strategy": {"canary": {
                "stableService": format!("{name}-stable"),
                "canaryService": format!("{name}-canary"),
                "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": name}}},
                "steps": [
                    {"setWeight": 20}, {"pause": {"duration": 5}},
                    {"setWeight": 50}, {"pause": {"duration": 5}},
                    {"setWeight": 80},
                ],
            }},
        },
    });
    services.into_iter().chain([route, rollout]).collect()
}

impl Fleet {
    /// So many Rollouts, each with two services and a route.
    ///
    /// # Errors
    /// When the store refuses one.
    pub fn new(count: usize) -> Result<Self, String> {
        let mut ground = Light::new(1, Pace::default(), false).packing();
        for manifest in (0..count).flat_map(manifests) {
            ground
                .create(0, manifest)
                .map_err(|refused| format!("{refused:?}"))?;
        }
        let mut fleet = Self {
            ground,
            cached: vec![Cached::default(); count],
            now_ms: 0,
            config: Config::default(),
            times: Vec::new(),
        };
        fleet.receive();
        Ok(fleet)
    }

    /// Takes in what is new, and drops the log of it.
    fn receive(&mut self) {
        for change in self.ground.take_changes() {
            let Some(index) = index_of(&change.id.name) else {
                continue;
            };
            let cached = &mut self.cached[index];
            cached.dirty = true;
            match change.object {
                Some(object) => cached.put(&change.id, object),
                None => cached.sets.retain(|(own, _)| *own != change.id.name),
            }
        }
    }

    /// A new pod template for all, at this moment.
    pub fn update(&mut self, image: u8) {
        let patch = json!({"spec": {"template": setup::template(image)}});
        for index in 0..self.cached.len() {
            let request = Patch {
                kind: PatchKind::Merge,
                body: &patch,
                guard: &Guard::default(),
                subresource: None,
            };
            let id = Id::new(Kind::Rollout, &name(index));
            // Every one is there.
            drop(self.ground.patch(self.now_ms, &id, request));
        }
        self.receive();
    }

    /// Lets everything happen until every Rollout is healthy and at rest. `clock` is a real one, by
    /// which [`Self::times`] are taken.
    ///
    /// # Errors
    /// When they never are.
    pub fn settle(&mut self, mut clock: impl FnMut() -> Duration) -> Result<(), String> {
        let mut wakes: BTreeSet<(Timestamp, usize)> = BTreeSet::new();
        for _ in 0..TICKS_MAX {
            self.ground.tick(self.now_ms);
            self.receive();
            let now = stamp(self.now_ms);
            while let Some(&(at, index)) = wakes.first().filter(|(at, _)| *at <= now) {
                wakes.remove(&(at, index));
                self.cached[index].dirty = true;
            }
            for index in 0..self.cached.len() {
                while std::mem::take(&mut self.cached[index].dirty) {
                    let next = self.pass(index, &mut clock);
                    wakes.extend(next.map(|at| (at, index)));
                }
            }
            if self.cached.iter().all(Cached::is_healthy) {
                return Ok(());
            }
            self.now_ms += TICK_MS;
        }
        let behind = self.cached.iter().filter(|cached| !cached.is_healthy());
        Err(format!("{} Rollouts never get there", behind.count()))
    }

    /// One pass of one Rollout; when it wants to be planned again by itself.
    fn pass(&mut self, index: usize, clock: &mut impl FnMut() -> Duration) -> Option<Timestamp> {
        let cached = &mut self.cached[index];
        let snapshot = cached.snapshot()?;
        cached.healthy = is_healthy(&snapshot.rollout);
        let begun = clock();
        let plan = rollout::plan(&snapshot, &self.config, stamp(self.now_ms));
        self.times.push(clock().saturating_sub(begun));
        let id = Id::new(Kind::Rollout, &name(index));
        if let Some(body) = &plan.root.patch {
            let request = Patch {
                kind: PatchKind::Merge,
                body,
                guard: &Guard::default(),
                subresource: None,
            };
            drop(self.ground.patch(self.now_ms, &id, request));
            self.receive();
        }
        for action in &plan.actions {
            carry_out(&mut self.ground, self.now_ms, action);
        }
        if snapshot.rollout.status.as_ref() != Some(&plan.status) {
            // Its own patch has made another version.
            let version = self.cached[index].rollout.as_ref()?.version;
            drop(
                self.ground
                    .put_status(self.now_ms, &id, version, &plan.status),
            );
        }
        self.receive();
        match plan.next {
            Next::At(at) => Some(at),
            Next::OnChange => None,
        }
    }
}

impl Cached {
    fn put(&mut self, id: &Id, object: Object) {
        match id.kind {
            Kind::Rollout => self.rollout = Some(object),
            Kind::ReplicaSet => replace(&mut self.sets, &id.name, object),
            Kind::Service => replace(&mut self.services, &id.name, object),
            Kind::HttpRoute => replace(&mut self.routes, &id.name, object),
            _ => {}
        }
    }

    fn parsed(&self) -> Option<Arc<Rollout>> {
        self.rollout.as_ref()?.opened().rollout().cloned()
    }

    fn snapshot(&mut self) -> Option<RolloutSnapshot> {
        let rollout = self.parsed()?;
        self.digest = Digest::kept(self.digest.as_ref(), &rollout);
        let mut snapshot = RolloutSnapshot {
            rollout,
            digest: self.digest.clone(),
            replica_sets: Vec::new(),
            pods: Vec::new(),
            services: BTreeMap::new(),
            analysis_runs: Vec::new(),
            experiments: Vec::new(),
            templates: TemplateSet::default(),
            objects: BTreeMap::new(),
            workload: None,
            workload_users: Vec::new(),
            inbox: Inbox::default(),
        };
        let all = self.sets.iter().chain(&self.services).chain(&self.routes);
        for (name, object) in all {
            match object.opened().body {
                Body::ReplicaSet(set) => snapshot.replica_sets.push(set),
                Body::Service(service) => {
                    snapshot.services.insert(name.to_string(), service);
                }
                Body::HttpRoute(route) => {
                    let key = Id::new(Kind::HttpRoute, name).key();
                    snapshot.objects.insert(key, route);
                }
                _ => {}
            }
        }
        Some(snapshot)
    }

    fn is_healthy(&self) -> bool {
        self.healthy && !self.dirty
    }
}

/// The last generation is observed, promoted and has all its pods.
fn is_healthy(rollout: &Rollout) -> bool {
    let Some(status) = &rollout.status else {
        return false;
    };
    let generation = rollout.metadata.generation.unwrap_or(0);
    status.observed_generation == generation.to_string()
        && status.phase == Some(RolloutPhase::Healthy)
        && status.available_replicas >= rollout.spec.replicas_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_small_fleet_are_updated() {
        let mut fleet = Fleet::new(5).expect("the store takes the manifests");
        for image in [0, 1] {
            fleet.update(image);
            assert_eq!(fleet.settle(|| Duration::ZERO), Ok(()));
        }
        let stable = |cached: &Cached| {
            let status = cached.parsed()?.status.clone()?;
            Some((status.stable_rs, status.current_pod_hash))
        };
        for cached in &fleet.cached {
            let (stable, current) = stable(cached).expect("every Rollout has a status");
            assert_eq!(stable, current);
            assert_eq!(cached.sets.len(), 2);
        }
        assert!(
            fleet.times.len() > 5 * 10,
            "few plans for two updates of five"
        );
    }
}
