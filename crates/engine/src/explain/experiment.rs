//! What an Experiment does.

use super::Teller;
use super::remedy::Remedy;
use api::Experiment;
use jiff::Timestamp;
use std::fmt::Write;

impl Teller<'_> {
    fn experiment(&self, name: &str) -> Option<&Experiment> {
        let mut all = self.seen.snapshot.experiments.iter();
        all.find(|one| one.metadata.name.as_deref() == Some(name))
            .map(AsRef::as_ref)
    }

    pub(super) fn experiment_since(&self, name: &str) -> Option<Timestamp> {
        let created = self.experiment(name)?.metadata.creation_timestamp.as_ref();
        created.map(|time| time.0)
    }

    /// Its templates and its analyses.
    pub(super) fn experiment_details(&self, name: &str) -> Vec<String> {
        let Some(status) = self.experiment(name).and_then(|one| one.status.as_ref()) else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        if !status.message.is_empty() {
            lines.push(status.message.clone());
        }
        for template in &status.template_statuses {
            let state = template
                .status
                .as_ref()
                .map_or_else(String::new, ToString::to_string);
            let mut line = format!(
                "template {}: {state}, {} of {} pods available",
                template.name, template.available_replicas, template.replicas
            );
            if !template.message.is_empty() {
                let _ = write!(line, ": {}", template.message);
            }
            lines.push(line);
        }
        for analysis in &status.analysis_runs {
            let phase = analysis
                .phase
                .map_or_else(String::new, |phase| phase.to_string());
            let mut line = format!(
                "analysis {} ({}): {phase}",
                analysis.name, analysis.analysis_run
            );
            if !analysis.message.is_empty() {
                let _ = write!(line, ": {}", analysis.message);
            }
            lines.push(line);
        }
        lines
    }

    pub(super) fn look_at_experiment(name: &str) -> Remedy {
        Remedy::weir(format!("get experiment {name}"), "shows its pods and runs")
    }
}
