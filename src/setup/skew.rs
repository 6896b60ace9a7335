//! How far this machine's clock is from the API server's.

use crate::clock::Clock;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use std::time::Duration;

/// Beyond that, times in statuses and pauses are plainly wrong.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(30);
/// Between two looks of a controller that runs: clocks drift slowly.
const LOOK_AGAIN: Duration = Duration::from_hours(1);
/// An API server that can't be reached is asked again so soon.
const TRY_AGAIN: Duration = Duration::from_secs(30);

pub(super) const REMEDY: &str = "set the clocks of your machines by NTP: pauses and deadlines are counted \
     by them (leader election is not)";

/// What one request has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skew {
    /// How far this machine's clock is ahead, if the server has answered in the middle of the
    /// request.
    ahead: SignedDuration,
    /// It may have answered so much earlier or later.
    margin: SignedDuration,
}

impl Skew {
    fn of(theirs: Timestamp, before: Timestamp, after: Timestamp) -> Self {
        let half = after.duration_since(before) / 2;
        Self {
            ahead: before.duration_since(theirs) + half,
            margin: half.abs(),
        }
    }

    /// Asks the API server for its time; `None` if it answers without it.
    ///
    /// # Errors
    /// When there is no answer.
    pub(super) async fn ask(client: &Client, clock: Clock) -> kube::Result<Option<Self>> {
        let mut request = http::Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static("/version");
        let before = clock.now();
        let response = client.send(request).await?;
        let after = clock.now();
        let date = response.headers().get(http::header::DATE);
        let date = date.and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
        Ok(date.map(|theirs| Self::of(theirs.timestamp(), before, after)))
    }

    /// What is the matter, if it matters. What a slow answer alone may have made does not.
    pub(super) fn trouble(self) -> Option<String> {
        let apart = self.ahead.abs();
        if apart - self.margin <= SKEW_MAX {
            return None;
        }
        let seconds = SignedDuration::from_secs(apart.as_secs());
        Some(format!(
            "this machine's clock and the API server's differ by {seconds:#}"
        ))
    }

    /// The time by the API server's clock when it is `now` by this machine's.
    pub(super) fn theirs(self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.ahead).unwrap_or(now)
    }
}

/// For a controller that runs: says so if the clocks differ by more than a moment. Never ends.
pub async fn warn_of_clock(client: Client, clock: Clock) {
    loop {
        let pause = match Skew::ask(&client, clock).await {
            Ok(skew) => {
                if let Some(trouble) = skew.and_then(Skew::trouble) {
                    tracing::warn!(remedy = REMEDY, "{trouble}");
                }
                LOOK_AGAIN
            }
            // That it can't be reached, others say.
            Err(_) => TRY_AGAIN,
        };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use std::sync::{Arc, Mutex};
    use tokio::time::Instant;

    const EPOCH: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

    fn at(second: i64) -> Timestamp {
        let epoch: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        epoch + SignedDuration::from_secs(second)
    }

    #[test]
    fn the_server_has_answered_in_the_middle_of_the_request() {
        let skew = Skew::of(at(100), at(85), at(117));
        assert_eq!(skew.ahead, SignedDuration::from_secs(1));
        assert_eq!(skew.theirs(at(120)), at(119));
        assert_eq!(skew.trouble(), None);
    }

    #[test]
    fn a_slow_answer_is_no_skew_and_does_not_hide_one() {
        // The server has answered at once, and the answer took two minutes.
        assert_eq!(Skew::of(at(0), at(0), at(120)).trouble(), None);
        assert_eq!(Skew::of(at(120), at(0), at(120)).trouble(), None);
        let trouble = Skew::of(at(0), at(600), at(632)).trouble().unwrap();
        assert!(trouble.ends_with("differ by 10m 16s"), "{trouble}");
        assert!(Skew::of(at(31), at(0), at(0)).trouble().is_some());
        assert_eq!(Skew::of(at(30), at(0), at(0)).trouble(), None);
    }

    /// A server that answers after so long.
    fn slow(by: Duration) -> Client {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            tokio::time::sleep(by).await;
            let mut response = Response::new(Body::empty());
            let date = http::HeaderValue::from_static(EPOCH);
            response.headers_mut().insert(http::header::DATE, date);
            Ok::<_, kube::Error>(response)
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_an_answer_takes_is_measured() {
        let clock = Clock::starting_at(at(0));
        let skew = Skew::ask(&slow(Duration::from_secs(31)), clock).await;
        let skew = skew.unwrap().unwrap();
        assert_eq!(skew.ahead.as_secs(), 15);
        assert_eq!(skew.margin, skew.ahead);
        assert_eq!(skew.trouble(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_down_at_the_start_is_asked_until_it_answers_and_then_every_hour() {
        let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let log = asked.clone();
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut asked = log.lock().unwrap();
            asked.push(Instant::now());
            let is_up = asked.len() > 2;
            async move {
                if is_up {
                    Ok(Response::new(Body::empty()))
                } else {
                    Err(std::io::Error::other("connection refused"))
                }
            }
        });
        let start = Instant::now();
        let client = Client::new(service, "default");
        let task = tokio::spawn(warn_of_clock(client, Clock::starting_at(at(0))));
        tokio::time::sleep(Duration::from_mins(90)).await;
        task.abort();
        let asked = asked.lock().unwrap();
        let after = asked.iter().map(|at| at.duration_since(start).as_secs());
        assert_eq!(after.collect::<Vec<u64>>(), [0, 30, 60, 3660]);
    }
}
