//! Takes measurements in the background. A provider says what to send and what the answer means;
//! this sends it and waits. Answers go to the inbox, and the run that asked is woken.

use super::Fetch;
use super::http::fetch_all;
use crate::clock::Clock;
use crate::queue::{Key, Kind, Queue};
use api::{AnalysisPhase, Measurement};
use engine::metric::{self, Step};
use futures::FutureExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{Answer, HttpRequest, MetricTask, ObjectKey, TaskId};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// How many measurements are taken at a time of one host, as many as the peer takes of all: whoever
/// begins to lead finds all that have become due meanwhile. One that says nothing holds up nobody
/// else's.
const AT_ONCE: usize = 30;
/// Hosts that are known before those that nobody asks any more are forgotten.
const HOSTS_MAX: usize = 1_024;

/// Measurements that were taken and not yet planned with, by run.
#[derive(Debug, Default)]
pub struct Inbox {
    answers: Mutex<BTreeMap<TaskId, (ObjectKey, Measurement)>>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, (ObjectKey, Measurement)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All answers for one run. They stay until [`Measurer::settle`]: a pass that fails half-way
    /// must find them again.
    pub fn of_run(&self, uid: &str) -> Vec<(TaskId, Measurement)> {
        let answers = self.lock();
        let of_run = answers.iter().filter(|(id, _)| id.run_uid == uid);
        of_run
            .map(|(id, (_, measurement))| (id.clone(), measurement.clone()))
            .collect()
    }

    /// Drops answers that are no longer wanted.
    fn forget(&self, settled: impl Fn(&TaskId) -> bool) {
        self.lock().retain(|id, _| !settled(id));
    }

    /// Drops what belongs to a run of that name, but for the one with the uid.
    fn forget_run(&self, namespace: &str, name: &str, but: Option<&str>) {
        self.lock().retain(|id, (run, _)| {
            !is_of_run(run, namespace, name) || Some(id.run_uid.as_str()) == but
        });
    }

    /// Puts in the answer for a run.
    pub fn put(&self, id: TaskId, run: ObjectKey, measurement: Measurement) {
        self.lock().insert(id, (run, measurement));
    }

    fn has(&self, id: &TaskId) -> bool {
        self.lock().contains_key(id)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Measurer {
    pub inbox: Arc<Inbox>,
    queue: Arc<Queue>,
    fetch: Arc<dyn Fetch>,
    clock: Clock,
    under_way: Arc<Mutex<BTreeMap<TaskId, UnderWay>>>,
    slots: Arc<Slots>,
}

/// Turns at the hosts of providers.
#[derive(Debug, Default)]
struct Slots(Mutex<BTreeMap<String, Arc<Semaphore>>>);

impl Slots {
    /// Waits for a turn at the host that the first request goes to.
    async fn turn(&self, requests: &[HttpRequest]) -> Option<OwnedSemaphorePermit> {
        let url = requests.first()?.url.reveal().parse::<http::Uri>().ok()?;
        let host = url.authority().map(|host| host.host().to_owned())?;
        let slots = {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() >= HOSTS_MAX {
                hosts.retain(|_, slots| Arc::strong_count(slots) > 1);
            }
            let new = || Arc::new(Semaphore::new(AT_ONCE));
            hosts.entry(host).or_insert_with(new).clone()
        };
        // Nobody closes it.
        slots.acquire_owned().await.ok()
    }
}

#[derive(Debug)]
struct UnderWay {
    handle: AbortHandle,
    run: ObjectKey,
}

impl Measurer {
    pub fn new(queue: Arc<Queue>, fetch: Arc<dyn Fetch>, clock: Clock) -> Self {
        Self {
            inbox: Arc::default(),
            queue,
            fetch,
            clock,
            under_way: Arc::default(),
            slots: Arc::default(),
        }
    }

    /// Starts a measurement, unless it is under way or its answer waits to be planned with.
    pub fn start(&self, task: &MetricTask) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if under_way.contains_key(&task.id) || self.inbox.has(&task.id) {
            return;
        }
        let (fetch, clock, slots) = (self.fetch.clone(), self.clock, self.slots.clone());
        let (inbox, queue, running) = (
            self.inbox.clone(),
            self.queue.clone(),
            self.under_way.clone(),
        );
        let owned = task.clone();
        let handle = tokio::spawn(async move {
            let measurement = guarded(&owned, fetch.as_ref(), clock, &slots).await;
            let namespace = owned.run.namespace.clone().unwrap_or_default();
            {
                let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
                if running.remove(&owned.id).is_none() {
                    // The run has gone in this moment: nobody would take the answer out again.
                    return;
                }
                inbox.put(owned.id.clone(), owned.run.clone(), measurement);
            }
            queue.add(Key::new(
                Kind::AnalysisRun,
                namespace,
                owned.run.name.clone(),
            ));
        });
        let handle = handle.abort_handle();
        under_way.insert(
            task.id.clone(),
            UnderWay {
                handle,
                run: task.run.clone(),
            },
        );
    }

    /// Drops the answers that are no longer wanted, and ends the measurements that nobody waits for
    /// any more: those of a run that is over, whose window may last for an hour.
    pub fn settle(&self, settled: impl Fn(&TaskId) -> bool) {
        self.end(|id, _| settled(id));
        self.inbox.forget(settled);
    }

    /// Ends the measurements of a run that is gone.
    pub fn stop_run(&self, namespace: &str, name: &str) {
        self.stop(namespace, name, None);
    }

    /// Ends those of runs that had the name of this one before.
    pub fn stop_former(&self, namespace: &str, name: &str, uid: &str) {
        self.stop(namespace, name, Some(uid));
    }

    fn stop(&self, namespace: &str, name: &str, but: Option<&str>) {
        self.end(|id, run| is_of_run(run, namespace, name) && Some(id.run_uid.as_str()) != but);
        self.inbox.forget_run(namespace, name, but);
    }

    fn end(&self, is_unwanted: impl Fn(&TaskId, &ObjectKey) -> bool) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|id, measurement| {
            let ends = is_unwanted(id, &measurement.run);
            if ends {
                measurement.handle.abort();
            }
            !ends
        });
    }
}

fn is_of_run(run: &ObjectKey, namespace: &str, name: &str) -> bool {
    run.name == name && run.namespace.as_deref() == Some(namespace)
}

/// A controller that ends leaves no requests behind.
impl Drop for Measurer {
    fn drop(&mut self) {
        let under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for measurement in under_way.values() {
            measurement.handle.abort();
        }
    }
}

/// A provider that panics has measured nothing: a run that waited for it would wait for ever.
async fn guarded(task: &MetricTask, fetch: &dyn Fetch, clock: Clock, slots: &Slots) -> Measurement {
    let began = clock.now();
    let measured = AssertUnwindSafe(measure(task, fetch, clock, slots)).catch_unwind();
    measured.await.unwrap_or_else(|panic| {
        let why = crate::error::panic_message(panic.as_ref());
        tracing::error!(run = %task.run, metric = task.id.metric, why, "measuring panicked; this is a bug of Weir");
        Measurement {
            phase: AnalysisPhase::Error,
            message: format!("measuring panicked: {why}; this is a bug of Weir"),
            started_at: Some(Time(began)),
            finished_at: Some(Time(clock.now())),
            value: String::new(),
            metadata: BTreeMap::new(),
            resume_at: None,
        }
    })
}

/// One that waits for its turn has not begun: neither its own time runs nor that of a request.
async fn measure(task: &MetricTask, fetch: &dyn Fetch, clock: Clock, slots: &Slots) -> Measurement {
    let (mut memo, mut answer) = (None, None);
    let mut slot = match metric::step(task, None, None, clock.now()) {
        Step::Send { requests, .. } => slots.turn(&requests).await,
        Step::Wait { .. } | Step::Done(_) => None,
    };
    loop {
        match metric::step(task, memo.take(), answer.take(), clock.now()) {
            Step::Send {
                requests,
                memo: next,
            } => {
                answer = Some(Answer::Http(fetch_all(fetch, &requests).await));
                memo = Some(next);
            }
            Step::Wait { until, memo: next } => {
                // What is measured over a window is asked for again when that ends, without a turn.
                drop(slot.take());
                tokio::time::sleep_until(clock.instant_of(until)).await;
                answer = Some(Answer::Woken);
                memo = Some(next);
            }
            Step::Done(measurement) => return measurement,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::BoxFuture;
    use jiff::Timestamp;
    use plan::{HttpAnswer, HttpRequest, Redacted};
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Needs nearly all the time that a request has.
    #[derive(Debug, Default)]
    struct Slow {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Fetch for Slow {
        fn fetch<'a>(&'a self, _: &'a HttpRequest) -> BoxFuture<'a, HttpAnswer> {
            let answer = async move {
                let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(9)).await;
                self.now.fetch_sub(1, Ordering::SeqCst);
                let error = "it is down".to_owned();
                HttpAnswer::Failed { error }
            };
            answer.boxed()
        }
    }

    fn task(ordinal: u64) -> MetricTask {
        let provider = json!({"web": {"url": "http://shop/health"}});
        MetricTask {
            id: TaskId {
                run_uid: "u".to_owned(),
                metric: "m".to_owned(),
                ordinal,
            },
            run: ObjectKey::namespaced("argoproj.io/v1alpha1", "AnalysisRun", "ns", "run"),
            metric: Redacted::new(json!({"name": "m", "provider": provider})),
            context: Redacted::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_belongs_to_a_run_goes_with_it_and_with_one_that_takes_its_name() {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let measurer = Measurer::new(Arc::default(), Arc::<Slow>::default(), clock);
        let of = |uid: &str, ordinal| {
            let mut task = task(ordinal);
            task.id.run_uid = uid.to_owned();
            task
        };
        measurer.start(&of("u", 0));
        tokio::time::sleep(Duration::from_secs(10)).await;
        measurer.start(&of("u", 1));
        measurer.start(&of("v", 0));
        let known = |uid: &str| {
            let under_way = measurer.under_way.lock().unwrap();
            let running = under_way.keys().filter(|id| id.run_uid == uid).count();
            (running, measurer.inbox.of_run(uid).len())
        };
        assert_eq!((known("u"), known("v")), ((1, 1), (1, 0)));
        measurer.stop_former("ns", "run", "v");
        assert_eq!((known("u"), known("v")), ((0, 0), (1, 0)));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!((known("u"), known("v")), ((0, 0), (0, 1)));
        measurer.stop_run("ns", "run");
        assert_eq!((known("u"), known("v")), ((0, 0), (0, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_settled_is_measured_no_longer() {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let measurer = Measurer::new(Arc::default(), Arc::<Slow>::default(), clock);
        measurer.start(&task(0));
        tokio::time::sleep(Duration::from_secs(10)).await;
        measurer.start(&task(1));
        measurer.start(&task(2));
        tokio::time::sleep(Duration::from_secs(1)).await;
        measurer.settle(|id| id.ordinal < 2);
        let ordinals = || {
            let answers = measurer.inbox.of_run("u");
            answers.iter().map(|(id, _)| id.ordinal).collect::<Vec<_>>()
        };
        assert_eq!(
            (ordinals(), measurer.under_way.lock().unwrap().len()),
            (vec![], 1)
        );
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(
            (ordinals(), measurer.under_way.lock().unwrap().len()),
            (vec![2], 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_for_their_turn_have_all_their_time_then() {
        let slow = Arc::<Slow>::default();
        let epoch = Timestamp::UNIX_EPOCH;
        let clock = Clock::starting_at(epoch);
        let measurer = Measurer::new(Arc::default(), slow.clone(), clock);
        for ordinal in 0..2 * AT_ONCE as u64 {
            measurer.start(&task(ordinal));
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(slow.most.load(Ordering::SeqCst), AT_ONCE);
        let answers = measurer.inbox.of_run("u");
        assert_eq!(answers.len(), 2 * AT_ONCE);
        for (_, measurement) in &answers {
            let (message, began) = (&measurement.message, &measurement.started_at);
            assert!(message.contains("it is down"), "{message}, begun {began:?}");
        }
        let at_once = answers
            .iter()
            .filter(|(_, measurement)| measurement.started_at == Some(Time(epoch)));
        assert_eq!(at_once.count(), AT_ONCE);
    }
}
