//! The AnalysisRuns of a Rollout: which there should be, and what follows from them
//! (rollouts.md §3.24).

use super::context::Context;
use super::new_run::{Made, RunRequest};
use crate::analysis::terminating;
use api::constants::{
    STEP_INDEX_LABEL, TYPE_BACKGROUND, TYPE_POST_PROMOTION, TYPE_PRE_PROMOTION, TYPE_STEP, reason,
};
use api::{AnalysisPhase, AnalysisRun, PauseReason, RolloutAnalysis, RolloutAnalysisRunStatus};
use plan::{Action, EventKind, ObjectKey, Release, WaitingOn};
use serde_json::Value;
use std::sync::Arc;

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Step,
    Background,
    PrePromotion,
    PostPromotion,
}

impl Role {
    /// The value of the label `rollout-type`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Step => TYPE_STEP,
            Self::Background => TYPE_BACKGROUND,
            Self::PrePromotion => TYPE_PRE_PROMOTION,
            Self::PostPromotion => TYPE_POST_PROMOTION,
        }
    }

    /// How an abort names it.
    fn phase_name(self) -> &'static str {
        match self {
            Self::Step => "Step-based analysis",
            Self::Background => "Background analysis",
            Self::PrePromotion => "Blue/green pre-promotion analysis",
            Self::PostPromotion => "Blue/green post-promotion analysis",
        }
    }
}

/// The run of one role after this pass.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    None,
    /// The one there was.
    Kept(Arc<AnalysisRun>),
    /// A new one of this name, which this pass begins; it has no phase yet.
    Created {
        name: String,
        object: Box<Value>,
    },
}

pub(crate) fn phase(run: &AnalysisRun) -> Option<AnalysisPhase> {
    run.status.as_ref().and_then(|status| status.phase)
}

pub(crate) fn is_completed(phase: AnalysisPhase) -> bool {
    !matches!(phase, AnalysisPhase::Pending | AnalysisPhase::Running)
}

fn is_finished(run: &AnalysisRun) -> bool {
    phase(run).is_some_and(is_completed)
}

fn message(run: &AnalysisRun) -> String {
    run.status
        .as_ref()
        .map_or_else(String::new, |status| status.message.clone())
}

fn name(run: &AnalysisRun) -> &str {
    run.metadata.name.as_deref().unwrap_or_default()
}

impl Context<'_> {
    /// The AnalysisRuns that this Rollout controls.
    pub(crate) fn owned_runs(&self) -> impl Iterator<Item = &Arc<AnalysisRun>> {
        let runs = self.snapshot.analysis_runs.iter();
        runs.filter(|run| self.owns(&run.metadata))
    }

    pub(super) fn stored_run_status(&self, role: Role) -> Option<&RolloutAnalysisRunStatus> {
        let (canary, blue_green) = (&self.stored.canary, &self.stored.blue_green);
        match role {
            Role::Step => canary.current_step_analysis_run_status.as_ref(),
            Role::Background => canary.current_background_analysis_run_status.as_ref(),
            Role::PrePromotion => blue_green.pre_promotion_analysis_run_status.as_ref(),
            Role::PostPromotion => blue_green.post_promotion_analysis_run_status.as_ref(),
        }
    }

    /// The run that the stored status names for a role.
    pub(crate) fn current_run(&self, role: Role) -> Option<Arc<AnalysisRun>> {
        let status = self.stored_run_status(role)?;
        self.owned_runs()
            .find(|run| name(run) == status.name)
            .cloned()
    }

    /// Nothing is left to analyse: promoted, aborted, or on the fast way.
    fn is_cancelling_runs(&self) -> bool {
        self.is_fully_promoted()
            || self.is_aborted()
            || self.is_promote_full()
            || self.is_fast_rollback()
            || self.stored_stable().is_empty()
    }

    pub(crate) fn analyse_canary(&mut self) {
        let (step, background) = if self.is_abort_unrecorded() {
            (self.keep(Role::Step), self.keep(Role::Background))
        } else if self.is_cancelling_runs() {
            (Outcome::None, Outcome::None)
        } else {
            (self.step_outcome(), self.background_outcome())
        };
        self.status.canary.current_step_analysis_run_status = self.record(Role::Step, &step);
        self.status.canary.current_background_analysis_run_status =
            self.record(Role::Background, &background);
        self.replace_runs(vec![step, background]);
    }

    pub(crate) fn analyse_blue_green(&mut self) {
        let roles = [Role::PrePromotion, Role::PostPromotion];
        let outcomes: Vec<Outcome> = if self.is_abort_unrecorded() {
            roles.into_iter().map(|role| self.keep(role)).collect()
        } else if self.is_cancelling_runs() {
            roles.into_iter().map(|role| self.retire(role)).collect()
        } else {
            roles
                .into_iter()
                .map(|role| self.promotion_outcome(role))
                .collect()
        };
        self.status.blue_green.pre_promotion_analysis_run_status =
            self.record(Role::PrePromotion, &outcomes[0]);
        self.status.blue_green.post_promotion_analysis_run_status =
            self.record(Role::PostPromotion, &outcomes[1]);
        self.replace_runs(outcomes);
    }

    fn keep(&self, role: Role) -> Outcome {
        self.current_run(role).map_or(Outcome::None, Outcome::Kept)
    }

    /// Ends a run whose time is over. The status goes on naming it: it says how the pods were
    /// tested.
    fn retire(&mut self, role: Role) -> Outcome {
        let outcome = self.keep(role);
        if let Outcome::Kept(run) = &outcome {
            self.terminate(run);
        }
        outcome
    }

    fn step_outcome(&mut self) -> Outcome {
        if !self.stored.pause_conditions.is_empty() || self.stored.abort {
            return self.keep(Role::Step);
        }
        let analysis = self.current_step().and_then(|step| step.analysis.clone());
        let Some(analysis) = analysis.filter(|analysis| !analysis.is_empty()) else {
            return Outcome::None;
        };
        let index = self.step_index().unwrap_or(0).to_string();
        let current = self.current_run(Role::Step).filter(|run| {
            let labels = run.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(STEP_INDEX_LABEL)) == Some(&index)
        });
        self.run_or_follow(Role::Step, &analysis, current)
    }

    fn background_outcome(&mut self) -> Outcome {
        let canary = self.canary();
        let Some(background) = &canary.analysis else {
            return Outcome::None;
        };
        // Without steps there is none to wait for.
        let starting_step = background.starting_step.unwrap_or(0);
        let started = self.step_index().is_none_or(|index| index >= starting_step);
        if background.analysis.is_empty() || !started {
            return Outcome::None;
        }
        if self.pause(PauseReason::InconclusiveAnalysisRun).is_some() {
            return self.keep(Role::Background);
        }
        let current = self.current_run(Role::Background);
        self.run_or_follow(Role::Background, &background.analysis, current)
    }

    fn promotion_outcome(&mut self, role: Role) -> Outcome {
        let rollout = Arc::clone(&self.rollout);
        let strategy = rollout.spec.blue_green();
        let (analysis, skipped) = match role {
            Role::PrePromotion => (
                strategy.and_then(|strategy| strategy.pre_promotion_analysis.as_ref()),
                self.is_pre_promotion_skipped(),
            ),
            _ => (
                strategy.and_then(|strategy| strategy.post_promotion_analysis.as_ref()),
                self.is_post_promotion_skipped(),
            ),
        };
        let Some(analysis) = analysis.filter(|analysis| !analysis.is_empty()) else {
            return Outcome::None;
        };
        if skipped {
            let over = role == Role::PrePromotion && self.is_new_active();
            return if over {
                self.retire(role)
            } else {
                Outcome::None
            };
        }
        if self.pause(PauseReason::InconclusiveAnalysisRun).is_some() {
            return self.keep(role);
        }
        let current = self.current_run(role);
        self.run_or_follow(role, analysis, current)
    }

    /// Starts a run if one is needed; otherwise draws the consequences of the one there is.
    fn run_or_follow(
        &mut self,
        role: Role,
        analysis: &RolloutAnalysis,
        current: Option<Arc<AnalysisRun>>,
    ) -> Outcome {
        let outcome = match current.filter(|run| !self.is_new_run_needed(role, run)) {
            Some(run) => Outcome::Kept(run),
            None => self.start_run(role, analysis),
        };
        // One that no status names yet may have ended meanwhile: it counts in this very pass, which
        // could be the one that promotes.
        if let Outcome::Kept(run) = &outcome {
            self.follow(role, run);
        }
        outcome
    }

    /// Draws the consequences of a run.
    fn follow(&mut self, role: Role, run: &AnalysisRun) {
        match phase(run) {
            Some(AnalysisPhase::Inconclusive) => {
                self.decide("pause", format!("{} is inconclusive", name(run)));
                self.pauses.add(PauseReason::InconclusiveAnalysisRun);
            }
            Some(AnalysisPhase::Error | AnalysisPhase::Failed) => {
                let base = format!("{} phase error/failed", role.phase_name());
                let why = match message(run).as_str() {
                    "" => base,
                    message => format!("{base}: {message}"),
                };
                self.decide("abort", why.clone());
                self.pauses.abort(why);
            }
            Some(AnalysisPhase::Successful) => {}
            Some(AnalysisPhase::Pending | AnalysisPhase::Running) | None => {
                self.wait(WaitingOn::Analysis {
                    run: name(run).to_owned(),
                    phase: phase(run).map_or_else(String::new, |phase| phase.to_string()),
                });
            }
        }
    }

    /// After a resumed pause an inconclusive run is repeated; after a retry, any. Who resumed
    /// before it was known that a run is inconclusive meant something else.
    fn is_new_run_needed(&self, role: Role, run: &AnalysisRun) -> bool {
        let paused = self.pause(PauseReason::CanaryPauseStep).is_some()
            || self.pause(PauseReason::BlueGreenPause).is_some();
        if self.stored.controller_pause && !paused {
            let known = self.stored_run_status(role).and_then(|run| run.status);
            return phase(run) == Some(AnalysisPhase::Inconclusive) && known == phase(run);
        }
        self.stored.aborted_at.is_some()
    }

    fn start_run(&mut self, role: Role, analysis: &RolloutAnalysis) -> Outcome {
        match self.request_run(role, analysis) {
            Ok(RunRequest::Reuse(run)) => Outcome::Kept(run),
            Ok(RunRequest::Create { name, object }) => {
                self.decide("start-analysis", name.clone());
                self.wait(WaitingOn::Analysis {
                    run: name.clone(),
                    phase: String::new(),
                });
                Outcome::Created { name, object }
            }
            Err(error) => {
                let message = error.to_string();
                self.warn(reason::RECONCILIATION_ERROR, message.clone());
                self.wait_for_fix(message);
                Outcome::None
            }
        }
    }

    /// What the status says of a run; announces a change of its phase.
    fn record(&mut self, role: Role, outcome: &Outcome) -> Option<RolloutAnalysisRunStatus> {
        match outcome {
            Outcome::None => None,
            Outcome::Created { name, .. } => Some(RolloutAnalysisRunStatus {
                name: name.clone(),
                status: None,
                message: String::new(),
            }),
            Outcome::Kept(run) => {
                self.announce_phase(role, run);
                Some(RolloutAnalysisRunStatus {
                    name: name(run).to_owned(),
                    status: phase(run),
                    message: message(run),
                })
            }
        }
    }

    fn announce_phase(&mut self, role: Role, run: &AnalysisRun) {
        let Some(phase) = phase(run) else { return };
        let previous = match self.stored_run_status(role) {
            None => "NoPreviousStatus".to_owned(),
            Some(stored) if stored.name != name(run) => return,
            Some(stored) if stored.status == Some(phase) => return,
            Some(stored) => stored
                .status
                .map_or_else(String::new, |phase| phase.to_string()),
        };
        let (kind, reason) = match phase {
            AnalysisPhase::Pending => (EventKind::Normal, reason::ANALYSIS_RUN_PENDING),
            AnalysisPhase::Running => (EventKind::Normal, reason::ANALYSIS_RUN_RUNNING),
            AnalysisPhase::Successful => (EventKind::Normal, reason::ANALYSIS_RUN_SUCCESSFUL),
            AnalysisPhase::Failed => (EventKind::Warning, reason::ANALYSIS_RUN_FAILED),
            AnalysisPhase::Error => (EventKind::Warning, reason::ANALYSIS_RUN_ERROR),
            AnalysisPhase::Inconclusive => (EventKind::Normal, reason::ANALYSIS_RUN_INCONCLUSIVE),
        };
        self.releases.push(Release::Event {
            of: None,
            kind,
            reason,
            message: format!(
                "{} Analysis Run '{}' Status New: '{phase}' Previous: '{previous}'",
                role.label(),
                name(run)
            ),
        });
    }

    /// Ends the runs that are no longer current, then begins new ones, and forgets old ones. In
    /// this order, as a pass may fail in between: what a new one replaces may still go on (a retry
    /// comes before the abort has ended it, or no status ever named it), under any name, as its
    /// revision may be another one by now.
    fn replace_runs(&mut self, outcomes: Vec<Outcome>) {
        let mut current: Vec<String> = Vec::new();
        let mut begun: Vec<Action> = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::None => {}
                Outcome::Kept(run) => current.extend(run.metadata.uid.clone()),
                Outcome::Created { object, .. } => begun.push(Action::Create { object }),
            }
        }
        let is_over = |run: &AnalysisRun| {
            let uid = run.metadata.uid.as_ref();
            !is_finished(run) && uid.is_none_or(|uid| !current.contains(uid))
        };
        let over: Vec<_> = self
            .owned_runs()
            .filter(|run| is_over(run))
            .cloned()
            .collect();
        for run in over {
            self.terminate(&run);
        }
        self.actions.extend(begun);
        self.forget_old_runs(&current);
    }

    fn terminate(&mut self, run: &AnalysisRun) {
        if is_finished(run) || run.spec.terminate == Some(true) {
            return;
        }
        let target = ObjectKey::namespaced(
            "argoproj.io/v1alpha1",
            "AnalysisRun",
            self.namespace(),
            name(run),
        );
        self.decide("terminate-analysis", name(run));
        let uid = run.metadata.uid.as_ref();
        self.actions.push(terminating(target, uid));
    }

    pub(crate) fn is_step_analysis_successful(&self) -> bool {
        let index = self.step_index().unwrap_or(0).to_string();
        self.current_run(Role::Step).is_some_and(|run| {
            let labels = run.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(STEP_INDEX_LABEL)) == Some(&index)
                && phase(&run) == Some(AnalysisPhase::Successful)
                && self.stored.aborted_at.is_none()
        })
    }

    /// The pre-promotion analysis passed, or there is none.
    pub(crate) fn is_pre_promotion_done(&self) -> bool {
        self.promotion_analysis(Role::PrePromotion).is_none()
            || self.current_run(Role::PrePromotion).is_some_and(|run| {
                phase(&run) == Some(AnalysisPhase::Successful) && self.stored.aborted_at.is_none()
            })
    }

    /// Whether the stored status tells of a pre-promotion analysis that goes on. One that it does
    /// not tell of yet was added after a pause had been ended, and one that could not tell is
    /// another question than that pause.
    pub(crate) fn is_pre_promotion_under_way(&self) -> bool {
        self.stored_run_status(Role::PrePromotion)
            .is_some_and(|run| !run.status.is_some_and(is_completed))
    }

    /// Whether anything is analysed after the switch. An analysis without templates is none.
    pub(crate) fn has_post_promotion_analysis(&self) -> bool {
        self.promotion_analysis(Role::PostPromotion).is_some()
    }

    /// What is analysed before the switch or after it.
    fn promotion_analysis(&self, role: Role) -> Option<&RolloutAnalysis> {
        let strategy = self.rollout.spec.blue_green()?;
        let analysis = match role {
            Role::PrePromotion => strategy.pre_promotion_analysis.as_ref(),
            _ => strategy.post_promotion_analysis.as_ref(),
        };
        analysis.filter(|analysis| !analysis.is_empty())
    }

    /// Whether a run of that role counts although no status names it: it has begun when the pods
    /// were there, and is heard whatever has become of them since. One from before a retry, which a
    /// cache that is behind may show as going on, waits for the pods: it is ended meanwhile.
    fn is_begun(&self, role: Role) -> bool {
        let Some(analysis) = self.promotion_analysis(role) else {
            return false;
        };
        let Ok(RunRequest::Reuse(run)) = self.request_run(role, analysis) else {
            return false;
        };
        self.is_untold(&Made::from(&*run))
    }

    fn is_pre_promotion_skipped(&self) -> bool {
        let Some(new) = self.new_set() else {
            return true;
        };
        let unused = self.active_selector().is_empty();
        if self.new == self.stable || unused || self.is_new_active() {
            return true;
        }
        // One that is to be repeated waits for the pods as the first one did.
        let current = self.current_run(Role::PrePromotion);
        if current.is_some_and(|run| !self.is_new_run_needed(Role::PrePromotion, &run)) {
            return false;
        }
        if self.is_begun(Role::PrePromotion) {
            return false;
        }
        let preview = self
            .rollout
            .spec
            .blue_green()
            .and_then(|b| b.preview_replica_count);
        // An analysis may have been added after the preview had passed: then all pods are on their
        // way.
        let is_passed = self.stored.blue_green.scale_up_preview_check_point;
        match preview.filter(|_| !is_passed) {
            Some(preview) => new.replicas != preview || new.available() != preview,
            None => !new.is_saturated(self.replicas()),
        }
    }

    /// Whether the active service selects the new pods.
    fn is_new_active(&self) -> bool {
        let active = self.active_selector();
        !active.is_empty() && self.new_set().is_some_and(|new| new.hash() == active)
    }

    pub(crate) fn is_post_promotion_skipped(&self) -> bool {
        let Some(new) = self.new_set() else {
            return true;
        };
        if self.new == self.stable || self.active_selector() != new.hash() {
            return true;
        }
        !new.is_saturated(self.replicas())
            && self.current_run(Role::PostPromotion).is_none()
            && !self.is_begun(Role::PostPromotion)
    }
}
