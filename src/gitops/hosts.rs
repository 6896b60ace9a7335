//! Turns at Git servers. Each host has a few of its own: one that says nothing holds up nobody but
//! those who want something of it, and is left alone for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Programs at a time that ask one host.
const OF_HOST_MAX: usize = 8;
/// Programs at a time that ask any host: each takes memory, whether it is answered or not.
const OF_ALL_MAX: usize = 16;
/// How long a host that said nothing is left alone; doubled with each further time. Shorter than the pause
/// between two looks at a repository: each of them asks.
const BACKOFF_FIRST: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// The host that a repository is at; `None` if it is on this machine.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let authority = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
        None if url.starts_with('/') => return None,
        None => url.split(':').next().unwrap_or_default(),
    };
    Some(authority.rsplit('@').next().unwrap_or(authority))
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Hosts {
    by_name: Mutex<BTreeMap<String, Arc<Host>>>,
    turns: Arc<Semaphore>,
}

#[derive(Debug)]
struct Host {
    turns: Arc<Semaphore>,
    silence: Mutex<Silence>,
}

/// What is known of a host that may be dead.
#[derive(Debug, Default)]
struct Silence {
    answered: Option<Instant>,
    /// How often in a row it said nothing.
    times: u32,
    until: Option<Instant>,
    reason: String,
}

/// The right to ask a host once.
#[derive(Debug)]
pub(super) struct Turn {
    host: Arc<Host>,
    began: Instant,
    /// No semaphore is ever closed.
    _permits: [Result<OwnedSemaphorePermit, AcquireError>; 2],
}

impl Hosts {
    pub(super) fn new() -> Self {
        Self {
            by_name: Mutex::default(),
            turns: Arc::new(Semaphore::new(OF_ALL_MAX)),
        }
    }

    /// Waits for a turn at a host. `Err` is why it is left alone for now: what it came to last time.
    pub(super) async fn turn(&self, name: &str) -> Result<Turn, String> {
        let host = self.host(name);
        // First its own: who waits for a host that is dead takes nothing from the others.
        let own = host.turns.clone().acquire_owned().await;
        if let Some(reason) = host.left_alone() {
            return Err(reason);
        }
        let any = self.turns.clone().acquire_owned().await;
        Ok(Turn {
            host,
            began: Instant::now(),
            _permits: [own, any],
        })
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.entry(name.to_owned()).or_default().clone()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(OF_HOST_MAX)),
            silence: Mutex::default(),
        }
    }
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left_alone(&self) -> Option<String> {
        let silence = self.lock();
        let is_left = silence.until.is_some_and(|until| until > Instant::now());
        is_left.then(|| silence.reason.clone())
    }
}

impl Turn {
    /// The host answered, whatever it said.
    pub(super) fn answered(self) {
        *self.host.lock() = Silence {
            answered: Some(Instant::now()),
            ..Silence::default()
        };
    }

    /// The host said nothing in all the time it had.
    pub(super) fn unanswered(self, reason: &str) {
        let now = Instant::now();
        let mut silence = self.host.lock();
        // One that answers others is not dead: a repository of it is large or slow.
        let is_alive = silence.answered.is_some_and(|at| at >= self.began);
        // Of those who asked at the same time the first counts.
        let is_known = silence.until.is_some_and(|until| until > now);
        if is_alive || is_known {
            return;
        }
        silence.until = Some(now + backoff(silence.times));
        silence.times = silence.times.saturating_add(1);
        reason.clone_into(&mut silence.reason);
    }
}

fn backoff(times: u32) -> Duration {
    BACKOFF_FIRST
        .saturating_mul(1 << times.min(16))
        .min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn the_host_of_a_repository() {
        for (url, host) in [
            ("https://github.com/a/b.git", Some("github.com")),
            (
                "https://ann:hunter2@git.example:8443/a",
                Some("git.example:8443"),
            ),
            ("ssh://git@git.example/a", Some("git.example")),
            ("git@git.example:a/b.git", Some("git.example")),
            ("git.example:a/b.git", Some("git.example")),
            ("git://127.0.0.1:9418/x", Some("127.0.0.1:9418")),
            ("file:///srv/git/a", None),
            ("/srv/git/a", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }

    #[tokio::test]
    async fn who_waits_for_one_host_holds_up_no_other() {
        let hosts = Hosts::new();
        let mut turns = Vec::new();
        for _ in 0..OF_HOST_MAX {
            turns.push(hosts.turn("dead").await.unwrap());
        }
        assert!(hosts.turn("dead").now_or_never().is_none());
        assert!(hosts.turn("alive").now_or_never().is_some());
        turns.pop();
        assert!(hosts.turn("dead").now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_says_nothing_is_left_alone_longer_and_longer() {
        let hosts = Hosts::new();
        for seconds in [30, 60, 60, 60] {
            let (first, second) = (hosts.turn("h").await, hosts.turn("h").await);
            first.unwrap().unanswered("no answer");
            second.unwrap().unanswered("no answer either");
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert_eq!(hosts.turn("h").await.unwrap_err(), "no answer");
            hosts.turn("other").await.unwrap().answered();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        hosts.turn("h").await.unwrap().answered();
        tokio::time::advance(Duration::from_secs(1)).await;
        hosts.turn("h").await.unwrap().unanswered("again");
        tokio::time::advance(BACKOFF_FIRST).await;
        hosts.turn("h").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_repository_makes_no_dead_host() {
        let hosts = Hosts::new();
        let slow = hosts.turn("h").await.unwrap();
        tokio::time::advance(Duration::from_mins(1)).await;
        hosts.turn("h").await.unwrap().answered();
        tokio::time::advance(Duration::from_secs(30)).await;
        slow.unanswered("it is large");
        hosts.turn("h").await.unwrap();
    }
}
