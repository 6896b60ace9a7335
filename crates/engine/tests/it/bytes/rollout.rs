//! The Rollout: what its author may have written, and what its status may say.

use super::choices::Bytes;
use serde_json::{Value, json};

pub(super) const UID: &str = "uid-of-the-rollout";

pub(super) fn template(bytes: &mut Bytes<'_>) -> Value {
    let image = *bytes.one(&["demo:blue", "demo:green", "demo:latest", "demo", ""]);
    let mut template = json!({
        "metadata": {"labels": {"app": "app"}},
        "spec": {"containers": [{"name": "app", "image": image}]},
    });
    bytes.some(
        &mut template["metadata"],
        "annotations",
        |bytes| json!({"a": bytes.name()}),
    );
    template
}

fn analysis(bytes: &mut Bytes<'_>) -> Value {
    let templates: Vec<Value> = (0..bytes.next() % 3)
        .map(|_| json!({"templateName": bytes.name(), "clusterScope": bytes.yes()}))
        .collect();
    let mut analysis = json!({"templates": templates});
    bytes.some(&mut analysis, "startingStep", Bytes::number);
    bytes.some(&mut analysis, "args", |bytes| {
        let paths = [
            "metadata.name",
            "metadata.labels['x']",
            "spec.none",
            "status.phase",
            "][",
        ];
        let path = *bytes.one(&paths);
        json!([{"name": bytes.name(), "valueFrom": {"fieldRef": {"fieldPath": path}}}])
    });
    analysis
}

fn step(bytes: &mut Bytes<'_>) -> Value {
    match bytes.next() % 10 {
        0 => json!({"pause": {}}),
        1 => json!({"pause": {"duration": bytes.seconds()}}),
        2 => json!({"analysis": analysis(bytes)}),
        3 => json!({"setCanaryScale": {"replicas": bytes.small()}}),
        4 => json!({"setCanaryScale": {"weight": bytes.small()}}),
        5 => json!({"setCanaryScale": {"matchTrafficWeight": bytes.yes()}}),
        6 => json!({"experiment": {
            "duration": bytes.seconds(),
            "templates": [{
                "name": bytes.name(),
                "specRef": *bytes.one(&["stable", "canary"]),
                "replicas": bytes.small(),
                "weight": bytes.small(),
            }],
        }}),
        7 => json!({"setHeaderRoute": {"name": bytes.name()}}),
        8 => json!({"replicaProgressThreshold": {
            "type": *bytes.one(&["Percent", "Pods"]), "value": bytes.number(),
        }, "setWeight": bytes.small()}),
        _ => json!({"setWeight": bytes.small()}),
    }
}

fn canary(bytes: &mut Bytes<'_>) -> Value {
    // Rarely very many, which costs time.
    let count = if bytes.next() == 255 {
        10_000
    } else {
        bytes.next() % 7
    };
    let few: Vec<Value> = (0..count.min(50)).map(|_| step(bytes)).collect();
    let steps: Vec<Value> = few.iter().cycle().take(count).cloned().collect();
    let mut canary = json!({"steps": steps});
    bytes.some(&mut canary, "maxSurge", Bytes::amount);
    bytes.some(&mut canary, "maxUnavailable", Bytes::amount);
    bytes.some(&mut canary, "analysis", analysis);
    for field in [
        "abortScaleDownDelaySeconds",
        "scaleDownDelaySeconds",
        "scaleDownDelayRevisionLimit",
        "minPodsPerReplicaSet",
    ] {
        bytes.some(&mut canary, field, Bytes::number);
    }
    if bytes.yes() || bytes.yes() {
        canary["canaryService"] = json!("canary");
        canary["stableService"] = json!("stable");
        let mut routing = json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}});
        bytes.some(&mut routing, "maxTrafficWeight", Bytes::number);
        bytes.some(&mut routing, "nginx", |_| json!({"stableIngress": "app"}));
        bytes.some(
            &mut routing,
            "managedRoutes",
            |bytes| json!([{"name": bytes.name()}]),
        );
        canary["trafficRouting"] = routing;
        bytes.some(&mut canary, "dynamicStableScale", |bytes| {
            json!(bytes.yes())
        });
    }
    canary
}

fn blue_green(bytes: &mut Bytes<'_>) -> Value {
    let mut strategy = json!({"activeService": "active"});
    bytes.some(&mut strategy, "previewService", |bytes| json!(bytes.name()));
    bytes.some(&mut strategy, "autoPromotionEnabled", |bytes| {
        json!(bytes.yes())
    });
    bytes.some(&mut strategy, "prePromotionAnalysis", analysis);
    bytes.some(&mut strategy, "postPromotionAnalysis", analysis);
    for field in [
        "previewReplicaCount",
        "autoPromotionSeconds",
        "scaleDownDelaySeconds",
        "scaleDownDelayRevisionLimit",
        "abortScaleDownDelaySeconds",
    ] {
        bytes.some(&mut strategy, field, Bytes::small);
    }
    strategy
}

fn status(bytes: &mut Bytes<'_>) -> Value {
    let mut status = json!({"currentPodHash": bytes.hash(), "stableRS": bytes.hash()});
    for field in ["abort", "controllerPause", "promoteFull"] {
        bytes.some(&mut status, field, |bytes| json!(bytes.yes()));
    }
    for field in [
        "currentStepIndex",
        "replicas",
        "availableReplicas",
        "collisionCount",
    ] {
        bytes.some(&mut status, field, Bytes::number);
    }
    for field in ["abortedAt", "restartedAt"] {
        bytes.some(&mut status, field, Bytes::time);
    }
    bytes.some(&mut status, "observedGeneration", |bytes| {
        json!(bytes.one(&["1", "2", "x", "-1"]))
    });
    bytes.some(&mut status, "pauseConditions", |bytes| {
        let reasons = [
            "CanaryPauseStep",
            "BlueGreenPause",
            "InconclusiveAnalysisRun",
            "InconclusiveExperiment",
            "SomethingElse",
        ];
        json!([{"reason": *bytes.one(&reasons), "startTime": bytes.time()}])
    });
    bytes.some(&mut status, "conditions", |bytes| {
        let reasons = [
            "RolloutPaused",
            "RolloutAborted",
            "ReplicaSetUpdated",
            "ReplicaSetCreateError",
            "ProgressDeadlineExceeded",
            "",
        ];
        json!([{"type": *bytes.one(&["Progressing", "InvalidSpec", "Paused"]), "status": "True",
            "reason": *bytes.one(&reasons), "message": "Failed to create new replica set \"x\": no",
            "lastUpdateTime": bytes.time(), "lastTransitionTime": bytes.time()}])
    });
    bytes.some(&mut status, "canary", |bytes| {
        json!({"currentExperiment": bytes.name(), "weights": {
            "canary": {"weight": bytes.number(), "podTemplateHash": bytes.hash()},
            "stable": {"weight": bytes.number(), "podTemplateHash": bytes.hash()},
        }})
    });
    bytes.some(&mut status, "blueGreen", |bytes| {
        json!({"activeSelector": bytes.hash(), "previewSelector": bytes.hash(),
            "scaleUpPreviewCheckPoint": bytes.yes()})
    });
    status
}

pub(super) fn rollout(bytes: &mut Bytes<'_>) -> Value {
    let strategy = match bytes.next() % 8 {
        0 => json!({}),
        1 => json!({"canary": canary(bytes), "blueGreen": blue_green(bytes)}),
        2..=4 => json!({"blueGreen": blue_green(bytes)}),
        _ => json!({"canary": canary(bytes)}),
    };
    let name = if bytes.yes() {
        bytes.name()
    } else {
        "app".to_owned()
    };
    let mut rollout = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": "demo", "uid": UID, "generation": bytes.next() % 3},
        "spec": {"strategy": strategy, "selector": {"matchLabels": {"app": "app"}}, "template": template(bytes)},
    });
    for field in [
        "replicas",
        "minReadySeconds",
        "progressDeadlineSeconds",
        "revisionHistoryLimit",
    ] {
        bytes.some(&mut rollout["spec"], field, Bytes::small);
    }
    for field in ["paused", "progressDeadlineAbort"] {
        bytes.some(&mut rollout["spec"], field, |bytes| json!(bytes.yes()));
    }
    bytes.some(&mut rollout["spec"], "restartAt", Bytes::time);
    bytes.some(
        &mut rollout["spec"],
        "rollbackWindow",
        |bytes| json!({"revisions": bytes.number()}),
    );
    bytes.some(&mut rollout["spec"], "analysis", |bytes| {
        json!({"successfulRunHistoryLimit": bytes.number(), "unsuccessfulRunHistoryLimit": bytes.number()})
    });
    if bytes.yes() {
        let kinds = [
            ("apps/v1", "Deployment"),
            ("argoproj.io/v1alpha1", "Rollout"),
            ("v1", "PodTemplate"),
            ("apps/v1", "ReplicaSet"),
            ("", ""),
        ];
        let (version, kind) = *bytes.one(&kinds);
        let scale_down = *bytes.one(&["never", "onsuccess", "progressively"]);
        let reference = json!({"apiVersion": version, "kind": kind, "name": bytes.name(), "scaleDown": scale_down});
        rollout["spec"]["workloadRef"] = reference;
        if bytes.yes() {
            return rollout;
        }
        if let Some(spec) = rollout["spec"].as_object_mut() {
            spec.remove("template");
            spec.remove("selector");
        }
    }
    if !bytes.yes() {
        rollout["status"] = status(bytes);
    }
    rollout
}
