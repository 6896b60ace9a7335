//! From templates and analyses to the phase of the Experiment, and when to look again
//! (rollouts.md §5, phase).

use super::context::{Context, has_ended, is_over, is_requirement_met};
use crate::rollout::time::{time, whole_seconds_up};
use api::constants::reason;
use api::{AnalysisPhase, ExperimentAnalysisTemplateRef, TemplateStatusCode};
use plan::{EventKind, WaitingOn};

/// A phase and its message.
type Verdict = (AnalysisPhase, String);

impl Context<'_> {
    /// The phase of this moment. A final one stays.
    pub(super) fn assess(&mut self) {
        let before = self.stored.phase;
        let (phase, message) = match before {
            None => (AnalysisPhase::Pending, String::new()),
            Some(phase) if is_over(before) => (phase, self.stored.message.clone()),
            Some(_) => self.verdict(),
        };
        self.status.phase = Some(phase);
        self.status.message = message;
        if before != Some(phase) {
            self.announce_phase(phase);
        }
    }

    fn verdict(&mut self) -> Verdict {
        let templates = self.assess_templates();
        if templates.0 == AnalysisPhase::Running && self.status.available_at.is_none() {
            self.status.available_at = Some(time(whole_seconds_up(self.now)));
        }
        let analyses = self.assess_analyses();
        let by_analyses = if is_over(Some(templates.0)) {
            templates.0 == AnalysisPhase::Successful
                && (is_over(Some(analyses.0)) || self.waits_for_required())
        } else {
            is_over(Some(analyses.0))
                && (analyses.0 != AnalysisPhase::Successful
                    || is_requirement_met(self.spec, &self.status))
        };
        if by_analyses { analyses } else { templates }
    }

    /// The worst of the templates.
    fn assess_templates(&self) -> Verdict {
        let rank = |code: Option<TemplateStatusCode>| match code {
            Some(TemplateStatusCode::Successful) => 0,
            Some(TemplateStatusCode::Running) => 1,
            Some(TemplateStatusCode::Progressing) | None => 2,
            Some(TemplateStatusCode::Error) => 3,
            Some(TemplateStatusCode::Failed) => 4,
        };
        let templates = self.status.template_statuses.iter().rev();
        let Some(worst) = templates.max_by_key(|template| rank(template.status)) else {
            return (AnalysisPhase::Successful, String::new());
        };
        let phase = match worst.status {
            Some(TemplateStatusCode::Successful) => AnalysisPhase::Successful,
            Some(TemplateStatusCode::Running) => AnalysisPhase::Running,
            Some(TemplateStatusCode::Progressing) | None => AnalysisPhase::Pending,
            Some(TemplateStatusCode::Error) => AnalysisPhase::Error,
            Some(TemplateStatusCode::Failed) => AnalysisPhase::Failed,
        };
        (phase, worst.message.clone())
    }

    /// The worst of the analyses; all is well if those that were required have succeeded and the
    /// others are not worse than under way.
    fn assess_analyses(&self) -> Verdict {
        let mut worst = (AnalysisPhase::Successful, String::new());
        for analysis in &self.spec.analyses {
            let Some((phase, message)) = self.analysis_verdict(analysis) else {
                continue;
            };
            if severity(phase) > severity(worst.0) {
                worst = (phase, message);
            }
        }
        let well = severity(worst.0) <= severity(AnalysisPhase::Running);
        if well && is_requirement_met(self.spec, &self.status) {
            let message = "Required AnalysisRuns completed".to_owned();
            return (AnalysisPhase::Successful, message);
        }
        worst
    }

    /// What one analysis says; nothing if everything is to end and it never began.
    fn analysis_verdict(&self, analysis: &ExperimentAnalysisTemplateRef) -> Option<Verdict> {
        let mut runs = self.status.analysis_runs.iter();
        let run = runs.find(|run| run.name == analysis.name);
        if run.is_none() && self.terminating {
            return None;
        }
        let phase = run.and_then(|run| run.phase);
        let phase = phase.filter(|phase| *phase != AnalysisPhase::Pending);
        Some((
            phase.unwrap_or(AnalysisPhase::Running),
            run.map_or_else(String::new, |run| run.message.clone()),
        ))
    }

    /// A required analysis is the last word, even after the pods have ended.
    fn waits_for_required(&self) -> bool {
        self.spec
            .analyses
            .iter()
            .filter(|analysis| analysis.required_for_completion == Some(true))
            .any(|analysis| self.analysis_verdict(analysis).is_some())
    }

    fn announce_phase(&mut self, phase: AnalysisPhase) {
        let (kind, reason) = match phase {
            AnalysisPhase::Pending => (EventKind::Normal, reason::EXPERIMENT_PENDING),
            AnalysisPhase::Running => (EventKind::Normal, reason::EXPERIMENT_RUNNING),
            AnalysisPhase::Successful => (EventKind::Normal, reason::EXPERIMENT_SUCCESSFUL),
            AnalysisPhase::Failed => (EventKind::Warning, reason::EXPERIMENT_FAILED),
            AnalysisPhase::Error => (EventKind::Warning, reason::EXPERIMENT_ERROR),
            AnalysisPhase::Inconclusive => (EventKind::Warning, reason::EXPERIMENT_INCONCLUSIVE),
        };
        let before = self.stored.phase.map_or("", AnalysisPhase::as_str);
        self.tell(
            kind,
            reason,
            format!("Experiment transitioned from {before} -> {phase}"),
        );
        self.decide("phase", format!("{before} -> {phase}"));
    }

    /// Looks again when the duration is over.
    pub(super) fn wake(&mut self) {
        let all_ended = self.status.template_statuses.iter().all(has_ended);
        if self.terminating || is_over(self.status.phase) || all_ended {
            return;
        }
        if let Some(until) = self.ends_at().filter(|until| *until > self.now) {
            self.wake_at(until);
            self.wait(WaitingOn::Pause { until });
        }
    }
}

/// §1.5, from best to worst.
fn severity(phase: AnalysisPhase) -> u8 {
    match phase {
        AnalysisPhase::Successful => 0,
        AnalysisPhase::Running => 1,
        AnalysisPhase::Pending => 2,
        AnalysisPhase::Inconclusive => 3,
        AnalysisPhase::Error => 4,
        AnalysisPhase::Failed => 5,
    }
}
