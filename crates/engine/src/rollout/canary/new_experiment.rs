//! The Experiment of a step: its name, labels and spec (rollouts.md §3.11).

use super::experiment::{is_going_on, phase};
use crate::experiment::has_ports;
use crate::rollout::context::Context;
use crate::rollout::replica_set::merge;
use crate::rollout::template::canonical;
use api::constants::{HASH_LABEL, INSTANCE_ID_LABEL, REVISION_ANNOTATION};
use api::{
    AnalysisPhase, Experiment, ExperimentAnalysisTemplateRef, ExperimentSpec, PodTemplate,
    RolloutExperimentStep, RolloutExperimentTemplate, SpecRef, TemplateService, TemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::{Value, json};
use std::sync::Arc;

/// The Experiment of a step after this pass.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The one there was.
    Kept(String),
    /// A new one of this name, which this pass makes.
    Created { name: String, object: Box<Value> },
}

impl Context<'_> {
    /// `<rollout>-<hash>-<revision>-<step>`.
    pub(super) fn experiment_base_name(&self) -> String {
        format!(
            "{}-{}-{}-{}",
            self.name(),
            self.current_hash,
            self.revision(),
            self.step_index().unwrap_or(0)
        )
    }

    /// The Experiment that a step needs now.
    pub(super) fn request_experiment(
        &self,
        step: &RolloutExperimentStep,
    ) -> Result<Outcome, String> {
        let spec = self.experiment_spec(step)?;
        let base = self.experiment_base_name();
        let mut name = base.clone();
        let mut attempt = 0;
        while let Some(experiment) = self.experiment_named(&name) {
            if self.is_experiment_reusable(experiment, &spec) {
                return Ok(Outcome::Kept(name));
            }
            attempt += 1;
            name = format!("{base}-{attempt}");
        }
        let object = Box::new(self.experiment_manifest(&name, spec));
        Ok(Outcome::Created { name, object })
    }

    fn experiment_named(&self, name: &str) -> Option<&Arc<Experiment>> {
        let mut experiments = self.snapshot.experiments.iter();
        experiments.find(|experiment| experiment.metadata.name.as_deref() == Some(name))
    }

    /// One of ours that says the same: one that goes on, or one that has succeeded already but that
    /// no status names yet, because the pass that made it never got to store one. One from before a
    /// retry does not count (the status may name it still), nor one from before other steps.
    fn is_experiment_reusable(&self, experiment: &Experiment, spec: &ExperimentSpec) -> bool {
        if !self.owns(&experiment.metadata) || !is_same(&experiment.spec, spec) {
            return false;
        }
        let named = &self.stored.canary.current_experiment;
        if is_going_on(experiment) {
            return experiment.metadata.name.as_ref() != Some(named);
        }
        let duration = self.stored.duration.as_ref();
        let began = duration.and_then(|duration| duration.rollout_started_at.as_ref());
        let created = experiment.metadata.creation_timestamp.as_ref();
        named.is_empty()
            && self.stored.aborted_at.is_none()
            && phase(experiment) == Some(AnalysisPhase::Successful)
            && matches!((began, created), (Some(began), Some(created))
                if created.0 >= began.0 && self.is_untold(created.0))
    }

    fn experiment_spec(&self, step: &RolloutExperimentStep) -> Result<ExperimentSpec, String> {
        let templates = step.templates.iter();
        let templates: Result<_, String> = templates
            .map(|template| self.experiment_template(template))
            .collect();
        let mut analyses = Vec::with_capacity(step.analyses.len());
        for analysis in &step.analyses {
            let args = self
                .arguments(&analysis.args)
                .map_err(|error| error.to_string())?;
            analyses.push(ExperimentAnalysisTemplateRef {
                name: analysis.name.clone(),
                template_name: analysis.template_name.clone(),
                cluster_scope: analysis.cluster_scope,
                args,
                required_for_completion: analysis.required_for_completion,
            });
        }
        Ok(ExperimentSpec {
            templates: templates?,
            duration: step.duration.clone(),
            progress_deadline_seconds: self.rollout.spec.progress_deadline_seconds,
            terminate: None,
            analyses,
            scale_down_delay_seconds: step.scale_down_delay_seconds,
            dry_run: step.dry_run.clone(),
            measurement_retention: Vec::new(),
            analysis_run_metadata: step.analysis_run_metadata.clone(),
        })
    }

    /// The pods of one of the two revisions, as they run now.
    fn experiment_template(
        &self,
        template: &RolloutExperimentTemplate,
    ) -> Result<TemplateSpec, String> {
        let (set, which) = match template.spec_ref {
            SpecRef::Canary => (self.new_set(), "canary"),
            SpecRef::Stable => (self.stable_set(), "stable"),
        };
        let spec = set.and_then(|set| set.live.spec.as_ref()).ok_or_else(|| {
            format!(
                "the experiment's template '{}' needs the {which} ReplicaSet, which is gone",
                template.name
            )
        })?;
        let mut pods = serde_json::to_value(&spec.template).map_err(|error| error.to_string())?;
        if template.weight.is_some_and(|weight| weight > 0) && !has_ports(&pods) {
            return Err(format!(
                "the experiment's template '{}' has a weight, but no container of the {which} pods \
                 has ports, so that no service leads to them: add containerPort, or leave the weight \
                 out",
                template.name
            ));
        }
        merge(&mut pods, json!({"metadata": template.metadata}));
        let mut selector = template
            .selector
            .clone()
            .unwrap_or_else(|| spec.selector.clone());
        add_labels(&mut selector, template);
        let service = template
            .service
            .clone()
            .or_else(|| template.weight.map(|_| TemplateService::default()));
        Ok(TemplateSpec {
            name: template.name.clone(),
            replicas: template.replicas,
            min_ready_seconds: spec.min_ready_seconds,
            selector: Some(selector),
            template: PodTemplate::from(pods),
            service,
        })
    }

    fn experiment_manifest(&self, name: &str, spec: ExperimentSpec) -> Value {
        let mut labels = self.rollout.metadata.labels.clone().unwrap_or_default();
        labels.insert(HASH_LABEL.to_owned(), self.current_hash.clone());
        if let Some(id) = &self.config.instance_id {
            labels.insert(INSTANCE_ID_LABEL.to_owned(), id.clone());
        }
        let revision = self.revision().to_string();
        let experiment = Experiment {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.namespace().to_owned()),
                labels: Some(labels),
                annotations: Some([(REVISION_ANNOTATION.to_owned(), revision)].into()),
                owner_references: Some(vec![self.owner_reference()]),
                ..ObjectMeta::default()
            },
            spec,
            status: None,
        };
        serde_json::to_value(experiment).unwrap_or_default()
    }
}

/// The labels that the step gives the pods, in the selector too.
fn add_labels(selector: &mut LabelSelector, template: &RolloutExperimentTemplate) {
    if !template.metadata.labels.is_empty() {
        let labels = selector.match_labels.get_or_insert_default();
        labels.extend(template.metadata.labels.clone());
    }
}

/// Whether two specs say the same; pod templates with the API server's defaults filled in.
fn is_same(live: &ExperimentSpec, wanted: &ExperimentSpec) -> bool {
    let plain = |spec: &ExperimentSpec| {
        let mut spec = spec.clone();
        for template in &mut spec.templates {
            template.template = PodTemplate::from(canonical(template.template.as_value()));
        }
        spec
    };
    plain(live) == plain(wanted)
}
