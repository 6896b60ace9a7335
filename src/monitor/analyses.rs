//! What is: gauges of AnalysisRuns, Experiments and AnalysisTemplates (rollouts.md §9.1).

use super::objects::name_of;
use super::page::Page;
use crate::cache::Caches;
use api::{AnalysisPhase, AnalysisRun, Metric};
use kube::Resource;
use std::sync::Arc;

/// Writes the families of all three.
pub(super) fn write(page: &mut Page, caches: &Caches) {
    analysis_runs(page, caches.analysis_runs.each());
    templates(page, caches);
    let experiments: Vec<Phased> = caches
        .experiments
        .each()
        .map(|experiment| {
            let status = experiment.status.as_ref();
            Phased::new(experiment.as_ref(), status.and_then(|status| status.phase))
        })
        .collect();
    let experiments = || experiments.iter();
    phases(page, "experiment_info", "experiment_phase", experiments);
}

/// An object with a phase of analysis.
struct Phased {
    name: (String, String),
    /// Empty before the first status.
    phase: &'static str,
}

impl Phased {
    fn new<K: Resource>(object: &K, phase: Option<AnalysisPhase>) -> Self {
        Self {
            name: name_of(object),
            phase: phase.map_or("", AnalysisPhase::as_str),
        }
    }
}

fn phases<'o, O: Iterator<Item = &'o Phased>>(
    page: &mut Page,
    info: &'static str,
    deprecated: &'static str,
    objects: impl Fn() -> O,
) {
    let mut family = page.gauge(info, "Objects and their phases: always 1.");
    for object in objects() {
        let labels = [
            ("namespace", object.name.0.as_str()),
            ("name", object.name.1.as_str()),
            ("phase", object.phase),
        ];
        family.sample(&labels, 1);
    }
    let mut family = page.gauge(
        deprecated,
        "Deprecated: the info has the phase as a label. 1 for the phase that it is in.",
    );
    for object in objects() {
        for phase in AnalysisPhase::ALL {
            let labels = [
                ("namespace", object.name.0.as_str()),
                ("name", object.name.1.as_str()),
                ("phase", phase.as_str()),
            ];
            family.sample(&labels, u8::from(phase.as_str() == object.phase));
        }
    }
}

/// As much of an AnalysisRun as is told of it.
struct RunView {
    phased: Phased,
    /// Names and who answers.
    metrics: Vec<(String, &'static str)>,
    results: Vec<ResultView>,
}

struct ResultView {
    metric: String,
    provider: &'static str,
    dry_run: bool,
    phase: AnalysisPhase,
}

impl RunView {
    fn of(run: &AnalysisRun) -> Self {
        let status = run.status.as_ref();
        let metrics = run.spec.metrics.iter();
        let results = status.into_iter().flat_map(|status| &status.metric_results);
        let results = results.map(|result| ResultView {
            metric: result.name.clone(),
            provider: provider_of(&run.spec.metrics, &result.name),
            dry_run: result.dry_run,
            phase: result.phase,
        });
        Self {
            phased: Phased::new(run, status.and_then(|status| status.phase)),
            metrics: metrics
                .map(|metric| (metric.name.clone(), provider(metric)))
                .collect(),
            results: results.collect(),
        }
    }
}

fn analysis_runs(page: &mut Page, runs: impl IntoIterator<Item = Arc<AnalysisRun>>) {
    let views: Vec<RunView> = runs.into_iter().map(|run| RunView::of(&run)).collect();
    let phased = || views.iter().map(|view| &view.phased);
    phases(page, "analysis_run_info", "analysis_run_phase", phased);
    let mut family = page.gauge(
        "analysis_run_metric_type",
        "Metrics of analysis runs and who answers them: always 1.",
    );
    for RunView {
        phased, metrics, ..
    } in &views
    {
        for (metric, provider) in metrics {
            let labels = [
                ("namespace", phased.name.0.as_str()),
                ("name", phased.name.1.as_str()),
                ("metric", metric.as_str()),
                ("type", provider),
            ];
            family.sample(&labels, 1);
        }
    }
    let mut family = page.gauge(
        "analysis_run_metric_phase",
        "Phases of the metrics of analysis runs. 1 for the phase that it is in.",
    );
    for RunView {
        phased, results, ..
    } in &views
    {
        for result in results {
            for phase in AnalysisPhase::ALL {
                let labels = [
                    ("namespace", phased.name.0.as_str()),
                    ("name", phased.name.1.as_str()),
                    ("metric", result.metric.as_str()),
                    ("type", result.provider),
                    ("dry_run", if result.dry_run { "true" } else { "false" }),
                    ("phase", phase.as_str()),
                ];
                family.sample(&labels, u8::from(*phase == result.phase));
            }
        }
    }
}

/// Who answers a metric, by the name in its result: arguments are filled in there.
fn provider_of(metrics: &[Metric], name: &str) -> &'static str {
    let is_it = |metric: &&Metric| match metric.name.split_once("{{") {
        Some((start, _)) => name.starts_with(start),
        None => metric.name == name,
    };
    metrics.iter().find(is_it).map_or("", provider)
}

fn templates(page: &mut Page, caches: &Caches) {
    let namespaced = caches.analysis_templates.all();
    let cluster = caches.cluster_analysis_templates.all();
    let namespaced = namespaced
        .iter()
        .map(|template| (name_of(template.as_ref()), &template.spec.metrics));
    let cluster = cluster
        .iter()
        .map(|template| (name_of(template.as_ref()), &template.spec.metrics));
    let all: Vec<_> = namespaced.chain(cluster).collect();
    let mut family = page.gauge("analysis_template_info", "Analysis templates: always 1.");
    for ((namespace, name), _) in &all {
        family.sample(&[("namespace", namespace), ("name", name)], 1);
    }
    let mut family = page.gauge(
        "analysis_template_metric_info",
        "Metrics of analysis templates and who answers them: always 1.",
    );
    for ((namespace, name), metrics) in &all {
        for metric in *metrics {
            let labels = [
                ("namespace", namespace.as_str()),
                ("name", name.as_str()),
                ("type", provider(metric)),
                ("metric", metric.name.as_str()),
            ];
            family.sample(&labels, 1);
        }
    }
}

/// Names of providers, as the peer writes them.
fn provider(metric: &Metric) -> &'static str {
    let provider = &metric.provider;
    let set = [
        ("Prometheus", provider.prometheus.is_some()),
        ("Job", provider.job.is_some()),
        ("Kayenta", provider.kayenta.is_some()),
        ("Web", provider.web.is_some()),
        ("Datadog", provider.datadog.is_some()),
        ("Wavefront", provider.wavefront.is_some()),
        ("NewRelic", provider.new_relic.is_some()),
        ("CloudWatch", provider.cloud_watch.is_some()),
        ("Graphite", provider.graphite.is_some()),
        ("Influxdb", provider.influxdb.is_some()),
        ("skywalking", provider.skywalking.is_some()),
        ("Pods", provider.pods.is_some()),
        ("RPCPlugin", !provider.plugin.is_empty()),
    ];
    let found = set.iter().find(|(_, is_set)| *is_set);
    found.map_or("Unknown Provider", |(name, _)| name)
}
