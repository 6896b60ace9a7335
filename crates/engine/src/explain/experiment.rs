//! What an Experiment does.

use super::Teller;
use super::remedy::Remedy;
use super::since::at;
use crate::experiment::progress_deadline_s;
use crate::rollout::replica_set::OwnedSet;
use crate::rollout::time::plus_seconds;
use api::constants::EXPERIMENT_TEMPLATE_NAME_ANNOTATION;
use api::{Experiment, TemplateStatus, TemplateStatusCode};
use gocompat::duration;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write;
use std::sync::Arc;

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

    /// When it has run for its duration.
    pub(super) fn experiment_until(&self, name: &str) -> Option<Timestamp> {
        let experiment = self.experiment(name)?;
        let available = experiment.status.as_ref()?.available_at.as_ref()?;
        let nanos = duration::parse_go(experiment.spec.duration.as_deref()?).ok()?;
        let end = available.0.checked_add(SignedDuration::from_nanos(nanos));
        end.ok()
    }

    /// Why it does not begin to count: pods that are missing, until when they may be, and what to
    /// do about the first.
    pub(super) fn experiment_faults(&self, name: &str) -> (Vec<String>, Vec<Remedy>) {
        let (mut lines, mut remedies) = (Vec::new(), Vec::new());
        let experiment = self.experiment(name);
        let status = experiment.and_then(|experiment| experiment.status.as_ref());
        let (Some(experiment), Some(status)) = (experiment, status) else {
            return (lines, remedies);
        };
        let templates = status.template_statuses.iter();
        let is_starting = |template: &&TemplateStatus| {
            matches!(
                template.status,
                Some(TemplateStatusCode::Progressing) | None
            )
        };
        for template in templates.filter(is_starting) {
            for set in self.sets_of_template(experiment, &template.name) {
                let (faults, first) = self.faults(&set);
                lines.extend(faults);
                remedies.extend(first);
            }
            let deadline_s = progress_deadline_s(&experiment.spec);
            lines.extend(template.last_transition_time.as_ref().map(|moved| {
                let name = &template.name;
                let end = at(plus_seconds(moved.0, deadline_s.into()), self.seen.now);
                let field = format!("progressDeadlineSeconds: {deadline_s}");
                format!("template {name} fails if nothing moves until {end} ({field})")
            }));
        }
        remedies.truncate(1);
        (lines, remedies)
    }

    fn sets_of_template(&self, experiment: &Experiment, template: &str) -> Vec<OwnedSet> {
        let uid = experiment.metadata.uid.as_ref();
        let sets = self.seen.snapshot.replica_sets.iter();
        let own = sets.filter(|set| {
            let annotations = set.metadata.annotations.as_ref();
            let of = annotations.and_then(|all| all.get(EXPERIMENT_TEMPLATE_NAME_ANNOTATION));
            let mut owners = set.metadata.owner_references.iter().flatten();
            owners.any(|owner| owner.controller == Some(true) && Some(&owner.uid) == uid)
                && of.is_some_and(|of| of == template)
        });
        own.map(|set| OwnedSet::new(Arc::clone(set))).collect()
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
            let run = self.run(&analysis.analysis_run);
            lines.extend(run.into_iter().flat_map(|run| self.metrics(run)));
        }
        lines
    }

    pub(super) fn look_at_experiment(name: &str) -> Remedy {
        Remedy::weir(format!("get experiment {name}"), "shows its pods and runs")
    }
}
