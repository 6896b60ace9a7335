//! What is known of an AnalysisRun when it is planned, and what has to be looked up for it.

use super::run::completed;
use api::constants::HASH_LABEL;
use api::{AnalysisRun, Measurement, PodsMetric, Rollout};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use plan::{Redacted, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Secrets of the run's namespace, by name. One that does not exist is not in it; of one that the
/// API server refuses to give, its words are.
pub type Secrets = BTreeMap<String, Result<SecretValues, String>>;

/// What a Secret holds, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretValues {
    texts: BTreeMap<String, Redacted<String>>,
    /// Keys whose values are no UTF-8.
    others: BTreeSet<String>,
}

impl SecretValues {
    /// One that is no text is kept as that: an argument can't have it.
    pub fn insert(&mut self, key: String, value: Vec<u8>) {
        match String::from_utf8(value) {
            Ok(text) => {
                self.texts.insert(key, Redacted::new(text));
            }
            Err(_) => {
                self.others.insert(key);
            }
        }
    }

    /// The value of a key; the error says why there is none, where `secret` is the name.
    pub fn text(&self, secret: &str, key: &str) -> Result<&Redacted<String>, String> {
        if self.others.contains(key) {
            return Err(format!(
                "key '{key}' in secret '{secret}' is not UTF-8 text"
            ));
        }
        let text = self.texts.get(key);
        text.ok_or_else(|| format!("key '{key}' does not exist in secret '{secret}'"))
    }
}

impl FromIterator<(String, Redacted<String>)> for SecretValues {
    fn from_iter<I: IntoIterator<Item = (String, Redacted<String>)>>(texts: I) -> Self {
        Self {
            texts: texts.into_iter().collect(),
            others: BTreeSet::new(),
        }
    }
}

/// Everything that the plan of one AnalysisRun depends on, besides the time.
#[derive(Clone, Debug)]
pub struct AnalysisRunSnapshot {
    pub run: Arc<AnalysisRun>,
    /// What [`owning_rollout`] names, if it exists.
    pub rollout: Option<Arc<Rollout>>,
    /// Those of [`Needs::secrets`] that exist, or may not be read.
    pub secrets: Secrets,
    /// The pods of the run's namespace whose `rollouts-pod-template-hash` is one of
    /// [`Needs::pod_hashes`].
    pub pods: Vec<Arc<Pod>>,
    /// The Jobs of the namespace for them ([`MetricDefaults::job_namespace`]) that have its uid as
    /// label `analysisrun.argoproj.io/uid`, or at the beginning of their name.
    pub jobs: Vec<Arc<Job>>,
    /// The pods with that label.
    pub job_pods: Vec<Arc<Pod>>,
    /// Finished measurements. One stays here until [`super::settled`] says that the stored status
    /// has it.
    pub inbox: Vec<(TaskId, Measurement)>,
    pub defaults: MetricDefaults,
}

/// What the operator of the controller set for metrics that leave it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricDefaults {
    /// `ARGO_ROLLOUTS_PROMETHEUS_ADDRESS`; it may hold a password.
    pub prometheus_address: Option<Redacted<String>>,
    /// `ARGO_ROLLOUTS_ANALYSIS_JOB_NAMESPACE`: where the Jobs of all runs are made.
    pub job_namespace: Option<String>,
}

impl MetricDefaults {
    /// The namespace of the Jobs of a run.
    pub fn job_namespace<'a>(&'a self, run: &'a AnalysisRun) -> &'a str {
        let own = run.metadata.namespace.as_deref().unwrap_or_default();
        let set = self.job_namespace.as_deref();
        set.filter(|set| !set.is_empty()).unwrap_or(own)
    }
}

/// What a snapshot must hold besides the run and its rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Names of Secrets in the run's namespace.
    pub secrets: BTreeSet<String>,
    /// Values of the label `rollouts-pod-template-hash` of pods in the run's namespace.
    pub pod_hashes: BTreeSet<String>,
}

/// The name of the Rollout that a run belongs to, if it is needed: for metrics about its pods.
pub fn owning_rollout(run: &AnalysisRun) -> Option<&str> {
    pods_metrics(run).next()?;
    let owners = run.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.kind == "Rollout")?;
    Some(owner.name.as_str())
}

/// Which objects the snapshot of `run` needs; `rollout` is what [`owning_rollout`] names. A run
/// that is over needs none: nothing that can't be read stands in the way of its TTL.
pub fn needs(run: &AnalysisRun, rollout: Option<&Rollout>) -> Needs {
    let phase = run.status.as_ref().and_then(|status| status.phase);
    if phase.is_some_and(completed) {
        return Needs::default();
    }
    let references = run.spec.args.iter().filter_map(|arg| {
        let from = arg.value_from.as_ref()?;
        from.secret_key_ref.as_ref()
    });
    let mut pod_hashes = BTreeSet::new();
    let arguments: BTreeMap<_, _> = run
        .spec
        .args
        .iter()
        .map(|arg| (arg.name.clone(), arg.value.clone()))
        .collect();
    for metric in pods_metrics(run) {
        let arms = Arms::of(metric, run, rollout);
        for hash in [arms.canary, arms.stable].into_iter().flatten() {
            pod_hashes.extend(resolve_hash(&hash, &arguments));
        }
    }
    Needs {
        secrets: references.map(|reference| reference.name.clone()).collect(),
        pod_hashes,
    }
}

/// A hash may be given as `{{args.name}}`.
fn resolve_hash(hash: &str, arguments: &BTreeMap<String, Option<String>>) -> Option<String> {
    let tag = hash
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    match tag {
        None => Some(hash.to_owned()),
        Some(tag) => arguments.get(tag.trim().strip_prefix("args.")?)?.clone(),
    }
}

fn pods_metrics(run: &AnalysisRun) -> impl Iterator<Item = &PodsMetric> {
    run.spec
        .metrics
        .iter()
        .filter_map(|metric| metric.provider.pods.as_ref())
}

/// The pod template hashes of the two versions that a `pods` metric compares.
pub(crate) struct Arms {
    pub(crate) canary: Option<String>,
    pub(crate) stable: Option<String>,
}

impl Arms {
    /// What the metric says, or else the run's own hash and its rollout's stable one.
    pub(crate) fn of(metric: &PodsMetric, run: &AnalysisRun, rollout: Option<&Rollout>) -> Self {
        let own = run
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(HASH_LABEL));
        let status = rollout.and_then(|rollout| rollout.status.as_ref());
        let stable = status.map(|status| status.stable_rs.clone());
        let given = |hash: &Option<String>| hash.clone().filter(|hash| !hash.is_empty());
        Self {
            canary: given(&metric.canary).or_else(|| own.cloned()),
            stable: given(&metric.stable).or_else(|| stable.filter(|hash| !hash.is_empty())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn run(pods: &Value, args: &Value) -> AnalysisRun {
        let run = json!({
            "metadata": {
                "name": "run",
                "labels": { "rollouts-pod-template-hash": "new" },
                "ownerReferences": [
                    { "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app", "uid": "u" },
                ],
            },
            "spec": { "metrics": [{ "name": "m", "provider": pods }], "args": args },
        });
        serde_json::from_value(run).expect("a run")
    }

    fn rollout() -> Rollout {
        let rollout = json!({ "metadata": {}, "spec": {}, "status": { "stableRS": "old" } });
        serde_json::from_value(rollout).expect("a rollout")
    }

    fn hashes(pods: &Value, args: &Value) -> Vec<String> {
        let run = run(&json!({ "pods": pods }), args);
        assert_eq!(owning_rollout(&run), Some("app"));
        needs(&run, Some(&rollout()))
            .pod_hashes
            .into_iter()
            .collect()
    }

    #[test]
    fn a_pods_metric_needs_the_pods_of_both_versions() {
        assert_eq!(hashes(&json!({}), &json!([])), ["new", "old"]);
        assert_eq!(
            hashes(&json!({ "canary": "x", "stable": "y" }), &json!([])),
            ["x", "y"]
        );
        let args = json!([{ "name": "c", "value": "z" }]);
        assert_eq!(
            hashes(&json!({ "canary": "{{ args.c }}" }), &args),
            ["old", "z"]
        );
        assert_eq!(
            hashes(&json!({ "canary": "{{args.none}}" }), &args),
            ["old"]
        );
    }

    #[test]
    fn other_metrics_need_only_secrets() {
        let from = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
        let run = run(
            &json!({ "web": { "url": "x" } }),
            &json!([{ "name": "a", "valueFrom": from }]),
        );
        assert_eq!(owning_rollout(&run), None);
        let needs = needs(&run, None);
        assert_eq!(needs.secrets.into_iter().collect::<Vec<_>>(), ["s"]);
        assert!(needs.pod_hashes.is_empty());
    }

    #[test]
    fn a_run_that_is_over_needs_nothing() {
        let from = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
        let args = json!([{ "name": "a", "valueFrom": from }]);
        let mut run = run(&json!({ "pods": {} }), &args);
        for (phase, is_over) in [("Running", false), ("Successful", true), ("Error", true)] {
            let status = json!({ "phase": phase });
            run.status = serde_json::from_value(status).expect("a status");
            let needs = needs(&run, Some(&rollout()));
            assert_eq!(needs == Needs::default(), is_over, "{phase}");
        }
    }
}
