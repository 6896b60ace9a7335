//! Planners that are wrong on purpose.
//!
//! A mutant changes what the planner sees ([`see`]) or what it says ([`say`], [`decide`]); the
//! list, with what each stands for, is `crates/sim/mutants/list.txt`. The swarm has to catch every
//! one within a minute: a checker that has never fired proves nothing.

mod decide;
mod say;
mod see;

use crate::object::{Id, Kind};
use api::{ExperimentStatus, RolloutStatus};
use engine::snapshot::RolloutSnapshot;
use plan::{Action, Guard, Plan, Propagation};

macro_rules! mutants {
    ($($variant:ident = $name:literal,)*) => {
        /// One way to be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant { $($variant),* }

        impl Mutant {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As in the list.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

mutants! {
    Impure = "impure",
    ReadyTooSoon = "ready-too-soon",
    PauseEndsEarly = "pause-ends-early",
    IgnoresAbort = "ignores-abort",
    ForgetsDeadlines = "forgets-deadlines",
    TrustsRunningAnalysis = "trusts-running-analysis",
    TrustsFailedAnalysis = "trusts-failed-analysis",
    IgnoresOwners = "ignores-owners",
    ForgetsWeights = "forgets-weights",
    IgnoresPromotion = "ignores-promotion",
    BlindToServices = "blind-to-services",
    DropsGuards = "drops-guards",
    DropsFirstAction = "drops-first-action",
    DropsLastAction = "drops-last-action",
    SwapsActions = "swaps-actions",
    ReversesActions = "reverses-actions",
    NeverRoutes = "never-routes",
    NeverSwitches = "never-switches",
    NeverShrinks = "never-shrinks",
    NeverGrows = "never-grows",
    ShrinksTooMuch = "shrinks-too-much",
    GrowsTooMuch = "grows-too-much",
    WeightTooHigh = "weight-too-high",
    WeightsDoNotSum = "weights-do-not-sum",
    SkipsStep = "skips-step",
    RepeatsStep = "repeats-step",
    NeverPauses = "never-pauses",
    ForgetsPromotion = "forgets-promotion",
    DropsFullPromotion = "drops-full-promotion",
    AbortsForNoReason = "aborts-for-no-reason",
    PromotesEarly = "promotes-early",
    SwitchesEarly = "switches-early",
    StatusBehind = "status-behind",
    StatusAhead = "status-ahead",
    ForgetsStatus = "forgets-status",
    NeverWakes = "never-wakes",
    WakesLate = "wakes-late",
    DeletesOthers = "deletes-others",
    DeletesPods = "deletes-pods",
    TouchesOthersService = "touches-others-service",
    RunsTwice = "runs-twice",
    TalksAtRest = "talks-at-rest",
    SaysNothingOfWaiting = "says-nothing-of-waiting",
    IgnoresPause = "ignores-pause",
    KeepsStep = "keeps-step",
    RestartsAll = "restarts-all",
    KeepsRules = "keeps-rules",
    ForgetsAnIngress = "forgets-an-ingress",
    RecordsAnotherWeight = "records-another-weight",
    ForgetsExperiments = "forgets-experiments",
    HurriesScaleDown = "hurries-scale-down",
    DeadlinesRunFast = "deadlines-run-fast",
    HurriesAbort = "hurries-abort",
    IgnoresMinPods = "ignores-min-pods",
    NeverMatches = "never-matches",
    AnyWindow = "any-window",
    AbortsOnOldFailures = "aborts-on-old-failures",
    AbortsTooSoon = "aborts-too-soon",
    CountsOldRuns = "counts-old-runs",
    KeepsHistory = "keeps-history",
    NeverPreviews = "never-previews",
    DeletesLiveRuns = "deletes-live-runs",
    WaitsForNothing = "waits-for-nothing",
    PromotesHalfway = "promotes-halfway",
    PromotesAborted = "promotes-aborted",
    DoubtsStable = "doubts-stable",
    SwitchesBeforeAvailable = "switches-before-available",
    StableFollows = "stable-follows",
    DrainsActive = "drains-active",
    LeadsAstray = "leads-astray",
    KeepsStepOfEdit = "keeps-step-of-edit",
    ExperimentTakesOthers = "experiment-takes-others",
    SkipsPostPromotion = "skips-post-promotion",
    BlindToBackground = "blind-to-background",
    WeighsMore = "weighs-more",
    ForgetsDoubt = "forgets-doubt",
    Miscounts = "miscounts",
    KeepsRuns = "keeps-runs",
    AbandonsService = "abandons-service",
    MakesRivals = "makes-rivals",
    ForgetsFormerRouters = "forgets-former-routers",
    SkipsRoutes = "skips-routes",
    SetsRoutesAnyway = "sets-routes-anyway",
    MatchesAll = "matches-all",
    ForgetsFormerRules = "forgets-former-rules",
    ForgetsGuests = "forgets-guests",
}

impl Mutant {
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|own| own.name() == name)
    }

    /// What it makes of what it sees.
    pub fn before(self, snapshot: &mut RolloutSnapshot) {
        see::distort(self, snapshot);
    }

    /// What it makes of what it should say.
    pub fn after(
        self,
        snapshot: &RolloutSnapshot,
        plan: &mut Plan<RolloutStatus>,
        now: jiff::Timestamp,
    ) {
        say::distort(self, snapshot, plan, now);
        decide::distort(self, snapshot, plan);
    }

    /// What it makes of what the planner of Experiments says.
    pub fn of_experiment(self, plan: &mut Plan<ExperimentStatus>) {
        match self {
            Self::ExperimentTakesOthers if !plan.actions.is_empty() => {
                plan.actions.push(Action::Delete {
                    target: Id::new(Kind::Service, "somebody-elses").key(),
                    guard: Guard::default(),
                    propagation: Propagation::Background,
                });
            }
            Self::ForgetsGuests => plan.actions.retain(|action| !leads_service(action)),
            _ => {}
        }
    }
}

/// Whether it says where a service is to lead that is there already.
fn leads_service(action: &Action) -> bool {
    match action {
        Action::Patch { target, patch, .. } => {
            target.kind == "Service" && patch.pointer("/spec/selector").is_some()
        }
        _ => false,
    }
}

/// The list: name and what it stands for, a line each.
pub fn list() -> Vec<(&'static str, &'static str)> {
    include_str!("../../mutants/list.txt")
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Mutant, list};

    #[test]
    fn every_mutant_is_in_the_list_and_the_other_way_round() {
        let listed: Vec<&str> = list().into_iter().map(|(name, _)| name).collect();
        let known: Vec<&str> = Mutant::ALL.iter().map(|own| own.name()).collect();
        assert_eq!(listed, known);
        assert!(known.len() >= 25);
    }
}
