//! How a controller takes part in an election: the Lease, the durations, its own identity.

use api::constants::CONTROLLER_LOCK;
use std::time::Duration;

/// How much longer than planned a pause may be, so that several controllers do not ask in step.
pub(super) const JITTER: f64 = 0.2;

/// How to take part in an election.
#[derive(Clone, Debug)]
pub struct Election {
    /// Where the Lease is: the controller's own namespace.
    pub namespace: String,
    /// Name of the Lease.
    pub lease: String,
    /// What distinguishes this process from all others: see [`identity`].
    pub identity: String,
    pub timing: Timing,
    pub role: Role,
}

/// What the Lease is to a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It acts only while it holds the Lease.
    Candidate,
    /// It acts whoever holds the Lease (`--leader-elect=false`). It holds the Lease itself if
    /// nobody else does, so that others can see it; see `lookout.rs`.
    Unelected,
}

/// `--leader-election-lease-duration`, `-renew-deadline`, `-retry-period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a leader may be silent before another takes over.
    pub lease: Duration,
    /// How long a leader that can't renew goes on acting. Shorter than `lease`: it has stopped
    /// before another begins.
    pub renew: Duration,
    /// Between two looks at the Lease.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// Durations that can't keep two controllers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    #[error(
        "--leader-election-lease-duration ({lease:?}) must be longer than --leader-election-renew-deadline ({renew:?}): a leader has to stop before another begins"
    )]
    Lease { lease: Duration, renew: Duration },
    #[error(
        "--leader-election-renew-deadline ({renew:?}) must be longer than 1.2 times --leader-election-retry-period ({retry:?}): a leader needs time to renew"
    )]
    Renew { renew: Duration, retry: Duration },
    #[error(
        "--leader-election-retry-period must be longer than 0s: a shorter one would ask for the Lease without a pause"
    )]
    Retry,
    #[error(
        "--leader-election-lease-duration ({lease:?}) must be whole seconds, at least 1: a Lease holds no fractions"
    )]
    Fraction { lease: Duration },
}

impl Timing {
    /// # Errors
    /// When the durations can't keep two controllers apart.
    pub fn check(self) -> Result<Self, TimingError> {
        let Self {
            lease,
            renew,
            retry,
        } = self;
        if retry.is_zero() {
            return Err(TimingError::Retry);
        }
        if lease.as_secs() == 0 || lease.subsec_nanos() != 0 {
            return Err(TimingError::Fraction { lease });
        }
        if lease <= renew {
            return Err(TimingError::Lease { lease, renew });
        }
        if renew <= retry.mul_f64(1.0 + JITTER) {
            return Err(TimingError::Renew { renew, retry });
        }
        Ok(self)
    }
}

impl Election {
    /// The peer's lock, one for each instance id (rollouts.md §9.3).
    pub fn lease_name(instance_id: Option<&str>) -> String {
        match instance_id {
            Some(id) if !id.is_empty() => format!("{CONTROLLER_LOCK}-{id}"),
            _ => CONTROLLER_LOCK.to_owned(),
        }
    }
}

/// `<hostname>_<uuid>`, as the peer: the host for people, the rest so that no two are equal.
pub fn identity(host: &str, random: u128) -> String {
    // Version 4, variant 1 (RFC 9562).
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &hex[part]);
    format!("{host}_{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_the_peers() {
        assert_eq!(Election::lease_name(None), "argo-rollouts-controller-lock");
        let of_id = Election::lease_name(Some("blue"));
        assert_eq!(of_id, "argo-rollouts-controller-lock-blue");
    }

    #[test]
    fn an_identity_is_a_host_and_a_uuid() {
        let all = identity("pod-1", u128::MAX);
        assert_eq!(all, "pod-1_ffffffff-ffff-4fff-bfff-ffffffffffff");
        let none = identity("pod-1", 0);
        assert_eq!(none, "pod-1_00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn durations_that_would_let_two_lead_are_refused() {
        let seconds = Duration::from_secs;
        let good = Timing::default();
        assert_eq!(good.check(), Ok(good));
        let equal = Timing {
            renew: seconds(15),
            ..good
        };
        assert!(matches!(equal.check(), Err(TimingError::Lease { .. })));
        let hasty = Timing {
            retry: seconds(9),
            ..good
        };
        assert!(matches!(hasty.check(), Err(TimingError::Renew { .. })));
        let split = Timing {
            lease: Duration::from_millis(15_500),
            ..good
        };
        assert!(matches!(split.check(), Err(TimingError::Fraction { .. })));
        let idle = Timing {
            retry: Duration::ZERO,
            ..good
        };
        assert_eq!(idle.check(), Err(TimingError::Retry));
    }
}
