//! Analysis: what to measure, and the runs that measure it.

mod metric;
mod provider;
mod run;
mod template;

pub use metric::{DryRun, MeasurementRetention, Metric};
pub use provider::{
    Authentication, BasicAuth, CloudWatchMetric, CloudWatchMetricDataQuery, CloudWatchMetricStat,
    CloudWatchMetricStatMetric, CloudWatchMetricStatMetricDimension, DatadogMetric, GraphiteMetric,
    InfluxdbMetric, JobMetric, JobMetricMetadata, KayentaMetric, KayentaScope, KayentaThreshold,
    MetricProvider, NewRelicMetric, OAuth2Config, PodsCounter, PodsMetric, PrometheusMetric,
    PrometheusRangeQueryArgs, ScopeDetail, SecretRef, Sigv4Config, SkyWalkingMetric,
    WavefrontMetric, WebMetric, WebMetricHeader,
};
pub use run::{
    AnalysisPhase, AnalysisRun, AnalysisRunSpec, AnalysisRunStatus, Measurement, MetricResult,
    RunSummary, TtlStrategy,
};
pub use template::{
    AnalysisTemplate, AnalysisTemplateSpec, Argument, ClusterAnalysisTemplate, SecretKeyRef,
    ValueFrom,
};
