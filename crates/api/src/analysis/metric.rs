//! What is measured, how often, and what counts as good (rollouts.md §1.4).

use crate::analysis::MetricProvider;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One metric: where it comes from, how often to measure it, and what counts as good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its name, unique in the analysis.
    pub name: String,
    /// The time between two measurements, e.g. `30s`. Without it the metric is measured once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// How long to wait before the first measurement, e.g. `1m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<String>,
    /// How many measurements to take. Without it: one, or with an interval as many as the
    /// analysis lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<IntOrString>,
    /// An expression over `result` that is true when a measurement is good, e.g.
    /// `result[0] >= 0.95`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_condition: Option<String>,
    /// An expression over `result` that is true when a measurement is bad. With both conditions, a
    /// measurement that meets neither is inconclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_condition: Option<String>,
    /// How many bad measurements are tolerated. 0 if absent; -1 for any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<IntOrString>,
    /// How many inconclusive measurements are tolerated. 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive_limit: Option<IntOrString>,
    /// How many measurements in a row may end in an error. 4 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_error_limit: Option<IntOrString>,
    /// Good measurements in a row that make the metric successful. 0 or absent: it never ends
    /// early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_success_limit: Option<IntOrString>,
    /// Where the measurements come from: exactly one provider.
    pub provider: MetricProvider,
}

/// Metrics that are measured without counting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// Name of the metric, or a regular expression for several.
    pub metric_name: String,
}

/// How many measurements to keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasurementRetention {
    /// Name of the metric, or a regular expression for several.
    pub metric_name: String,
    /// How many of the latest measurements to keep. 10 for metrics without a rule.
    pub limit: i32,
}
