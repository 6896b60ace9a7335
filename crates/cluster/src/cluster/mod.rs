//! The controllers on an API server.

mod kubelet_pass;
mod passes;
mod recorder;
mod watch;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use apiserver::ApiServer;
use jiff::Timestamp;

use crate::queue::{Key, Queue};
use crate::runtime::{Delays, Runtime, Simulated};
use crate::view::View;
use crate::{Failure, Kind, Step, Write, act, kubelet, meta};

/// Settings of a [`Cluster`].
#[derive(Debug)]
pub struct Options {
    /// Nodes to register; none = no pod ever runs.
    pub nodes: Vec<String>,
    /// Record Events. They are most of the writes of a large cluster.
    pub events: bool,
    /// How long an Event is kept after it was last written, seconds, whoever wrote it; `None` = for
    /// ever.
    pub event_ttl_s: Option<i64>,
    pub runtime: Box<dyn Runtime>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: vec!["weir-1".to_owned()],
            events: true,
            event_ttl_s: None,
            runtime: Box::new(Simulated::new(Delays::default())),
        }
    }
}

/// The controllers, in the order in which they run within a round. Endpoints come before those that
/// report readiness: who sees a ReplicaSet ready finds its pods in the slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Controller {
    Namespace,
    Scheduler,
    Kubelet,
    Endpoints,
    LoadBalancer,
    Deployment,
    ReplicaSet,
    Job,
    Disruption,
    Garbage,
    /// The end of Events, which the real store lets expire by itself.
    Expiry,
}

const CONTROLLERS: [Controller; 11] = [
    Controller::Namespace,
    Controller::Scheduler,
    Controller::Kubelet,
    Controller::Endpoints,
    Controller::LoadBalancer,
    Controller::Deployment,
    Controller::ReplicaSet,
    Controller::Job,
    Controller::Disruption,
    Controller::Garbage,
    Controller::Expiry,
];

/// One object of one controller.
type Work = (Controller, Key);

/// The address of every node: they are all this machine.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Rounds per tick; a cluster that is not at rest by then goes on in the next tick, so that its
/// owner is never shut out.
const ROUNDS: usize = 1_000;
/// First delay after a refused write, doubled up to the second.
const RETRY_S: i64 = 1;
const RETRY_MAX_S: i64 = 60;

/// The rest of a cluster around one [`ApiServer`]. See the crate's documentation.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<String>,
    events: bool,
    event_ttl_s: Option<i64>,
    recorder: recorder::Recorder,
    runtime: Box<dyn Runtime>,
    /// The revision that the view shows; `None` = nothing was read yet.
    revision: Option<u64>,
    view: View,
    queues: BTreeMap<Controller, Queue>,
    /// The kubelet's memory, by pod uid.
    records: BTreeMap<String, kubelet::Record>,
    /// Facts of the runtime that no step has seen yet, by pod uid.
    facts: BTreeMap<String, Vec<crate::runtime::What>>,
    /// Refused writes and their count, by controller and object.
    failures: BTreeMap<Work, (Failure, u32)>,
}

impl Cluster {
    /// A cluster that has seen nothing yet. Nodes are registered by the first tick.
    pub fn new(options: Options) -> Self {
        Self {
            nodes: options.nodes,
            events: options.events,
            event_ttl_s: options.event_ttl_s,
            recorder: recorder::Recorder::default(),
            runtime: options.runtime,
            revision: None,
            view: View::default(),
            queues: CONTROLLERS.iter().map(|c| (*c, Queue::default())).collect(),
            records: BTreeMap::new(),
            facts: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Does everything that is to be done now. Answers when it wants to be called again if nothing
    /// changes before; call it also when the server's revision has moved, or the runtime has news.
    pub fn tick(&mut self, api: &ApiServer) -> Option<Timestamp> {
        let now = api.now();
        if self.revision.is_none() {
            self.register_nodes(api);
        }
        for _ in 0..ROUNDS {
            self.watch(api);
            self.route_facts(now);
            if !self.round(api, now) {
                return self.next();
            }
        }
        Some(now)
    }

    /// The revision that was seen last; 0 before the first tick. A server beyond it has news.
    pub fn revision(&self) -> u64 {
        self.revision.unwrap_or(0)
    }

    /// The runtime, e.g. to read addresses from.
    pub fn runtime_mut(&mut self) -> &mut dyn Runtime {
        &mut *self.runtime
    }

    /// One pass over all controllers; `false` = there was nothing to do.
    fn round(&mut self, api: &ApiServer, now: Timestamp) -> bool {
        let mut worked = false;
        for controller in CONTROLLERS {
            let keys = self.queue(controller).take(now);
            worked |= !keys.is_empty();
            match controller {
                Controller::Kubelet => self.kubelet_pass(api, keys, now),
                Controller::Scheduler => self.schedule(api, keys, now),
                _ => {
                    for key in keys {
                        let step = self.step(api, (controller, &key), now);
                        self.carry_out(api, &(controller, key), &step, now);
                    }
                }
            }
        }
        worked
    }

    fn queue(&mut self, controller: Controller) -> &mut Queue {
        self.queues.entry(controller).or_default()
    }

    fn mark(&mut self, controller: Controller, key: Key) {
        self.queue(controller).mark(key);
    }

    fn next(&self) -> Option<Timestamp> {
        let times = self.queues.values().filter_map(Queue::next);
        times.chain(self.runtime.next()).min()
    }

    /// Applies a step's writes up to the first that fails, and remembers when to come back.
    fn carry_out(&mut self, api: &ApiServer, work: &Work, step: &Step, now: Timestamp) {
        let (controller, key) = work;
        self.queue(*controller).set_time(key, step.next);
        for write in &step.writes {
            let told = self.tells(write, now);
            match act::write(api, write, told) {
                act::Outcome::Done { name } => {
                    self.note_creation(api, work, (write, name.as_str()), now);
                }
                // The change that made it stale comes with the next watch; a lost race must not be
                // the last word.
                act::Outcome::Stale => {
                    let retry = meta::after(now, RETRY_S);
                    let at = step.next.map_or(retry, |next| next.min(retry));
                    self.queue(*controller).set_time(key, Some(at));
                    return;
                }
                act::Outcome::Refused(status) => {
                    self.refused(api, work, (write, &status), now);
                    return;
                }
            }
        }
        // The retry went through; one more step takes back what the status says about it.
        let held = self.failures.get(work);
        if held.is_some_and(|(failure, _)| failure.retry_at <= now) {
            self.failures.remove(work);
            self.mark(*controller, key.clone());
        }
    }

    fn refused(
        &mut self,
        api: &ApiServer,
        work: &Work,
        (write, status): (&Write, &apiserver::Status),
        now: Timestamp,
    ) {
        let (controller, key) = work;
        if is_ending(status) {
            // Nothing comes into a namespace that ends: what wants to be made there goes soon
            // itself.
            return;
        }
        if status.reason == "AlreadyExists" && !is_generated(write) {
            // Someone else made it: the watch shows it, and the next step takes it from there.
            self.queue(*controller)
                .set_time(key, Some(meta::after(now, RETRY_S)));
            return;
        }
        let count = self.failures.get(work).map_or(0, |(_, count)| *count);
        let delay_s = (RETRY_S << count.min(16)).min(RETRY_MAX_S);
        let (reason, verb) = match write {
            Write::Delete { .. } => ("FailedDelete", "deleting"),
            _ => ("FailedCreate", "creating"),
        };
        if matches!(write, Write::Delete { .. } | Write::Create { .. }) {
            let message = format!("Error {verb}: {}", status.message);
            self.note_of_owner(api, work, ("Warning", reason, message), now);
        }
        let retry_at = meta::after(now, delay_s);
        let failure = Failure {
            reason,
            message: status.message.clone(),
            retry_at,
        };
        self.failures.insert(work.clone(), (failure, count + 1));
        self.queue(*controller).set_time(key, Some(retry_at));
        if matches!(controller, Controller::ReplicaSet | Controller::Job) {
            // The condition is shown at once; the step itself waits for the retry.
            self.mark(*controller, key.clone());
        }
    }

    fn failure(&self, controller: Controller, key: &Key) -> Option<&Failure> {
        self.failures
            .get(&(controller, key.clone()))
            .map(|(failure, _)| failure)
    }

    fn forget(&mut self, controller: Controller, key: &Key) {
        self.failures.remove(&(controller, key.clone()));
        self.queue(controller).set_time(key, None);
    }

    /// Whether a write is to be carried out if it is an Event.
    fn tells(&mut self, write: &Write, now: Timestamp) -> bool {
        match write {
            Write::Event(note) => self.events && self.recorder.admits(note, now),
            _ => self.events,
        }
    }

    /// `SuccessfulCreate` on the owner of a created pod.
    fn note_creation(
        &mut self,
        api: &ApiServer,
        work: &Work,
        (write, name): (&Write, &str),
        now: Timestamp,
    ) {
        if self.events && matches!(write, Write::Create { kind, .. } if *kind == Kind::POD) {
            let message = format!("Created pod: {name}");
            self.note_of_owner(api, work, ("Normal", "SuccessfulCreate", message), now);
        }
    }

    /// An Event, of this kind, reason and message, about the ReplicaSet or Job at work.
    fn note_of_owner(
        &mut self,
        api: &ApiServer,
        (controller, key): &Work,
        (kind, reason, message): (&'static str, &'static str, String),
        now: Timestamp,
    ) {
        let (owner, source, metadata) = match controller {
            Controller::ReplicaSet => {
                let live = self.view.replica_sets.get(key).map(|rs| &rs.metadata);
                (Kind::REPLICA_SET, "replicaset-controller", live)
            }
            Controller::Job => {
                let live = self.view.jobs.get(key).map(|job| &job.metadata);
                (Kind::JOB, "job-controller", live)
            }
            _ => return,
        };
        let Some(metadata) = metadata else { return };
        let note = Write::Event(crate::EventNote {
            regarding: crate::Target::of(owner, metadata),
            kind,
            reason,
            message,
            source,
        });
        let told = self.tells(&note, now);
        act::write(api, &note, told);
    }
}

/// Refused because the namespace is being deleted.
fn is_ending(status: &apiserver::Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

fn is_generated(write: &Write) -> bool {
    matches!(write, Write::Create { object, .. } if object["metadata"]["name"].as_str().is_none())
}

#[cfg(test)]
mod tests;
