//! The fault catalogue: what the machinery around the planner does wrong, and when.

use crate::ground::Harm;
use serde::{Deserialize, Serialize};

/// One thing that goes wrong. Calls are the controller's writes, counted from the beginning of the
/// world; times are virtual milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The process ends before its n-th call and is back after `down_ms`, with a list that is
    /// `stale_ms` old.
    CrashAfterAction {
        call: u32,
        down_ms: i64,
        stale_ms: i64,
    },
    /// As above, before the n-th status: everything but the status was done.
    CrashBeforeStatus {
        status: u32,
        down_ms: i64,
        stale_ms: i64,
    },
    /// The watch of one kind is silent for a while; what happened meanwhile arrives at once, and
    /// only its outcome is seen.
    SkipEvents { kind: u8, at_ms: i64, for_ms: i64 },
    /// The process begins again with what the world was like `stale_ms` ago.
    StaleView { at_ms: i64, stale_ms: i64 },
    /// The n-th call is refused as if somebody had been faster.
    Conflict409 { call: u32 },
    /// The n-th call is not answered in time; whether it was carried out is not known to the
    /// caller.
    Timeout { call: u32, applied: bool },
    /// The n-th call and those after it are told to wait.
    Throttle429 { call: u32, calls: u32 },
    /// The n-th call fails in a webhook.
    Webhook500 { call: u32 },
    /// Another process takes over, with a clock and a view of its own; what the first one had begun
    /// goes on to its end.
    LeaderChange { at_ms: i64 },
    /// The controller's clock is off by so much from then on.
    ClockSkew { at_ms: i64, by_ms: i64 },
    /// Pods are lost or stop answering.
    Pods { at_ms: i64, harm: Harm },
    /// A ReplicaSet (chosen by this number) is deleted, and its dependents keep it for a while.
    GcRace { set: u8, at_ms: i64, linger_ms: i64 },
    /// Evictions are refused between these moments.
    RefuseEvictions { at_ms: i64, for_ms: i64 },
    /// Evictions are refused from this moment on, until somebody puts everything right.
    ForbidEvictions { at_ms: i64 },
    /// No ReplicaSet is created between these moments: the API server calls it invalid (0), refuses
    /// it (1) or fails (2).
    RefuseSets { at_ms: i64, for_ms: i64, how: u8 },
    /// Every n-th write of the controller of Experiments is lost, and with it the rest of its pass.
    ExperimentsStumble { every: u32 },
}

impl Fault {
    /// When it strikes by itself; `None` for those that wait for a call.
    pub fn at_ms(&self) -> Option<i64> {
        match self {
            Self::CrashAfterAction { .. }
            | Self::CrashBeforeStatus { .. }
            | Self::Conflict409 { .. }
            | Self::Timeout { .. }
            | Self::Throttle429 { .. }
            | Self::Webhook500 { .. }
            | Self::ExperimentsStumble { .. } => None,
            Self::SkipEvents { at_ms, .. }
            | Self::StaleView { at_ms, .. }
            | Self::LeaderChange { at_ms }
            | Self::ClockSkew { at_ms, .. }
            | Self::Pods { at_ms, .. }
            | Self::GcRace { at_ms, .. }
            | Self::RefuseEvictions { at_ms, .. }
            | Self::ForbidEvictions { at_ms }
            | Self::RefuseSets { at_ms, .. } => Some(*at_ms),
        }
    }
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Carried,
    /// Refused with nothing done.
    Refused,
    /// Carried out, but the caller hears nothing.
    Lost,
    Crash {
        down_ms: i64,
        stale_ms: i64,
    },
}

/// What the faults say of the n-th call (the n-th status, if it is one).
pub fn of_call(faults: &[Fault], call: u32, status: Option<u32>) -> Call {
    for fault in faults {
        match fault {
            Fault::CrashAfterAction {
                call: at,
                down_ms,
                stale_ms,
            } if *at == call => return crash(*down_ms, *stale_ms),
            Fault::CrashBeforeStatus {
                status: at,
                down_ms,
                stale_ms,
            } if Some(*at) == status => return crash(*down_ms, *stale_ms),
            Fault::Conflict409 { call: at } | Fault::Webhook500 { call: at } if *at == call => {
                return Call::Refused;
            }
            Fault::Timeout { call: at, applied } if *at == call => {
                return if *applied { Call::Lost } else { Call::Refused };
            }
            Fault::Throttle429 { call: at, calls } if (*at..at + calls).contains(&call) => {
                return Call::Refused;
            }
            _ => {}
        }
    }
    Call::Carried
}

/// Whether the n-th write of the controller of Experiments is lost; n is from 1.
pub fn stumbles(faults: &[Fault], write: u32) -> bool {
    let mut every = faults.iter().filter_map(|fault| match fault {
        Fault::ExperimentsStumble { every } => Some(*every),
        _ => None,
    });
    every.any(|every| write.is_multiple_of(every.max(2)))
}

const fn crash(down_ms: i64, stale_ms: i64) -> Call {
    Call::Crash { down_ms, stale_ms }
}
