//! Which metrics of a run are dry runs, and how many measurements are kept of each.

use api::{AnalysisRunSpec, Metric};
use std::collections::{BTreeMap, BTreeSet};

/// How many measurements are kept of a metric without a rule.
const KEPT: usize = 10;

/// Dry-run and retention rules, applied to the metrics of a run.
#[derive(Debug, Default)]
pub(super) struct Rules {
    dry_run: BTreeSet<String>,
    kept: BTreeMap<String, usize>,
}

impl Rules {
    /// Each rule is a regular expression that must match at least one name of `metrics`, which are
    /// those of the spec with their arguments filled in; the error says which does not.
    pub(super) fn of(spec: &AnalysisRunSpec, metrics: &[Metric]) -> Result<Self, String> {
        let mut rules = Self::default();
        for (index, rule) in spec.dry_run.iter().enumerate() {
            let names = matching("dryRun", index, &rule.metric_name, metrics)?;
            rules.dry_run.extend(names);
        }
        for (index, rule) in spec.measurement_retention.iter().enumerate() {
            let names = matching("measurementRetention", index, &rule.metric_name, metrics)?;
            let limit = usize::try_from(rule.limit).unwrap_or(0);
            rules
                .kept
                .extend(names.into_iter().map(|name| (name, limit)));
        }
        Ok(rules)
    }

    pub(super) fn is_dry_run(&self, metric: &str) -> bool {
        self.dry_run.contains(metric)
    }

    /// How many measurements of a metric to keep.
    pub(super) fn kept(&self, metric: &str) -> usize {
        let limit = self.kept.get(metric).copied();
        limit.filter(|limit| *limit > 0).unwrap_or(KEPT)
    }
}

fn matching(
    field: &str,
    index: usize,
    rule: &str,
    metrics: &[Metric],
) -> Result<Vec<String>, String> {
    let pattern = expr::go_regex(rule).map_err(|error| {
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or_default();
        format!("{field}[{index}]: `{rule}` is no regular expression: {last}")
    })?;
    let names: Vec<String> = metrics
        .iter()
        .filter(|metric| pattern.is_match(&metric.name))
        .map(|metric| metric.name.clone())
        .collect();
    if names.is_empty() {
        return Err(format!(
            "{field}[{index}]: Rule didn't match any metric name(s)"
        ));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_is_a_pattern_as_go_reads_it() {
        let metrics = json!([
            {"name": "error-rate", "provider": {}}, {"name": "débit", "provider": {}},
        ]);
        let metrics: Vec<Metric> = serde_json::from_value(metrics).expect("metrics");
        let names = |rule: &str| matching("dryRun", 0, rule, &metrics);
        let found = names(r"^[\w-]{1,64}$");
        assert_eq!(found, Ok(vec!["error-rate".to_owned()]));
        assert_eq!(names("^d.bit$"), Ok(vec!["débit".to_owned()]));
    }
}
