//! The analyses of a Rollout: their templates are there, and make a run that can be carried out
//! (rollouts.md §1.7).

use super::super::error::{Check, SpecError};
use crate::analysis::arguments;
use crate::analysis::template::{self, TemplateError};
use crate::snapshot::{RolloutSnapshot, TemplateSet};
use api::{
    AnalysisRunArgument, AnalysisRunSpec, AnalysisTemplateRef, Argument, Metric, Rollout,
    RolloutAnalysis, RolloutSpec,
};
use std::collections::BTreeSet;

/// Stands for a value that is known only when the run is made.
const LATER: &str = "known-later";

/// An analysis of a Rollout.
struct Named<'a> {
    path: String,
    analysis: &'a RolloutAnalysis,
    /// Runs for as long as the update, and need not come to an end by itself.
    is_background: bool,
}

pub(super) fn check(snapshot: &RolloutSnapshot) -> Check {
    for named in named(&snapshot.rollout.spec) {
        let path = format!("{}.templates", named.path);
        let references = &named.analysis.templates;
        exist(&path, references, &snapshot.templates)?;
        fits(&named, snapshot).map_err(|problem| {
            let names: Vec<_> = references
                .iter()
                .filter_map(|reference| reference.template_name.as_deref())
                .collect();
            SpecError::invalid(
                path,
                format!("templateNames: [{}]", names.join(" ")),
                &problem,
            )
        })?;
    }
    Ok(())
}

/// The templates make one run with all its arguments, and one that ends if it has to. The error is
/// a sentence. Each analysis is merged with its own rules for dry runs and retention.
fn fits(named: &Named<'_>, snapshot: &RolloutSnapshot) -> Result<(), String> {
    let text = |error: TemplateError| error.to_string();
    let analysis = named.analysis;
    let flat = template::flatten(&analysis.templates, &snapshot.templates).map_err(text)?;
    let args = supplied(&analysis.args, &snapshot.rollout)?;
    let retention = &analysis.measurement_retention;
    let run = template::run_spec(&flat, &args, &analysis.dry_run, retention).map_err(text)?;
    if named.is_background {
        return Ok(());
    }
    let metrics = filled_in(&run)?;
    template::validate_metrics(&metrics).map_err(text)?;
    match metrics.iter().find(|metric| never_ends(metric)) {
        Some(metric) => Err(format!(
            "metric '{}' has an interval and no count, so that it would never end",
            metric.name
        )),
        None => Ok(()),
    }
}

/// The arguments that the Rollout gives. What depends on its status is known later.
fn supplied(args: &[AnalysisRunArgument], rollout: &Rollout) -> Result<Vec<Argument>, String> {
    let is_known = |arg: &AnalysisRunArgument| {
        let field = arg
            .value_from
            .as_ref()
            .and_then(|from| from.field_ref.as_ref());
        field.is_none_or(|field| !field.field_path.starts_with("status"))
    };
    let (known, later): (Vec<_>, Vec<_>) = args.iter().cloned().partition(is_known);
    let mut supplied =
        template::rollout_args(&known, rollout, LATER, LATER).map_err(|error| error.to_string())?;
    supplied.extend(later.into_iter().map(|arg| Argument {
        name: arg.name,
        value: Some(LATER.to_owned()),
        value_from: None,
    }));
    Ok(supplied)
}

/// The metrics of a run, with placeholders for secrets and for what is known later.
fn filled_in(run: &AnalysisRunSpec) -> Result<Vec<Metric>, String> {
    let known = |arg: &Argument| Argument {
        value: arg.value.clone().or_else(|| Some(LATER.to_owned())),
        ..arg.clone()
    };
    let args: Vec<Argument> = run.args.iter().map(known).collect();
    let values = arguments::values(&args, |_| Ok(LATER.to_owned()))?;
    run.metrics
        .iter()
        .map(|metric| arguments::substitute_typed(metric, &values))
        .collect()
}

/// Measured again and again, with no number of times.
fn never_ends(metric: &Metric) -> bool {
    let interval = metric.interval.as_deref().unwrap_or_default();
    !interval.is_empty() && arguments::int_of(metric.count.as_ref(), 0) == 0
}

/// Every analysis of a Rollout that has templates.
fn named(spec: &RolloutSpec) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    if let Some(blue_green) = spec.blue_green() {
        let analyses = [
            ("prePromotionAnalysis", &blue_green.pre_promotion_analysis),
            ("postPromotionAnalysis", &blue_green.post_promotion_analysis),
        ];
        for (field, analysis) in analyses {
            let path = format!("spec.strategy.blueGreen.{field}");
            found.extend(analysis.as_ref().map(|analysis| (path, analysis, false)));
        }
    }
    for (index, step) in spec.canary_steps().iter().enumerate() {
        let path = format!("spec.strategy.canary.steps[{index}].analysis");
        found.extend(
            step.analysis
                .as_ref()
                .map(|analysis| (path, analysis, false)),
        );
    }
    if let Some(background) = spec.canary().and_then(|canary| canary.analysis.as_ref()) {
        let path = "spec.strategy.canary.analysis".to_owned();
        found.push((path, &background.analysis, true));
    }
    found
        .into_iter()
        .filter(|(_, analysis, _)| !analysis.is_empty())
        .map(|(path, analysis, is_background)| Named {
            path,
            analysis,
            is_background,
        })
        .collect()
}

/// Every template exists, and every template that it names in turn.
fn exist(path: &str, references: &[AnalysisTemplateRef], templates: &TemplateSet) -> Check {
    let mut seen = BTreeSet::new();
    for (index, reference) in references.iter().enumerate() {
        // Depth first; a template that was seen is not followed again, so cycles end.
        let mut open = vec![reference];
        while let Some(reference) = open.pop() {
            let name = reference.template_name.as_deref().unwrap_or_default();
            let is_cluster = reference.cluster_scope.unwrap_or(false);
            if !seen.insert((is_cluster, name)) {
                continue;
            }
            let nested = if is_cluster {
                templates.cluster.get(name).map(|template| &template.spec)
            } else {
                templates
                    .namespaced
                    .get(name)
                    .map(|template| &template.spec)
            };
            let Some(spec) = nested else {
                let kind = if is_cluster {
                    "ClusterAnalysisTemplate"
                } else {
                    "AnalysisTemplate"
                };
                let detail = format!("{kind} '{name}' not found");
                let path = format!("{path}[{index}].templateName");
                return Err(SpecError::invalid(path, name, &detail));
            };
            open.extend(spec.templates.iter().rev());
        }
    }
    Ok(())
}
