//! What a step wants: writes against the API, and when to be asked again.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

/// Group, version and kind of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub group: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
}

impl Kind {
    pub const POD: Self = Self::of("", "v1", "Pod");
    pub const SERVICE: Self = Self::of("", "v1", "Service");
    pub const ENDPOINTS: Self = Self::of("", "v1", "Endpoints");
    pub const NODE: Self = Self::of("", "v1", "Node");
    pub const NAMESPACE: Self = Self::of("", "v1", "Namespace");
    pub const EVENT: Self = Self::of("", "v1", "Event");
    pub const SERVICE_ACCOUNT: Self = Self::of("", "v1", "ServiceAccount");
    pub const REPLICA_SET: Self = Self::of("apps", "v1", "ReplicaSet");
    pub const DEPLOYMENT: Self = Self::of("apps", "v1", "Deployment");
    pub const JOB: Self = Self::of("batch", "v1", "Job");
    pub const POD_DISRUPTION_BUDGET: Self = Self::of("policy", "v1", "PodDisruptionBudget");
    pub const ENDPOINT_SLICE: Self = Self::of("discovery.k8s.io", "v1", "EndpointSlice");

    /// A kind known at compile time.
    pub const fn of(group: &'static str, version: &'static str, kind: &'static str) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            kind: Cow::Borrowed(kind),
        }
    }

    /// `apiVersion` as it is written in an object: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// One object to write to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub kind: Kind,
    pub namespace: Option<String>,
    pub name: String,
    /// Precondition: an object of the same name that was made later is another object.
    pub uid: Option<String>,
}

impl Target {
    /// The object behind `metadata` of the given kind.
    pub fn of(
        kind: Kind,
        metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    ) -> Self {
        Self {
            kind,
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone(),
        }
    }
}

/// How the dependents of a deleted object go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// An Event to record about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    pub regarding: Target,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    pub reason: &'static str,
    pub message: String,
    /// The component that reports, e.g. `kubelet`.
    pub source: &'static str,
}

/// One write against the API.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Creates an object; `metadata.generateName` is resolved by the server.
    Create {
        kind: Kind,
        object: Value,
    },
    /// Replaces an object with optimistic concurrency (`metadata.resourceVersion` of `object`),
    /// whole or one subresource.
    Update {
        kind: Kind,
        object: Value,
        subresource: Option<&'static str>,
    },
    /// JSON merge patch.
    Merge {
        target: Target,
        patch: Value,
    },
    /// Strategic merge patch of the status subresource.
    StrategicStatus {
        target: Target,
        patch: Value,
    },
    /// Assigns a pod to a node.
    Bind {
        target: Target,
        node: String,
    },
    /// `grace_s` and `propagation` as in DeleteOptions; the uid of the target is a precondition.
    Delete {
        target: Target,
        grace_s: Option<i64>,
        propagation: Option<Propagation>,
    },
    Event(EventNote),
}

/// What a step function answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// In order; the executor stops a step's writes at the first that fails.
    pub writes: Vec<Write>,
    /// When time alone changes the answer; `None` = only a change of an object does.
    pub next: Option<Timestamp>,
}

impl Step {
    /// Asks to be called again at `at`, or earlier if already asked so.
    pub fn wake(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Takes in a later step of the same instant: Events add up; of all other writes, and of the
    /// times, those of the later step hold.
    pub fn supersede(&mut self, later: Self) {
        let is_event = |write: &Write| matches!(write, Write::Event(_));
        self.writes.retain(is_event);
        let (events, writes): (Vec<_>, Vec<_>) = later.writes.into_iter().partition(is_event);
        self.writes.extend(events);
        self.writes.extend(writes);
        self.next = later.next;
    }
}

/// The last write of a controller that the server refused, which some report in their status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The condition reason: `FailedCreate` or `FailedDelete`.
    pub reason: &'static str,
    pub message: String,
    /// Not to be tried again before.
    pub retry_at: Timestamp,
}
