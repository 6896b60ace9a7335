//! Shows the API server what an operation is about to send, before anything is sent in earnest:
//! each action once for each attempt, a few at a time, in the background. What is to be shown, and
//! what follows from the answers, is for the planner to say
//! ([`sync::dry_run_objects`](gitops::sync::dry_run_objects)).
//!
//! A request that has no answer, because the API server or a webhook that it asks is overloaded or
//! away, says nothing of the object. It is made again as a write would be, with growing pauses, and
//! counts as refused in the end.

use super::Kinds;
use super::kubernetes::{Built, replacement, replacing};
use crate::error::{Error, Result, Verb};
use crate::lease::Lead;
use crate::queue::{Key, Queue};
use futures::{StreamExt, stream};
use gitops::ResourceId;
use gitops::sync::DryRun;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, Request};
use kube::{Api, Client};
use plan::{Action, ObjectKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Requests at a time for one Application, and for all of them.
const OF_ONE_MAX: usize = 8;
const OF_ALL_MAX: usize = 16;
/// How long one request may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// So many rounds in a row may bring no answer at all, with pauses up to this between them: as for
/// writes.
const TRIES_MAX: u32 = 7;
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long it may take for all objects together, where there is an answer now and then.
const TOTAL_MAX: Duration = Duration::from_mins(10);
/// For so long a pass waits for answers, which mostly takes a moment: that spares a status which
/// says so.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// An entry for each action that was refused, with its object and the reason.
type Refused = Vec<(ResourceId, String)>;

/// See the module's documentation.
pub struct DryRuns {
    judge: Arc<Judge>,
    queue: Arc<Queue>,
    entries: Mutex<BTreeMap<Key, Entry>>,
}

/// The dry run of one attempt. It ends with this value.
struct Entry {
    attempt: String,
    answer: watch::Receiver<Option<Arc<Refused>>>,
    _work: AbortOnDropHandle<()>,
}

impl std::fmt::Debug for DryRuns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DryRuns").finish_non_exhaustive()
    }
}

impl DryRuns {
    pub fn new(client: Client, kinds: Arc<Kinds>, lead: Lead, queue: Arc<Queue>) -> Self {
        let judge = Judge {
            client,
            kinds,
            lead,
            turns: Semaphore::new(OF_ALL_MAX),
        };
        Self {
            judge: Arc::new(judge),
            queue,
            entries: Mutex::default(),
        }
    }

    /// What the API server says of the actions of an attempt. It is asked if it was not yet; the
    /// key is woken when it has said everything.
    pub async fn of(&self, key: &Key, attempt: &str, actions: Vec<Action>) -> DryRun {
        if actions.is_empty() {
            return DryRun::Done(Refused::new());
        }
        if let Some(mut answer) = self.begin(key, attempt, actions) {
            // What it is by then is looked at below.
            let _ = tokio::time::timeout(FIRST_WAIT, answer.wait_for(Option::is_some)).await;
        }
        self.known(key, attempt).unwrap_or(DryRun::Pending)
    }

    /// What the API server has said in this attempt; `None` if it has not said everything yet, or
    /// was not asked.
    fn known(&self, key: &Key, attempt: &str) -> Option<DryRun> {
        let entries = self.lock();
        let entry = entries.get(key).filter(|entry| entry.attempt == attempt)?;
        entry.known()
    }

    /// Begins to ask; `None` if that has been done.
    fn begin(
        &self,
        key: &Key,
        attempt: &str,
        actions: Vec<Action>,
    ) -> Option<watch::Receiver<Option<Arc<Refused>>>> {
        let mut entries = self.lock();
        let known = entries.get(key);
        if known.is_some_and(|entry| entry.attempt == attempt && !entry.is_dead()) {
            return None;
        }
        let (tell, answer) = watch::channel(None);
        let (judge, queue, woken) = (self.judge.clone(), self.queue.clone(), key.clone());
        let work = tokio::spawn(async move {
            let refused = judge.all(actions).await;
            tell.send_replace(Some(Arc::new(refused)));
            queue.add(woken);
        });
        let entry = Entry {
            attempt: attempt.to_owned(),
            answer: answer.clone(),
            _work: AbortOnDropHandle::new(work),
        };
        entries.insert(key.clone(), entry);
        Some(answer)
    }

    /// Nobody waits for an answer any more.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn known(&self) -> Option<DryRun> {
        let answer = self.answer.borrow();
        let refused = answer.as_ref()?;
        Some(DryRun::Done(refused.to_vec()))
    }

    /// Whether whoever was to answer is gone.
    fn is_dead(&self) -> bool {
        self.answer.borrow().is_none() && self.answer.has_changed().is_err()
    }
}

/// Who asks.
struct Judge {
    client: Client,
    kinds: Arc<Kinds>,
    lead: Lead,
    turns: Semaphore,
}

/// What has come of one request.
#[derive(Debug)]
enum Answer {
    Taken,
    Refused(String),
    /// There is none, for this reason.
    Missing(String),
}

/// Actions that have no answer yet, by their place.
type Open = BTreeMap<usize, Arc<Action>>;

impl Judge {
    /// Asks until there is an answer for each action, or none is to be had.
    async fn all(self: Arc<Self>, actions: Vec<Action>) -> Refused {
        let deadline = Instant::now() + TOTAL_MAX;
        let mut open: Open = actions.into_iter().map(Arc::new).enumerate().collect();
        let mut refused = Refused::new();
        let mut tries = 0;
        loop {
            let before = open.len();
            let Some((at, why)) = self.round(&mut open, &mut refused).await else {
                return refused;
            };
            tries = if open.len() < before { 1 } else { tries + 1 };
            let end = if tries >= TRIES_MAX {
                Some(format!("{tries} times in a row"))
            } else if Instant::now() >= deadline {
                Some(format!("for {} minutes", TOTAL_MAX.as_secs() / 60))
            } else {
                None
            };
            if let Some(end) = end {
                let left = open.get(&at).and_then(|action| id_of(action));
                refused.extend(left.map(|id| (id, format!("{why} ({end})"))));
                return refused;
            }
            tokio::time::sleep(pause(tries)).await;
        }
    }

    /// Asks for all that are open, up to the first request that has no answer: of which object, and
    /// why.
    async fn round(
        self: &Arc<Self>,
        open: &mut Open,
        refused: &mut Refused,
    ) -> Option<(usize, String)> {
        let asked: Vec<(usize, Arc<Action>)> = open
            .iter()
            .map(|(at, action)| (*at, action.clone()))
            .collect();
        let judge = self.clone();
        let mut answers = stream::iter(asked)
            .map(move |(at, action)| {
                let judge = judge.clone();
                async move { (at, judge.ask(&action).await) }
            })
            .buffer_unordered(OF_ONE_MAX);
        while let Some((at, answer)) = answers.next().await {
            if let Answer::Missing(why) = answer {
                return Some((at, why));
            }
            if let (Some(action), Answer::Refused(why)) = (open.remove(&at), answer) {
                refused.extend(id_of(&action).map(|id| (id, why)));
            }
        }
        None
    }

    async fn ask(&self, action: &Action) -> Answer {
        // It is never closed.
        let _turn = self.turns.acquire().await;
        let error = match tokio::time::timeout(ANSWER_MAX, self.show(action)).await {
            Err(_) => return Answer::Missing("the API server does not answer in time".to_owned()),
            Ok(Ok(())) => return Answer::Taken,
            Ok(Err(error)) => error,
        };
        let why = error.words();
        if is_of_former(action, &error) {
            Answer::Taken
        } else if error.is_verdict() || is_impossible(&error) {
            Answer::Refused(why)
        } else {
            Answer::Missing(why)
        }
    }

    /// Does what will be done in earnest, but for that nothing is stored.
    async fn show(&self, action: &Action) -> Result<()> {
        let Some(target) = action.target() else {
            return Ok(());
        };
        let kinds = self.kinds.resolve(&target.api_version, &target.kind);
        let served = kinds.await?;
        if !self.lead.holds() {
            return Err(Error::NotLeading { object: target });
        }
        let api: Api<DynamicObject> =
            Api::dynamic(self.client.clone(), &served.resource, &served.scope);
        let api = match &target.namespace {
            Some(namespace) => api.constrain(namespace),
            None => api,
        };
        let answer = match request_of(action, &target, &api)? {
            Some(Ok(request)) => self.client.request_text(request).await.map(drop),
            Some(Err(error)) => Err(kube::Error::BuildRequest(error)),
            None => Ok(()),
        };
        answer.map_err(|source| Error::Write {
            verb: verb_of(action),
            object: target,
            source: Box::new(source),
        })
    }
}

/// The request of an action; `None` if nothing can be said of it without doing it.
fn request_of(
    action: &Action,
    target: &ObjectKey,
    api: &Api<DynamicObject>,
) -> Result<Option<Built>> {
    let request = Request::new(api.resource_url());
    Ok(Some(match action {
        Action::Apply { object, manager } => {
            let params = PatchParams::apply(manager).force().dry_run();
            request.patch(&target.name, &params, &Patch::Apply(object))
        }
        Action::Replace {
            patch,
            manager,
            guard,
            ..
        } => replacement(api, target, patch, guard, &replacing(manager).dry_run()),
        Action::Create { object } => {
            let params = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            let body = serde_json::to_vec(object).map_err(|source| Error::Encode {
                object: target.to_string(),
                source,
            })?;
            request.create(&params, body)
        }
        _ => return Ok(None),
    }))
}

fn verb_of(action: &Action) -> Verb {
    match action {
        Action::Replace { .. } => Verb::Replace,
        Action::Create { .. } => Verb::Create,
        _ => Verb::Apply,
    }
}

fn id_of(action: &Action) -> Option<ResourceId> {
    action.target().map(|target| ResourceId::from(&target))
}

/// Whether an object is refused for nothing but the one that is there: its name is taken, or it has
/// been written since. Both are looked at again when it is written in earnest. A webhook may deny
/// with the same code: that is a refusal.
fn is_of_former(action: &Action, error: &Error) -> bool {
    let minds = matches!(
        action,
        Action::Apply { .. } | Action::Create { .. } | Action::Replace { .. }
    );
    minds && error.code() == Some(409) && !error.is_verdict()
}

/// Whether the request can't even be made, as for a name that is none.
fn is_impossible(error: &Error) -> bool {
    let Error::Write { source, .. } = error else {
        return false;
    };
    matches!(**source, kube::Error::BuildRequest(_))
}

fn pause(tries: u32) -> Duration {
    let exponent = tries.saturating_sub(1).min(16);
    Duration::from_secs(1 << exponent).min(PAUSE_MAX)
}

#[cfg(test)]
#[path = "dry_run_tests.rs"]
mod tests;
