//! What is wrong with the spec of an Experiment (rollouts.md §5, spec check).

use api::{Experiment, ExperimentSpec};
use gocompat::duration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeSet;

/// `progressDeadlineSeconds` if absent.
const DEFAULT_DEADLINE_S: i32 = 600;

/// `progressDeadlineSeconds`, seconds.
pub(crate) fn progress_deadline_s(spec: &ExperimentSpec) -> i32 {
    spec.progress_deadline_seconds.unwrap_or(DEFAULT_DEADLINE_S)
}

/// The first thing that is wrong, with the field and the remedy.
pub(super) fn spec(experiment: &Experiment) -> Result<(), String> {
    let spec = &experiment.spec;
    let name = experiment.metadata.name.as_deref().unwrap_or_default();
    if spec.templates.is_empty() {
        return Err("spec.templates is empty: an experiment needs at least one".to_owned());
    }
    let mut names = BTreeSet::new();
    for (index, template) in spec.templates.iter().enumerate() {
        let Some(selector) = &template.selector else {
            return Err(format!(
                "Rollout has missing field '.Spec.Templates[{index}].Selector'"
            ));
        };
        if is_empty(selector) {
            return Err(format!(
                "spec.templates[{index}].selector is empty: it must select the template's pods only"
            ));
        }
        if template.min_ready_seconds.unwrap_or(0) > progress_deadline_s(spec) {
            return Err(format!(
                "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. Check template index {index}"
            ));
        }
        if template.name.is_empty() {
            return Err(format!(
                "Experiment {name} has empty template name at index {index}"
            ));
        }
        if !names.insert(&template.name) {
            return Err(format!(
                "Experiment {name} has repeated template name '{}' in templates",
                template.name
            ));
        }
        if template.replicas.unwrap_or(1) < 0 {
            return Err(format!(
                "spec.templates[{index}].replicas must not be negative"
            ));
        }
    }
    analyses(spec)?;
    // To Go an empty duration is none.
    let duration = spec.duration.as_deref().filter(|text| !text.is_empty());
    match duration.map(duration::parse_go) {
        Some(Err(error)) => Err(format!("spec.duration: {error}")),
        Some(Ok(nanos)) if nanos < 0 => Err("spec.duration must not be negative".to_owned()),
        _ => Ok(()),
    }
}

fn analyses(spec: &ExperimentSpec) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for (index, analysis) in spec.analyses.iter().enumerate() {
        if analysis.name.is_empty() {
            return Err(format!("spec.analyses[{index}].name is empty"));
        }
        if !names.insert(&analysis.name) {
            return Err(format!(
                "spec.analyses[{index}].name '{}' is used twice",
                analysis.name
            ));
        }
    }
    Ok(())
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.iter().flatten().next().is_none()
        && selector.match_expressions.iter().flatten().next().is_none()
}
