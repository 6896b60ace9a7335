//! The Experiment of a step: its name, labels and spec (rollouts.md §3.11).

use crate::experiment::has_ports;
use crate::rollout::attempts::Attempts;
use crate::rollout::context::Context;
use crate::rollout::new_run::Made;
use crate::rollout::replica_set::merge;
use crate::rollout::template::canonical;
use api::constants::{HASH_LABEL, INSTANCE_ID_LABEL, REVISION_ANNOTATION};
use api::{
    Experiment, ExperimentAnalysisTemplateRef, ExperimentSpec, PodTemplate, RolloutExperimentStep,
    RolloutExperimentTemplate, SpecRef, TemplateService, TemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a needed Experiment comes to be.
#[derive(Debug)]
pub(super) enum Request {
    /// It exists: an earlier pass made it, but not the status that names it.
    Reuse(Arc<Experiment>),
    Create {
        name: String,
        object: Box<Value>,
    },
}

impl Context<'_> {
    /// Those at the current step: `<rollout>-<hash>-<revision>-<step>`.
    pub(super) fn experiment_attempts(&self) -> Attempts {
        let base = format!(
            "{}-{}-{}-{}",
            self.name(),
            self.current_hash,
            self.revision(),
            self.step_index().unwrap_or(0)
        );
        Attempts::new(base, '-', &self.stored.canary.current_experiment)
    }

    /// The Experiment that a step needs now. As with runs, none comes before the one that the
    /// status names.
    pub(super) fn request_experiment(
        &self,
        step: &RolloutExperimentStep,
    ) -> Result<Request, String> {
        let spec = self.experiment_spec(step)?;
        let attempts = self.experiment_attempts();
        if let Some(experiment) = self.reusable_experiment(&attempts, &spec) {
            return Ok(Request::Reuse(experiment));
        }
        let name = attempts.free_name(|name| self.is_experiment_name_taken(name));
        let object = Box::new(self.experiment_manifest(&name, spec));
        Ok(Request::Create { name, object })
    }

    /// The first that counts, of the attempts at this step after the one that the status names: one
    /// before it may have been deleted.
    fn reusable_experiment(
        &self,
        attempts: &Attempts,
        spec: &ExperimentSpec,
    ) -> Option<Arc<Experiment>> {
        let experiments = self.snapshot.experiments.iter();
        let numbered = experiments.filter_map(|experiment| {
            let name = experiment.metadata.name.as_deref()?;
            Some((attempts.later(name)?, experiment))
        });
        numbered
            .filter(|(_, experiment)| self.is_experiment_reusable(experiment, spec))
            .min_by_key(|(number, _)| *number)
            .map(|(_, experiment)| Arc::clone(experiment))
    }

    fn is_experiment_name_taken(&self, name: &str) -> bool {
        let mut experiments = self.snapshot.experiments.iter();
        experiments.any(|experiment| experiment.metadata.name.as_deref() == Some(name))
    }

    /// One of ours that says the same: one that goes on, or one that has ended unheard. What was
    /// cut short says something else by now.
    fn is_experiment_reusable(&self, experiment: &Experiment, spec: &ExperimentSpec) -> bool {
        if !self.owns(&experiment.metadata) || !is_same(&experiment.spec, spec) {
            return false;
        }
        let current = self.current_experiment();
        let current = current.as_ref().map(|current| &current.metadata);
        self.is_unheard(&Made::from(experiment), current)
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
        let mut annotations = BTreeMap::from([(REVISION_ANNOTATION.to_owned(), revision)]);
        self.mark_retry(&mut annotations);
        let experiment = Experiment {
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
