//! The controller: observe → plan → act, as `src/driver` sequences it, with a moment between any
//! two calls in which the world goes on.

use super::call::{self, Answer};
use crate::check::{self, Change, Evidence, Facts, Purpose};
use crate::fault::Call;
use crate::mutant::Mutant;
use crate::object::{Id, Kind, Object};
use crate::time::{millis, stamp, whole};
use crate::view::{Lags, View};
use crate::world::Shared;
use api::{Rollout, RolloutStatus};
use engine::rollout;
use engine::snapshot::Refusal;
use plan::{Action, Next, Plan};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec;

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
    /// fault. Nothing where there are no actions to be judged by it.
    pub(super) view: View,
    pub(super) seen: Facts,
    /// Hashes of the ReplicaSets that evictions leave a ready pod, as the planner saw them.
    pub(super) left: Vec<String>,
    /// Versions of what the planner saw, likewise.
    pub(super) versions: BTreeMap<Id, u64>,
    evidence: Evidence,
    /// What is still to be done.
    actions: vec::IntoIter<Action>,
    /// When it was planned.
    at_ms: i64,
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
            evidence: &self.evidence,
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
            if shared.plans_afresh() {
                // What was kept of the plans before changes nothing.
                snapshot.digest = None;
            }
            let again = rollout::plan(&snapshot, &shared.config, later);
            if plan != again {
                let what = "planning twice gives two plans";
                shared.checks.report(shared.now_ms, "purity", what);
            }
        }
        if let Some(mutant) = mutant {
            mutant.after(&snapshot, &mut plan, now);
        }
        // As they are stored: whole seconds.
        for time in plan.status.times_mut() {
            time.0 = whole(time.0);
        }
        Some((live, plan))
    }

    fn begin(&mut self, shared: &mut Shared) {
        let now = shared.now_ms;
        self.dirty = false;
        self.wake_at = None;
        let Some((planned, mut plan)) = self.plan(shared) else {
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
        let evidence = Evidence::of(&self.view, &of);
        let seen = Facts::of_view(&self.view, &self.rollout);
        if let Some(what) = check::too_many_evictions(&plan.actions, &self.view, &seen) {
            let rule = "more evictions than the floor allows";
            shared.checks.report(now, rule, what);
        }
        let left = check::left_ready(&plan.actions, &self.view, &seen);
        let (view, versions) = if plan.actions.is_empty() {
            Default::default()
        } else {
            (self.view.still(), self.versions())
        };
        self.pass = Some(Pass {
            actions: std::mem::take(&mut plan.actions).into_iter(),
            plan,
            planned,
            version,
            view,
            seen,
            left,
            versions,
            evidence,
            at_ms: now,
            due_ms: now + shared.call_ms(),
            wrote: false,
        });
    }

    /// Versions of everything that an action may change only as it was seen.
    fn versions(&self) -> BTreeMap<Id, u64> {
        let kinds = [
            Kind::ReplicaSet,
            Kind::Service,
            Kind::HttpRoute,
            Kind::Ingress,
        ];
        kinds
            .into_iter()
            .flat_map(|kind| self.view.of_kind(kind))
            .map(|(id, object)| (id.clone(), object.version))
            .collect()
    }

    /// The next call of a pass.
    fn go_on(&mut self, mut pass: Pass, shared: &mut Shared) {
        let now = shared.now_ms;
        let answer = if let Some(patch) = pass.plan.root.patch.take() {
            pass.wrote = true;
            call::root(&mut self.actor(), &mut pass, &patch, shared)
        } else if let Some(action) = pass.actions.next() {
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
