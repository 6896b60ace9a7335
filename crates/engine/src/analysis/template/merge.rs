//! The spec of a run, out of templates and what its owner adds.

use super::flatten::{add_dry_run, add_retention};
use super::{FlatTemplate, TemplateError};
use api::{AnalysisRunSpec, Argument, DryRun, MeasurementRetention};

/// The spec of a run of `flat`. `args` are those of the Rollout, the Experiment or the command
/// line: they override what the templates declare, and the rest of them is dropped. Rules of the
/// caller come before those of the templates (rollouts.md §4.1).
pub fn run_spec(
    flat: &FlatTemplate,
    args: &[Argument],
    dry_run: &[DryRun],
    retention: &[MeasurementRetention],
) -> Result<AnalysisRunSpec, TemplateError> {
    let mut merged = flat.args.clone();
    for arg in args {
        let Some(declared) = merged.iter_mut().find(|have| have.name == arg.name) else {
            continue;
        };
        if arg.value.is_some() {
            declared.value.clone_from(&arg.value);
        } else if arg.value_from.is_some() {
            declared.value_from.clone_from(&arg.value_from);
        }
    }
    let unresolved = |arg: &&Argument| arg.value.is_none() && arg.value_from.is_none();
    if let Some(arg) = merged.iter().find(unresolved) {
        return Err(TemplateError::Unresolved(arg.name.clone()));
    }
    let mut dry_run_rules = Vec::new();
    add_dry_run(&mut dry_run_rules, dry_run)?;
    add_dry_run(&mut dry_run_rules, &flat.dry_run)?;
    let mut retention_rules = Vec::new();
    add_retention(&mut retention_rules, retention)?;
    add_retention(&mut retention_rules, &flat.measurement_retention)?;
    Ok(AnalysisRunSpec {
        metrics: flat.metrics.clone(),
        args: merged,
        dry_run: dry_run_rules,
        measurement_retention: retention_rules,
        ..AnalysisRunSpec::default()
    })
}
