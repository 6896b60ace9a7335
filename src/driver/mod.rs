//! The one place where observe → plan → act is sequenced.
//!
//! A pass: find the object, build its snapshot, plan, carry out. Within a pass the order is: the
//! object itself (annotations, labels), the actions, the status, and then what may be told only
//! once the status is stored. The first failure ends the pass; the next one plans anew from what
//! the world has become. A pass that wrote anything is followed by another at once, until a plan
//! is empty.

mod analysis_run;
mod announce;
mod application;
mod experiment;
mod kept;
mod known;
mod rollout;
mod service;

pub use kept::Kept;

use crate::act::{Events, Kinds, Kubernetes, Measurer, Outcomes, Renderer};
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
use plan::{Action, Next, ObjectKey, PatchKind, Plan};
use serde::Serialize;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::time::Instant;

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
    /// ReplicaSets of Rollouts that the API server would not create.
    pub refusals: Kept<engine::snapshot::Refusal>,
    /// What the specs of Rollouts come to.
    pub digests: Kept<Arc<engine::snapshot::Digest>>,
    /// Writes for Experiments that it refused.
    pub experiment_refusals: Kept<engine::experiment::Refusals>,
    /// Uids of the Rollouts that were met.
    pub known: Kept<String>,
    /// What was said last of an object whose passes fail.
    pub complaints: Kept<String>,
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
    type Status: Serialize + PartialEq + Send + Sync;

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

    /// What came of the plan's actions, in order and up to the first failure. True: failures
    /// are results that a next plan has to see; those that would only repeat themselves are then no
    /// reason to back off.
    fn acted(&self, _cx: &Context, _key: &Key, _pass: &Pass<'_, Self::Status>) -> bool {
        false
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
    pub outcomes: Vec<Result<(), Failure>>,
}

/// An action that failed, and not because the view of the cluster was old.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In the words of the API server.
    pub message: String,
    pub kind: RefusalKind,
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
    // That somebody else was faster is no failure.
    let failed = matches!(&result, Err(error) if error.retry() != Retry::Stale);
    let server = server_of(cx, key);
    cx.metrics.pass(key, started.elapsed(), failed, &server);
    match result {
        Ok(outcome) => {
            cx.complaints.forget(key);
            outcome
        }
        Err(error) => report(cx, key, &error),
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

/// Says what failed, and what to do about it: once, however often it fails.
fn report(cx: &Context, key: &Key, error: &Error) -> Outcome {
    let (why, remedy) = (error.chain(), error.remedy());
    let retry = error.retry();
    let is_old =
        retry != Retry::Stale && cx.complaints.note(key, why.clone()).as_ref() == Some(&why);
    let category = error.category();
    match retry {
        Retry::Stale => {
            tracing::debug!(%key, error = why, "the world changed meanwhile, planning again");
        }
        _ if is_old => tracing::debug!(%key, category, error = why, "pass failed again"),
        Retry::Backoff => {
            tracing::warn!(%key, category, error = why, remedy, "pass failed, trying again");
        }
        Retry::Never => {
            tracing::error!(%key, category, error = why, remedy, "pass failed, waiting for a change");
        }
    }
    match retry {
        Retry::Stale | Retry::Backoff => Outcome::Retry,
        Retry::Never => Outcome::AwaitChange,
    }
}

async fn reconcile_once<D: Driver>(driver: &D, cx: &Context, key: &Key) -> Result<Outcome> {
    let Some(root) = driver.root(cx, key) else {
        driver.gone(cx, key).await;
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
    let plan = guarded_plan(key, || driver.plan(cx, &snapshot, now))?;
    let written = carry_out(driver, cx, key, root.as_ref(), &plan).await?;
    if written != Written::Partly {
        driver.stored(cx, &snapshot);
    }
    Ok(match plan.next {
        _ if written != Written::Nothing => Outcome::Again,
        Next::OnChange => Outcome::AwaitChange,
        Next::At(at) => Outcome::At(cx.clock.instant_of(at)),
    })
}

/// A planner that panics costs its own object a pass and nothing else.
fn guarded_plan<S>(key: &Key, plan: impl FnOnce() -> Plan<S>) -> Result<Plan<S>> {
    catch_unwind(AssertUnwindSafe(plan)).map_err(|panic| Error::Panic {
        key: key.to_string(),
        message: panic_message(panic.as_ref()).to_owned(),
    })
}

/// How far a plan was carried out.
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
    let target = key_of(root);
    let mut version = root.resource_version();
    let mut written = Written::Nothing;
    let mut done = Vec::new();
    if let Some(patch) = &plan.root.patch {
        let patch = at_version(patch.clone(), version.as_deref());
        version = cx
            .kubernetes
            .patch(&target, PatchKind::Merge, &patch, None)
            .await?;
        written = Written::Everything;
        done.push(target.clone());
    }
    let (outcomes, failure) = act(cx, key, &plan.actions).await;
    let acted = plan.actions.iter().zip(&outcomes);
    let successes = acted.filter(|(_, outcome)| outcome.is_ok());
    for (action, _) in successes {
        // What an eviction leads to is seen when the pod goes; one that was refused is tried again when
        // the plan says so, not at once.
        if !matches!(action, Action::Measure(_) | Action::Evict { .. }) {
            written = Written::Everything;
        }
        done.extend(action.target());
    }
    let taken = driver.acted(cx, key, &Pass { plan, outcomes });
    if let Some(error) = failure {
        announce::writes(cx, key, root, (&plan.releases, &done)).await?;
        let is_result = taken && error.refusal() != RefusalKind::Failed;
        return if is_result {
            Ok(Written::Partly)
        } else {
            Err(error)
        };
    }
    if let Some(difference) = status_difference::<D>(root, &plan.status)? {
        let patch = at_version(json!({"status": difference}), version.as_deref());
        let subresource = D::STATUS_SUBRESOURCE;
        let stored = cx
            .kubernetes
            .patch(&target, PatchKind::Merge, &patch, subresource)
            .await;
        if let Err(error) = stored {
            announce::writes(cx, key, root, (&plan.releases, &done)).await?;
            return Err(without_status(cx, target, subresource, error).await);
        }
        written = Written::Everything;
    }
    announce::all(cx, key, root, &plan.releases).await?;
    Ok(written)
}

/// A status that is not found, of an object that is: the same answer as for one that is gone.
async fn without_status(
    cx: &Context,
    object: ObjectKey,
    subresource: Option<&str>,
    error: Error,
) -> Error {
    let is_missing = subresource.is_some() && error.code() == Some(404);
    if is_missing && cx.kubernetes.exists(&object).await {
        return Error::NoStatus { object };
    }
    error
}

/// Whether an object is for this instance: with its id, or without any (rollouts.md §9.3). Answers to writes
/// bring others too: a sync applies what Git says.
fn is_ours(cx: &Context, metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    let id = labels.and_then(|labels| labels.get(INSTANCE_ID_LABEL));
    id == cx.config.instance_id.as_ref()
}

/// What a merge patch of the status has to say; `None` when the stored one is as planned.
fn status_difference<D: Driver>(root: &D::Root, planned: &D::Status) -> Result<Option<Value>> {
    let stored = D::status(root);
    if stored == Some(planned) {
        return Ok(None);
    }
    let stored = stored.map_or(Ok(Value::Null), encode)?;
    let planned = encode(planned)?;
    // A kind without a status of ours (a Service) plans none.
    Ok(crate::diff::merge_diff(&stored, &planned).filter(|_| planned.is_object()))
}

/// Carries actions out in order, up to the first failure that is not one of an attempt.
async fn act(
    cx: &Context,
    key: &Key,
    actions: &[Action],
) -> (Vec<Result<(), Failure>>, Option<Error>) {
    let mut outcomes = Vec::with_capacity(actions.len());
    for action in actions {
        let done = match action.deed() {
            Action::Measure(task) => {
                cx.measurer.start(task);
                Ok(())
            }
            deed => cx.kubernetes.execute(deed).await,
        };
        let Err(error) = done else {
            outcomes.push(Ok(()));
            continue;
        };
        let failure = Failure {
            message: error.words(),
            kind: error.refusal(),
        };
        if matches!(action, Action::Attempt(_)) {
            let (why, remedy) = (error.chain(), error.remedy());
            tracing::warn!(%key, error = why, remedy, "an attempt failed, the rest goes on");
            outcomes.push(Err(failure));
            continue;
        }
        // A conflict says nothing of the object, only that the view of it was old.
        if error.retry() != Retry::Stale {
            outcomes.push(Err(failure));
        }
        return (outcomes, Some(error));
    }
    (outcomes, None)
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
    serde_json::to_value(value).map_err(|source| Error::Encode {
        object: std::any::type_name::<T>().to_owned(),
        source,
    })
}
