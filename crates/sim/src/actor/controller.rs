//! The controller: observe → plan → act, as `src/driver` sequences it, with a moment between any
//! two calls in which the world goes on.

use super::call::{self, Answer};
use crate::check::{Change, Checks, Facts};
use crate::fault::Call;
use crate::mutant::Mutant;
use crate::object::{Body, Id, Kind, Object};
use crate::time::{millis, stamp, whole};
use crate::view::{Lags, View};
use crate::world::Shared;
use api::{AnalysisPhase, Rollout, RolloutStatus};
use engine::rollout;
use engine::snapshot::Refusal;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use plan::{Action, Next, Plan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// First delay after a failed pass, doubled up to the second.
const RETRY_MS: i64 = 50;
const RETRY_MAX_MS: i64 = 5_000;
/// No object sleeps longer than this.
const RESYNC_MS: i64 = 900_000;

/// One process. Of several, one leads.
#[derive(Clone, Debug)]
pub struct Controller {
    pub view: View,
    pub leads: bool,
    pub skew_ms: i64,
    rollout: Id,
    /// Something was seen that no plan knows yet.
    dirty: bool,
    wake_at: Option<i64>,
    not_before: i64,
    failures: u32,
    /// Down until then, and how old the list is that it begins with.
    down: Option<(i64, i64)>,
    pass: Option<Pass>,
    /// The last ReplicaSet that the API server refused, until one is created.
    refused: Option<Refusal>,
}

/// A plan that is being carried out.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) plan: Plan<RolloutStatus>,
    pub(super) planned: Arc<Rollout>,
    /// The version that the status is written with.
    pub(super) version: u64,
    /// What the planner saw, and the pass's own writes since: news that came later are nobody's
    /// fault.
    pub(super) view: View,
    pub(super) seen: Facts,
    /// Versions of everything that the planner saw.
    pub(super) versions: BTreeMap<Id, u64>,
    pub(super) passed: Vec<Option<i32>>,
    pub(super) tried: Vec<i32>,
    pub(super) failed: bool,
    /// When it was planned.
    at_ms: i64,
    rooted: bool,
    next: usize,
    due_ms: i64,
    wrote: bool,
}

impl Pass {
    /// What the checkers are told of it.
    pub(super) fn change(&self, skew_ms: i64) -> Change<'_> {
        Change {
            planned: &self.planned,
            after: &self.plan.status,
            seen: &self.seen,
            passed: &self.passed,
            tried: &self.tried,
            failed: self.failed,
            at_ms: self.at_ms,
            skew_ms,
        }
    }
}

impl Controller {
    pub fn new(rollout: Id, lags: Lags, leads: bool) -> Self {
        Self {
            view: View::new(lags),
            leads,
            skew_ms: 0,
            rollout,
            dirty: true,
            wake_at: None,
            not_before: 0,
            failures: 0,
            down: None,
            pass: None,
            refused: None,
        }
    }

    /// When it does something next if nothing changes.
    pub fn next(&self) -> Option<i64> {
        if let Some((until, _)) = self.down {
            return Some(until);
        }
        let news = self.view.next();
        let work = match &self.pass {
            Some(pass) => Some(pass.due_ms),
            None if !self.leads => None,
            None if self.dirty => Some(self.not_before),
            None => self.wake_at.map(|at| at.max(self.not_before)),
        };
        news.into_iter().chain(work).min()
    }

    pub fn crash(&mut self, until_ms: i64, stale_ms: i64) {
        self.pass = None;
        self.refused = None;
        self.down = Some((until_ms, stale_ms));
    }

    /// Nothing is wrong with this process any more.
    pub fn heal(&mut self, now_ms: i64) {
        self.skew_ms = 0;
        self.view.heal(now_ms);
        self.not_before = self.not_before.min(now_ms);
        if let Some((until, _)) = self.down {
            self.down = Some((until.min(now_ms), 0));
        }
        self.dirty = true;
    }

    pub fn take_over(&mut self) {
        self.leads = true;
        self.dirty = true;
    }

    pub fn is_idle(&self) -> bool {
        self.down.is_none() && self.pass.is_none() && !self.dirty && self.view.next().is_none()
    }

    /// Does what is due at this moment: one call, or one plan.
    pub fn step(&mut self, shared: &mut Shared) {
        let now = shared.now_ms;
        if let Some((until, stale_ms)) = self.down {
            if until > now {
                return;
            }
            self.down = None;
            self.view.restart(shared.ground.changes(), now, stale_ms);
            self.dirty = true;
        }
        self.view.follow(shared.ground.changes(), now);
        self.dirty |= self.view.receive(shared.ground.changes(), now);
        if let Some(pass) = self.pass.take() {
            if pass.due_ms > now {
                self.pass = Some(pass);
            } else {
                self.go_on(pass, shared);
            }
            return;
        }
        let woken = self.dirty || self.wake_at.is_some_and(|at| at <= now);
        if self.leads && woken && self.not_before <= now {
            self.begin(shared);
        }
    }

    /// What it would do now, by what it sees.
    pub fn plan(&self, shared: &mut Shared) -> Option<(Arc<Rollout>, Plan<RolloutStatus>)> {
        let live = self.view.get(&self.rollout)?.rollout()?.clone();
        let mut snapshot = self.view.snapshot(&live);
        snapshot.inbox.refused.clone_from(&self.refused);
        let now = stamp(shared.now_ms + self.skew_ms);
        let mutant = shared.mutant;
        if let Some(mutant) = mutant {
            mutant.before(&mut snapshot);
        } else {
            snapshot.digest = shared.digest(&live);
        }
        let mut plan = rollout::plan(&snapshot, &shared.config, now);
        if shared.plans_twice() {
            // An impure planner is one that looks at a clock of its own.
            let impure = i64::from(mutant == Some(Mutant::Impure)) * 2_000;
            let later = stamp(shared.now_ms + self.skew_ms + impure);
            // What was kept of the plans before changes nothing.
            snapshot.digest = None;
            let again = rollout::plan(&snapshot, &shared.config, later);
            if plan != again {
                let what = "planning twice gives two plans";
                shared.checks.report(shared.now_ms, "purity", what);
            }
        }
        if let Some(mutant) = mutant {
            mutant.after(&snapshot, &mut plan, now);
        }
        to_stored(&mut plan.status);
        Some((live, plan))
    }

    fn begin(&mut self, shared: &mut Shared) {
        let now = shared.now_ms;
        self.dirty = false;
        self.wake_at = None;
        let Some((planned, plan)) = self.plan(shared) else {
            return;
        };
        let resync = now + RESYNC_MS;
        self.wake_at = Some(match plan.next {
            Next::At(at) => (millis(at) - self.skew_ms).clamp(now + 1, resync),
            Next::OnChange => resync,
        });
        let silent = plan.actions.is_empty()
            && plan.root.patch.is_none()
            && planned.status.as_ref() == Some(&plan.status);
        if silent {
            self.failures = 0;
            shared.releases(&plan);
            return;
        }
        let version = self.view.get(&self.rollout).map_or(0, |own| own.version);
        let of = Purpose::new(&planned, &plan.status, &shared.checks);
        let (passed, failed) = self.runs(&of);
        let (tried, failed_experiment) = self.experiments(&of);
        let failed = failed || failed_experiment;
        let kinds = [
            Kind::ReplicaSet,
            Kind::Service,
            Kind::HttpRoute,
            Kind::Ingress,
        ];
        let versions = kinds
            .into_iter()
            .flat_map(|kind| self.view.of_kind(kind))
            .map(|(id, object)| (id.clone(), object.version))
            .collect();
        self.pass = Some(Pass {
            plan,
            planned,
            version,
            view: self.view.clone(),
            seen: Facts::of_view(&self.view, &self.rollout),
            versions,
            passed,
            tried,
            failed,
            at_ms: now,
            rooted: false,
            next: 0,
            due_ms: now + shared.call_ms(),
            wrote: false,
        });
    }

    /// The successful runs of this update by step, and whether one failed.
    fn runs(&self, of: &Purpose) -> (Vec<Option<i32>>, bool) {
        let mut passed = Vec::new();
        let mut failed = false;
        for (_, object) in self.view.of_kind(Kind::AnalysisRun) {
            let Some(run) = object.analysis_run() else {
                continue;
            };
            let status = run.status.as_ref();
            let ended = status.and_then(|status| status.completed_at.as_ref());
            let ended = ended.filter(|_| run.spec.terminate != Some(true));
            let (fails, passes) = of.counts(&run.metadata, ended);
            let phase = status.and_then(|status| status.phase);
            failed |= fails && matches!(phase, Some(AnalysisPhase::Failed | AnalysisPhase::Error));
            if passes && phase == Some(AnalysisPhase::Successful) {
                let labels = run.metadata.labels.as_ref();
                let step = labels.and_then(|all| all.get(api::constants::STEP_INDEX_LABEL));
                passed.push(step.and_then(|step| step.parse().ok()));
            }
        }
        (passed, failed)
    }

    /// The steps of this update that have a successful experiment, and whether one failed. An
    /// experiment's name says which step it is of: `app-<hash>-<revision>-<step>`.
    fn experiments(&self, of: &Purpose) -> (Vec<i32>, bool) {
        let mut tried = Vec::new();
        let mut failed = false;
        for (id, object) in self.view.of_kind(Kind::Experiment) {
            let Body::Experiment(experiment) = &object.body else {
                continue;
            };
            let phase = experiment.status.as_ref().and_then(|status| status.phase);
            let words: Vec<&str> = id.name.split('-').collect();
            let [_, _, _, step, ..] = words[..] else {
                continue;
            };
            // Which says no time of its end, and goes on while steps change: it counts since the
            // last retry.
            let (counts, _) = of.counts(&experiment.metadata, None);
            failed |= counts && matches!(phase, Some(AnalysisPhase::Failed | AnalysisPhase::Error));
            if counts && phase == Some(AnalysisPhase::Successful) {
                tried.extend(step.parse::<i32>());
            }
        }
        (tried, failed)
    }

    /// The next call of a pass.
    fn go_on(&mut self, mut pass: Pass, shared: &mut Shared) {
        let now = shared.now_ms;
        let answer = if let (false, Some(patch)) = (pass.rooted, pass.plan.root.patch.clone()) {
            pass.rooted = true;
            pass.wrote = true;
            call::root(&mut self.actor(), &mut pass, &patch, shared)
        } else if let Some(action) = pass.plan.actions.get(pass.next).cloned() {
            pass.next += 1;
            // What an eviction leads to is seen when the pod goes, if it does.
            pass.wrote |= !matches!(action, Action::Evict { .. } | Action::Measure(_));
            call::action(&mut self.actor(), &mut pass, &action, shared)
        } else {
            return self.finish(pass, shared);
        };
        match answer {
            Answer::Done => {
                pass.due_ms = now + shared.call_ms();
                self.pass = Some(pass);
            }
            Answer::Failed => self.fail(now),
            // It has been taken note of, and is told of at once.
            Answer::Refused => self.dirty = true,
            Answer::Crash { down_ms, stale_ms } => self.crash(now + down_ms, stale_ms),
        }
    }

    /// The status, and then what may be told.
    fn finish(&mut self, mut pass: Pass, shared: &mut Shared) {
        let now = shared.now_ms;
        if pass.planned.status.as_ref() != Some(&pass.plan.status) {
            match call::status(&mut self.actor(), &pass, shared) {
                Answer::Done => pass.wrote = true,
                Answer::Failed | Answer::Refused => return self.fail(now),
                Answer::Crash { down_ms, stale_ms } => {
                    return self.crash(now + down_ms, stale_ms);
                }
            }
        }
        shared.releases(&pass.plan);
        self.failures = 0;
        self.dirty |= pass.wrote;
    }

    fn actor(&mut self) -> call::Actor<'_> {
        call::Actor {
            view: &mut self.view,
            rollout: &self.rollout,
            skew_ms: self.skew_ms,
            refused: &mut self.refused,
        }
    }

    fn fail(&mut self, now: i64) {
        let delay = (RETRY_MS << self.failures.min(16)).min(RETRY_MAX_MS);
        self.failures += 1;
        self.not_before = now + delay;
        self.dirty = true;
    }
}

/// What an analysis or experiment must be of to tell anything about the update under way.
#[derive(Debug)]
struct Purpose {
    hash: String,
    revision: Option<String>,
    since_ms: i64,
    retried_ms: i64,
}

impl Purpose {
    fn new(planned: &Rollout, status: &RolloutStatus, checks: &Checks) -> Self {
        Self {
            hash: status.current_pod_hash.clone(),
            revision: revision(&planned.metadata).cloned(),
            since_ms: checks.since_ms,
            retried_ms: checks.retried_ms,
        }
    }

    /// Whether it tells anything that it failed, and that it did not. One that goes on while steps
    /// change is of the new ones too, and of whichever number its revision gets.
    fn counts(&self, metadata: &ObjectMeta, ended: Option<&Time>) -> (bool, bool) {
        let labels = metadata.labels.as_ref();
        let hash = labels.and_then(|all| all.get(api::constants::HASH_LABEL));
        let own = revision(metadata);
        let same = own.is_none() || self.revision.is_none() || own == self.revision.as_ref();
        // Times of creation have whole seconds.
        let created = metadata.creation_timestamp.as_ref();
        let after = |moment: i64| created.is_none_or(|own| millis(own.0) + 1_000 > moment);
        let ours = hash == Some(&self.hash);
        let goes_on = ended.is_some_and(|own| millis(own.0) + 1_000 > self.since_ms);
        let passes = (same && after(self.since_ms)) || goes_on;
        (ours && after(self.retried_ms), ours && passes)
    }
}

fn revision(metadata: &ObjectMeta) -> Option<&String> {
    let annotations = metadata.annotations.as_ref()?;
    annotations.get(api::constants::REVISION_ANNOTATION)
}

/// What becomes of times when they are stored: whole seconds.
fn to_stored(status: &mut RolloutStatus) {
    let cut = |time: &mut Time| time.0 = whole(time.0);
    let cut_some = |time: &mut Option<Time>| {
        if let Some(time) = time {
            time.0 = whole(time.0);
        }
    };
    status
        .pause_conditions
        .iter_mut()
        .for_each(|pause| cut(&mut pause.start_time));
    cut_some(&mut status.aborted_at);
    cut_some(&mut status.restarted_at);
    for condition in &mut status.conditions {
        cut(&mut condition.last_update_time);
        cut(&mut condition.last_transition_time);
    }
    if let Some(duration) = &mut status.duration {
        cut_some(&mut duration.rollout_started_at);
        cut_some(&mut duration.manual_pause_started_at);
        cut_some(&mut duration.finished_at);
    }
}

impl From<Call> for Answer {
    fn from(call: Call) -> Self {
        match call {
            Call::Carried => Self::Done,
            Call::Refused | Call::Lost => Self::Failed,
            Call::Crash { down_ms, stale_ms } => Self::Crash { down_ms, stale_ms },
        }
    }
}

/// The object that an action is about.
pub(super) fn live(shared: &Shared, id: &Id) -> Option<Object> {
    shared.ground.get(id)
}
