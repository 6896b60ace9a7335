//! The analyses of an Experiment: checked before the pods are available, started then, followed
//! until their end (rollouts.md §5, per analysis).

use super::context::{Context, is_over};
use super::new_run::RunRequest;
use crate::analysis::template::TemplateError;
use crate::analysis::terminating;
use api::constants::reason;
use api::{AnalysisPhase, AnalysisRun, ExperimentAnalysisRunStatus, ExperimentAnalysisTemplateRef};
use plan::{Action, EventKind, ObjectKey, WaitingOn};
use std::sync::Arc;

impl Context<'_> {
    pub(super) fn run_analyses(&mut self) {
        for analysis in &self.spec.analyses {
            let stored = self
                .stored
                .analysis_runs
                .iter()
                .find(|run| run.name == analysis.name)
                .cloned();
            let status = match &stored {
                Some(stored) => Some(self.follow(analysis, stored)),
                None if self.terminating => None,
                None if self.stored.available_at.is_none() => self.check_template(analysis),
                None => Some(self.start(analysis)),
            };
            if let Some(status) = status {
                self.announce_run(stored.as_ref(), &status);
                self.status.analysis_runs.push(status);
            }
        }
        if self.terminating {
            self.terminate_others();
        }
    }

    /// Ends runs that no status tells of: an earlier pass made them, but not the status that names
    /// them.
    fn terminate_others(&mut self) {
        for run in &self.snapshot.analysis_runs {
            let mut told = self.status.analysis_runs.iter();
            if told.all(|status| Some(&status.analysis_run) != run.metadata.name.as_ref()) {
                let phase = run.status.as_ref().and_then(|status| status.phase);
                self.terminate(run, phase);
            }
        }
    }

    /// Nothing to say of a template that exists: its run begins when the pods are available.
    fn check_template(
        &self,
        analysis: &ExperimentAnalysisTemplateRef,
    ) -> Option<ExperimentAnalysisRunStatus> {
        let name = &analysis.template_name;
        let templates = &self.snapshot.templates;
        let missing = if analysis.cluster_scope == Some(true) {
            (!templates.cluster.contains_key(name))
                .then(|| TemplateError::ClusterNotFound(name.clone()))
        } else {
            (!templates.namespaced.contains_key(name))
                .then(|| TemplateError::NotFound(name.clone()))
        };
        let why = missing?;
        Some(failed(
            analysis,
            format!(
                "AnalysisTemplate verification failed for analysis '{}': {why}",
                analysis.name
            ),
        ))
    }

    fn start(&mut self, analysis: &ExperimentAnalysisTemplateRef) -> ExperimentAnalysisRunStatus {
        let status = |name: String| ExperimentAnalysisRunStatus {
            name: analysis.name.clone(),
            analysis_run: name,
            phase: Some(AnalysisPhase::Pending),
            message: String::new(),
        };
        let refused = |why: String| {
            failed(
                analysis,
                format!(
                    "Failed to create AnalysisRun for analysis '{}': {why}",
                    analysis.name
                ),
            )
        };
        match self.request_run(analysis) {
            Ok(RunRequest::Reuse(name)) => status(name),
            Ok(RunRequest::Create { name, object }) => {
                if let Some(why) = self.refusal("AnalysisRun", &name) {
                    return refused(why);
                }
                self.decide("start-analysis", name.clone());
                self.actions.push(Action::Create { object });
                status(name)
            }
            Err(why) => refused(why),
        }
    }

    /// Mirrors the run; ends it when everything ends. After the end of the Experiment nothing is
    /// mirrored any more.
    fn follow(
        &mut self,
        analysis: &ExperimentAnalysisTemplateRef,
        stored: &ExperimentAnalysisRunStatus,
    ) -> ExperimentAnalysisRunStatus {
        if stored.analysis_run.is_empty() {
            // It never began.
            return stored.clone();
        }
        let Some(run) = self.run_named(&stored.analysis_run) else {
            return self.lost(analysis, stored);
        };
        let live = run.status.as_ref();
        let phase = live.and_then(|status| status.phase);
        if self.terminating {
            self.terminate(&run, phase);
            if is_over(self.stored.phase) || !is_over(phase) {
                return stored.clone();
            }
        }
        if !is_over(phase) {
            self.wait(WaitingOn::Analysis {
                run: stored.analysis_run.clone(),
                phase: phase.map_or_else(String::new, |phase| phase.to_string()),
            });
        }
        ExperimentAnalysisRunStatus {
            phase: phase.or(stored.phase),
            message: live.map_or_else(String::new, |status| status.message.clone()),
            ..stored.clone()
        }
    }

    /// Somebody has deleted the run: what it would have said is not known. Of an Experiment that
    /// comes to its end anyway, only the required ones count: it waits for them.
    fn lost(
        &self,
        analysis: &ExperimentAnalysisTemplateRef,
        stored: &ExperimentAnalysisRunStatus,
    ) -> ExperimentAnalysisRunStatus {
        let matters = !self.terminating || analysis.required_for_completion == Some(true);
        if is_over(stored.phase) || is_over(self.stored.phase) || !matters {
            return stored.clone();
        }
        ExperimentAnalysisRunStatus {
            phase: Some(AnalysisPhase::Error),
            message: format!("AnalysisRun '{}' is gone", stored.analysis_run),
            ..stored.clone()
        }
    }

    pub(super) fn run_named(&self, name: &str) -> Option<Arc<AnalysisRun>> {
        let mut runs = self.snapshot.analysis_runs.iter();
        runs.find(|run| run.metadata.name.as_deref() == Some(name))
            .cloned()
    }

    fn terminate(&mut self, run: &AnalysisRun, phase: Option<AnalysisPhase>) {
        if is_over(phase) || run.spec.terminate == Some(true) || !self.owns(&run.metadata) {
            return;
        }
        let name = run.metadata.name.as_deref().unwrap_or_default();
        if let Some(why) = self.refusal("AnalysisRun", name) {
            self.decide("terminate-analysis-later", format!("{name}: {why}"));
            return;
        }
        let target = ObjectKey::namespaced(
            api::constants::API_VERSION,
            "AnalysisRun",
            self.namespace(),
            name,
        );
        self.event_of(
            target.clone(),
            reason::ANALYSIS_RUN_TERMINATING,
            format!("Terminating AnalysisRun '{name}'"),
        );
        self.decide("terminate-analysis", name);
        let uid = run.metadata.uid.as_ref();
        self.actions.push(terminating(target, uid));
    }

    fn announce_run(
        &mut self,
        stored: Option<&ExperimentAnalysisRunStatus>,
        status: &ExperimentAnalysisRunStatus,
    ) {
        let before = stored.and_then(|stored| stored.phase);
        let Some(phase) = status.phase.filter(|phase| before != Some(*phase)) else {
            return;
        };
        let (kind, reason) = match phase {
            AnalysisPhase::Pending => (EventKind::Normal, reason::ANALYSIS_RUN_PENDING),
            AnalysisPhase::Running => (EventKind::Normal, reason::ANALYSIS_RUN_RUNNING),
            AnalysisPhase::Successful => (EventKind::Normal, reason::ANALYSIS_RUN_SUCCESSFUL),
            AnalysisPhase::Failed => (EventKind::Warning, reason::ANALYSIS_RUN_FAILED),
            AnalysisPhase::Error => (EventKind::Warning, reason::ANALYSIS_RUN_ERROR),
            AnalysisPhase::Inconclusive => (EventKind::Warning, reason::ANALYSIS_RUN_INCONCLUSIVE),
        };
        let before = before.map_or("", AnalysisPhase::as_str);
        let mut message = format!(
            "AnalysisRun '{}' transitioned from {before} -> {phase}",
            status.name
        );
        if !status.message.is_empty() {
            message = format!("{message}: {}", status.message);
        }
        self.tell(kind, reason, message.clone());
        self.warn_rollout(reason, message);
    }
}

fn failed(
    analysis: &ExperimentAnalysisTemplateRef,
    message: String,
) -> ExperimentAnalysisRunStatus {
    ExperimentAnalysisRunStatus {
        name: analysis.name.clone(),
        analysis_run: String::new(),
        phase: Some(AnalysisPhase::Error),
        message,
    }
}
