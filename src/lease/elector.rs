//! The loop that holds the Lease, or waits for it.

use super::decide::Decision;
use super::election::{Election, JITTER};
use super::leadership::Leadership;
use super::lock::{Annotation, Failed, Lock};
use super::newest::Newest;
use super::others::Others;
use super::presence::Rivals;
use crate::clock::Clock;
use kube::Client;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Takes part in the election until `resign`, and then gives the Lease back if it is ours.
/// `watched` is the only namespace that the controller watches, if it does not watch all.
pub async fn elect(
    client: Client,
    election: Election,
    watched: Option<String>,
    (clock, leadership): (Clock, Leadership),
    resign: CancellationToken,
) {
    let mut elector = Elector {
        lock: Lock::new(client, election, clock),
        watched,
        leadership,
        newest: Newest::default(),
        rivals: Rivals::default(),
        others: Others::default(),
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
    lock: Lock,
    /// The only namespace that the controller watches, if it does not watch all.
    watched: Option<String>,
    leadership: Leadership,
    newest: Newest,
    /// What controllers that are not elected say in a Lease that is ours, and who is known to act.
    rivals: Rivals,
    others: Others,
    /// The last trouble that was logged, and the last holder: the same is not logged again and
    /// again.
    trouble: String,
    followed: String,
}

impl Elector {
    /// One look at the Lease, and what follows from it; the pause before the next.
    async fn round(&mut self) -> Duration {
        self.leadership.beat();
        let started = Instant::now();
        let timing = self.lock.timing();
        // A leader has until its time is up, and then stops; another loses nothing by trying on.
        let left = self.leadership.until().map(|until| until - started);
        // One that is not answered must leave time for another.
        let limit = left.map_or(timing.renew, |left| left.min(timing.renew / 2));
        let limit = limit.max(timing.retry);
        let answer = tokio::time::timeout(limit, self.attempt(started)).await;
        match self.lock.judge(answer, limit) {
            Ok(()) => self.trouble.clear(),
            Err(trouble) => {
                self.reread();
                if let Some(trouble) = trouble {
                    self.tell(trouble);
                }
            }
        }
        self.notice_the_end();
        self.leadership.beat();
        timing.retry.mul_f64(1.0 + JITTER * rand::random::<f64>())
    }

    async fn attempt(&mut self, started: Instant) -> Result<(), Failed> {
        if self.lock.seen().is_none() || !self.leadership.holds() {
            self.look().await?;
        }
        let answer = self.stand(started).await;
        if matches!(answer, Err(Failed::Conflict)) && self.leadership.holds() {
            // Somebody has taken it, or one that is not elected has left a note: the time within
            // which it must be renewed is too short to wait for the next round.
            self.look().await?;
            return self.stand(started).await;
        }
        answer
    }

    async fn look(&mut self) -> Result<(), Failed> {
        self.lock.read().await?;
        self.compare();
        Ok(())
    }

    /// Leads or follows, by what is known of the Lease.
    async fn stand(&mut self, started: Instant) -> Result<(), Failed> {
        let again = match self.lock.decide() {
            Decision::Follow { .. } => {
                self.follow();
                return Ok(());
            }
            Decision::Renew => {
                let annotations = self.annotations();
                self.lock.renew(&annotations).await?;
                true
            }
            Decision::Take { transitions } => {
                let annotations = self.annotations();
                self.lock.take(transitions, &annotations).await?;
                false
            }
        };
        self.compare();
        if !again || !self.leadership.holds() {
            let Election {
                lease, identity, ..
            } = self.lock.election();
            tracing::info!(lease, identity, "leading");
        }
        let until = started + self.lock.timing().renew;
        self.leadership.lead(until, again);
        self.tell_of_others();
        Ok(())
    }

    /// What to say in the Lease: that notes are read, and which are of controllers that have ended.
    fn annotations(&mut self) -> Vec<Annotation> {
        let (now, patience) = (Instant::now(), self.lock.timing().lease);
        self.rivals.note(self.lock.rivals(), now);
        let own = self.lock.presence(self.watched.as_deref());
        self.rivals.annotations(&own, patience, now)
    }

    fn tell_of_others(&mut self) {
        let (now, patience) = (Instant::now(), self.lock.timing().lease);
        let acting = self.rivals.acting(self.watched.as_deref(), patience, now);
        let election = self.lock.election();
        self.others.tell(acting, election, &self.leadership);
    }

    /// Whoever does not lead acts beside nobody; what is in the Lease when it leads again may be
    /// old.
    fn step_down(&mut self) {
        self.leadership.follow();
        self.rivals = Rivals::default();
        self.others.forget(&self.leadership);
    }

    /// Whether the Lease is an older one than before: then the cluster was put back.
    fn compare(&mut self) {
        let version = self.lock.version();
        if version.is_some_and(|version| self.newest.goes_back(version)) {
            self.leadership.note_put_back();
        }
    }

    /// What is known of the Lease may be wrong. Since when it is as it is stays known: a holder
    /// that is silent must not win time by our own failures.
    fn reread(&mut self) {
        if self.leadership.holds() {
            self.lock.forget();
        }
    }

    fn follow(&mut self) {
        let holder = self.lock.holder().to_owned();
        if self.leadership.until().is_some() {
            tracing::warn!(holder, "another controller leads: this one stands by");
        } else if self.followed != holder {
            let lease = &self.lock.election().lease;
            tracing::info!(holder, lease, "standing by");
        }
        self.followed = holder;
        self.step_down();
    }

    /// The time is up without a renewal.
    fn notice_the_end(&mut self) {
        if self.leadership.until().is_some() && !self.leadership.holds() {
            let Election { lease, timing, .. } = self.lock.election();
            tracing::warn!(
                lease,
                deadline = ?timing.renew,
                "the lease could not be renewed in time: this controller stands by"
            );
            self.step_down();
        }
    }

    /// Gives the Lease back if it is ours.
    async fn release(&mut self) {
        if self.leadership.holds() {
            self.leadership.follow();
            self.lock.release().await;
        }
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
                "leader election failed, trying again"
            );
            self.trouble = trouble;
        }
    }
}
