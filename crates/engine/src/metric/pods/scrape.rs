//! The requests for the pages of all pods, and what is read of the answers.

use super::target::{Arm, Target, Targets};
use crate::metric::exposition::{self, Sample};
use api::{PodsCounter, PodsMetric};
use plan::{HttpAnswer, HttpRequest, Redacted};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Largest page of a pod.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Seconds, if the metric does not say.
const TIMEOUT_S: i64 = 5;

/// What was read of one pod: per counter, the value of each series that matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) series: BTreeMap<String, BTreeMap<String, f64>>,
    /// Counters whose metric is there, whatever its labels.
    pub(super) present: BTreeSet<String>,
}

/// Readings by version and pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Readings {
    pub(super) canary: BTreeMap<String, Reading>,
    pub(super) stable: BTreeMap<String, Reading>,
}

/// A counter with its patterns compiled.
pub(super) struct Counter<'a> {
    pub(super) name: &'a str,
    pub(super) spec: &'a PodsCounter,
    matching: Vec<(&'a str, Regex)>,
    not_matching: Vec<(&'a str, Regex)>,
}

impl<'a> Counter<'a> {
    /// All counters of a metric; the error is a sentence.
    pub(super) fn all(spec: &'a PodsMetric) -> Result<Vec<Self>, String> {
        if spec.counters.is_empty() {
            return Err("the metric names no counters".to_owned());
        }
        spec.counters
            .iter()
            .map(|(name, counter)| {
                Ok(Self {
                    name,
                    spec: counter,
                    matching: patterns(name, &counter.matching)?,
                    not_matching: patterns(name, &counter.not_matching)?,
                })
            })
            .collect()
    }

    /// An absent label is an empty one, as in PromQL.
    fn matches(&self, sample: &Sample<'_>) -> bool {
        let label = |name: &str| sample.labels.get(name).map_or("", String::as_str);
        let exact = self
            .spec
            .labels
            .iter()
            .all(|(name, want)| label(name) == want);
        exact
            && self
                .matching
                .iter()
                .all(|(name, pattern)| pattern.is_match(label(name)))
            && !self
                .not_matching
                .iter()
                .any(|(name, pattern)| pattern.is_match(label(name)))
    }
}

fn patterns<'a>(
    counter: &str,
    rules: &'a BTreeMap<String, String>,
) -> Result<Vec<(&'a str, Regex)>, String> {
    rules
        .iter()
        .map(|(label, pattern)| {
            let whole = expr::go_regex(&format!("^(?:{pattern})$"));
            whole
                .map(|regex| (label.as_str(), regex))
                .map_err(|_| format!("counter {counter}: `{pattern}` is no regular expression"))
        })
        .collect()
}

/// The requests for all pods, those of the canary first.
pub(super) fn requests(spec: &PodsMetric, targets: &Targets) -> Result<Vec<HttpRequest>, String> {
    let scheme = spec.scheme.as_deref().unwrap_or("http").to_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(format!("the scheme must be http or https, not '{scheme}'"));
    }
    let path = spec.path.as_deref().unwrap_or("/metrics");
    let path = path.strip_prefix('/').unwrap_or(path);
    let timeout_s = match spec.timeout.unwrap_or(0) {
        seconds if seconds < 0 => return Err("the timeout must not be negative".to_owned()),
        0 => TIMEOUT_S,
        seconds => seconds,
    };
    let arms = [("canary", &targets.canary), ("stable", &targets.stable)];
    let mut requests = Vec::new();
    for (version, Arm { pods, .. }) in arms {
        for Target { name, address } in pods {
            let address = address
                .as_ref()
                .map_err(|why| format!("pod {name} of the {version} can't be scraped: {why}"))?;
            requests.push(HttpRequest {
                method: "GET",
                url: Redacted::new(format!("{scheme}://{address}/{path}")),
                headers: vec![(
                    "Accept".to_owned(),
                    Redacted::new("text/plain;version=0.0.4".to_owned()),
                )],
                body: None,
                timeout_s: u32::try_from(timeout_s).unwrap_or(u32::MAX),
                insecure: spec.insecure == Some(true),
                max_bytes: MAX_BYTES,
            });
        }
    }
    Ok(requests)
}

/// What the answers say, pod by pod; the error is the sentence for the first pod that failed.
pub(super) fn read(
    counters: &[Counter<'_>],
    targets: &Targets,
    answers: &[HttpAnswer],
) -> Result<Readings, String> {
    let mut answers = answers.iter();
    let mut readings = Readings::default();
    let arms = [
        ("canary", &targets.canary, &mut readings.canary),
        ("stable", &targets.stable, &mut readings.stable),
    ];
    for (version, arm, into) in arms {
        for Target { name, .. } in &arm.pods {
            let fail = |why: String| format!("pod {name} of the {version} {why}");
            let answer = answers
                .next()
                .ok_or_else(|| fail("was not asked".to_owned()))?;
            let reading = pod(counters, answer).map_err(fail)?;
            into.insert(name.clone(), reading);
        }
    }
    Ok(readings)
}

fn pod(counters: &[Counter<'_>], answer: &HttpAnswer) -> Result<Reading, String> {
    let body = match answer {
        HttpAnswer::Failed { error } => return Err(format!("can't be scraped: {error}")),
        HttpAnswer::Response { status, body } if (200..300).contains(status) => body,
        HttpAnswer::Response { status, .. } => {
            return Err(format!(
                "can't be scraped: it answered with status {status}"
            ));
        }
    };
    let garbage = |why: &str| format!("answered with something that is no metrics text: {why}");
    let text = std::str::from_utf8(body).map_err(|_| garbage("it is not UTF-8"))?;
    let samples = exposition::parse(text).map_err(|why| garbage(&why))?;
    let mut reading = Reading::default();
    for sample in &samples {
        for counter in counters.iter().filter(|c| c.spec.metric == sample.name) {
            reading.present.insert(counter.name.to_owned());
            if !counter.matches(sample) {
                continue;
            }
            if !sample.value.is_finite() || sample.value < 0.0 {
                let (name, value) = (sample.name, sample.value);
                return Err(format!("has {value} for {name}, which is no count"));
            }
            let series = reading.series.entry(counter.name.to_owned()).or_default();
            // The same series twice is one too many, but harmless: they are added up.
            *series.entry(format!("{:?}", sample.labels)).or_default() += sample.value;
        }
    }
    Ok(reading)
}
