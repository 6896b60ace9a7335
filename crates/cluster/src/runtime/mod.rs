//! What containers really do, behind the kubelet: commands go in, facts come out.

mod simulated;

use std::fmt::Debug;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};

pub use simulated::{Delays, Simulated, workload};

/// Which probe of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

/// What the kubelet wants done. `attempt` is the container's restart count: facts of an earlier
/// life are told apart by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Give the pod an address.
    Attach,
    /// Fetch a container's image.
    Pull {
        container: String,
    },
    Start {
        container: String,
        attempt: i32,
    },
    Probe {
        container: String,
        attempt: i32,
        kind: ProbeKind,
    },
    /// Run the HTTP hook before stopping.
    PreStop {
        container: String,
    },
    /// Ask to end (the stop signal), within `grace_s`.
    Stop {
        container: String,
        grace_s: i64,
    },
    /// End at once.
    Kill {
        container: String,
    },
    /// Forget the pod; its address is free again.
    Remove,
}

/// What has happened to a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    pub uid: String,
    pub what: What,
}

/// The content of a [`Fact`].
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Attached(IpAddr),
    /// No address could be had; asked again later.
    NotAttached(String),
    /// `Err`: the waiting reason (`ErrImagePull`, `InvalidImageName`) and the message.
    Pulled {
        container: String,
        result: Result<(), (&'static str, String)>,
    },
    Started {
        container: String,
        attempt: i32,
    },
    /// The container can't be started: exit code and message.
    NotStarted {
        container: String,
        attempt: i32,
        code: i32,
        message: String,
    },
    Exited {
        container: String,
        attempt: i32,
        code: i32,
    },
    Probed {
        container: String,
        attempt: i32,
        kind: ProbeKind,
        result: Result<(), String>,
    },
    PreStopped {
        container: String,
    },
}

/// Carries out what the kubelet wants, in its own time.
pub trait Runtime: Send + Debug {
    /// Accepts one command for a pod. Answers come through [`Runtime::take`], perhaps at once,
    /// perhaps later.
    fn run(&mut self, pod: &Pod, command: Command, now: Timestamp);

    /// The facts since the last call, in order.
    fn take(&mut self, now: Timestamp) -> Vec<Fact>;

    /// When the next fact comes due by time alone; `None` also when facts announce themselves
    /// otherwise.
    fn next(&self) -> Option<Timestamp>;

    /// Where the traffic of a LoadBalancer Service comes in.
    fn load_balancer(&mut self, service: &Service) -> Option<IpAddr>;
}
