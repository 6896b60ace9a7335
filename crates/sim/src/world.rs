//! The world: one clock, one store, and everybody's turn.

use crate::actor::{Act, Analyses, Controller, Verdict, experiments, perform};
use crate::check::{self, Breach, Checks, Facts};
use crate::fault::Fault;
use crate::ground::{Ground, Light, Pace};
use crate::mutant::Mutant;
use crate::object::{Id, Kind};
use crate::scenario::Scenario;
use crate::setup;
use crate::view::Lags;
use api::{Rollout, RolloutStatus};
use engine::config::Config;
use engine::snapshot::{Digest, RefusalKind};
use plan::{Action, Guard, Plan, Release};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How long nobody does anything before a world is looked at: longer than all timers of a scenario,
/// of which progress deadlines of ten minutes are the longest.
const QUIET_MS: i64 = 1_800_000;
const RECOVERY_MS: i64 = 600_000;
const HOUR_MS: i64 = 3_600_000;
const NEVER: i64 = i64::MAX;
/// Steps of the clock that no scenario needs.
const MOMENTS_MAX: u32 = 200_000;
/// Turns within one moment after which something spins.
const TURNS_MAX: u32 = 1_000;

/// What all actors share.
#[derive(Debug)]
pub struct Shared {
    pub now_ms: i64,
    pub ground: Box<dyn Ground>,
    pub checks: Checks,
    pub faults: Vec<Fault>,
    /// Calls of the controller, and statuses among them.
    pub calls: u32,
    pub statuses: u32,
    /// Writes of the controller of Experiments.
    pub experiment_writes: u32,
    /// Evictions are refused before that.
    pub evicts_from: i64,
    /// ReplicaSets are refused before that, and how.
    pub creates_from: (i64, RefusalKind),
    /// How far clocks differ.
    pub skew_ms: i64,
    pub mutant: Option<Mutant>,
    pub config: Config,
    digest: Option<Arc<Digest>>,
    /// What happened, if anybody wants to know.
    pub log: Option<Vec<String>>,
    pub writes: u64,
    pub plans: u64,
    /// Every n-th plan is made twice, and of those every n-th without what is kept of earlier ones.
    pub twice_every: u64,
    pub afresh_every: u64,
    call_ms: i64,
    rng: ChaCha8Rng,
}

impl Shared {
    /// How long the next call takes.
    pub fn call_ms(&mut self) -> i64 {
        self.rng.random_range(1..=self.call_ms.max(1))
    }

    pub fn plans_twice(&mut self) -> bool {
        self.plans += 1;
        self.plans.is_multiple_of(self.twice_every.max(1))
    }

    /// Whether the second plan is made without what is kept of earlier ones.
    pub fn plans_afresh(&self) -> bool {
        let times = self.plans / self.twice_every.max(1);
        times.is_multiple_of(self.afresh_every.max(1))
    }

    /// What all plans of this generation derive from the spec.
    pub fn digest(&mut self, rollout: &Rollout) -> Option<Arc<Digest>> {
        self.digest = Digest::kept(self.digest.as_ref(), rollout);
        self.digest.clone()
    }

    /// A write of the controller.
    pub fn wrote(&mut self, what: fmt::Arguments<'_>) {
        self.writes += 1;
        self.checks.count(self.now_ms);
        self.note(what);
    }

    pub fn note(&mut self, what: fmt::Arguments<'_>) {
        let seconds = self.now_ms as f64 / 1000.0;
        if let Some(log) = &mut self.log {
            log.push(format!("{seconds:9.3} {what}"));
        }
    }

    /// What the controller tells.
    pub fn releases(&mut self, plan: &Plan<RolloutStatus>) {
        if self.log.is_none() {
            return;
        }
        for release in &plan.releases {
            if let Release::Event {
                reason, message, ..
            } = release
            {
                self.note(format_args!("event {reason}: {message}"));
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Due {
    Act(Act),
    Fault(Fault),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct World {
    pub shared: Shared,
    pub controllers: Vec<Controller>,
    pub rollout: Id,
    analyses: Analyses,
    due: BTreeMap<(i64, u64), Due>,
    sequence: u64,
    /// How much of the log the cluster has seen, and when it wants to be asked again.
    seen: usize,
    ground_next: Option<i64>,
    analyses_next: Option<i64>,
    experiments_next: Option<i64>,
}

/// A lag for each kind; Deployments and Ingresses, which few worlds have, have that of ReplicaSets
/// and of routes.
fn lags(rng: &mut ChaCha8Rng, most: i64) -> Lags {
    let mut lags: Lags = [0; Kind::ALL.len()];
    for lag in &mut lags[..Kind::Deployment as usize] {
        *lag = rng.random_range(1..=most.max(1));
    }
    lags[Kind::Deployment as usize] = lags[Kind::ReplicaSet as usize];
    lags[Kind::Ingress as usize] = lags[Kind::HttpRoute as usize];
    lags
}

impl World {
    /// A world of maps.
    pub fn new(scenario: &Scenario) -> Self {
        let pace = Pace {
            react_ms: scenario.tempo.react_ms,
            ready_ms: scenario.tempo.ready_ms,
        };
        let ground = Light::new(scenario.seed, pace, scenario.shows_pods());
        Self::on(scenario, Box::new(ground))
    }

    /// A world on any ground.
    pub fn on(scenario: &Scenario, ground: Box<dyn Ground>) -> Self {
        let processes = if scenario.changes_leader() { 2 } else { 1 };
        Self::with_processes(scenario, ground, processes)
    }

    /// A world with so many controllers, of which the first leads.
    pub fn with_processes(
        scenario: &Scenario,
        mut ground: Box<dyn Ground>,
        processes: usize,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed ^ 0x5eed);
        let rollout = Id::new(Kind::Rollout, setup::ROLLOUT);
        let mut checks = Checks::default();
        for manifest in setup::manifests(&scenario.spec) {
            if let Err(error) = ground.create(0, manifest) {
                checks.report(0, "setup", format!("{error:?}"));
            }
        }
        let controllers = (0..processes)
            .map(|n| {
                let lags = lags(&mut rng, scenario.tempo.lag_ms);
                Controller::new(rollout.clone(), lags, n == 0)
            })
            .collect();
        let mut world = Self {
            shared: Shared {
                now_ms: 0,
                ground,
                checks,
                faults: scenario.faults.clone(),
                calls: 0,
                statuses: 0,
                experiment_writes: 0,
                evicts_from: 0,
                creates_from: (0, RefusalKind::Failed),
                skew_ms: 0,
                mutant: None,
                config: Config::default(),
                digest: None,
                log: None,
                writes: 0,
                plans: 0,
                twice_every: 16,
                afresh_every: 4,
                call_ms: scenario.tempo.call_ms,
                rng,
            },
            controllers,
            rollout,
            analyses: Analyses::new(scenario.verdicts.clone()),
            due: BTreeMap::new(),
            sequence: 0,
            seen: 0,
            ground_next: None,
            analyses_next: None,
            experiments_next: None,
        };
        for timed in &scenario.acts {
            world.schedule(timed.at_ms, Due::Act(timed.act.clone()));
        }
        for fault in &scenario.faults {
            if let Some(at) = fault.at_ms() {
                world.schedule(at, Due::Fault(fault.clone()));
            }
        }
        world
    }

    /// Something goes wrong, now or at a call to come.
    pub fn add_fault(&mut self, fault: &Fault) {
        self.shared.faults.push(fault.clone());
        if fault.at_ms().is_some() {
            self.strike(fault);
        }
    }

    /// How the next analysis run ends.
    pub fn next_verdict(&mut self, verdict: Verdict) {
        self.analyses.next(verdict);
    }

    fn schedule(&mut self, at_ms: i64, due: Due) {
        self.sequence += 1;
        self.due.insert((at_ms, self.sequence), due);
    }

    pub fn facts(&self) -> Facts {
        Facts::of_truth(&*self.shared.ground, &self.rollout)
    }

    /// What must not depend on how it came about: status, pods, selectors, weights, runs; no times.
    pub fn summary(&self) -> String {
        let facts = self.facts();
        let status = facts.status().cloned().unwrap_or_default();
        let mut sets: Vec<String> = facts
            .sets
            .iter()
            .map(|set| format!("{} {}/{}", set.hash, set.ready, set.size))
            .collect();
        sets.sort();
        let runs = self.shared.ground.list(Kind::AnalysisRun).len();
        format!(
            "{:?} {:?} step {:?} abort {} stable {} current {}\nsets {sets:?}\nservices {:?}\n\
             weights {:?}\n{runs} runs",
            status.phase,
            status.message,
            status.current_step_index,
            status.abort,
            status.stable_rs,
            status.current_pod_hash,
            facts.services,
            facts.weights
        )
    }

    pub fn breaches(&self) -> &[Breach] {
        &self.shared.checks.breaches
    }

    pub fn act(&mut self, act: &Act) {
        self.shared.note(format_args!("user {act:?}"));
        if matches!(act, Act::Resume | Act::Skip) {
            self.shared.checks.resumed(self.shared.now_ms);
        }
        // An abort that is withdrawn before the controller has seen it never was one.
        let is_aborted = |own: &RolloutStatus| own.abort && own.aborted_at.is_some();
        if matches!(act, Act::Retry) && self.facts().status().is_some_and(is_aborted) {
            self.shared.checks.since_ms = self.shared.now_ms;
            self.shared.checks.retried_ms = self.shared.now_ms;
        }
        if matches!(act, Act::Resume)
            && let Some(status) = self.facts().status()
        {
            self.shared.checks.ends_pause(status);
        }
        self.shared.checks.turned |= matches!(act, Act::Turn(_));
        if let Some((at, later)) = perform(act, &self.rollout, &mut self.shared) {
            self.schedule(at, Due::Act(later));
        }
    }

    fn strike(&mut self, fault: &Fault) {
        let now = self.shared.now_ms;
        self.shared.note(format_args!("fault {fault:?}"));
        match fault {
            Fault::SkipEvents { kind, for_ms, .. } => {
                let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
                for controller in &mut self.controllers {
                    controller.view.silence(kind, now + for_ms);
                }
            }
            Fault::StaleView { stale_ms, .. } => {
                for controller in &mut self.controllers {
                    controller.crash(now + 1, *stale_ms);
                }
            }
            Fault::LeaderChange { .. } => {
                for controller in &mut self.controllers {
                    if controller.leads {
                        controller.leads = false;
                    } else {
                        controller.take_over();
                    }
                }
            }
            Fault::ClockSkew { by_ms, .. } => {
                self.shared.skew_ms = self.shared.skew_ms.max(2 * by_ms.abs());
                for controller in self.controllers.iter_mut().filter(|own| own.leads) {
                    controller.skew_ms = *by_ms;
                }
            }
            Fault::Pods { harm, .. } => {
                self.shared.ground.harm(now, harm);
                // Nothing was written, but the cluster has something to do.
                self.ground_next = Some(now);
            }
            Fault::GcRace { set, linger_ms, .. } => {
                let sets = self.shared.ground.list(Kind::ReplicaSet);
                if let Some((id, _)) = sets.get(usize::from(*set) % sets.len().max(1)) {
                    let guard = Guard::default();
                    drop(self.shared.ground.delete(now, id, &guard, *linger_ms));
                }
            }
            Fault::RefuseEvictions { for_ms, .. } => {
                self.shared.evicts_from = self.shared.evicts_from.max(now + for_ms);
            }
            Fault::ForbidEvictions { .. } => self.shared.evicts_from = NEVER,
            Fault::RefuseSets { for_ms, how, .. } => {
                let kind = match how {
                    0 => RefusalKind::Invalid,
                    1 => RefusalKind::Refused,
                    _ => RefusalKind::Failed,
                };
                self.shared.creates_from = (now + for_ms, kind);
            }
            _ => {}
        }
    }

    /// When something happens next.
    fn next(&self) -> Option<i64> {
        let controllers = self.controllers.iter().filter_map(Controller::next);
        let due = self.due.keys().next().map(|(at, _)| *at);
        controllers
            .chain(due)
            .chain(self.ground_next)
            .chain(self.analyses_next)
            .chain(self.experiments_next)
            .min()
    }

    /// Runs are begun and ended by the process that plans the Rollouts.
    fn step_analyses(&mut self) {
        let leads = self.controllers.iter().find(|own| own.leads);
        let ahead_ms = leads.map_or(0, |own| own.skew_ms);
        self.analyses_next = self.analyses.step(&mut self.shared, ahead_ms);
    }

    /// Everything that is due at this moment.
    fn moment(&mut self) {
        let now = self.shared.now_ms;
        for _ in 0..TURNS_MAX {
            while let Some(entry) = self.due.first_entry().filter(|own| own.key().0 <= now) {
                match entry.remove() {
                    Due::Act(act) => self.act(&act),
                    Due::Fault(fault) => self.strike(&fault),
                }
            }
            let log = self.shared.ground.changes().len();
            if log != self.seen || self.ground_next.is_some_and(|at| at <= now) {
                self.ground_next = self.shared.ground.tick(now);
                self.step_analyses();
                self.seen = self.shared.ground.changes().len();
                // What they write is for the next turn.
                self.experiments_next = experiments::step(&mut self.shared);
            } else if self.analyses_next.is_some_and(|at| at <= now) {
                self.step_analyses();
            } else if self.experiments_next.is_some_and(|at| at <= now) {
                self.experiments_next = experiments::step(&mut self.shared);
            }
            for controller in &mut self.controllers {
                controller.step(&mut self.shared);
                controller
                    .view
                    .follow(self.shared.ground.changes(), self.shared.now_ms);
            }
            let more = self.shared.ground.changes().len() != self.seen;
            if !more && self.next().is_none_or(|at| at > now) {
                return;
            }
        }
        self.shared
            .checks
            .report(now, "liveness", "a moment without end");
        self.due.clear();
    }

    /// Lets time pass until `until_ms`.
    pub fn advance(&mut self, until_ms: i64) {
        for _ in 0..MOMENTS_MAX {
            self.moment();
            // What comes after the first breach proves nothing.
            if !self.breaches().is_empty() {
                return;
            }
            match self.next() {
                Some(at) if at <= until_ms => self.shared.now_ms = at.max(self.shared.now_ms),
                _ => {
                    self.shared.now_ms = until_ms;
                    return;
                }
            }
        }
        let now = self.shared.now_ms;
        self.shared.checks.report(now, "liveness", "it never ends");
    }

    /// Lets everything come to rest that happens by itself, and looks at what is left.
    pub fn rest(&mut self) {
        self.advance(self.shared.now_ms + QUIET_MS);
        self.check_rest();
        let writes = self.shared.writes;
        self.advance(self.shared.now_ms + HOUR_MS);
        let more = self.shared.writes - writes;
        if more > 0 {
            let what = format!("{more} writes in an hour at rest");
            self.shared
                .checks
                .report(self.shared.now_ms, "economy", what);
        }
    }

    fn check_rest(&mut self) {
        let Some(leader) = self.controllers.iter().find(|own| own.leads) else {
            return;
        };
        let leader = leader.clone();
        let Some((live, mut plan)) = leader.plan(&mut self.shared) else {
            return;
        };
        let stored = live.status.clone().unwrap_or_default();
        let evicts = |action: &Action| matches!(action, Action::Evict { .. });
        if self.shared.evicts_from == NEVER {
            // What is refused is tried again.
            plan.actions.retain(|action| !evicts(action));
        }
        let facts = self.facts();
        let mut found = check::at_rest(&plan, &stored, &facts);
        found.extend(check::surplus_runs(&*self.shared.ground, &facts));
        let experiments = self.shared.ground.list(Kind::Experiment);
        found.extend(check::rival_experiments(&experiments, &live));
        for (rule, what) in found {
            self.shared.checks.report(self.shared.now_ms, rule, what);
        }
    }

    /// Nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.shared.note(format_args!("healed"));
        self.shared.faults.clear();
        if self.shared.evicts_from < NEVER {
            self.shared.evicts_from = 0;
        }
        self.shared.creates_from.0 = 0;
        self.analyses.heal();
        let now = self.shared.now_ms;
        for controller in &mut self.controllers {
            controller.heal(now);
        }
    }

    /// Somebody puts everything right and promotes in full; then there is one revision with all the
    /// traffic.
    pub fn recover(&mut self) {
        let now = self.shared.now_ms;
        self.shared.evicts_from = 0;
        self.shared.ground.mend(now);
        self.ground_next = Some(now);
        for act in [Act::Pause(false), Act::Scale(3), Act::Image(1)] {
            self.act(&act);
        }
        self.advance(self.shared.now_ms + 10_000);
        for act in [Act::Retry, Act::Resume, Act::PromoteFull] {
            self.act(&act);
        }
        // Whatever is delayed is delayed by less than this.
        self.advance(self.shared.now_ms + RECOVERY_MS);
        let facts = self.facts();
        let mut found = check::healed(&facts, self.shared.checks.turned);
        found.extend(check::left_ingresses(&*self.shared.ground, &facts));
        for (rule, what) in found {
            self.shared.checks.report(self.shared.now_ms, rule, what);
        }
    }
}
