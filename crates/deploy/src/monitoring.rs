//! Alerts and a dashboard. Every metric in them is one that `/metrics` has: a test holds them
//! against the real page.

use crate::controller::selector;
use crate::rbac::meta;
use crate::settings::Settings;
use serde_json::{Value, json};
use std::collections::BTreeSet;

struct Alert {
    name: &'static str,
    query: &'static str,
    pending: &'static str,
    severity: &'static str,
    summary: &'static str,
}

const ALERTS: &[Alert] = &[
    Alert {
        name: "WeirNoLeader",
        query: "sum(weir_leader) < 1 or absent(weir_leader)",
        pending: "2m",
        severity: "critical",
        summary: "No controller leads: rollouts stand still",
    },
    Alert {
        name: "WeirTwoLeaders",
        query: "sum by (namespace) (weir_leader) > 1 or max by (namespace) (weir_lease_contended) > 0",
        pending: "1m",
        severity: "critical",
        summary: "More than one controller acts",
    },
    Alert {
        name: "WeirReconcileErrors",
        query: "sum by (namespace, name) (increase(rollout_reconcile_error[10m])) > 5",
        pending: "5m",
        severity: "warning",
        summary: "Passes over the Rollout {{ $labels.namespace }}/{{ $labels.name }} fail",
    },
    Alert {
        name: "WeirRolloutAborted",
        query: "max by (namespace, name) (rollout_info{phase=\"Abort\"}) == 1",
        pending: "1m",
        severity: "warning",
        summary: "The Rollout {{ $labels.namespace }}/{{ $labels.name }} was aborted: Git and cluster differ",
    },
    Alert {
        name: "WeirRolloutStuck",
        query: "max by (namespace, name) (rollout_info{phase=~\"Timeout|Error|InvalidSpec\"}) == 1",
        pending: "5m",
        severity: "warning",
        summary: "The Rollout {{ $labels.namespace }}/{{ $labels.name }} does not get on",
    },
    Alert {
        name: "WeirSyncFailed",
        query: "sum by (namespace, name) (increase(weir_app_sync_failures_total[15m])) > 0",
        pending: "0m",
        severity: "warning",
        summary: "The Application {{ $labels.namespace }}/{{ $labels.name }} could not be synced",
    },
    Alert {
        name: "WeirApplicationUnhealthy",
        query: "weir_app_health_score < 0.5",
        pending: "10m",
        severity: "warning",
        summary: "The Application {{ $labels.namespace }}/{{ $labels.name }} is not healthy",
    },
    Alert {
        name: "WeirQueueStalled",
        query: "max by (name) (workqueue_longest_running_processor_seconds) > 300",
        pending: "5m",
        severity: "warning",
        summary: "A pass of the queue {{ $labels.name }} has not ended for five minutes",
    },
    Alert {
        name: "WeirApiServerRefuses",
        query: "sum by (status_code, verb, kind) (rate(controller_clientset_k8s_request_total{status_code=~\"403|429|5..\"}[5m])) > 0.1",
        pending: "10m",
        severity: "warning",
        summary: "The API server answers {{ $labels.status_code }} to {{ $labels.verb }} of {{ $labels.kind }}",
    },
];

struct Panel {
    title: &'static str,
    unit: &'static str,
    query: &'static str,
    legend: &'static str,
}

const PANELS: &[Panel] = &[
    Panel {
        title: "Rollouts by phase",
        unit: "short",
        query: "sum by (phase) (max by (namespace, name, phase) (rollout_info{namespace=~\"$namespace\"}))",
        legend: "{{phase}}",
    },
    Panel {
        title: "Deployments per day",
        unit: "short",
        query: "sum by (result) (increase(weir_deployments_total{namespace=~\"$namespace\"}[1d]))",
        legend: "{{result}}",
    },
    Panel {
        title: "Duration of updates, median",
        unit: "s",
        query: "histogram_quantile(0.5, sum by (le, status) (rate(rollout_duration_seconds_bucket{namespace=~\"$namespace\"}[1d])))",
        legend: "{{status}}",
    },
    Panel {
        title: "Waiting for somebody, median",
        unit: "s",
        query: "histogram_quantile(0.5, sum by (le) (rate(rollout_manual_pause_duration_seconds_bucket{namespace=~\"$namespace\"}[1d])))",
        legend: "manual pause",
    },
    Panel {
        title: "Pods that are not available",
        unit: "short",
        query: "max by (namespace, name) (rollout_info_replicas_unavailable{namespace=~\"$namespace\"}) > 0",
        legend: "{{namespace}}/{{name}}",
    },
    Panel {
        title: "Analysis runs by phase",
        unit: "short",
        query: "sum by (phase) (max by (namespace, name, phase) (analysis_run_info{namespace=~\"$namespace\"}))",
        legend: "{{phase}}",
    },
    Panel {
        title: "Health of Applications",
        unit: "percentunit",
        query: "weir_app_health_score",
        legend: "{{namespace}}/{{name}}",
    },
    Panel {
        title: "Duration of syncs, 95 %",
        unit: "s",
        query: "histogram_quantile(0.95, sum by (le, phase) (rate(weir_app_sync_duration_seconds_bucket[1h])))",
        legend: "{{phase}}",
    },
    Panel {
        title: "Failed syncs per hour",
        unit: "short",
        query: "sum by (name, reason) (increase(weir_app_sync_failures_total[1h]))",
        legend: "{{name}} {{reason}}",
    },
    Panel {
        title: "Applications by sync status",
        unit: "short",
        query: "sum by (sync_status) (argocd_app_info)",
        legend: "{{sync_status}}",
    },
    Panel {
        title: "Passes per second",
        unit: "ops",
        query: "sum by (name) (rate(workqueue_work_duration_seconds_count[5m]))",
        legend: "{{name}}",
    },
    Panel {
        title: "Keys that are due",
        unit: "short",
        query: "sum by (name) (workqueue_depth)",
        legend: "{{name}}",
    },
    Panel {
        title: "Requests to the API server",
        unit: "reqps",
        query: "sum by (verb, status_code) (rate(controller_clientset_k8s_request_total[5m]))",
        legend: "{{verb}} {{status_code}}",
    },
    Panel {
        title: "Memory",
        unit: "bytes",
        query: "process_resident_memory_bytes{job=~\".*weir.*\"}",
        legend: "{{pod}}",
    },
    Panel {
        title: "Processor",
        unit: "short",
        query: "rate(process_cpu_seconds_total{job=~\".*weir.*\"}[5m])",
        legend: "{{pod}}",
    },
    Panel {
        title: "Who leads",
        unit: "short",
        query: "weir_leader",
        legend: "{{pod}}",
    },
];

/// A ServiceMonitor and a PrometheusRule, for clusters with the Prometheus operator.
pub fn monitoring(settings: &Settings) -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": meta(settings, Settings::NAME),
            "spec": {
                "selector": {"matchLabels": selector()},
                // The labels namespace and name are those of the objects that are told of.
                "endpoints": [{"port": "metrics", "interval": "30s", "honorLabels": true}],
            },
        }),
        json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": meta(settings, Settings::NAME),
            "spec": rule_groups(),
        }),
    ]
}

/// The groups of rules, as a Prometheus without the operator reads them too.
pub(crate) fn rule_groups() -> Value {
    let rules = ALERTS.iter().map(|alert| {
        json!({
            "alert": alert.name,
            "expr": alert.query,
            "for": alert.pending,
            "labels": {"severity": alert.severity},
            "annotations": {"summary": alert.summary},
        })
    });
    json!({"groups": [{"name": "weir", "rules": rules.collect::<Vec<Value>>()}]})
}

/// The dashboard, for Grafana to import.
pub fn dashboard() -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let panels = PANELS.iter().enumerate().map(|(number, panel)| {
        json!({
            "id": number + 1,
            "type": "timeseries",
            "title": panel.title,
            "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": (number % 2) * 12, "y": (number / 2) * 8},
            "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
            "targets": [{
                "refId": "A",
                "datasource": source,
                "expr": panel.query,
                "legendFormat": panel.legend,
            }],
        })
    });
    json!({
        "title": "Weir",
        "uid": "weir",
        "tags": ["weir"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
            {
                "name": "namespace",
                "type": "query",
                "datasource": source,
                "query": "label_values(rollout_info, namespace)",
                "includeAll": true,
                "multi": true,
                "allValue": ".*",
                "refresh": 2,
            },
        ]},
        "panels": panels.collect::<Vec<Value>>(),
    })
}

/// Names of the metrics in alerts and dashboard.
pub fn used_metrics() -> BTreeSet<String> {
    let alerts = ALERTS.iter().map(|alert| alert.query);
    let panels = PANELS.iter().map(|panel| panel.query);
    alerts.chain(panels).flat_map(metrics_of).collect()
}

/// Words of a query that have an underscore and are no label: what follows is a selector, a range
/// or an end, and what is in braces or in a grouping is left out.
fn metrics_of(query: &str) -> Vec<String> {
    let mut outside = String::new();
    let mut in_labels = false;
    for character in query.chars() {
        match character {
            '{' => in_labels = true,
            '}' => in_labels = false,
            other if !in_labels => outside.push(other),
            _ => {}
        }
    }
    // `by (a, b)` names labels.
    let mut rest = outside.as_str();
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once(" by (") {
        kept.push_str(before);
        kept.push(' ');
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    kept.split(|character| !is_word(character))
        .filter(|word| word.contains('_') && *word != "histogram_quantile")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_a_query_are_found_and_its_labels_are_not() {
        let query = "histogram_quantile(0.5, sum by (le, dest_server) (rate(a_b_bucket{status_code=~\"5..\"}[1d]))) > c_d";
        assert_eq!(metrics_of(query), ["a_b_bucket", "c_d"]);
    }

    #[test]
    fn dashboard_and_alerts_use_metrics() {
        let used = used_metrics();
        assert!(
            used.contains("rollout_info") && used.contains("weir_leader"),
            "{used:?}"
        );
        assert!(used.len() >= 15, "{used:?}");
    }
}
