//! Turns at Git servers. Each host has a few of its own: one that says nothing holds up nobody but
//! those who want something of it, and is left alone for a while. A person who asks for a refresh
//! is not told what it came to some time ago: the host is asked, once for each such request. For
//! that there are turns in reserve, so that nobody waits behind all that is asked for by the clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Programs at a time that ask one host.
const OF_HOST_MAX: usize = 8;
/// Programs at a time that ask any host: each takes memory, whether it is answered or not.
const OF_ALL_MAX: usize = 16;
/// How many more there may be of each for people.
const OF_HOST_RESERVE: usize = 2;
const OF_ALL_RESERVE: usize = 4;
/// How long a host that said nothing is left alone; doubled with each further time. Shorter than
/// the pause between two looks at a repository: each of them asks.
const BACKOFF_FIRST: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// Hosts that are remembered, unless more are asked or left alone at a time.
const KEPT_MAX: usize = 64;

/// For whom a host is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// For nobody: it is time for a look.
    Poll,
    /// For somebody who wants to know what is there now.
    Person,
}

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
    turns: Turns,
}

#[derive(Debug)]
struct Host {
    turns: Turns,
    silence: Mutex<Silence>,
}

/// So many at a time, and a few more for people.
#[derive(Debug)]
struct Turns {
    all: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
}

/// No semaphore is ever closed.
type Permit = Result<OwnedSemaphorePermit, AcquireError>;

/// What is known of a host that may be dead.
#[derive(Debug, Default)]
struct Silence {
    answered: Option<Instant>,
    /// How often in a row it said nothing.
    times: u32,
    until: Option<Instant>,
    reason: String,
    /// When the newest attempt began that it has left without an answer.
    asked: Option<Instant>,
}

/// The right to ask a host once.
#[derive(Debug)]
pub(super) struct Turn {
    host: Arc<Host>,
    began: Instant,
    _permits: [Permit; 2],
}

impl Turns {
    fn new(all: usize, reserve: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            reserve: Arc::new(Semaphore::new(reserve)),
        }
    }

    async fn take(&self, caller: Caller) -> Permit {
        let all = self.all.clone().acquire_owned();
        match caller {
            Caller::Poll => all.await,
            Caller::Person => tokio::select! {
                biased;
                permit = all => permit,
                permit = self.reserve.clone().acquire_owned() => permit,
            },
        }
    }
}

impl Hosts {
    pub(super) fn new() -> Self {
        Self {
            by_name: Mutex::default(),
            turns: Turns::new(OF_ALL_MAX, OF_ALL_RESERVE),
        }
    }

    /// Waits for a turn at a host. `Err` is why it is left alone for now: what it came to last
    /// time. For a person that is no reason, unless it came to that after they had asked.
    pub(super) async fn turn(&self, name: &str, caller: Caller) -> Result<Turn, String> {
        let host = self.host(name);
        let asked = Instant::now();
        // First its own: who waits for a host that is dead takes nothing from the others.
        let own = host.turns.take(caller).await;
        if let Some(reason) = host.left_alone(caller, asked) {
            return Err(reason);
        }
        let any = self.turns.take(caller).await;
        Ok(Turn {
            host,
            began: Instant::now(),
            _permits: [own, any],
        })
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = by_name.get(name) {
            return host.clone();
        }
        if by_name.len() >= KEPT_MAX {
            by_name.retain(|_, host| Arc::strong_count(host) > 1 || host.is_left_alone());
        }
        by_name.entry(name.to_owned()).or_default().clone()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self {
            turns: Turns::new(OF_HOST_MAX, OF_HOST_RESERVE),
            silence: Mutex::default(),
        }
    }
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_left_alone(&self) -> bool {
        let silence = self.lock();
        silence.until.is_some_and(|until| until > Instant::now())
    }

    /// Why it is not asked now for somebody who has wanted that since `since`.
    fn left_alone(&self, caller: Caller, since: Instant) -> Option<String> {
        let is_left = match caller {
            Caller::Poll => self.is_left_alone(),
            // Many may ask at a time: what one of them waited for in vain is an answer to all.
            Caller::Person => self.lock().asked.is_some_and(|asked| asked >= since),
        };
        is_left.then(|| self.lock().reason.clone())
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
        if is_alive {
            return;
        }
        silence.asked = silence.asked.max(Some(self.began));
        // Of those who asked at the same time the first counts; nor is it left alone for longer
        // because somebody has asked meanwhile.
        if silence.until.is_some_and(|until| until > now) {
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
    use super::Caller::{Person, Poll};
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
            turns.push(hosts.turn("dead", Poll).await.unwrap());
        }
        assert!(hosts.turn("dead", Poll).now_or_never().is_none());
        assert!(hosts.turn("alive", Poll).now_or_never().is_some());
        turns.pop();
        assert!(hosts.turn("dead", Poll).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_says_nothing_is_left_alone_longer_and_longer() {
        let hosts = Hosts::new();
        for seconds in [30, 60, 60, 60] {
            let (first, second) = (hosts.turn("h", Poll).await, hosts.turn("h", Poll).await);
            first.unwrap().unanswered("no answer");
            second.unwrap().unanswered("no answer either");
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert_eq!(hosts.turn("h", Poll).await.unwrap_err(), "no answer");
            hosts.turn("other", Poll).await.unwrap().answered();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        hosts.turn("h", Poll).await.unwrap().answered();
        tokio::time::advance(Duration::from_secs(1)).await;
        hosts.turn("h", Poll).await.unwrap().unanswered("again");
        tokio::time::advance(BACKOFF_FIRST).await;
        hosts.turn("h", Poll).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_repository_makes_no_dead_host() {
        let hosts = Hosts::new();
        let slow = hosts.turn("h", Poll).await.unwrap();
        tokio::time::advance(Duration::from_mins(1)).await;
        hosts.turn("h", Poll).await.unwrap().answered();
        tokio::time::advance(Duration::from_secs(30)).await;
        slow.unanswered("it is large");
        hosts.turn("h", Poll).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_is_not_told_what_it_came_to_before() {
        let hosts = Hosts::new();
        let polled = hosts.turn("h", Poll).await.unwrap();
        polled.unanswered("no answer");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(hosts.turn("h", Poll).await.unwrap_err(), "no answer");
        let asked = hosts.turn("h", Person).await.unwrap();
        tokio::time::advance(Duration::from_secs(9)).await;
        asked.unanswered("still no answer");
        // That a person has asked makes it no longer for the others, nor shorter.
        tokio::time::advance(Duration::from_secs(19)).await;
        assert_eq!(hosts.turn("h", Poll).await.unwrap_err(), "no answer");
        tokio::time::advance(Duration::from_secs(1)).await;
        hosts.turn("h", Poll).await.unwrap().unanswered("no answer");
        tokio::time::advance(Duration::from_secs(1)).await;
        // It answers a person, and so it is there for all.
        hosts.turn("h", Person).await.unwrap().answered();
        hosts.turn("h", Poll).await.unwrap();
    }

    #[tokio::test]
    async fn people_do_not_wait_behind_the_clock() {
        let hosts = Hosts::new();
        let mut turns = Vec::new();
        for _ in 0..OF_HOST_MAX {
            turns.push(hosts.turn("h", Poll).await.unwrap());
        }
        assert!(hosts.turn("h", Poll).now_or_never().is_none());
        for _ in 0..OF_HOST_RESERVE {
            turns.push(hosts.turn("h", Person).await.unwrap());
        }
        assert!(hosts.turn("h", Person).now_or_never().is_none());
        // One turn of either kind is enough for a person, and only one kind is for the clock.
        turns.pop();
        assert!(hosts.turn("h", Poll).now_or_never().is_none());
        assert!(hosts.turn("h", Person).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_waited_for_in_vain_is_an_answer_to_all_who_had_asked_by_then() {
        let hosts = Hosts::new();
        let since = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        hosts
            .turn("h", Person)
            .await
            .unwrap()
            .unanswered("no answer");
        let host = hosts.host("h");
        assert_eq!(host.left_alone(Person, since).unwrap(), "no answer");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(host.left_alone(Person, Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_that_nobody_asks_are_forgotten() {
        let hosts = Hosts::new();
        hosts.turn("dead", Poll).await.unwrap().unanswered("no");
        let held = hosts.turn("held", Poll).await.unwrap();
        for number in 0..10 * KEPT_MAX {
            drop(hosts.turn(&format!("h{number}"), Poll).await);
        }
        assert!(hosts.by_name.lock().unwrap().len() <= KEPT_MAX);
        hosts.turn("dead", Poll).await.unwrap_err();
        assert!(Arc::ptr_eq(&held.host, &hosts.host("held")));
    }
}
