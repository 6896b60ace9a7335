//! What analyses and experiments tell of the update under way, as the planner saw them.

use super::Checks;
use crate::object::{Body, Kind};
use crate::time::millis;
use crate::view::View;
use api::constants::{
    HASH_LABEL, REVISION_ANNOTATION, ROLLOUT_TYPE_LABEL, STEP_INDEX_LABEL, TYPE_BACKGROUND,
    TYPE_POST_PROMOTION, TYPE_PRE_PROMOTION, TYPE_STEP,
};
use api::{AnalysisPhase, AnalysisRun, Rollout, RolloutStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// An analysis that has passed, by what it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    Step(i32),
    PrePromotion,
    PostPromotion,
    Other,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub passed: Vec<Passed>,
    /// Steps whose experiments have succeeded.
    pub tried: Vec<i32>,
    /// A run or an experiment has failed since the last retry: there is a reason to abort.
    pub failed: bool,
    /// The analysis beside the steps has failed, and was begun for this very update: there is no
    /// way on.
    pub doomed: bool,
}

impl Evidence {
    pub fn of(view: &View, purpose: &Purpose) -> Self {
        let mut evidence = Self::default();
        for (_, object) in view.of_kind(Kind::AnalysisRun) {
            if let Some(run) = object.analysis_run() {
                evidence.add_run(run, purpose);
            }
        }
        for (id, object) in view.of_kind(Kind::Experiment) {
            if let Body::Experiment(experiment) = &object.body {
                let phase = experiment.status.as_ref().and_then(|status| status.phase);
                evidence.add_experiment(&id.name, (&experiment.metadata, phase), purpose);
            }
        }
        evidence
    }

    fn add_run(&mut self, run: &AnalysisRun, purpose: &Purpose) {
        let status = run.status.as_ref();
        let ended = status.and_then(|status| status.completed_at.as_ref());
        let ended = ended.filter(|_| run.spec.terminate != Some(true));
        let (fails, passes) = purpose.counts(&run.metadata, ended);
        let phase = status.and_then(|status| status.phase);
        let has_failed = matches!(phase, Some(AnalysisPhase::Failed | AnalysisPhase::Error));
        let role = label(&run.metadata, ROLLOUT_TYPE_LABEL);
        self.failed |= fails && has_failed;
        self.doomed |= has_failed && role == Some(TYPE_BACKGROUND) && purpose.made(&run.metadata);
        if passes && phase == Some(AnalysisPhase::Successful) {
            let step = label(&run.metadata, STEP_INDEX_LABEL).and_then(|step| step.parse().ok());
            self.passed.push(match (role, step) {
                (Some(TYPE_STEP), Some(step)) => Passed::Step(step),
                (Some(TYPE_PRE_PROMOTION), _) => Passed::PrePromotion,
                (Some(TYPE_POST_PROMOTION), _) => Passed::PostPromotion,
                _ => Passed::Other,
            });
        }
    }

    /// An experiment's name says which step it is of: `app-<hash>-<revision>-<step>`.
    fn add_experiment(
        &mut self,
        name: &str,
        (metadata, phase): (&ObjectMeta, Option<AnalysisPhase>),
        purpose: &Purpose,
    ) {
        let words: Vec<&str> = name.split('-').collect();
        let [_, _, _, step, ..] = words[..] else {
            return;
        };
        // Which says no time of its end, and goes on while steps change: it counts since the last
        // retry.
        let (counts, _) = purpose.counts(metadata, None);
        let has_failed = matches!(phase, Some(AnalysisPhase::Failed | AnalysisPhase::Error));
        self.failed |= counts && has_failed;
        if counts && phase == Some(AnalysisPhase::Successful) {
            self.tried.extend(step.parse::<i32>());
        }
    }
}

/// What an analysis or experiment must be of to tell anything about the update under way.
#[derive(Debug)]
pub struct Purpose {
    hash: String,
    revision: Option<String>,
    since_ms: i64,
    retried_ms: i64,
    /// As in [`Checks`].
    going_on: Option<String>,
}

impl Purpose {
    pub fn new(planned: &Rollout, status: &RolloutStatus, checks: &Checks) -> Self {
        Self {
            hash: status.current_pod_hash.clone(),
            revision: revision(&planned.metadata).cloned(),
            since_ms: checks.since_ms,
            retried_ms: checks.retried_ms,
            going_on: checks.going_on.clone(),
        }
    }

    /// Whether it tells anything that it failed, and that it did not. One that goes on while steps
    /// change is of the new ones too, and of whichever number its revision gets.
    fn counts(&self, metadata: &ObjectMeta, ended: Option<&Time>) -> (bool, bool) {
        let own = revision(metadata);
        let same = own.is_none() || self.revision.is_none() || own == self.revision.as_ref();
        // Times of creation have whole seconds.
        let created = metadata.creation_timestamp.as_ref();
        let after = |moment: i64| created.is_none_or(|own| millis(own.0) + 1_000 > moment);
        let ours = label(metadata, HASH_LABEL) == Some(self.hash.as_str());
        // The news of its end may have come after the plan for the new steps.
        let is_told = metadata.name.is_some() && metadata.name == self.going_on;
        let is_kept = is_told && after(self.retried_ms);
        let goes_on = ended.is_some_and(|own| is_kept || millis(own.0) + 1_000 > self.since_ms);
        let passes = (same && after(self.since_ms)) || goes_on;
        (ours && after(self.retried_ms), ours && passes)
    }

    /// Whether it was certainly made for this update, since it began or went on after an abort.
    fn made(&self, metadata: &ObjectMeta) -> bool {
        let created = metadata.creation_timestamp.as_ref();
        label(metadata, HASH_LABEL) == Some(self.hash.as_str())
            && revision(metadata) == self.revision.as_ref()
            && created.is_some_and(|own| millis(own.0) >= self.since_ms.max(self.retried_ms))
    }
}

/// The analysis of the current step, if that is told to go on: it has no phase before its first
/// pass.
pub(super) fn going_on(status: &RolloutStatus) -> Option<&String> {
    let run = status.canary.current_step_analysis_run_status.as_ref()?;
    let goes_on = matches!(
        run.status,
        None | Some(AnalysisPhase::Pending | AnalysisPhase::Running)
    );
    goes_on.then_some(&run.name)
}

fn label<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn revision(metadata: &ObjectMeta) -> Option<&String> {
    metadata.annotations.as_ref()?.get(REVISION_ANNOTATION)
}
