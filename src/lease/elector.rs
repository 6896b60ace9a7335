//! The loop that holds the Lease, or waits for it.

use super::decide::{Decision, Record, Seen, decide};
use super::leadership::Leadership;
use crate::clock::Clock;
use crate::error::{chain, code_of};
use api::constants::CONTROLLER_LOCK;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How much longer than `retry` a pause may be, so that several controllers do not ask in step.
const JITTER: f64 = 0.2;
/// As client-go writes when it lets go: the field must be positive.
const RELEASED_S: i32 = 1;
/// How long giving the Lease back may take.
const RELEASE_MAX: Duration = Duration::from_secs(5);

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
    #[error("--leader-election-retry-period must not be zero")]
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

/// Takes part in the election until `resign`, and then gives the Lease back if it is ours.
pub async fn elect(
    client: Client,
    election: Election,
    clock: Clock,
    leadership: Leadership,
    resign: CancellationToken,
) {
    let mut elector = Elector {
        api: Api::namespaced(client, &election.namespace),
        election,
        clock,
        leadership,
        seen: None,
        newest: Newest::default(),
        trouble: String::new(),
        followed: String::new(),
    };
    loop {
        let pause = elector.round().await;
        tokio::select! {
            () = resign.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    elector.release().await;
}

struct Elector {
    api: Api<Lease>,
    election: Election,
    clock: Clock,
    leadership: Leadership,
    /// The Lease as it was last, and since when; `None` if it has to be read.
    seen: Option<(Lease, Seen)>,
    newest: Newest,
    /// The last trouble that was logged, and the last holder: the same is not logged again and
    /// again.
    trouble: String,
    followed: String,
}

/// The version of the Lease that was seen last.
#[derive(Debug, Default)]
struct Newest(u64);

impl Newest {
    /// Takes note of a version, and says whether it is older than the one before.
    fn goes_back(&mut self, version: u64) -> bool {
        version < std::mem::replace(&mut self.0, version)
    }
}

/// What a round that could not be finished says.
enum Failed {
    /// Somebody wrote in between: read again.
    Conflict,
    Api(kube::Error),
}

impl Elector {
    /// One look at the Lease, and what follows from it; the pause before the next.
    async fn round(&mut self) -> Duration {
        self.leadership.beat();
        let started = Instant::now();
        let timing = self.election.timing;
        // A leader has until its time is up, and then stops; another loses nothing by trying on.
        let left = self.leadership.until().map(|until| until - started);
        // One that is not answered must leave time for another.
        let limit = left.map_or(timing.renew, |left| left.min(timing.renew / 2));
        let limit = limit.max(timing.retry);
        match tokio::time::timeout(limit, self.attempt(started)).await {
            Ok(Ok(())) => self.trouble.clear(),
            Ok(Err(Failed::Conflict)) => self.reread(),
            Ok(Err(Failed::Api(error))) => {
                self.reread();
                let remedy = self.remedy(&error);
                self.tell(format!("{}{remedy}", chain(&error)));
            }
            Err(_) => {
                self.reread();
                self.tell(format!("no answer within {limit:?}"));
            }
        }
        self.notice_the_end();
        self.leadership.beat();
        timing.retry.mul_f64(1.0 + JITTER * rand::random::<f64>())
    }

    async fn attempt(&mut self, started: Instant) -> Result<(), Failed> {
        let name = self.election.lease.clone();
        if self.seen.is_none() || !self.leadership.holds() {
            let found = self.api.get_opt(&name).await.map_err(Failed::Api)?;
            self.look_at(found);
        }
        let seen = self.seen.as_ref().map(|(_, seen)| seen);
        let me = &self.election.identity;
        let decision = decide(seen, me, self.election.timing.lease, Instant::now());
        let (lease, again) = match decision {
            Decision::Follow { .. } => {
                self.follow();
                return Ok(());
            }
            Decision::Renew => (self.renewed(), true),
            Decision::Take { transitions } => (self.taken(transitions), false),
        };
        let params = PostParams::default();
        let written = if lease.metadata.resource_version.is_some() {
            self.api.replace(&name, &params, &lease).await
        } else {
            self.api.create(&params, &lease).await
        };
        let written = written.map_err(|error| match code_of(&error) {
            Some(409) => Failed::Conflict,
            _ => Failed::Api(error),
        })?;
        if !again || !self.leadership.holds() {
            tracing::info!(lease = name, identity = %self.election.identity, "leading");
        }
        self.look_at(Some(written));
        let until = started + self.election.timing.renew;
        self.leadership.lead(until, again);
        Ok(())
    }

    /// Takes note of what the Lease says, and since when.
    fn look_at(&mut self, lease: Option<Lease>) {
        let version = lease.as_ref().and_then(ResourceExt::resource_version);
        let version = version.and_then(|version| version.parse().ok());
        if version.is_some_and(|version| self.newest.goes_back(version)) {
            self.leadership.note_put_back();
        }
        self.seen = lease.map(|lease| {
            let before = self
                .seen
                .take()
                .filter(|(before, _)| before.resource_version() == lease.resource_version());
            let since = before.map_or_else(Instant::now, |(_, seen)| seen.since);
            let record = record_of(&lease);
            (lease, Seen { record, since })
        });
    }

    /// What is known of the Lease may be wrong. Since when it is as it is stays known: a holder
    /// that is silent must not win time by our own failures.
    fn reread(&mut self) {
        if self.leadership.holds() {
            self.seen = None;
        }
    }

    fn follow(&mut self) {
        let holder = self.seen.as_ref().map(|(_, seen)| &seen.record.holder);
        let holder = holder.cloned().unwrap_or_default();
        if self.leadership.until().is_some() {
            tracing::warn!(holder, "another controller leads: this one stands by");
        } else if self.followed != holder {
            tracing::info!(holder, lease = self.election.lease, "standing by");
        }
        self.followed = holder;
        self.leadership.follow();
    }

    /// The time is up without a renewal.
    fn notice_the_end(&mut self) {
        if self.leadership.until().is_some() && !self.leadership.holds() {
            tracing::warn!(
                lease = self.election.lease,
                deadline = ?self.election.timing.renew,
                "the lease could not be renewed in time: this controller stands by"
            );
            self.leadership.follow();
        }
    }

    fn renewed(&self) -> Lease {
        let mut lease = self.lease();
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(self.clock.now()));
        spec.lease_duration_seconds = Some(self.lease_s());
        lease
    }

    fn taken(&self, transitions: i32) -> Lease {
        let mut lease = self.lease();
        let now = MicroTime(self.clock.now());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.election.identity.clone()),
            lease_duration_seconds: Some(self.lease_s()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        });
        lease
    }

    fn lease(&self) -> Lease {
        let seen = self.seen.as_ref().map(|(lease, _)| lease.clone());
        seen.unwrap_or_else(|| {
            let mut lease = Lease::default();
            lease.metadata.name = Some(self.election.lease.clone());
            lease.metadata.namespace = Some(self.election.namespace.clone());
            lease
        })
    }

    fn lease_s(&self) -> i32 {
        i32::try_from(self.election.timing.lease.as_secs()).unwrap_or(i32::MAX)
    }

    /// Gives the Lease back, so that the next one need not wait for it to run out.
    async fn release(&mut self) {
        if !self.leadership.holds() {
            return;
        }
        let mut lease = self.renewed();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(RELEASED_S);
        spec.acquire_time.clone_from(&spec.renew_time);
        self.leadership.follow();
        let params = PostParams::default();
        let replace = self.api.replace(&self.election.lease, &params, &lease);
        match tokio::time::timeout(RELEASE_MAX, replace).await {
            Ok(Ok(_)) => tracing::info!(lease = self.election.lease, "the lease is given back"),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = chain(&error),
                    "the lease could not be given back, it will run out"
                );
            }
            Err(_) => tracing::warn!("the lease could not be given back in time, it will run out"),
        }
    }

    fn tell(&mut self, trouble: String) {
        if self.trouble != trouble {
            tracing::warn!(
                lease = self.election.lease,
                namespace = self.election.namespace,
                error = trouble,
                "leader election failed, trying again"
            );
            self.trouble = trouble;
        }
    }

    fn remedy(&self, error: &kube::Error) -> String {
        let namespace = &self.election.namespace;
        match code_of(error) {
            Some(403) => format!(
                "; grant get, create and update of leases (coordination.k8s.io) in the namespace {namespace}, as `weir install --dry-run` does"
            ),
            Some(404) => format!("; is there a namespace {namespace}? set POD_NAMESPACE"),
            _ => String::new(),
        }
    }
}

fn record_of(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or(0);
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
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
    fn a_lease_that_is_older_than_it_was_is_noticed_once() {
        let mut newest = Newest::default();
        let goes_back = [7, 7, 9, 3, 4].map(|version| newest.goes_back(version));
        assert_eq!(goes_back, [false, false, false, true, false]);
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
