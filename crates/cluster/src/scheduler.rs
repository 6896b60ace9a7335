//! Scheduler: binds pods to nodes.
//!
//! Filters by `unschedulable`, node selector and taints; the node with the fewest pods wins, the
//! first by name among equals. Resources are not counted: the nodes of this cluster are as large as
//! the machine.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use serde_json::json;

use crate::{EventNote, Kind, Step, Target, Write, meta, pods};

/// A node and how many pods are on it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub node: Arc<Node>,
    pub pods: usize,
}

/// One step for one pod without a node.
pub fn step(pod: &Pod, nodes: &[Candidate], now: Timestamp) -> Step {
    let mut step = Step::default();
    let Some(spec) = &pod.spec else { return step };
    if !pods::node(pod).is_empty() || pods::is_finished(pod) || meta::is_deleting(&pod.metadata) {
        return step;
    }
    let target = Target::of(Kind::POD, &pod.metadata);
    if spec
        .scheduling_gates
        .as_ref()
        .is_some_and(|gates| !gates.is_empty())
    {
        let message = "Scheduling is blocked due to non-empty scheduling gates";
        unscheduled(pod, "SchedulingGated", message, now, &mut step);
        return step;
    }
    let mut refusals: Vec<(String, usize)> = Vec::new();
    let mut best: Option<&Candidate> = None;
    for candidate in nodes {
        match refusal(pod, &candidate.node) {
            Some(reason) => match refusals.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => refusals.push((reason, 1)),
            },
            None if best.is_none_or(|best| candidate.pods < best.pods) => best = Some(candidate),
            None => {}
        }
    }
    if let Some(best) = best {
        let node = meta::name(&best.node.metadata).to_owned();
        step.writes.push(Write::Bind {
            target: target.clone(),
            node: node.clone(),
        });
        let message = format!(
            "Successfully assigned {}/{} to {node}",
            meta::namespace(&pod.metadata),
            meta::name(&pod.metadata)
        );
        step.writes
            .push(event(target, "Normal", "Scheduled", message));
    } else {
        let reasons: Vec<_> = refusals
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let message = if nodes.is_empty() {
            "no nodes available to schedule pods".to_owned()
        } else {
            format!(
                "0/{} nodes are available: {}.",
                nodes.len(),
                reasons.join(", ")
            )
        };
        unscheduled(pod, "Unschedulable", &message, now, &mut step);
    }
    step
}

/// Why a pod can't go to a node.
fn refusal(pod: &Pod, node: &Node) -> Option<String> {
    let spec = node.spec.as_ref();
    let tolerations = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.tolerations.as_deref());
    let tolerations = tolerations.unwrap_or_default();
    let cordon = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Default::default()
    };
    if spec.is_some_and(|spec| spec.unschedulable == Some(true)) && !tolerated(&cordon, tolerations)
    {
        return Some("node(s) were unschedulable".to_owned());
    }
    let wanted = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_selector.as_ref());
    let labels = node.metadata.labels.clone().unwrap_or_default();
    if wanted.is_some_and(|wanted| !crate::selector::contains(&labels, wanted)) {
        return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    let taints = spec.and_then(|spec| spec.taints.as_ref());
    let hard = taints
        .into_iter()
        .flatten()
        .filter(|taint| taint.effect != "PreferNoSchedule");
    let untolerated = hard
        .into_iter()
        .find(|taint| !tolerated(taint, tolerations))?;
    let value = untolerated.value.as_deref().unwrap_or_default();
    Some(format!(
        "node(s) had untolerated taint {{{}: {value}}}",
        untolerated.key
    ))
}

fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let key = toleration.key.as_deref().unwrap_or_default();
        let exists = toleration.operator.as_deref() == Some("Exists");
        (effect.is_empty() || effect == taint.effect)
            && ((key.is_empty() && exists) || key == taint.key)
            && (exists
                || toleration.value.as_deref().unwrap_or_default()
                    == taint.value.as_deref().unwrap_or_default())
    })
}

fn unscheduled(pod: &Pod, reason: &str, message: &str, now: Timestamp, step: &mut Step) {
    let target = Target::of(Kind::POD, &pod.metadata);
    let live = pods::condition(pod, "PodScheduled");
    let known = live.is_some_and(|live| {
        live.status == "False"
            && live.reason.as_deref() == Some(reason)
            && live.message.as_deref() == Some(message)
    });
    if known {
        return;
    }
    let condition = json!({
        "type": "PodScheduled",
        "status": "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": meta::time(now),
    });
    step.writes.push(Write::StrategicStatus {
        target: target.clone(),
        patch: json!({ "status": { "phase": "Pending", "conditions": [condition] } }),
    });
    if reason == "Unschedulable" {
        step.writes.push(event(
            target,
            "Warning",
            "FailedScheduling",
            message.to_owned(),
        ));
    }
}

fn event(regarding: Target, kind: &'static str, reason: &'static str, message: String) -> Write {
    Write::Event(EventNote {
        regarding,
        kind,
        reason,
        message,
        source: "default-scheduler",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "a", "namespace": "default", "uid": "1" }, "spec": spec,
        }))
        .unwrap()
    }

    fn node(name: &str, spec: &serde_json::Value, pods: usize) -> Candidate {
        let node =
            json!({ "metadata": { "name": name, "labels": { "disk": "ssd" } }, "spec": spec });
        Candidate {
            node: Arc::new(serde_json::from_value(node).unwrap()),
            pods,
        }
    }

    fn bound(step: &Step) -> Option<&str> {
        step.writes.iter().find_map(|write| match write {
            Write::Bind { node, .. } => Some(node.as_str()),
            _ => None,
        })
    }

    #[test]
    fn emptiest_fitting_node_wins() {
        let nodes = [
            node("a", &json!({}), 2),
            node("b", &json!({}), 1),
            node("c", &json!({}), 1),
        ];
        let step = step(
            &pod(&json!({ "containers": [] })),
            &nodes,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(bound(&step), Some("b"));
    }

    #[test]
    fn taints_cordons_and_selectors_refuse() {
        let nodes = [
            node("a", &json!({ "unschedulable": true }), 0),
            node(
                "b",
                &json!({ "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] }),
                0,
            ),
        ];
        let plain = step(
            &pod(&json!({ "containers": [] })),
            &nodes,
            Timestamp::UNIX_EPOCH,
        );
        let Write::StrategicStatus { patch, .. } = &plain.writes[0] else {
            panic!("condition")
        };
        assert_eq!(
            patch["status"]["conditions"][0]["message"],
            "0/2 nodes are available: 1 node(s) were unschedulable, 1 node(s) had untolerated taint {gpu: yes}."
        );
        let tolerant = pod(
            &json!({ "containers": [], "tolerations": [{ "key": "gpu", "operator": "Exists" }] }),
        );
        assert_eq!(
            bound(&step(&tolerant, &nodes, Timestamp::UNIX_EPOCH)),
            Some("b")
        );
        let picky = pod(&json!({ "containers": [], "nodeSelector": { "disk": "hdd" } }));
        assert_eq!(bound(&step(&picky, &nodes, Timestamp::UNIX_EPOCH)), None);
    }
}
