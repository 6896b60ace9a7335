//! What one actor sees of the world: late, kind by kind, and its own writes at once.

use crate::ground::Change;
use crate::object::{Body, Id, Kind, Object};
use api::{Rollout, RolloutStatus};
use engine::snapshot::{
    Inbox, RolloutSnapshot, TemplateSet, needs_pods, references, workload_users,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How late news of each kind are, in milliseconds.
pub type Lags = [i64; Kind::ALL.len()];

/// A watch and a cache per kind.
#[derive(Clone, Debug, Default)]
pub struct View {
    objects: BTreeMap<Id, Object>,
    /// Versions of the deletions that are known: older news of the object are no news.
    gone: BTreeMap<Id, u64>,
    /// Uids of pods that were evicted.
    leaving: BTreeSet<String>,
    lags: Lags,
    /// No news of a kind before this moment: its watch is broken.
    silent_until: Lags,
    /// Changes on their way, by kind: when they arrive, and their place in the log.
    coming: [VecDeque<(i64, usize)>; Kind::ALL.len()],
    /// How much of the log is on its way or here.
    read: usize,
}

impl View {
    pub fn new(lags: Lags) -> Self {
        Self {
            lags,
            ..Self::default()
        }
    }

    /// What it shows now, without the news that are on their way.
    #[must_use]
    pub fn still(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            ..Self::default()
        }
    }

    /// Begins again with a list as it was some time ago, as a process does that starts.
    pub fn restart(&mut self, log: &[Change], now_ms: i64, stale_ms: i64) {
        *self = Self {
            silent_until: self.silent_until,
            ..Self::new(self.lags)
        };
        let listed = log.partition_point(|change| change.at_ms <= now_ms - stale_ms);
        for change in &log[..listed] {
            self.take(change);
        }
        self.read = listed;
        self.follow(log, now_ms);
    }

    /// No news of `kind` until then; afterwards everything at once.
    pub fn silence(&mut self, kind: Kind, until_ms: i64) {
        let slot = &mut self.silent_until[kind as usize];
        *slot = (*slot).max(until_ms);
        let until = *slot;
        for (due, _) in &mut self.coming[kind as usize] {
            *due = (*due).max(until);
        }
    }

    /// What is on its way comes at once, and no news are held up any more; those of later changes
    /// come as late as ever.
    pub fn heal(&mut self, now_ms: i64) {
        self.silent_until = [0; Kind::ALL.len()];
        for queue in &mut self.coming {
            for (due, _) in queue {
                *due = (*due).min(now_ms + 1);
            }
        }
    }

    /// Sends what is new in the log on its way.
    pub fn follow(&mut self, log: &[Change], now_ms: i64) {
        for (place, change) in log.iter().enumerate().skip(self.read) {
            let kind = change.id.kind as usize;
            let last = self.coming[kind].back().map_or(0, |(due, _)| *due);
            let due = (change.at_ms.max(now_ms - self.lags[kind]) + self.lags[kind])
                .max(self.silent_until[kind])
                .max(last);
            self.coming[kind].push_back((due, place));
        }
        self.read = log.len();
    }

    /// When the next news arrive.
    pub fn next(&self) -> Option<i64> {
        let fronts = self.coming.iter().filter_map(|queue| queue.front());
        fronts.map(|(due, _)| *due).min()
    }

    /// Takes in what has arrived; whether that changed anything.
    pub fn receive(&mut self, log: &[Change], now_ms: i64) -> bool {
        let mut changed = false;
        for kind in 0..self.coming.len() {
            while let Some((due, place)) = self.coming[kind].front().copied() {
                if due > now_ms {
                    break;
                }
                self.coming[kind].pop_front();
                changed |= self.take(&log[place]);
            }
        }
        changed
    }

    fn take(&mut self, change: &Change) -> bool {
        let known = self.objects.get(&change.id).map(|object| object.version);
        let newest = known.max(self.gone.get(&change.id).copied());
        if newest.is_some_and(|newest| newest >= change.version) {
            return false;
        }
        if let Some(object) = &change.object {
            let mut object = object.clone();
            if self.leaving.contains(object.uid()) {
                leave(&mut object);
            }
            self.objects.insert(change.id.clone(), object);
        } else {
            self.objects.remove(&change.id);
            self.gone.insert(change.id.clone(), change.version);
        }
        true
    }

    /// An answer to a write of one's own is seen at once.
    pub fn absorb(&mut self, id: &Id, object: Object) {
        let known = self.objects.get(id).map_or(0, |object| object.version);
        if object.version > known {
            self.objects.insert(id.clone(), object);
        }
    }

    /// The object of one's own deletion is gone at once.
    pub fn absorb_deletion(&mut self, id: &Id) {
        if let Some(object) = self.objects.remove(id) {
            self.gone.insert(id.clone(), object.version);
        }
    }

    /// A pod of one's own eviction is on its way out at once, whatever older news say of it.
    pub fn absorb_eviction(&mut self, id: &Id) {
        if let Some(held) = self.objects.get_mut(id) {
            leave(held);
            self.leaving.insert(held.uid().to_owned());
        }
    }

    pub fn get(&self, id: &Id) -> Option<&Object> {
        self.objects.get(id)
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Id, &Object)> {
        self.objects
            .range(Id::new(kind, "")..)
            .take_while(move |(id, _)| id.kind == kind)
    }

    fn rollouts(&self) -> impl Iterator<Item = &Rollout> {
        self.of_kind(Kind::Rollout)
            .filter_map(|(_, object)| object.rollout().map(AsRef::as_ref))
    }

    /// The Rollout and what its planner wants to see, as the shell collects it (`src/observe`).
    pub fn snapshot(&self, rollout: &Arc<Rollout>) -> RolloutSnapshot {
        let wanted = references(rollout);
        let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
        let prefix = format!("{}-", rollout.metadata.name.as_deref().unwrap_or_default());
        let owned = |id: &Id, object: &Object| match object.controller() {
            Some(owner) => owner.uid == uid || id.name.starts_with(&prefix),
            None => true,
        };
        let mut snapshot = RolloutSnapshot {
            rollout: rollout.clone(),
            digest: None,
            replica_sets: Vec::new(),
            pods: Vec::new(),
            services: BTreeMap::new(),
            analysis_runs: Vec::new(),
            experiments: Vec::new(),
            templates: TemplateSet::default(),
            objects: BTreeMap::new(),
            workload: None,
            workload_users: workload_users(rollout, self.rollouts()),
            inbox: Inbox::default(),
        };
        for (id, object) in &self.objects {
            match &object.body {
                Body::ReplicaSet(set) if owned(id, object) => {
                    snapshot.replica_sets.push(set.clone());
                }
                Body::Pod(pod) => snapshot.pods.push(pod.clone()),
                Body::Service(service) if wanted.services.contains(&*id.name) => {
                    snapshot
                        .services
                        .insert(id.name.to_string(), service.clone());
                }
                Body::AnalysisRun(run) if owned(id, object) => {
                    snapshot.analysis_runs.push(run.clone());
                }
                Body::Experiment(experiment) if owned(id, object) => {
                    snapshot.experiments.push(experiment.clone());
                }
                Body::AnalysisTemplate(template) => {
                    let name = id.name.to_string();
                    snapshot.templates.namespaced.insert(name, template.clone());
                }
                Body::HttpRoute(route) | Body::Ingress(route) => {
                    let key = id.key();
                    let may_be_owned = || {
                        let kind = (key.api_version.clone(), key.kind.clone());
                        wanted.owned_kinds.contains(&kind)
                    };
                    let owned = object.controller_uid() == Some(uid) && may_be_owned();
                    if owned || wanted.objects.contains(&key) {
                        snapshot.objects.insert(key, route.clone());
                    }
                }
                Body::Deployment(_) if wanted.workload == Some(id.key()) => {
                    snapshot.workload = Some(Arc::new(object.json()));
                }
                _ => {}
            }
        }
        if !needs_pods(&wanted, &snapshot.replica_sets) {
            snapshot.pods.clear();
        }
        snapshot
    }

    /// The status that the view shows of a Rollout.
    pub fn status(&self, id: &Id) -> Option<&RolloutStatus> {
        self.get(id)?.rollout()?.status.as_ref()
    }
}

fn leave(object: &mut Object) {
    if let Body::Pod(pod) = &mut object.body {
        let metadata = &mut Arc::make_mut(pod).metadata;
        metadata.deletion_timestamp = metadata.creation_timestamp.clone();
    }
}
