//! One term of leading: workers, and what they remember. Nothing of a former term survives, since
//! another may have acted in between.

use super::{Only, Options};
use crate::act::{DryRuns, Events, Kinds, Kubernetes, Measurer, Outcomes, Renderer};
use crate::cache::{Cache, Caches};
use crate::driver::{self, Context, FailureLog, Kept};
use crate::lease::Lead;
use crate::queue::{Key, Kind, Outcome, Queue};
use kube::Client;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// See the module's documentation.
pub(super) struct Term {
    pub(super) client: Client,
    pub(super) kinds: Arc<Kinds>,
    pub(super) caches: Arc<Caches>,
    pub(super) queue: Arc<Queue>,
    pub(super) options: Options,
}

impl Term {
    /// Works until the lead is lost or `shutdown`, and until what was under way then has ended.
    pub(super) async fn serve(&self, lead: Lead, shutdown: &CancellationToken) {
        let over = shutdown.child_token();
        let (events, writers) = Events::new(self.client.clone(), self.options.clock);
        let cx = Arc::new(self.context(lead.clone(), over.clone(), events));
        let writing = writers.start();
        tracing::info!(workers = self.options.workers, "reconciling");
        let mut workers = JoinSet::new();
        for _ in 0..self.options.workers {
            workers.spawn(work(cx.clone(), self.options.only, over.clone()));
        }
        workers.spawn(resync(cx.clone(), over.clone()));
        workers.spawn(driver::remove_project_finalizers(cx.clone(), over.clone()));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = lead.lost() => over.cancel(),
        }
        while workers.join_next().await.is_some() {}
        writing.finish(&cx.events).await;
        tracing::info!("all workers have finished");
    }

    fn context(&self, lead: Lead, over: CancellationToken, events: Events) -> Context {
        let options = &self.options;
        Context {
            kubernetes: Kubernetes::new(
                self.client.clone(),
                self.kinds.clone(),
                self.caches.clone(),
                lead.clone(),
            ),
            dry_runs: DryRuns::new(
                self.client.clone(),
                self.kinds.clone(),
                lead,
                self.queue.clone(),
            ),
            kinds: self.kinds.clone(),
            events,
            client: self.client.clone(),
            metric_defaults: options.metric_defaults.clone(),
            measurer: Measurer::new(self.queue.clone(), options.fetch.clone(), options.clock),
            renderer: Renderer::new(options.render.clone(), self.queue.clone(), options.clock),
            outcomes: Outcomes::default(),
            refusals: Kept::default(),
            route_refusals: Kept::default(),
            digests: Kept::default(),
            experiment_refusals: Kept::default(),
            known: Kept::default(),
            failures: FailureLog::default(),
            over,
            metrics: options.monitor.metrics.clone(),
            caches: self.caches.clone(),
            queue: self.queue.clone(),
            clock: options.clock,
            config: options.config.clone(),
            gitops: options.gitops.clone(),
        }
    }
}

/// One worker: takes keys until the term is over, and ends the pass that it is at after the action
/// that it is at.
async fn work(cx: Arc<Context>, only: Option<Only>, over: CancellationToken) {
    loop {
        let key = tokio::select! {
            biased;
            () = over.cancelled() => return,
            key = cx.queue.next() => key,
        };
        // Objects that Argo CD tracks set their Application in motion, though it is none of ours.
        let outcome = if Only::takes(only, key.kind) {
            driver::reconcile(&cx, &key).await
        } else {
            Outcome::AwaitChange
        };
        cx.queue.done(key, outcome);
    }
}

/// Looks at every object again from time to time, in case an event was lost: each at its own moment
/// of the period, so that ten thousand of them are no storm. Without a period, never.
async fn resync(cx: Arc<Context>, over: CancellationToken) {
    let Some(seconds) = u64::try_from(cx.config.resync_s).ok().filter(|s| *s > 0) else {
        return;
    };
    let period = Duration::from_secs(seconds);
    loop {
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
        let start = Instant::now();
        for_each_key(&cx.caches, |key| {
            let at = start + moment(&key, period);
            cx.queue.add_at(key, at);
        });
    }
}

/// A key's moment within the period: always the same one.
fn moment(key: &Key, period: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (&key.namespace, &key.name).hash(&mut hasher);
    period.mul_f64((hasher.finish() % 1024) as f64 / 1024.0)
}

/// For a new leader: everything is planned anew, whatever was seen while it stood by.
pub(super) fn requeue_everything(caches: &Caches, queue: &Queue) {
    for_each_key(caches, |key| queue.add(key));
}

fn for_each_key(caches: &Caches, mut with: impl FnMut(Key)) {
    of_kind(&caches.rollouts, Kind::Rollout, &mut with);
    of_kind(&caches.analysis_runs, Kind::AnalysisRun, &mut with);
    of_kind(&caches.experiments, Kind::Experiment, &mut with);
    of_kind(&caches.applications, Kind::Application, &mut with);
    of_kind(&caches.services, Kind::Service, &mut with);
}

fn of_kind<K>(cache: &Cache<K>, kind: Kind, with: &mut impl FnMut(Key)) {
    for (namespace, name) in cache.names() {
        with(Key::new(kind, namespace, name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resync_is_spread_over_its_period() {
        let period = Duration::from_mins(15);
        let moments: Vec<Duration> = (0..1000)
            .map(|n| moment(&Key::new(Kind::Rollout, "ns", format!("app-{n}")), period))
            .collect();
        assert!(moments.iter().all(|moment| *moment < period));
        for quarter in 0..4 {
            let from = period / 4 * quarter;
            let within = from..from + period / 4;
            let count = moments.iter().filter(|at| within.contains(*at)).count();
            assert!((150..350).contains(&count), "{count} in quarter {quarter}");
        }
    }
}
