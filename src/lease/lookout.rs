//! Looks for other controllers on behalf of one that acts without being elected
//! (`--leader-elect=false`).
//!
//! It holds the Lease while nobody else does, as a sign: a candidate stands by. In a Lease of
//! another it leaves a note, from which the holder, elected or not, learns that there are two, and
//! which others that are not elected read as well (`presence.rs`). Who holds the Lease does not
//! decide whether this controller acts; that is what the flag is for. One that watches a single
//! namespace leaves the Lease of another namespace alone: that of a controller with more to do,
//! which must not stand by for it.

use super::decide::Decision;
use super::election::{Election, JITTER};
use super::leadership::Leadership;
use super::lock::{Failed, Lock};
use super::newest::Newest;
use super::others::Others;
use super::presence::{HOLDER, Presence, RIVALS, RIVALS_MAX, Rivals};
use crate::clock::Clock;
use api::Rollout;
use kube::api::ListParams;
use kube::core::{ListMeta, Request};
use kube::{Client, Resource};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Looks until `resign`, and then gives the Lease back if it is ours. `watched` is the only
/// namespace that the controller watches, if it does not watch all.
pub async fn look_out(
    client: Client,
    election: Election,
    watched: Option<String>,
    (clock, leadership): (Clock, Leadership),
    resign: CancellationToken,
) {
    let mut lookout = Lookout {
        versions: Request::new(Rollout::url_path(&(), watched.as_deref())),
        takes: watched
            .as_ref()
            .is_none_or(|namespace| *namespace == election.namespace),
        watched,
        client: client.clone(),
        lock: Lock::new(client, election, clock),
        leadership,
        newest: Newest::default(),
        rivals: Rivals::default(),
        others: Others::default(),
        trouble: String::new(),
    };
    loop {
        let pause = lookout.round().await;
        tokio::select! {
            () = resign.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    if lookout.is_ours() {
        lookout.lock.release().await;
    }
}

struct Lookout {
    client: Client,
    /// The list that is read for its resource version.
    versions: Request,
    /// The only namespace that the controller watches, if it does not watch all.
    watched: Option<String>,
    /// Whether it takes the Lease if nobody else holds it.
    takes: bool,
    lock: Lock,
    leadership: Leadership,
    newest: Newest,
    /// What controllers that do not hold the Lease say in it, and who is known to act.
    rivals: Rivals,
    others: Others,
    /// The last failure that was logged, so that each is logged once.
    trouble: String,
}

/// A list, without its items.
#[derive(Debug, Deserialize)]
struct Listed {
    metadata: ListMeta,
}

impl Lookout {
    /// One look at the cluster, and the pause before the next. Both take half the time within which
    /// a leader must renew the Lease, or little more: others take one that is not renewed.
    async fn round(&mut self) -> Duration {
        let limit = self.lock.timing().renew / 2;
        let answer = timeout(limit, self.look()).await;
        match self.lock.judge(answer, limit) {
            Ok(()) => self.trouble.clear(),
            // The next look reads the Lease anyway.
            Err(None) => {}
            Err(Some(trouble)) => self.tell(trouble),
        }
        let looked = Instant::now();
        let version = timeout(limit, self.version()).await.ok().flatten();
        if version.is_some_and(|version| self.newest.goes_back(version)) {
            self.leadership.note_put_back();
        }
        let pause = limit.mul_f64(1.0 + JITTER * rand::random::<f64>());
        pause.saturating_sub(looked.elapsed())
    }

    async fn look(&mut self) -> Result<(), Failed> {
        let before = self.lock.seen().map(|seen| seen.since);
        // Even if it is ours: another one may have left a note in it.
        self.lock.read().await?;
        match self.lock.decide() {
            Decision::Follow { .. } => self.follow(before).await,
            Decision::Renew => self.renew().await,
            Decision::Take { transitions } => self.take(transitions).await,
        }
    }

    /// The Lease is another controller's. `before` is since when it was as the last look saw it.
    async fn follow(&mut self, before: Option<Instant>) -> Result<(), Failed> {
        let holder = self.lock.holder().to_owned();
        let presence = self.lock.annotation(HOLDER).and_then(Presence::parse);
        let presence = presence.filter(|presence| presence.identity == holder);
        let watched = self.watched.as_deref();
        let meets = presence.as_ref().is_none_or(|holds| holds.meets(watched));
        // The Lease of a controller that has ended is not renewed any more.
        let since = self.lock.seen().map(|seen| seen.since);
        let is_renewed = before.is_some() && before != since;
        let mut acting = self.rivals_acting(Instant::now());
        if meets && (is_renewed || self.others.has(&holder)) {
            acting.insert(holder);
        }
        self.tell_of(acting);
        // Only who knows notes reads them.
        if presence.is_some() {
            self.leave_a_note().await?;
        }
        Ok(())
    }

    /// Says in a Lease that is another's that this controller acts, if that concerns anybody there.
    async fn leave_a_note(&mut self) -> Result<(), Failed> {
        let watched = self.watched.as_deref();
        let mut notes = self.lock.rivals();
        let concerns =
            self.leadership.is_contended() || notes.iter().any(|note| note.meets(watched));
        if !concerns || notes.len() >= RIVALS_MAX {
            return Ok(());
        }
        notes.push(self.lock.presence(watched));
        let note = (RIVALS, Presence::list_annotation(&notes));
        self.lock.annotate(&[note]).await
    }

    /// The Lease is ours.
    async fn renew(&mut self) -> Result<(), Failed> {
        let (now, patience) = (Instant::now(), self.lock.timing().lease);
        let acting = self.rivals_acting(now);
        let own = self.lock.presence(self.watched.as_deref());
        let annotations = self.rivals.annotations(&own, patience, now);
        self.lock.renew(&annotations).await?;
        self.tell_of(acting);
        Ok(())
    }

    /// The Lease is nobody's.
    async fn take(&mut self, transitions: i32) -> Result<(), Failed> {
        let acting = self.rivals_acting(Instant::now());
        if self.takes {
            // Without a note of its own, which it may have left.
            let others = Presence::list_annotation(&self.lock.rivals());
            let own = self.lock.presence(self.watched.as_deref());
            let annotations = [(HOLDER, own.annotation()), (RIVALS, others)];
            self.lock.take(transitions, &annotations).await?;
        }
        self.tell_of(acting);
        Ok(())
    }

    /// Who else says in the Lease as it was last that it acts without holding it, and does.
    fn rivals_acting(&mut self, now: Instant) -> BTreeSet<String> {
        self.rivals.note(self.lock.rivals(), now);
        let patience = self.lock.timing().lease;
        self.rivals.acting(self.watched.as_deref(), patience, now)
    }

    fn is_ours(&self) -> bool {
        self.lock.holder() == self.lock.election().identity
    }

    fn tell_of(&mut self, acting: BTreeSet<String>) {
        let election = self.lock.election();
        self.others.tell(acting, election, &self.leadership);
    }

    /// The resource version of the cluster; `None` without an answer, which the watches report.
    async fn version(&self) -> Option<u64> {
        // Without a resource version in the request, the answer is not from a cache that is behind.
        let request = self.versions.list(&ListParams::default().limit(1)).ok()?;
        let listed: Listed = self.client.request(request).await.ok()?;
        listed.metadata.resource_version?.parse().ok()
    }

    fn tell(&mut self, trouble: String) {
        if self.trouble != trouble {
            let Election {
                lease, namespace, ..
            } = self.lock.election();
            tracing::warn!(
                lease,
                namespace,
                error = trouble,
                "whether another controller acts as well is not known, because its lease can't be looked at \
                 or held"
            );
            self.trouble = trouble;
        }
    }
}

#[cfg(test)]
#[path = "lookout_tests.rs"]
mod tests;
