//! Templates with those that they refer to, as one (rollouts.md §4.1).

use super::TemplateError;
use crate::snapshot::TemplateSet;
use api::{
    AnalysisTemplateRef, AnalysisTemplateSpec, Argument, DryRun, MeasurementRetention, Metric,
};
use std::collections::BTreeSet;

/// Deepest nesting of templates.
const MAX_DEPTH: usize = 32;

/// Several templates as one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlatTemplate {
    pub metrics: Vec<Metric>,
    pub args: Vec<Argument>,
    pub dry_run: Vec<DryRun>,
    pub measurement_retention: Vec<MeasurementRetention>,
}

/// Looks up `refs` and what they nest, and makes one template of them: those of the namespace
/// first, then those of the cluster, each once (rollouts.md §4.1).
pub fn flatten(
    refs: &[AnalysisTemplateRef],
    set: &TemplateSet,
) -> Result<FlatTemplate, TemplateError> {
    let mut found = Found {
        set,
        seen: BTreeSet::new(),
        namespaced: Vec::new(),
        cluster: Vec::new(),
    };
    found.follow(refs, &mut Vec::new())?;
    let mut flat = FlatTemplate::default();
    for spec in found.namespaced.into_iter().chain(found.cluster) {
        flat.add(spec)?;
    }
    Ok(flat)
}

struct Found<'a> {
    set: &'a TemplateSet,
    /// Cluster-scoped? and name.
    seen: BTreeSet<(bool, &'a str)>,
    namespaced: Vec<&'a AnalysisTemplateSpec>,
    cluster: Vec<&'a AnalysisTemplateSpec>,
}

impl<'a> Found<'a> {
    /// Depth first: a template, then what it nests.
    fn follow(
        &mut self,
        refs: &[AnalysisTemplateRef],
        path: &mut Vec<(bool, &'a str)>,
    ) -> Result<(), TemplateError> {
        if path.len() >= MAX_DEPTH {
            return Err(TemplateError::TooDeep(MAX_DEPTH));
        }
        for reference in refs {
            let (key, spec) = self.look_up(reference)?;
            if path.contains(&key) {
                let names = path
                    .iter()
                    .chain([&key])
                    .map(|(_, name)| (*name).to_owned());
                return Err(TemplateError::Cycle(names.collect()));
            }
            if self.seen.insert(key) {
                if key.0 {
                    self.cluster.push(spec);
                } else {
                    self.namespaced.push(spec);
                }
                path.push(key);
                self.follow(&spec.templates, path)?;
                path.pop();
            }
        }
        Ok(())
    }

    fn look_up(
        &self,
        reference: &AnalysisTemplateRef,
    ) -> Result<((bool, &'a str), &'a AnalysisTemplateSpec), TemplateError> {
        let name = reference.template_name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(TemplateError::NoName);
        }
        if reference.cluster_scope == Some(true) {
            let found = self.set.cluster.get_key_value(name);
            return found
                .map(|(name, template)| ((true, name.as_str()), &template.spec))
                .ok_or_else(|| TemplateError::ClusterNotFound(name.to_owned()));
        }
        let found = self.set.namespaced.get_key_value(name);
        found
            .map(|(name, template)| ((false, name.as_str()), &template.spec))
            .ok_or_else(|| TemplateError::NotFound(name.to_owned()))
    }
}

impl FlatTemplate {
    fn add(&mut self, spec: &AnalysisTemplateSpec) -> Result<(), TemplateError> {
        for metric in &spec.metrics {
            if self.metrics.iter().any(|have| have.name == metric.name) {
                return Err(TemplateError::DuplicateMetric(metric.name.clone()));
            }
            self.metrics.push(metric.clone());
        }
        for arg in &spec.args {
            self.add_argument(arg)?;
        }
        add_dry_run(&mut self.dry_run, &spec.dry_run)?;
        add_retention(&mut self.measurement_retention, &spec.measurement_retention)
    }

    fn add_argument(&mut self, arg: &Argument) -> Result<(), TemplateError> {
        let Some(have) = self.args.iter_mut().find(|have| have.name == arg.name) else {
            self.args.push(arg.clone());
            return Ok(());
        };
        match (&have.value, &arg.value) {
            (Some(first), Some(second)) if first != second => {
                Err(TemplateError::ConflictingArgument {
                    name: arg.name.clone(),
                    first: first.clone(),
                    second: second.clone(),
                })
            }
            (Some(_), _) => Ok(()),
            (None, _) => {
                *have = arg.clone();
                Ok(())
            }
        }
    }
}

/// Appends rules; their names must stay unique.
pub(super) fn add_dry_run(rules: &mut Vec<DryRun>, more: &[DryRun]) -> Result<(), TemplateError> {
    for rule in more {
        if rules
            .iter()
            .any(|have| have.metric_name == rule.metric_name)
        {
            return Err(TemplateError::DuplicateDryRun(rule.metric_name.clone()));
        }
        rules.push(rule.clone());
    }
    Ok(())
}

/// Appends rules; their names must stay unique.
pub(super) fn add_retention(
    rules: &mut Vec<MeasurementRetention>,
    more: &[MeasurementRetention],
) -> Result<(), TemplateError> {
    for rule in more {
        if rules
            .iter()
            .any(|have| have.metric_name == rule.metric_name)
        {
            return Err(TemplateError::DuplicateRetention(rule.metric_name.clone()));
        }
        rules.push(rule.clone());
    }
    Ok(())
}
