//! What is: gauges of AnalysisRuns, Experiments and AnalysisTemplates (rollouts.md §9.1).

use super::objects::{NameText, name_of};
use super::page::Page;
use crate::cache::Caches;
use api::{AnalysisPhase, AnalysisRun, Experiment, MetricProvider};
use kube::Resource;
use serde::Deserialize;

/// Writes the families of all three.
pub(super) fn write(page: &mut Page, caches: &Caches) {
    let runs = caches.analysis_runs.parts(RunView::of, RunView::read);
    analysis_runs(page, &runs);
    templates(page, caches);
    let experiments = caches
        .experiments
        .parts(Phased::of_experiment, Phased::read);
    let experiments = || experiments.iter();
    phases(page, "experiment_info", "experiment_phase", experiments);
}

/// As much of the text of an AnalysisRun or an Experiment as is told of it. Measurements and pod
/// templates, which are most of it, are passed over.
#[derive(Deserialize)]
struct PhasedText {
    metadata: NameText,
    #[serde(default)]
    spec: SpecText,
    status: Option<StatusText>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpecText {
    metrics: Vec<MetricText>,
}

#[derive(Deserialize)]
struct MetricText {
    name: String,
    provider: MetricProvider,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusText {
    /// Empty or absent before the first pass.
    phase: Option<String>,
    metric_results: Vec<ResultText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultText {
    name: String,
    phase: AnalysisPhase,
    #[serde(default)]
    dry_run: bool,
}

/// An object with a phase of analysis.
#[derive(Debug, PartialEq, Eq)]
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

    fn of_experiment(experiment: &Experiment) -> Self {
        let status = experiment.status.as_ref();
        Self::new(experiment, status.and_then(|status| status.phase))
    }

    fn read(text: &str) -> serde_json::Result<Self> {
        let PhasedText {
            metadata, status, ..
        } = serde_json::from_str(text)?;
        let phase = status.and_then(|status| status.phase);
        Ok(Self::of_text(metadata, phase.as_deref()))
    }

    fn of_text(metadata: NameText, phase: Option<&str>) -> Self {
        let phase: Option<AnalysisPhase> = phase.and_then(|phase| phase.parse().ok());
        Self {
            name: metadata.into_name(),
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
#[derive(Debug, PartialEq, Eq)]
struct RunView {
    phased: Phased,
    /// Names and who answers.
    metrics: Vec<(String, &'static str)>,
    results: Vec<ResultView>,
}

#[derive(Debug, PartialEq, Eq)]
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
        let metrics: Vec<_> = metrics
            .map(|metric| (metric.name.clone(), provider(&metric.provider)))
            .collect();
        let results = status.into_iter().flat_map(|status| &status.metric_results);
        let results = results.map(|result| ResultView {
            metric: result.name.clone(),
            provider: provider_of(&metrics, &result.name),
            dry_run: result.dry_run,
            phase: result.phase,
        });
        Self {
            phased: Phased::new(run, status.and_then(|status| status.phase)),
            results: results.collect(),
            metrics,
        }
    }

    /// The same out of its text: of thousands that are packed, decoding is most of what they cost.
    fn read(text: &str) -> serde_json::Result<Self> {
        let PhasedText {
            metadata,
            spec,
            status,
        } = serde_json::from_str(text)?;
        let metrics = spec.metrics.into_iter();
        let metrics: Vec<_> = metrics
            .map(|metric| (metric.name, provider(&metric.provider)))
            .collect();
        let status = status.unwrap_or_default();
        let results = status.metric_results.into_iter();
        let results = results.map(|result| ResultView {
            provider: provider_of(&metrics, &result.name),
            metric: result.name,
            dry_run: result.dry_run,
            phase: result.phase,
        });
        Ok(Self {
            phased: Phased::of_text(metadata, status.phase.as_deref()),
            results: results.collect(),
            metrics,
        })
    }
}

fn analysis_runs(page: &mut Page, views: &[RunView]) {
    let phased = || views.iter().map(|view| &view.phased);
    phases(page, "analysis_run_info", "analysis_run_phase", phased);
    let mut family = page.gauge(
        "analysis_run_metric_type",
        "Metrics of analysis runs and who answers them: always 1.",
    );
    for RunView {
        phased, metrics, ..
    } in views
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
    } in views
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
fn provider_of(metrics: &[(String, &'static str)], name: &str) -> &'static str {
    let mut metrics = metrics.iter();
    let found = metrics.find(|(metric, _)| match metric.split_once("{{") {
        Some((start, _)) => name.starts_with(start),
        None => metric == name,
    });
    found.map_or("", |(_, provider)| *provider)
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
                ("type", provider(&metric.provider)),
                ("metric", metric.name.as_str()),
            ];
            family.sample(&labels, 1);
        }
    }
}

/// Names of providers, as the peer writes them.
fn provider(provider: &MetricProvider) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_packed_is_told_of_as_what_is_not() {
        let measured = json!({"name": "errors-web", "phase": "Running", "dryRun": true,
            "measurements": [{"phase": "Successful", "value": "1"}]});
        let unknown = json!({"name": "other", "phase": "Failed"});
        let job = json!({"name": "smoke", "provider": {"job": {"spec": {"template": {"spec": {
            "containers": [{"name": "c", "image": "i"}]}}}}}});
        let run = json!({
            "metadata": {"namespace": "ns", "name": "run"},
            "spec": {"args": [{"name": "app", "value": "web"}], "metrics": [
                {"name": "errors-{{args.app}}", "provider": {"web": {"url": "http://a"}}}, job]},
            "status": {"phase": "Running", "metricResults": [measured, unknown]},
        });
        let new = json!({"metadata": {"name": "run"}, "spec": {"metrics": []},
            "status": {"phase": ""}});
        let bare = json!({"metadata": {"name": "run"}, "spec": {"metrics": []}});
        for object in [run, new, bare] {
            let run: AnalysisRun = serde_json::from_value(object).unwrap();
            let text = serde_json::to_string(&run).unwrap();
            assert_eq!(RunView::read(&text).unwrap(), RunView::of(&run), "{text}");
        }
        let experiment = json!({"metadata": {"namespace": "ns", "name": "e"},
            "spec": {"templates": []}, "status": {"phase": "Successful"}});
        let experiment: Experiment = serde_json::from_value(experiment).unwrap();
        let text = serde_json::to_string(&experiment).unwrap();
        let read = Phased::read(&text).unwrap();
        assert_eq!(read, Phased::of_experiment(&experiment));
        assert_eq!(read.phase, "Successful");
    }
}
