use super::work::{BACKOFF_MAX, WRITES_AT_ONCE};
use super::*;
use crate::monitor::QueueMetrics;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use tokio::time::Instant;

fn key(name: &str) -> Key {
    Key::new(Kind::Rollout, "ns", name)
}

#[tokio::test(start_paused = true)]
async fn one_that_stands_by_keeps_nothing_and_begins_afresh() {
    let queue = Queue::new(QueueMetrics::default());
    queue.stand_by();
    for n in 0..100 {
        queue.add(Key::new(Kind::AnalysisRun, "ns", format!("run-{n}")));
    }
    assert_eq!(queue.depth(), 0);
    tokio::time::advance(Duration::from_hours(1)).await;
    queue.begin();
    queue.add(Key::new(Kind::Rollout, "ns", "app"));
    let progress = queue.progress();
    assert_eq!(progress.idle, Duration::ZERO);
    assert_eq!(progress.waiting.unwrap().1, Duration::ZERO);
    assert_eq!(queue.next().await.name, "app");
}

#[tokio::test(start_paused = true)]
async fn a_key_added_twice_is_handed_out_once() {
    let queue = Queue::default();
    queue.add(key("a"));
    queue.add(key("a"));
    assert_eq!(queue.next().await, key("a"));
    queue.done(key("a"), Outcome::AwaitChange);
    assert_eq!(queue.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_added_while_running_comes_again_and_never_twice_at_a_time() {
    let queue = Queue::default();
    queue.add(key("a"));
    let first = queue.next().await;
    queue.add(key("a"));
    let none = tokio::time::timeout(Duration::from_mins(1), queue.next()).await;
    assert!(none.is_err(), "handed out while it was running");
    queue.done(first, Outcome::AwaitChange);
    assert_eq!(queue.next().await, key("a"));
}

/// The next key, and after how many seconds there was one.
async fn taken(queue: &Queue, start: Instant) -> (u64, String) {
    let key = queue.next().await;
    (start.elapsed().as_secs(), key.name)
}

/// They are told of the next key only.
#[tokio::test(start_paused = true)]
async fn all_who_wait_get_what_is_due_at_its_time() {
    let queue = Queue::default();
    let start = Instant::now();
    let one = || taken(&queue, start);
    let waiting = async { tokio::join!(one(), one(), one(), one()) };
    let adding = async {
        for (name, seconds) in [("c", 60), ("a", 20), ("d", 80), ("b", 20)] {
            queue.add_at(key(name), start + Duration::from_secs(seconds));
            tokio::task::yield_now().await;
        }
    };
    let ((first, second, third, fourth), ()) = tokio::join!(waiting, adding);
    let mut taken = [first, second, third, fourth];
    taken.sort();
    let wanted = [(20, "a"), (20, "b"), (60, "c"), (80, "d")];
    assert_eq!(taken, wanted.map(|(at, name)| (at, name.to_owned())));
}

/// Counts how often somebody is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who works on it gives it back.
#[tokio::test(start_paused = true)]
async fn nobody_is_woken_for_a_key_that_somebody_works_on() {
    let queue = Queue::default();
    queue.add(key("a"));
    let taken = queue.next().await;
    let woken = Arc::<Woken>::default();
    let times = || woken.0.load(Ordering::Relaxed);
    let waker = Waker::from(woken.clone());
    let mut waiting = pin!(queue.next());
    let poll = waiting.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(poll.is_pending());
    queue.add(taken.clone());
    assert_eq!(times(), 0);
    queue.done(taken, Outcome::AwaitChange);
    assert_eq!(times(), 1);
    assert_eq!(waiting.await, key("a"));
}

#[tokio::test(start_paused = true)]
async fn a_queue_for_one_kind_takes_no_other() {
    let queue = Queue::new(QueueMetrics::default()).limited_to(Some(Kind::AnalysisRun));
    queue.add(Key::new(Kind::Rollout, "demo", "a"));
    queue.add(Key::new(Kind::AnalysisRun, "demo", "b"));
    let first = queue.next().await;
    assert_eq!(first, Key::new(Kind::AnalysisRun, "demo", "b"));
    queue.done(first, Outcome::AwaitChange);
    let none = tokio::time::timeout(Duration::from_mins(1), queue.next()).await;
    assert!(none.is_err(), "{none:?}");
}

#[tokio::test(start_paused = true)]
async fn progress_names_what_has_waited_and_what_has_run_for_longest() {
    let queue = Queue::new(QueueMetrics::default());
    queue.add(key("a"));
    tokio::time::advance(Duration::from_secs(1)).await;
    queue.add(key("b"));
    queue.add_at(key("later"), Instant::now() + Duration::from_hours(1));
    assert_eq!(queue.next().await, key("a"));
    tokio::time::advance(Duration::from_secs(2)).await;
    let progress = queue.progress();
    assert_eq!(progress.waiting, Some((key("b"), Duration::from_secs(2))));
    assert_eq!(progress.running, Some((key("a"), Duration::from_secs(2))));
    assert_eq!(progress.idle, Duration::from_secs(3));
    let load = queue.by_kind()[&Kind::Rollout];
    assert_eq!((load.due, load.longest), (1, Duration::from_secs(2)));
    queue.done(key("a"), Outcome::AwaitChange);
    assert_eq!(queue.progress().idle, Duration::ZERO);
    assert_eq!(queue.progress().running, None);
}

#[tokio::test(start_paused = true)]
async fn a_long_pass_that_gets_on_is_no_standstill() {
    let queue = Queue::new(QueueMetrics::default());
    queue.add(key("long"));
    queue.add(key("waits"));
    assert_eq!(queue.next().await, key("long"));
    for _ in 0..10 {
        tokio::time::advance(Duration::from_mins(4)).await;
        queue.progressed(&key("long"));
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let progress = queue.progress();
    assert_eq!(progress.idle, Duration::from_secs(1));
    assert_eq!(
        progress.running,
        Some((key("long"), Duration::from_secs(1)))
    );
    let load = queue.by_kind()[&Kind::Rollout];
    assert_eq!(
        load.longest,
        Duration::from_secs(2401),
        "as all controllers count"
    );
}

#[tokio::test(start_paused = true)]
async fn the_earliest_due_time_wins() {
    let queue = Queue::default();
    let start = Instant::now();
    queue.add_at(key("a"), start + Duration::from_mins(5));
    queue.add_at(key("a"), start + Duration::from_secs(20));
    queue.add_at(key("a"), start + Duration::from_secs(100));
    queue.next().await;
    assert_eq!(start.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_up_to_ten_seconds_and_a_success_forgets_them() {
    let queue = Queue::default();
    queue.add(key("a"));
    let mut waits = Vec::new();
    for _ in 0..12 {
        let start = Instant::now();
        let taken = queue.next().await;
        waits.push(start.elapsed());
        queue.done(taken, Outcome::Retry);
    }
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    let longest = waits.last().expect("twelve waits");
    assert!(
        (BACKOFF_MAX.mul_f64(0.79)..=BACKOFF_MAX).contains(longest),
        "{longest:?}"
    );
    let taken = queue.next().await;
    queue.done(taken, Outcome::Requeue);
    let taken = queue.next().await;
    let start = Instant::now();
    queue.done(taken, Outcome::Retry);
    queue.next().await;
    assert!(start.elapsed() < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_never_comes_to_rest_is_slowed_down() {
    let queue = Queue::default();
    queue.add(key("a"));
    let start = Instant::now();
    for _ in 0..WRITES_AT_ONCE {
        let taken = queue.next().await;
        queue.add(taken.clone());
        queue.done(taken, Outcome::Requeue);
    }
    assert!(
        start.elapsed() < Duration::from_millis(50),
        "{:?}",
        start.elapsed()
    );
    for _ in 0..20 {
        let taken = queue.next().await;
        queue.add(taken.clone());
        queue.done(taken, Outcome::Requeue);
    }
    assert!(
        start.elapsed() > Duration::from_mins(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_does_not_hold_up_another() {
    let queue = Queue::default();
    queue.add(key("bad"));
    for _ in 0..10 {
        let taken = queue.next().await;
        queue.done(taken, Outcome::Retry);
    }
    let start = Instant::now();
    queue.add(key("good"));
    assert_eq!(queue.next().await, key("good"));
    assert_eq!(start.elapsed(), Duration::ZERO);
}
