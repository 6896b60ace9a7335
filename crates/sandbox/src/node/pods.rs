//! The pods of a node between two looks at them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use cluster::kubelet::{self, Record};
use cluster::runtime::{Command, Runtime, What};
use cluster::{Step, Write, meta};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;

use super::write::Done;
use crate::pods::Machine;

/// Delay after a failed write, doubled up to the second.
const RETRY_S: i64 = 1;
const RETRY_MAX_S: i64 = 30;
/// Rounds within one instant; what is left goes on in the next.
const ROUNDS: usize = 100;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Pods {
    machine: Machine,
    host: IpAddr,
    entries: BTreeMap<String, Entry>,
    /// During a list: the uids that it has named so far.
    listed: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    record: Option<Record>,
    facts: Vec<What>,
    next: Option<Timestamp>,
    /// Something was seen since the last step.
    dirty: bool,
    /// A write is under way: the next step waits for its answer.
    writing: bool,
    failures: u32,
}

impl Pods {
    pub(super) fn new(machine: Machine, host: IpAddr) -> Self {
        Self {
            machine,
            host,
            entries: BTreeMap::new(),
            listed: None,
        }
    }

    /// What the watch says.
    pub(super) fn see(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed = Some(BTreeSet::new()),
            Event::InitApply(pod) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(meta::uid(&pod.metadata).to_owned());
                }
                self.absorb(pod);
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let known: Vec<String> = self.entries.keys().cloned().collect();
                for uid in known.iter().filter(|uid| !listed.contains(*uid)) {
                    self.remove(uid);
                }
            }
            Event::Apply(pod) => self.absorb(pod),
            Event::Delete(pod) => self.remove(meta::uid(&pod.metadata)),
        }
    }

    /// A newer version of a pod, from the watch or as the answer to a write.
    fn absorb(&mut self, pod: Pod) {
        let version = |pod: &Pod| -> u64 {
            let text = pod.metadata.resource_version.as_deref();
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let uid = meta::uid(&pod.metadata).to_owned();
        if let Some(entry) = self.entries.get_mut(&uid) {
            if version(&pod) > version(&entry.pod) {
                entry.pod = Arc::new(pod);
                entry.dirty = true;
            }
            return;
        }
        let entry = Entry {
            pod: Arc::new(pod),
            record: None,
            facts: Vec::new(),
            next: None,
            dirty: true,
            writing: false,
            failures: 0,
        };
        self.entries.insert(uid, entry);
    }

    /// A pod that is gone, by whatever way, runs no more.
    fn remove(&mut self, uid: &str) {
        let Some(entry) = self.entries.remove(uid) else {
            return;
        };
        let Some(record) = entry.record else { return };
        for container in record.init.iter().chain(&record.containers) {
            if container.is_alive() {
                let container = container.name.clone();
                let kill = Command::Kill { container };
                self.machine.run(&entry.pod, kill, Timestamp::MIN);
            }
        }
        self.machine
            .run(&entry.pod, Command::Remove, Timestamp::MIN);
    }

    /// Steps whatever has news or is due, until nothing more happens at this instant; answers the
    /// writes of each pod.
    pub(super) fn advance(&mut self, now: Timestamp) -> Vec<(String, Vec<Write>)> {
        let mut steps: BTreeMap<String, Step> = BTreeMap::new();
        for _ in 0..ROUNDS {
            for fact in self.machine.take(now) {
                if let Some(entry) = self.entries.get_mut(&fact.uid) {
                    entry.facts.push(fact.what);
                    entry.dirty = true;
                }
            }
            let due = |entry: &Entry| {
                !entry.writing && (entry.dirty || entry.next.is_some_and(|next| next <= now))
            };
            let uids: Vec<String> = self
                .entries
                .iter()
                .filter(|(_, entry)| due(entry))
                .map(|(uid, _)| uid.clone())
                .collect();
            if uids.is_empty() {
                break;
            }
            for uid in uids {
                if let Some(step) = self.step(&uid, now) {
                    steps.entry(uid).or_default().supersede(step);
                }
            }
        }
        let mut todo = Vec::new();
        for (uid, step) in steps {
            if let Some(entry) = self.entries.get_mut(&uid)
                && !step.writes.is_empty()
            {
                entry.writing = true;
                todo.push((uid, step.writes));
            }
        }
        todo
    }

    fn step(&mut self, uid: &str, now: Timestamp) -> Option<Step> {
        let entry = self.entries.get_mut(uid)?;
        let facts = std::mem::take(&mut entry.facts);
        let outcome = kubelet::step(&entry.pod, entry.record.take(), &facts, self.host, now);
        entry.record = outcome.record;
        entry.dirty = false;
        entry.next = outcome.step.next.filter(|next| *next > now);
        let pod = Arc::clone(&entry.pod);
        for command in outcome.commands {
            self.machine.run(&pod, command, now);
        }
        Some(outcome.step)
    }

    /// A pod's writes have been answered.
    pub(super) fn written(&mut self, uid: &str, done: Done, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.writing = false;
            if done.failed {
                let delay_s = (RETRY_S << entry.failures.min(8)).min(RETRY_MAX_S);
                entry.failures += 1;
                let retry = meta::after(now, delay_s);
                entry.next = Some(entry.next.map_or(retry, |next| next.min(retry)));
            } else {
                entry.failures = 0;
            }
        }
        if let Some(pod) = done.pod {
            self.absorb(pod);
        }
    }

    /// When a step is due by time alone.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let idle = self.entries.values().filter(|entry| !entry.writing);
        idle.filter_map(|entry| entry.next).min()
    }
}
