//! A new AnalysisRun of an Experiment: its name, labels and spec (rollouts.md §5, §4.1).

use super::context::{Context, is_over};
use crate::analysis::template;
use crate::rollout::time::plus_seconds;
use api::constants::INSTANCE_ID_LABEL;
use api::{AnalysisRun, AnalysisRunSpec, AnalysisTemplateRef, ExperimentAnalysisTemplateRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

/// How a needed run comes to be.
#[derive(Debug)]
pub(super) enum RunRequest {
    /// It exists: an earlier pass made it, but not the status that names it.
    Reuse(String),
    Create {
        name: String,
        object: Box<Value>,
    },
}

impl Context<'_> {
    pub(super) fn request_run(
        &self,
        analysis: &ExperimentAnalysisTemplateRef,
    ) -> Result<RunRequest, String> {
        let spec = self.run_spec(analysis)?;
        let base = format!("{}-{}", self.name(), analysis.name);
        let mut name = base.clone();
        let mut attempt = 0;
        while let Some(run) = self.run_named(&name) {
            if self.is_reusable(&run, &spec) {
                return Ok(RunRequest::Reuse(name));
            }
            attempt += 1;
            name = format!("{base}.{attempt}");
        }
        let object = Box::new(self.run_manifest(&name, spec));
        Ok(RunRequest::Create { name, object })
    }

    /// A run of ours that says the same: one that goes on, or one that has ended and was made since
    /// the pods are available. One from before a retry does not count.
    fn is_reusable(&self, run: &AnalysisRun, spec: &AnalysisRunSpec) -> bool {
        if !self.owns(&run.metadata) || run.spec != *spec {
            return false;
        }
        if !is_over(run.status.as_ref().and_then(|status| status.phase)) {
            return true;
        }
        let created = run.metadata.creation_timestamp.as_ref();
        let available = self.stored.available_at.as_ref();
        match (created, available) {
            // One is rounded down, the other up.
            (Some(created), Some(available)) => plus_seconds(created.0, 1) >= available.0,
            _ => false,
        }
    }

    fn run_spec(
        &self,
        analysis: &ExperimentAnalysisTemplateRef,
    ) -> Result<AnalysisRunSpec, String> {
        let reference = AnalysisTemplateRef {
            template_name: Some(analysis.template_name.clone()),
            cluster_scope: analysis.cluster_scope,
        };
        let flat = template::flatten(&[reference], &self.snapshot.templates)
            .map_err(|error| error.to_string())?;
        let args = self.resolve(&analysis.args)?;
        template::run_spec(
            &flat,
            &args,
            &self.spec.dry_run,
            &self.spec.measurement_retention,
        )
        .map_err(|error| error.to_string())
    }

    fn run_manifest(&self, name: &str, spec: AnalysisRunSpec) -> Value {
        let metadata = self.spec.analysis_run_metadata.clone().unwrap_or_default();
        let mut labels = metadata.labels;
        if let Some(id) = &self.config.instance_id {
            labels.insert(INSTANCE_ID_LABEL.to_owned(), id.clone());
        }
        let run = AnalysisRun {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.namespace().to_owned()),
                labels: (!labels.is_empty()).then_some(labels),
                annotations: (!metadata.annotations.is_empty()).then_some(metadata.annotations),
                owner_references: Some(vec![self.owner_reference()]),
                ..ObjectMeta::default()
            },
            spec,
            status: None,
        };
        serde_json::to_value(run).unwrap_or_default()
    }
}
