//! The one place where observe → plan → act is sequenced.
//!
//! A pass: find the object, build its snapshot, plan, carry out. Within a pass the order is: the
//! object itself (annotations, labels), the actions, the status, and then the events, metrics and
//! log lines that may be told only once the status is stored. The first failure that is not one of
//! an attempt ends the pass; the next one plans anew from what the world has become. A pass that
//! wrote anything is followed by another at once, until a plan is empty.
//!
//! What holds whatever a plan says: a planner that panics costs its own object a pass and nothing
//! else, and nothing is written against a version that was not planned with, or once another
//! controller may lead.

mod analysis_run;
mod announce;
mod application;
mod application_orphans;
mod experiment;
mod kept;
mod known;
mod projects;
mod report;
mod rollout;
mod service;
mod status;
mod unseen;

pub use kept::Kept;
pub use projects::remove_project_finalizers;
pub use report::FailureLog;

use crate::act::{DryRuns, Events, Kinds, Kubernetes, Measurer, Outcomes, Renderer};
use crate::cache::Caches;
use crate::clock::Clock;
use crate::error::{Error, Result, Retry, panic_message};
use crate::monitor::Metrics;
use crate::queue::{Key, Kind, Outcome, Queue};
use api::constants::INSTANCE_ID_LABEL;
use engine::snapshot::RefusalKind;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Client, Resource, ResourceExt};
use plan::{Action, Next, ObjectKey, Plan};
use report::Verdict;
use serde::Serialize;
use serde_json::{Value, json};
use status::Stored;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What every pass needs.
pub struct Context {
    pub client: Client,
    pub caches: Arc<Caches>,
    pub queue: Arc<Queue>,
    pub kubernetes: Kubernetes,
    pub events: Events,
    pub measurer: Measurer,
    pub renderer: Renderer,
    pub outcomes: Outcomes,
    pub dry_runs: DryRuns,
    /// ReplicaSets of Rollouts that the API server would not create.
    pub refusals: Kept<engine::snapshot::Refusal>,
    pub route_refusals: Kept<engine::snapshot::RouteRefusal>,
    /// What the specs of Rollouts come to.
    pub digests: Kept<Arc<engine::snapshot::Digest>>,
    /// Writes for Experiments that it refused.
    pub experiment_refusals: Kept<engine::experiment::Refusals>,
    /// Uids of the Rollouts that were met.
    pub known: Kept<String>,
    /// Which failures of passes were logged, so that each is logged once.
    pub failures: FailureLog,
    /// Cancelled when the term is over: a pass ends after the action that it is at.
    pub over: CancellationToken,
    pub metrics: Arc<Metrics>,
    pub kinds: Arc<Kinds>,
    pub clock: Clock,
    pub config: engine::config::Config,
    pub metric_defaults: engine::analysis::MetricDefaults,
    pub gitops: gitops::sync::Config,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("caches", &self.caches)
            .finish_non_exhaustive()
    }
}

/// One kind of object: how to see it, how to plan it, where its status is kept.
pub trait Driver: Send + Sync {
    type Root: Resource<DynamicType = ()> + Serialize + Send + Sync;
    type Snapshot: Send + Sync;
    /// An object without one has the default one.
    type Status: Serialize + PartialEq + Default + Send + Sync;

    /// `None` when the status is part of the object itself (rollouts.md §1.1).
    const STATUS_SUBRESOURCE: Option<&'static str>;

    /// Whether an object that is being deleted is planned for.
    const PLANS_DELETION: bool = false;

    fn root(&self, cx: &Context, key: &Key) -> Option<Arc<Self::Root>>;

    /// The status that is stored.
    fn status(root: &Self::Root) -> Option<&Self::Status>;

    fn observe(
        &self,
        cx: &Context,
        root: Arc<Self::Root>,
    ) -> impl Future<Output = Result<Self::Snapshot>> + Send;

    fn plan(&self, cx: &Context, snapshot: &Self::Snapshot, now: Timestamp) -> Plan<Self::Status>;

    /// Takes note of what came of the plan's actions. True if there is a result among them that the
    /// next plan has to see and this one has not seen: then it is made at once, and a failure that
    /// [is a result](Self::is_result) is no reason to back off.
    fn record(&self, _cx: &Context, _key: &Key, _pass: &Pass<'_, Self::Status>) -> bool {
        false
    }

    /// Whether an error is an answer that a plan can go by. After another the same is tried again.
    fn is_result(&self, error: &Error) -> bool {
        error.refusal() != RefusalKind::Failed
    }

    /// After the status of a plan is stored: what can be dropped now.
    fn stored(&self, _cx: &Context, _snapshot: &Self::Snapshot) {}

    /// Before every pass: the object is there.
    fn met(
        &self,
        _cx: &Context,
        _key: &Key,
        _root: &Self::Root,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The object is gone: what can be dropped.
    fn gone(&self, _cx: &Context, _key: &Key) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// The acting part of one pass.
#[derive(Debug)]
pub struct Pass<'a, S> {
    pub plan: &'a Plan<S>,
    /// Of the plan's actions, in order and up to the failure that ended the pass.
    pub outcomes: Vec<Result<(), Failure>>,
}

/// An action that failed, and not because the view of the cluster was old.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In the words of the API server.
    pub message: String,
    pub kind: RefusalKind,
    /// See [`Error::is_verdict`].
    pub is_verdict: bool,
}

/// Works on one key and says when to look at it again. Never fails: failures are logged, with
/// what they mean, and retried.
pub async fn reconcile(cx: &Context, key: &Key) -> Outcome {
    let started = Instant::now();
    let result = match key.kind {
        Kind::Rollout => reconcile_once(&rollout::RolloutDriver, cx, key).await,
        Kind::AnalysisRun => reconcile_once(&analysis_run::AnalysisRunDriver, cx, key).await,
        Kind::Experiment => reconcile_once(&experiment::ExperimentDriver, cx, key).await,
        Kind::Service => reconcile_once(&service::ServiceDriver, cx, key).await,
        Kind::Application => reconcile_once(&application::ApplicationDriver, cx, key).await,
    };
    let verdict = cx.failures.judge(key, &result);
    let failed = matches!(verdict, Verdict::Failed { .. });
    let server = server_of(cx, key);
    cx.metrics.pass(key, started.elapsed(), failed, &server);
    match result {
        Ok(outcome) => outcome,
        Err(error) => report::tell(key, &error, verdict),
    }
}

/// The cluster that an Application deploys to; empty for anything else.
fn server_of(cx: &Context, key: &Key) -> String {
    if key.kind != Kind::Application {
        return String::new();
    }
    let app = cx.caches.applications.get(&key.namespace, &key.name);
    let server = app.and_then(|app| app.spec.destination.server.clone());
    server.unwrap_or_default()
}

async fn reconcile_once<D: Driver>(driver: &D, cx: &Context, key: &Key) -> Result<Outcome> {
    let Some(root) = driver.root(cx, key) else {
        driver.gone(cx, key).await;
        cx.failures.forget(key);
        cx.metrics.gone(key);
        return Ok(Outcome::AwaitChange);
    };
    if root.meta().deletion_timestamp.is_some() && !D::PLANS_DELETION {
        return Ok(Outcome::AwaitChange);
    }
    cx.metrics.seen(key);
    driver.met(cx, key, root.as_ref()).await;
    let snapshot = driver.observe(cx, root.clone()).await?;
    let now = cx.clock.now();
    let plan = guarded(key, || driver.plan(cx, &snapshot, now))?;
    let written = carry_out(driver, cx, key, root.as_ref(), &plan).await?;
    if written != Written::Partly {
        driver.stored(cx, &snapshot);
    }
    Ok(match plan.next {
        _ if written != Written::Nothing => Outcome::Requeue,
        Next::OnChange => Outcome::AwaitChange,
        Next::At(at) => Outcome::RequeueAt(cx.clock.instant_of(at)),
    })
}

/// A planner that panics costs its own object a pass and nothing else.
pub(crate) fn guarded<T>(key: &Key, plan: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(plan)).map_err(|panic| Error::Panic {
        key: key.to_string(),
        message: panic_message(panic.as_ref()).to_owned(),
    })
}

/// How far a plan was carried out. Unless nothing was written, another pass follows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Nothing,
    Everything,
    /// An action failed, and the driver has taken note: the status was not written.
    Partly,
}

async fn carry_out<D: Driver>(
    driver: &D,
    cx: &Context,
    key: &Key,
    root: &D::Root,
    plan: &Plan<D::Status>,
) -> Result<Written> {
    let mut version = root.resource_version();
    let mut written = Written::Nothing;
    let mut done = Vec::new();
    if let Some(patch) = &plan.root.patch {
        let target = key_of(root);
        let patch = at_version(patch.clone(), version.as_deref());
        version = cx.kubernetes.merge(&target, &patch, None).await?;
        written = Written::Everything;
        done.push(target);
    }
    let (outcomes, failure) = act(cx, key, root, &plan.actions).await;
    let acted = plan.actions.iter().zip(&outcomes);
    let successes = acted.filter(|(_, outcome)| outcome.is_ok());
    for (action, _) in successes {
        // What an eviction leads to is seen when the pod goes; one that was refused is tried again
        // when the plan says so, not at once.
        if !matches!(action, Action::Measure(_) | Action::Evict { .. }) {
            written = Written::Everything;
        }
        done.extend(action.target());
    }
    let is_news = driver.record(cx, key, &Pass { plan, outcomes });
    if let Some(error) = failure {
        announce::writes(cx, key, root, (&plan.releases, &done)).await?;
        let is_result = is_news && driver.is_result(&error);
        return if is_result {
            Ok(Written::Partly)
        } else {
            Err(error)
        };
    }
    // What has come of an attempt may be a result as well.
    if is_news {
        written = Written::Everything;
    }
    match status::store(driver, cx, key, (root, version.as_deref()), &plan.status).await? {
        Stored::AsItWas => {}
        Stored::Changed => written = Written::Everything,
        // What it tells of is stored, and would not be told by a next pass.
        Stored::Partly(error) => {
            announce::all(cx, key, root, &plan.releases).await?;
            return Err(error);
        }
        Stored::Nothing(error) => {
            announce::writes(cx, key, root, (&plan.releases, &done)).await?;
            return Err(error);
        }
    }
    announce::all(cx, key, root, &plan.releases).await?;
    Ok(written)
}

/// Whether an object is for this instance: with its id, or without any (rollouts.md §9.3). Answers
/// to writes bring others too: a sync applies what Git says.
fn is_ours(cx: &Context, metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    let id = labels.and_then(|labels| labels.get(INSTANCE_ID_LABEL));
    id == cx.config.instance_id.as_ref()
}

/// Carries actions out in order, up to the first failure that is not one of an attempt, and as long
/// as it is this process's turn.
async fn act<R: Resource<DynamicType = ()> + Sync>(
    cx: &Context,
    key: &Key,
    root: &R,
    actions: &[Action],
) -> (Vec<Result<(), Failure>>, Option<Error>) {
    let mut outcomes = Vec::with_capacity(actions.len());
    let mut attempts = Vec::new();
    let mut failure = None;
    for action in actions {
        let done = match action.deed() {
            _ if cx.over.is_cancelled() => Err(Error::NotLeading {
                object: key_of(root),
            }),
            Action::Measure(task) => {
                cx.measurer.start(task);
                Ok(())
            }
            deed => cx.kubernetes.execute(deed).await,
        };
        cx.queue.progressed(key);
        let Err(error) = done else {
            outcomes.push(Ok(()));
            continue;
        };
        let is_attempt = matches!(action, Action::Attempt(_));
        let goes_on = is_attempt && !matches!(error, Error::NotLeading { .. });
        // A conflict says nothing of the object, only that the view of it was old.
        if goes_on || error.retry() != Retry::Stale {
            outcomes.push(Err(Failure {
                message: error.words(),
                kind: error.refusal(),
                is_verdict: error.is_verdict(),
            }));
        }
        if !goes_on {
            failure = Some(error);
            break;
        }
        attempts.push(error);
    }
    cx.failures.attempted(key, &attempts);
    (outcomes, failure)
}

/// A patch that is refused unless the object is still the one that was planned with.
fn at_version(mut patch: Value, version: Option<&str>) -> Value {
    if let (Some(version), Some(fields)) = (version, patch.as_object_mut()) {
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        metadata["resourceVersion"] = json!(version);
    }
    patch
}

fn key_of<K: Resource<DynamicType = ()>>(object: &K) -> ObjectKey {
    ObjectKey {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        namespace: object.namespace(),
        name: object.name_any(),
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(not_encoded::<T>)
}

fn not_encoded<T>(source: serde_json::Error) -> Error {
    Error::Encode {
        object: std::any::type_name::<T>().to_owned(),
        source,
    }
}
