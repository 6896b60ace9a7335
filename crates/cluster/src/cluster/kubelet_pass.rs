//! The kubelet's part of a round.
//!
//! A pod is stepped until the runtime has no more facts for this instant, and only then written: of
//! several statuses of one instant the last one counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apiserver::ApiServer;
use jiff::Timestamp;

use super::{Cluster, Controller};
use crate::queue::Key;
use crate::runtime::{Command, What};
use crate::view::Touched;
use crate::{Step, kubelet, meta, pods};

impl Cluster {
    /// Facts that wait mark their pods.
    pub(super) fn route_facts(&mut self, now: Timestamp) {
        for fact in self.runtime.take(now) {
            if let Some(key) = self.view.pod_keys.get(&fact.uid).cloned() {
                self.facts.entry(fact.uid).or_default().push(fact.what);
                self.mark(Controller::Kubelet, key);
            }
        }
    }

    pub(super) fn kubelet_pass(&mut self, api: &ApiServer, keys: BTreeSet<Key>, now: Timestamp) {
        let mut pending = keys;
        let mut steps: BTreeMap<Key, Step> = BTreeMap::new();
        while !pending.is_empty() {
            for key in std::mem::take(&mut pending) {
                match self.kubelet_step(&key, now) {
                    Some(step) => steps.entry(key).or_default().supersede(step),
                    None => self.forget(Controller::Kubelet, &key),
                }
            }
            self.route_facts(now);
            pending = self.queue(Controller::Kubelet).take(now);
        }
        for (key, step) in steps {
            self.carry_out(api, &(Controller::Kubelet, key), &step, now);
        }
    }

    fn kubelet_step(&mut self, key: &Key, now: Timestamp) -> Option<Step> {
        let pod = Arc::clone(self.view.pods.get(key)?);
        let node = pods::node(&pod);
        if !node.is_empty() && !self.nodes.iter().any(|own| own == node) {
            return None;
        }
        let uid = meta::uid(&pod.metadata);
        let facts: Vec<What> = self.facts.remove(uid).unwrap_or_default();
        let record = self.records.remove(uid);
        let outcome = kubelet::step(&pod, record, &facts, super::HOST, now);
        if let Some(record) = outcome.record {
            self.records.insert(uid.to_owned(), record);
        }
        for command in outcome.commands {
            self.runtime.run(&pod, command, now);
        }
        Some(outcome.step)
    }

    /// A pod that is gone from the store, by whatever way, runs no more.
    pub(super) fn pod_is_gone(&mut self, touched: &Touched) {
        let Some(pod) = &touched.old_pod else { return };
        self.facts.remove(&touched.uid);
        if let Some(record) = self.records.remove(&touched.uid) {
            let now = Timestamp::MIN;
            for container in record.init.iter().chain(&record.containers) {
                if container.is_alive() {
                    let container = container.name.clone();
                    self.runtime.run(pod, Command::Kill { container }, now);
                }
            }
            self.runtime.run(pod, Command::Remove, now);
        }
    }
}
