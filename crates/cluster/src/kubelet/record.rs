//! What the kubelet remembers of a pod between two steps.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec};

/// One pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub address: Address,
    pub started: Timestamp,
    pub init: Vec<ContainerRecord>,
    pub containers: Vec<ContainerRecord>,
    /// The stop sequence has begun.
    pub stopping: bool,
}

/// The pod's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    None,
    Asked,
    RetryAt(Timestamp),
    Have(IpAddr),
}

/// One container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerRecord {
    pub name: String,
    pub image: Image,
    pub state: State,
    /// How its last life ended.
    pub last: Option<Terminated>,
    pub restarts: i32,
    /// Delay before the next restart, 0 for the first.
    pub backoff_s: i64,
    /// The startup probe has passed, or there is none.
    pub started: bool,
    pub ready: bool,
    pub startup: ProbeRecord,
    pub liveness: ProbeRecord,
    pub readiness: ProbeRecord,
    /// When the preStop hook is over; the far future while an HTTP hook runs.
    pub pre_stop_until: Option<Timestamp>,
    /// The stop signal was sent; to be killed at that time.
    pub kill_at: Option<Timestamp>,
}

/// The container's image.
#[derive(Clone, Debug, PartialEq)]
pub enum Image {
    Unknown,
    Pulling,
    Present,
    Failed {
        reason: &'static str,
        message: String,
        at: Timestamp,
        retry_at: Timestamp,
        backoff_s: i64,
    },
}

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Waiting,
    Starting,
    Running { since: Timestamp },
    Terminated(Terminated),
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Terminated {
    pub code: i32,
    pub message: Option<String>,
    pub started: Timestamp,
    pub finished: Timestamp,
}

/// One probe of one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeRecord {
    pub due: Option<Timestamp>,
    pub in_flight: bool,
    pub successes: i32,
    pub failures: i32,
}

impl Record {
    /// A pod that was just bound. A status that is already there (the node restarted) lends its
    /// restart counts.
    pub fn new(pod: &Pod, spec: &PodSpec, now: Timestamp) -> Self {
        let status = pod.status.as_ref();
        let restarts = |name: &str| {
            let main = status.and_then(|status| status.container_statuses.as_ref());
            let init = status.and_then(|status| status.init_container_statuses.as_ref());
            let mut all = main.into_iter().flatten().chain(init.into_iter().flatten());
            all.find(|status| status.name == name)
                .map_or(0, |status| status.restart_count)
        };
        let fresh = |name: &String| ContainerRecord::new(name, restarts(name));
        let started = status
            .and_then(|status| status.start_time.as_ref())
            .map_or(now, |time| time.0);
        Self {
            address: Address::None,
            started,
            init: spec
                .init_containers
                .iter()
                .flatten()
                .map(|c| fresh(&c.name))
                .collect(),
            containers: spec.containers.iter().map(|c| fresh(&c.name)).collect(),
            stopping: false,
        }
    }

    /// One container, init or not.
    pub fn find(&self, name: &str) -> Option<&ContainerRecord> {
        self.init
            .iter()
            .chain(&self.containers)
            .find(|record| record.name == name)
    }

    /// The same, to change.
    pub fn container(&mut self, name: &str) -> Option<&mut ContainerRecord> {
        self.init
            .iter_mut()
            .chain(&mut self.containers)
            .find(|record| record.name == name)
    }
}

impl ContainerRecord {
    fn new(name: &str, restarts: i32) -> Self {
        Self {
            name: name.to_owned(),
            image: Image::Unknown,
            state: State::Waiting,
            last: None,
            restarts,
            backoff_s: 0,
            started: false,
            ready: false,
            startup: ProbeRecord::default(),
            liveness: ProbeRecord::default(),
            readiness: ProbeRecord::default(),
            pre_stop_until: None,
            kill_at: None,
        }
    }

    /// Starting or running.
    pub fn is_alive(&self) -> bool {
        matches!(self.state, State::Starting | State::Running { .. })
    }
}
