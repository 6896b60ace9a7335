//! Passes of the controller: what it sees, and what is done about it.

use super::objects::World;
use super::patches::{json_patch, merge_patch};
use super::{NAMESPACE, parse};
use api::{AnalysisRun, Experiment, Rollout, RolloutStatus};
use engine::config::Config;
use engine::rollout;
use engine::snapshot::{Inbox, RolloutSnapshot, needs_pods, references, workload_users};
use plan::{Action, Next, ObjectKey, PatchKind, Plan, Release};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

impl World {
    pub(crate) fn snapshot(&self) -> RolloutSnapshot {
        let rollout: Rollout = serde_json::from_value(self.rollout().clone()).unwrap();
        let refs = references(&rollout);
        let typed = |kind: &str| -> Vec<Value> {
            self.keys(kind)
                .iter()
                .map(|key| self.objects[key].clone())
                .collect()
        };
        let owned = |kind: &str| {
            let uid = rollout.metadata.uid.as_deref();
            let mut keys = self.keys(kind);
            keys.retain(|key| {
                let owner = self.objects[key].pointer("/metadata/ownerReferences/0/uid");
                owner.and_then(Value::as_str) == uid
            });
            keys
        };
        let owned = refs.owned_kinds.iter().flat_map(|(_, kind)| owned(kind));
        let keys: BTreeSet<ObjectKey> = refs.objects.iter().cloned().chain(owned).collect();
        let objects = keys
            .into_iter()
            .filter_map(|key| Some((key.clone(), Arc::new(self.objects.get(&key)?.clone()))))
            .collect();
        let services = refs
            .services
            .iter()
            .filter_map(|name| {
                let key = ObjectKey::namespaced("v1", "Service", NAMESPACE, name);
                let service = serde_json::from_value(self.objects.get(&key)?.clone()).unwrap();
                Some((name.clone(), Arc::new(service)))
            })
            .collect();
        let workload = refs.workload.as_ref().and_then(|key| {
            let key = ObjectKey::namespaced(&key.api_version, &key.kind, NAMESPACE, &key.name);
            self.objects.get(&key).cloned().map(Arc::new)
        });
        let all = parse::<Rollout>(typed("Rollout"));
        let replica_sets = parse(typed("ReplicaSet"));
        RolloutSnapshot {
            digest: None,
            workload_users: workload_users(&rollout, all.iter().map(AsRef::as_ref)),
            rollout: Arc::new(rollout),
            pods: if needs_pods(&refs, &replica_sets) {
                parse(typed("Pod"))
            } else {
                Vec::new()
            },
            replica_sets,
            services,
            analysis_runs: parse::<AnalysisRun>(typed("AnalysisRun")),
            experiments: parse::<Experiment>(typed("Experiment")),
            templates: self.templates(),
            objects,
            workload,
            inbox: Inbox::default(),
        }
    }

    /// One pass: plan, act, store the status. Whether anything changed.
    pub(crate) fn reconcile(&mut self) -> bool {
        let before = self.version_of_world();
        let snapshot = self.snapshot();
        let config = Config::default();
        let plan = rollout::plan(&snapshot, &config, self.now);
        if self.plans_twice {
            let again = rollout::plan(&snapshot, &config, self.now);
            assert_eq!(plan, again, "planning twice gives two plans");
        }
        self.wake = match plan.next {
            Next::At(at) => Some(at),
            Next::OnChange => None,
        };
        let key = self.rollout_key();
        let uid = snapshot.rollout.metadata.uid.clone().unwrap();
        if let Some(patch) = &plan.root.patch {
            self.user_patch(&key, patch);
        }
        for action in &plan.actions {
            if self.crash_after == Some(self.actions_done) {
                self.crash_after = None;
                return true;
            }
            self.actions_done += 1;
            let before = self.violations();
            // Weights between services that lead to the same pods move no requests. A rule for a
            // header does.
            let canary = self.selected("canary");
            let is_shared = canary.is_some() && canary == self.selected("stable");
            let is_of_route =
                matches!(action, Action::Patch { target, .. } if target.kind == "HTTPRoute");
            self.act(action, &uid);
            if let Action::Patch { target, .. } = action {
                self.turned &= target.kind != "HTTPRoute";
            }
            let after = self.violations();
            let new: Vec<_> = after.difference(&before).collect();
            let is_of_header = new.iter().any(|told| told.starts_with("a header"));
            assert!(
                new.is_empty() || (is_shared && is_of_route && !is_of_header),
                "{action:?} breaks the rules: {new:?} {:?}",
                self.sizes()
            );
        }
        if self.crash_after == Some(self.actions_done) {
            // Between the last action and the status.
            self.crash_after = None;
            return true;
        }
        let mut object = self.objects[&key].clone();
        object["status"] = serde_json::to_value(&plan.status).unwrap();
        self.store(&key, object);
        for release in &plan.releases {
            if let Release::Event {
                kind,
                reason,
                message,
                ..
            } = release
            {
                let event = (
                    kind.as_str().to_owned(),
                    (*reason).to_owned(),
                    message.clone(),
                );
                self.events.insert(event);
            }
        }
        self.last_plan = Some(plan);
        self.version_of_world() != before
    }

    /// A pass whose status is refused: somebody else's write was faster.
    pub(crate) fn reconcile_without_status(&mut self) {
        self.crash_after = Some(self.actions_done + self.plan().actions.len());
        self.reconcile();
    }

    /// What the planner wants right now, without carrying it out.
    pub(crate) fn plan(&self) -> Plan<RolloutStatus> {
        rollout::plan(&self.snapshot(), &Config::default(), self.now)
    }

    /// `planner` is the uid of the object that was planned.
    pub(crate) fn act(&mut self, action: &Action, planner: &str) {
        match action.deed() {
            Action::Create { object } => {
                let _ = self.create((**object).clone());
            }
            Action::Patch {
                target,
                kind,
                patch,
                guard,
                ..
            } => {
                let Some(live) = self.objects.get(target) else {
                    panic!("{target} is patched but does not exist");
                };
                if let Some(version) = &guard.resource_version {
                    let live_version = live["metadata"]["resourceVersion"].as_str();
                    assert_eq!(Some(version.as_str()), live_version, "guard of {target}");
                }
                let mut object = live.clone();
                match kind {
                    PatchKind::Merge => merge_patch(&mut object, patch),
                    PatchKind::Json => json_patch(&mut object, patch),
                    PatchKind::Strategic => panic!("no strategic patches here"),
                }
                self.store(target, object);
            }
            Action::Delete { target, .. } => {
                let owned = self.objects[target]
                    .pointer("/metadata/ownerReferences/0/uid")
                    .cloned();
                assert_eq!(
                    owned.as_ref().and_then(Value::as_str),
                    Some(planner),
                    "{target} is not ours to delete"
                );
                self.remove(target);
            }
            // The executor takes a refusal for no failure.
            Action::Evict { .. } if self.refuses_evictions => {}
            Action::Evict { pod, .. } if self.is_protected(pod) => {}
            Action::Evict { pod, .. } => {
                self.objects.remove(pod);
                self.ready_at.remove(pod);
                self.evicted += 1;
            }
            Action::Apply { .. }
            | Action::Replace { .. }
            | Action::Attempt(_)
            | Action::Measure(_) => {
                panic!("a Rollout plan has no such action: {action:?}")
            }
        }
    }

    fn is_protected(&self, pod: &ObjectKey) -> bool {
        self.protected.iter().any(|hash| pod.name.contains(hash))
    }
}
