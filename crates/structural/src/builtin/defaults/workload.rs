//! Kinds that run pods.

use serde_json::{Map, Value, json};

use super::{Fields, child, each, pod, present, set, set_text, text, zeros};

pub(super) fn deployment(fields: &mut Fields) {
    child(fields, "status");
    let spec = child(fields, "spec");
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "progressDeadlineSeconds", json!(600));
    let strategy = child(spec, "strategy");
    set_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = child(strategy, "rollingUpdate");
        set(rolling, "maxUnavailable", json!("25%"));
        set(rolling, "maxSurge", json!("25%"));
    }
    pod::template(child(spec, "template"));
}

pub(super) fn replica_set(fields: &mut Fields) {
    zeros(fields, &["replicas"]);
    let spec = child(fields, "spec");
    set(spec, "replicas", json!(1));
    pod::template(child(spec, "template"));
}

pub(super) fn replication_controller(fields: &mut Fields) {
    zeros(fields, &["replicas"]);
    let spec = child(fields, "spec");
    set(spec, "replicas", json!(1));
    let labels = template_labels(spec);
    if let Some(template) = present(spec, "template") {
        pod::template(template);
    }
    if let Some(labels) = labels {
        set(spec, "selector", labels.clone());
        set(child(fields, "metadata"), "labels", labels);
    }
}

fn template_labels(spec: &Fields) -> Option<Value> {
    let labels = spec.get("template")?.pointer("/metadata/labels")?;
    labels
        .as_object()
        .is_some_and(|labels| !labels.is_empty())
        .then(|| labels.clone())
}

pub(super) fn stateful_set(fields: &mut Fields) {
    zeros(fields, &["availableReplicas", "replicas"]);
    let spec = child(fields, "spec");
    set_text(spec, "podManagementPolicy", "OrderedReady");
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    let retention = child(spec, "persistentVolumeClaimRetentionPolicy");
    set_text(retention, "whenDeleted", "Retain");
    set_text(retention, "whenScaled", "Retain");
    let strategy = child(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        set(child(strategy, "rollingUpdate"), "partition", json!(0));
    }
    for claim in each(spec, "volumeClaimTemplates") {
        child(claim, "metadata");
        pod::volume_claim(child(claim, "spec"));
        set(child(claim, "status"), "phase", json!("Pending"));
    }
    pod::template(child(spec, "template"));
}

pub(super) fn daemon_set(fields: &mut Fields) {
    zeros(
        fields,
        &[
            "currentNumberScheduled",
            "desiredNumberScheduled",
            "numberMisscheduled",
            "numberReady",
        ],
    );
    let spec = child(fields, "spec");
    set(spec, "revisionHistoryLimit", json!(10));
    let strategy = child(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = child(strategy, "rollingUpdate");
        set(rolling, "maxUnavailable", json!(1));
        set(rolling, "maxSurge", json!(0));
    }
    pod::template(child(spec, "template"));
}

pub(super) fn job(fields: &mut Fields) {
    child(fields, "status");
    let spec = child(fields, "spec");
    job_spec(spec);
    let labels = template_labels(spec);
    let metadata = child(fields, "metadata");
    let unlabelled = metadata
        .get("labels")
        .and_then(Value::as_object)
        .is_none_or(Map::is_empty);
    if let Some(labels) = labels.filter(|_| unlabelled) {
        metadata.insert("labels".to_owned(), labels);
    }
}

fn job_spec(spec: &mut Fields) {
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        set(spec, "completions", json!(1));
    }
    set(spec, "parallelism", json!(1));
    let per_index = spec.contains_key("backoffLimitPerIndex");
    set(
        spec,
        "backoffLimit",
        if per_index { json!(i32::MAX) } else { json!(6) },
    );
    set(spec, "completionMode", json!("NonIndexed"));
    set(spec, "suspend", json!(false));
    set(spec, "manualSelector", json!(false));
    let replacement = if spec.contains_key("podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    set(spec, "podReplacementPolicy", json!(replacement));
    if let Some(policy) = present(spec, "podFailurePolicy") {
        for rule in each(policy, "rules") {
            for condition in each(rule, "onPodConditions") {
                set_text(condition, "status", "True");
            }
        }
    }
    pod::template(child(spec, "template"));
}

pub(super) fn cron_job(fields: &mut Fields) {
    child(fields, "status");
    let spec = child(fields, "spec");
    set_text(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", json!(false));
    set(spec, "successfulJobsHistoryLimit", json!(3));
    set(spec, "failedJobsHistoryLimit", json!(1));
    let template = child(spec, "jobTemplate");
    child(template, "metadata");
    pod::template(child(child(template, "spec"), "template"));
}
