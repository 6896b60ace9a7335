//! A new AnalysisRun: its name, labels and spec (rollouts.md §3.24, §4.1).

use super::analysis_runs::{Role, is_completed, phase};
use super::attempts::Attempts;
use super::canary::experiment_phase;
use super::conditions;
use super::context::Context;
use super::time::plus_seconds;
use crate::analysis::template::{self, TemplateError};
use api::constants::{
    AFTER_ABORT_ANNOTATION, HASH_LABEL, INSTANCE_ID_LABEL, REVISION_ANNOTATION, ROLLOUT_TYPE_LABEL,
    STEP_INDEX_LABEL, condition,
};
use api::{
    AnalysisPhase, AnalysisRun, AnalysisRunArgument, AnalysisRunSpec, Argument, Experiment,
    RolloutAnalysis,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a needed run comes to be.
#[derive(Debug)]
pub(crate) enum RunRequest {
    /// It exists: an earlier pass made it, but not the status that names it.
    Reuse(Arc<AnalysisRun>),
    Create {
        name: String,
        object: Box<Value>,
    },
}

/// A run or an experiment that a pass may have made whose status was lost.
#[derive(Debug)]
pub(super) struct Made<'a> {
    metadata: &'a ObjectMeta,
    phase: Option<AnalysisPhase>,
    /// When it began. A run says so itself, by the clock that the times of the status are of; that
    /// of its creation is the API server's, and may be behind by more than a run takes to fail.
    began: Option<Timestamp>,
}

/// Clocks that are set by others are apart by fewer seconds. What a run says beyond that is of a
/// controller whose clock was wrong, and may be later than a retry.
const CLOCKS_APART_S: i64 = 5;

impl<'a> From<&'a AnalysisRun> for Made<'a> {
    fn from(run: &'a AnalysisRun) -> Self {
        let status = run.status.as_ref();
        let started = status.and_then(|status| status.started_at.as_ref());
        let created = run.metadata.creation_timestamp.as_ref().map(|at| at.0);
        let began = created.map(|created| {
            let latest = plus_seconds(created, CLOCKS_APART_S);
            let started = started.map(|at| at.0).filter(|started| *started <= latest);
            started.map_or(created, |started| started.max(created))
        });
        Self {
            metadata: &run.metadata,
            phase: phase(run),
            began,
        }
    }
}

impl<'a> From<&'a Experiment> for Made<'a> {
    fn from(experiment: &'a Experiment) -> Self {
        let created = experiment.metadata.creation_timestamp.as_ref();
        Self {
            metadata: &experiment.metadata,
            phase: experiment_phase(experiment),
            began: created.map(|at| at.0),
        }
    }
}

impl Context<'_> {
    /// The run that a role needs now: none that comes before the one that the status names.
    pub(super) fn request_run(
        &self,
        role: Role,
        analysis: &RolloutAnalysis,
    ) -> Result<RunRequest, TemplateError> {
        let spec = self.run_spec(analysis)?;
        let named = self.stored_run_status(role);
        let named = named.map_or("", |named| named.name.as_str());
        let attempts = Attempts::new(self.run_base_name(role), '.', named);
        if let Some(run) = self.reusable_run(role, &attempts, &spec) {
            return Ok(RunRequest::Reuse(run));
        }
        let name = attempts.free_name(|name| self.run_named(name).is_some());
        let object = Box::new(self.run_manifest(role, analysis, &name, spec));
        Ok(RunRequest::Create { name, object })
    }

    /// The first that counts, of the runs that have a name for this purpose and come after the
    /// attempt that the status names: one before it may have been deleted.
    fn reusable_run(
        &self,
        role: Role,
        attempts: &Attempts,
        spec: &AnalysisRunSpec,
    ) -> Option<Arc<AnalysisRun>> {
        let runs = self.snapshot.analysis_runs.iter();
        let numbered = runs.filter_map(|run| {
            let name = run.metadata.name.as_deref()?;
            Some((attempts.later(name)?, run))
        });
        numbered
            .filter(|(_, run)| self.is_reusable(role, run, spec))
            .min_by_key(|(number, _)| *number)
            .map(|(_, run)| Arc::clone(run))
    }

    fn run_named(&self, name: &str) -> Option<Arc<AnalysisRun>> {
        let mut runs = self.snapshot.analysis_runs.iter();
        runs.find(|run| run.metadata.name.as_deref() == Some(name))
            .cloned()
    }

    /// A run of ours that says the same: one that goes on, or one that has ended unheard.
    fn is_reusable(&self, role: Role, run: &AnalysisRun, spec: &AnalysisRunSpec) -> bool {
        if !self.owns(&run.metadata) || run.spec != *spec {
            return false;
        }
        let current = self.current_run(role);
        let current = current.as_ref().map(|current| &current.metadata);
        self.is_unheard(&Made::from(run), current)
    }

    /// Whether a run or an experiment counts although no status names it: the pass that made it
    /// never got to store one. What goes on does, and what has ended unless it is from before a
    /// retry or from before other steps. The status may name the `current` one, which it repeats
    /// since that could not tell: those that have ended and are no younger have had their say. As
    /// long as an abort is on record, only what a retry has begun counts, whatever else seems to go
    /// on, and there may have been several retries: what has passed is tested once more.
    pub(super) fn is_unheard(&self, made: &Made<'_>, current: Option<&ObjectMeta>) -> bool {
        let has_passed = made.phase == Some(AnalysisPhase::Successful);
        if self.stored.aborted_at.is_some() {
            return !has_passed && self.is_of_retry(made.metadata);
        }
        if !made.phase.is_some_and(is_completed) {
            return true;
        }
        let created = made.metadata.creation_timestamp.as_ref();
        let told = current.map(|current| current.creation_timestamp.as_ref());
        if told.is_some_and(|told| created <= told) {
            return false;
        }
        let duration = self.stored.duration.as_ref();
        let updated = duration.and_then(|duration| duration.rollout_started_at.as_ref());
        match (updated, made.began) {
            (Some(updated), Some(began)) if began == updated.0 => {
                has_passed && self.is_untold(made)
            }
            (Some(updated), Some(began)) => began > updated.0 && self.is_untold(made),
            _ => false,
        }
    }

    /// Whether something can be the work of a pass that never got to store its status: the stored
    /// status tells of no progress since it began. The record of the duration alone can't say so:
    /// it goes on when the steps begin again during a rollback.
    pub(super) fn is_untold(&self, made: &Made<'_>) -> bool {
        // As stored: this pass may have begun to change its own copy.
        let progressing = self
            .seen
            .and_then(|status| conditions::find(status, condition::PROGRESSING));
        let told = progressing.map(|progressing| progressing.last_update_time.0);
        made.began
            .is_some_and(|began| told.is_some_and(|told| began >= told))
    }

    /// Whether anything of the update under way counts although no status names it. What was told
    /// to end is never taken up, whatever it goes on to say.
    pub(super) fn has_unheard(&self) -> bool {
        let runs = self
            .owned_runs()
            .filter(|run| run.spec.terminate != Some(true))
            .map(|run| Made::from(&**run));
        let experiments = self
            .owned_experiments()
            .filter(|experiment| experiment.spec.terminate != Some(true))
            .map(|experiment| Made::from(&**experiment));
        let mut all = runs.chain(experiments);
        all.any(|made| {
            let labels = made.metadata.labels.as_ref();
            let hash = labels.and_then(|labels| labels.get(HASH_LABEL));
            hash == Some(&self.current_hash)
                && !self.is_named(made.metadata)
                && self.is_unheard(&made, None)
        })
    }

    /// Whether the stored status names that run or experiment.
    fn is_named(&self, made: &ObjectMeta) -> bool {
        let roles = [
            Role::Step,
            Role::Background,
            Role::PrePromotion,
            Role::PostPromotion,
        ];
        let is_of_role = |role: &Role| {
            let named = self.stored_run_status(*role);
            named.is_some_and(|named| Some(&named.name) == made.name.as_ref())
        };
        let experiment = &self.stored.canary.current_experiment;
        roles.iter().any(is_of_role) || Some(experiment) == made.name.as_ref()
    }

    /// Whether a retry has begun it after the very abort that the stored status tells of. Times of
    /// creation can't say so: they are of another clock, and have whole seconds.
    pub(super) fn is_of_retry(&self, made: &ObjectMeta) -> bool {
        let annotations = made.annotations.as_ref();
        let told = annotations.and_then(|all| all.get(AFTER_ABORT_ANNOTATION));
        told.is_some_and(|told| self.aborted_since().as_ref() == Some(told))
    }

    /// Notes on what is about to begin that a retry begins it.
    pub(super) fn mark_retry(&self, annotations: &mut BTreeMap<String, String>) {
        if let Some(since) = self.aborted_since() {
            annotations.insert(AFTER_ABORT_ANNOTATION.to_owned(), since);
        }
    }

    fn aborted_since(&self) -> Option<String> {
        let aborted_at = self.stored.aborted_at.as_ref();
        aborted_at.map(|at| at.0.to_string())
    }

    /// The values of an analysis's arguments. A field of the status is one of the status that this
    /// pass begins with.
    pub(super) fn arguments(
        &self,
        args: &[AnalysisRunArgument],
    ) -> Result<Vec<Argument>, TemplateError> {
        let stable = self.stable_set().map_or("", |set| set.hash());
        let latest = self.current_hash.as_str();
        let is_of_status = |arg: &AnalysisRunArgument| {
            let field = arg
                .value_from
                .as_ref()
                .and_then(|from| from.field_ref.as_ref());
            field.is_some_and(|field| field.field_path.contains("status"))
        };
        if self.rollout.status.as_ref() == self.seen || !args.iter().any(is_of_status) {
            return template::rollout_args(args, &self.rollout, stable, latest);
        }
        let mut rollout = (*self.rollout).clone();
        rollout.status = self.seen.cloned();
        template::rollout_args(args, &rollout, stable, latest)
    }

    fn run_spec(&self, analysis: &RolloutAnalysis) -> Result<AnalysisRunSpec, TemplateError> {
        let flat = template::flatten(&analysis.templates, &self.snapshot.templates)?;
        let args = self.arguments(&analysis.args)?;
        template::run_spec(
            &flat,
            &args,
            &analysis.dry_run,
            &analysis.measurement_retention,
        )
    }

    /// `<rollout>-<hash>-<revision>[-pre|-post|-<step>]`.
    fn run_base_name(&self, role: Role) -> String {
        let base = format!("{}-{}-{}", self.name(), self.current_hash, self.revision());
        match role {
            Role::Background => base,
            Role::Step => format!("{base}-{}", self.step_index().unwrap_or(0)),
            Role::PrePromotion => format!("{base}-pre"),
            Role::PostPromotion => format!("{base}-post"),
        }
    }

    fn run_manifest(
        &self,
        role: Role,
        analysis: &RolloutAnalysis,
        name: &str,
        spec: AnalysisRunSpec,
    ) -> Value {
        let metadata = analysis.analysis_run_metadata.clone().unwrap_or_default();
        let mut labels = metadata.labels;
        let selector = self.rollout.spec.selector.as_ref();
        labels.extend(
            selector
                .and_then(|s| s.match_labels.clone())
                .unwrap_or_default(),
        );
        labels.insert(HASH_LABEL.to_owned(), self.current_hash.clone());
        labels.insert(ROLLOUT_TYPE_LABEL.to_owned(), role.label().to_owned());
        if role == Role::Step {
            let index = self.step_index().unwrap_or(0).to_string();
            labels.insert(STEP_INDEX_LABEL.to_owned(), index);
        }
        if let Some(id) = &self.config.instance_id {
            labels.insert(INSTANCE_ID_LABEL.to_owned(), id.clone());
        }
        let mut annotations: BTreeMap<String, String> = metadata.annotations;
        annotations.insert(REVISION_ANNOTATION.to_owned(), self.revision().to_string());
        self.mark_retry(&mut annotations);
        let run = AnalysisRun {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.namespace().to_owned()),
                labels: Some(labels),
                annotations: Some(annotations),
                owner_references: Some(vec![self.owner_reference()]),
                ..ObjectMeta::default()
            },
            spec,
            status: None,
        };
        serde_json::to_value(run).unwrap_or_default()
    }
}
