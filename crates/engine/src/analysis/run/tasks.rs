//! The measurements that a pass asks for, complete with arguments and context.

use crate::analysis::arguments::{self, SECRET_PLACEHOLDER};
use crate::analysis::snapshot::{AnalysisRunSnapshot, Arms};
use crate::metric;
use api::{JobMetric, Metric, SecretKeyRef};
use gocompat::number;
use plan::{MetricTask, ObjectKey, Redacted, TaskId};
use serde_json::Value;
use std::collections::BTreeMap;

/// The metrics of a run with their arguments filled in.
#[derive(Debug)]
pub(super) struct Resolved {
    /// With placeholders for secrets: what validation, scheduling and assessment look at.
    pub(super) metrics: Vec<Metric>,
    /// With everything, as JSON.
    complete: Vec<Redacted<Value>>,
    /// Secret values, in the forms that messages may have them in, to be kept out of there.
    secrets: Vec<Redacted<String>>,
}

impl Resolved {
    /// The error is a sentence for the run's message.
    pub(super) fn of(snapshot: &AnalysisRunSnapshot) -> Result<Self, String> {
        let spec = &snapshot.run.spec;
        let plain = arguments::values(&spec.args, |_| Ok(SECRET_PLACEHOLDER.to_owned()))?;
        let fill = |values: &BTreeMap<String, String>| {
            let metrics = spec.metrics.iter();
            metrics
                .map(|metric| arguments::substitute(metric, values))
                .collect::<Result<Vec<Value>, String>>()
        };
        let metrics = fill(&plain)?
            .into_iter()
            .map(arguments::typed)
            .collect::<Result<Vec<Metric>, String>>()?;
        Ok(Self {
            metrics,
            complete: Vec::new(),
            secrets: Vec::new(),
        })
    }

    /// Fills in the secrets. The error is a sentence for the run's message.
    pub(super) fn reveal(&mut self, snapshot: &AnalysisRunSnapshot) -> Result<(), String> {
        let spec = &snapshot.run.spec;
        let mut secrets = Vec::new();
        let values = arguments::values(&spec.args, |reference| {
            let value = secret(snapshot, reference)?;
            secrets.push(value.clone());
            Ok(value.reveal().clone())
        })?;
        let secrets = forms(&secrets);
        let mut complete = Vec::with_capacity(spec.metrics.len());
        for metric in &spec.metrics {
            let filled = arguments::substitute(metric, &values)
                // The decoder's sentence could quote what it was given.
                .map_err(|error| hide(&error, &secrets))?;
            complete.push(Redacted::new(filled));
        }
        self.complete = complete;
        self.secrets = secrets;
        Ok(())
    }

    /// Replaces secret values by `*****`.
    pub(super) fn hide(&self, text: &str) -> String {
        hide(text, &self.secrets)
    }

    /// The task that takes a measurement of metric `index`.
    pub(super) fn task(
        &self,
        snapshot: &AnalysisRunSnapshot,
        key: &ObjectKey,
        index: usize,
        id: TaskId,
    ) -> MetricTask {
        let metric = &self.metrics[index];
        MetricTask {
            id,
            run: key.clone(),
            metric: self.complete.get(index).cloned().unwrap_or_default(),
            context: Redacted::new(context(snapshot, metric)),
        }
    }

    /// The Job that takes a measurement of metric `index`, if that is its provider.
    pub(super) fn job(&self, index: usize) -> Option<JobMetric> {
        self.metrics[index].provider.job.as_ref()?;
        let complete = self.complete.get(index)?;
        let metric = arguments::typed(complete.reveal().clone()).ok()?;
        metric.provider.job
    }

    /// What the provider tells about a metric, without secrets.
    pub(super) fn metadata(&self, index: usize) -> BTreeMap<String, String> {
        let Some(complete) = self.complete.get(index) else {
            return BTreeMap::new();
        };
        let metric = arguments::typed(complete.reveal().clone());
        let metadata = metric
            .map(|metric| metric::metadata(&metric))
            .unwrap_or_default();
        metadata
            .into_iter()
            .map(|(key, value)| (key, self.hide(&value)))
            .collect()
    }
}

/// What a message may have in place of secrets: the values, without the newline that a file ends
/// with, and all of that as Go quotes it. Longest first, so that none leaves the rest of another
/// one.
fn forms(secrets: &[Redacted<String>]) -> Vec<Redacted<String>> {
    let mut forms = Vec::new();
    for secret in secrets {
        let secret = secret.reveal().as_str();
        for form in [secret, secret.trim()] {
            let quoted = number::quote(form);
            forms.push(form.to_owned());
            forms.push(quoted[1..quoted.len() - 1].to_owned());
        }
    }
    forms.retain(|form| !form.is_empty());
    forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    forms.dedup();
    forms.into_iter().map(Redacted::new).collect()
}

/// `secrets` are [`forms`].
fn hide(text: &str, secrets: &[Redacted<String>]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(secret.reveal(), "*****");
    }
    text
}

fn secret(
    snapshot: &AnalysisRunSnapshot,
    reference: &SecretKeyRef,
) -> Result<Redacted<String>, String> {
    let SecretKeyRef { name, key } = reference;
    let Some(secret) = snapshot.secrets.get(name) else {
        return Err(format!("secrets \"{name}\" not found"));
    };
    let values = secret.as_ref().map_err(Clone::clone)?;
    values.text(name, key).cloned()
}

/// What the provider needs of the cluster and of the operator.
fn context(snapshot: &AnalysisRunSnapshot, filled: &Metric) -> Value {
    if let Some(pods) = &filled.provider.pods {
        let arms = Arms::of(pods, &snapshot.run, snapshot.rollout.as_deref());
        return metric::pods::context(pods, arms.canary, arms.stable, &snapshot.pods);
    }
    match &snapshot.defaults.prometheus_address {
        Some(address) if filled.provider.prometheus.is_some() => {
            serde_json::json!({ "prometheusAddress": address.reveal() })
        }
        _ => Value::Null,
    }
}
