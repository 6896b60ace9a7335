//! Metrics by themselves: the peer's checks before a run begins (rollouts.md §4.5).

use super::TemplateError;
use crate::analysis::arguments::int_of;
use api::{Metric, MetricProvider};
use gocompat::duration;
use std::collections::BTreeSet;

/// Checks metrics whose arguments are filled in (rollouts.md §4.5). The error is a
/// [`TemplateError::Metric`] with the peer's text.
pub fn validate_metrics(metrics: &[Metric]) -> Result<(), TemplateError> {
    if metrics.is_empty() {
        return Err(TemplateError::Metric("no metrics specified".to_owned()));
    }
    let mut names = BTreeSet::new();
    for (index, metric) in metrics.iter().enumerate() {
        let problem = if names.insert(&metric.name) {
            check(metric).err()
        } else {
            Some(format!("duplicate name '{}'", metric.name))
        };
        if let Some(problem) = problem {
            return Err(TemplateError::Metric(format!(
                "metrics[{index}]: {problem}"
            )));
        }
    }
    Ok(())
}

fn check(metric: &Metric) -> Result<(), String> {
    let count = int_of(metric.count.as_ref(), 0);
    let failure_limit = int_of(metric.failure_limit.as_ref(), 0);
    let inconclusive_limit = int_of(metric.inconclusive_limit.as_ref(), 0);
    let error_limit = int_of(metric.consecutive_error_limit.as_ref(), 0);
    let success_limit = int_of(metric.consecutive_success_limit.as_ref(), 0);
    let require = |fits: bool, problem: &str| {
        if fits {
            Ok(())
        } else {
            Err(problem.to_owned())
        }
    };
    require(success_limit >= 0, "consecutiveSuccessLimit must be >= 0")?;
    require(
        failure_limit >= -1,
        "failureLimit must be >= 0, or -1 to be disabled",
    )?;
    require(
        failure_limit >= 0 || success_limit > 0,
        "failureLimit and consecutiveSuccessLimit cannot both be disabled",
    )?;
    require(inconclusive_limit >= 0, "inconclusiveLimit must be >= 0")?;
    require(error_limit >= 0, "consecutiveErrorLimit must be >= 0")?;
    if count > 0 {
        if failure_limit >= 0 {
            require(
                count >= failure_limit.saturating_add(success_limit),
                "count must be >= failureLimit + consecutiveSuccessLimit",
            )?;
        } else {
            require(
                count >= success_limit,
                "count must be >= consecutiveSuccessLimit",
            )?;
        }
        require(
            count >= inconclusive_limit,
            "count must be >= inconclusiveLimit",
        )?;
    }
    require(
        count <= 1 || written(metric.interval.as_deref()).is_some(),
        "interval must be specified when count > 1",
    )?;
    check_duration("interval", metric.interval.as_deref())?;
    check_duration("startDelay", metric.initial_delay.as_deref())?;
    match providers(&metric.provider) {
        0 => Err("no provider specified".to_owned()),
        1 => Ok(()),
        _ => Err("multiple providers specified".to_owned()),
    }
}

fn check_duration(what: &str, text: Option<&str>) -> Result<(), String> {
    match written(text).map(duration::parse_go) {
        Some(Err(error)) => Err(format!("invalid {what} string: {error}")),
        _ => Ok(()),
    }
}

/// To Go an empty text is one that nobody has written.
fn written(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// How many providers a metric names; each plugin is one.
fn providers(provider: &MetricProvider) -> usize {
    let built_in = [
        provider.prometheus.is_some(),
        provider.kayenta.is_some(),
        provider.web.is_some(),
        provider.datadog.is_some(),
        provider.wavefront.is_some(),
        provider.new_relic.is_some(),
        provider.job.is_some(),
        provider.cloud_watch.is_some(),
        provider.graphite.is_some(),
        provider.influxdb.is_some(),
        provider.skywalking.is_some(),
        provider.pods.is_some(),
    ];
    built_in.iter().filter(|named| **named).count() + provider.plugin.len()
}
