//! The Lease as an object of the API server: read, written in our name, given back.

use super::decide::{Decision, Record, Seen, decide};
use super::election::{Election, Timing};
use super::presence::{HOLDER, Presence, RIVALS};
use crate::clock::Clock;
use crate::error::{chain, code_of, if_found};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// As client-go writes when it lets go: the field must be positive.
const RELEASED_S: i32 = 1;
/// How long giving the Lease back may take.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// What a read or write of the Lease says that has failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Somebody wrote in between: read again.
    Conflict,
    Api(kube::Error),
}

impl Failed {
    fn words(&self) -> String {
        match self {
            Self::Conflict => "somebody else has written it meanwhile".to_owned(),
            Self::Api(error) => chain(error),
        }
    }
}

/// An annotation of the Lease: what to write into it, or `None` to take it away.
pub(super) type Annotation = (&'static str, Option<String>);

/// See the module's documentation.
pub(super) struct Lock {
    api: Api<Lease>,
    election: Election,
    clock: Clock,
    /// The Lease as it was last, and since when; `None` if it has to be read.
    seen: Option<(Lease, Seen)>,
}

impl Lock {
    pub(super) fn new(client: Client, election: Election, clock: Clock) -> Self {
        Self {
            api: Api::namespaced(client, &election.namespace),
            election,
            clock,
            seen: None,
        }
    }

    pub(super) const fn election(&self) -> &Election {
        &self.election
    }

    pub(super) const fn timing(&self) -> Timing {
        self.election.timing
    }

    /// What is known of the Lease.
    pub(super) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref().map(|(_, seen)| seen)
    }

    /// Whose the Lease is, as far as is known; empty if it is nobody's.
    pub(super) fn holder(&self) -> &str {
        self.seen().map_or("", |seen| seen.record.holder.as_str())
    }

    /// The resource version of the Lease as it was last.
    pub(super) fn version(&self) -> Option<u64> {
        let (lease, _) = self.seen.as_ref()?;
        lease.resource_version()?.parse().ok()
    }

    /// An annotation of the Lease as it was last.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let (lease, _) = self.seen.as_ref()?;
        lease.annotations().get(key).map(String::as_str)
    }

    /// What this process says of itself in the Lease. `watched` is the only namespace that it
    /// watches, if it does not watch all.
    pub(super) fn presence(&self, watched: Option<&str>) -> Presence {
        Presence {
            identity: self.election.identity.clone(),
            namespace: watched.map(str::to_owned),
            time: self.clock.now().to_string(),
        }
    }

    /// What others say in the Lease as it was last: that they act without holding it.
    pub(super) fn rivals(&self) -> Vec<Presence> {
        let mut rivals = self
            .annotation(RIVALS)
            .map_or_else(Vec::new, Presence::parse_list);
        rivals.retain(|rival| rival.identity != self.election.identity);
        rivals
    }

    /// What is known may be wrong: it has to be read.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    /// What to do about the Lease, by what is known of it.
    pub(super) fn decide(&self) -> Decision {
        let Election {
            identity, timing, ..
        } = &self.election;
        decide(self.seen(), identity, timing.lease, Instant::now())
    }

    pub(super) async fn read(&mut self) -> Result<(), Failed> {
        let found = if_found(self.api.get(&self.election.lease).await);
        let found = found.map_err(Failed::Api)?;
        self.take_note(found);
        Ok(())
    }

    /// Says again that it is ours.
    pub(super) async fn renew(&mut self, annotations: &[Annotation]) -> Result<(), Failed> {
        let mut lease = self.renewed();
        set(&mut lease, annotations);
        self.write(lease).await
    }

    /// Says for the first time that it is ours.
    pub(super) async fn take(
        &mut self,
        transitions: i32,
        annotations: &[Annotation],
    ) -> Result<(), Failed> {
        let mut lease = self.taken(transitions);
        set(&mut lease, annotations);
        self.write(lease).await
    }

    /// Writes into a Lease that is another's, and leaves to it that it is.
    pub(super) async fn annotate(&mut self, annotations: &[Annotation]) -> Result<(), Failed> {
        let mut lease = self.lease();
        set(&mut lease, annotations);
        self.write(lease).await
    }

    async fn write(&mut self, lease: Lease) -> Result<(), Failed> {
        let params = PostParams::default();
        let written = if lease.metadata.resource_version.is_some() {
            let name = &self.election.lease;
            self.api.replace(name, &params, &lease).await
        } else {
            self.api.create(&params, &lease).await
        };
        let written = written.map_err(|error| match code_of(&error) {
            Some(409) => Failed::Conflict,
            _ => Failed::Api(error),
        })?;
        self.take_note(Some(written));
        Ok(())
    }

    /// Gives the Lease back, so that the next one need not wait for it to run out.
    pub(super) async fn release(&mut self) {
        let answer = tokio::time::timeout(RELEASE_MAX, self.give_back()).await;
        let lease = &self.election.lease;
        match answer {
            Ok(Ok(())) => tracing::info!(lease, "the lease is given back"),
            Ok(Err(error)) => {
                tracing::warn!(
                    lease,
                    error = error.words(),
                    "the lease could not be given back, it will run out"
                );
            }
            Err(_) => {
                tracing::warn!(
                    lease,
                    "the lease could not be given back in time, it will run out"
                );
            }
        }
    }

    /// Tries twice: another controller may have written into the Lease without taking it.
    async fn give_back(&mut self) -> Result<(), Failed> {
        for _ in 0..2 {
            if self.seen.is_none() {
                self.read().await?;
            }
            if self.holder() != self.election.identity {
                break;
            }
            let lease = self.released();
            match self.write(lease).await {
                Err(Failed::Conflict) => self.forget(),
                answer => return answer,
            }
        }
        Err(Failed::Conflict)
    }

    /// What has come of a try that had `limit` to be answered.
    ///
    /// # Errors
    /// What to log of a failure; `None` where somebody else was faster, which is none. Either way
    /// what is known of the Lease may be wrong.
    pub(super) fn judge(
        &self,
        answer: Result<Result<(), Failed>, Elapsed>,
        limit: Duration,
    ) -> Result<(), Option<String>> {
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Failed::Conflict)) => Err(None),
            Ok(Err(Failed::Api(error))) => {
                Err(Some(format!("{}{}", chain(&error), self.remedy(&error))))
            }
            Err(_) => Err(Some(format!("no answer within {limit:?}"))),
        }
    }

    /// What can be done about an error; empty where it says it all.
    fn remedy(&self, error: &kube::Error) -> String {
        let namespace = &self.election.namespace;
        match code_of(error) {
            Some(401) => {
                "; the credentials are not accepted: see to the kubeconfig or the service account"
                    .to_owned()
            }
            Some(403) => format!(
                "; grant get, create and update of leases (coordination.k8s.io) in the namespace {namespace}, as `weir install --dry-run` does"
            ),
            Some(404) => format!(
                "; is there a namespace {namespace}? make it, or name another with --leader-election-namespace or POD_NAMESPACE"
            ),
            Some(429 | 500..) => {
                "; the API server is starting, overloaded or failing: if it stays so, see to it"
                    .to_owned()
            }
            Some(_) => String::new(),
            None => {
                "; see that the API server can be reached from here, and that it runs".to_owned()
            }
        }
    }

    /// Takes note of what the Lease says, and since when.
    fn take_note(&mut self, lease: Option<Lease>) {
        self.seen = lease.map(|lease| {
            // Its spec is the holder's word; others may write into the rest of it.
            let before = self.seen.take();
            let before = before.filter(|(before, _)| before.spec == lease.spec);
            let since = before.map_or_else(Instant::now, |(_, seen)| seen.since);
            let record = record_of(&lease);
            (lease, Seen { record, since })
        });
    }

    fn renewed(&self) -> Lease {
        let mut lease = self.lease();
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(self.clock.now()));
        spec.lease_duration_seconds = Some(self.lease_s());
        lease
    }

    fn released(&self) -> Lease {
        let mut lease = self.renewed();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(RELEASED_S);
        spec.acquire_time.clone_from(&spec.renew_time);
        set(&mut lease, &[(HOLDER, None)]);
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
}

fn set(lease: &mut Lease, annotations: &[Annotation]) {
    for (key, value) in annotations {
        if let Some(value) = value {
            let all = lease.annotations_mut();
            all.insert((*key).to_owned(), value.clone());
        } else if let Some(all) = &mut lease.metadata.annotations {
            all.remove(*key);
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
