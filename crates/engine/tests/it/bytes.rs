//! Snapshots out of arbitrary bytes: what users, other controllers and broken clocks could leave in
//! a cluster. Shared by the test below `cargo test` and by `fuzz/fuzz_targets/plan.rs`.

use api::Rollout;
use engine::config::Config;
use engine::explain::{Names, Seen, explain};
use engine::snapshot::{
    Inbox, Refusal, RefusalKind, RolloutSnapshot, TemplateSet, WorkloadUser, references,
};
use jiff::Timestamp;
use plan::{Action, ObjectKey, Plan};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const UID: &str = "uid-of-the-rollout";

/// Choices out of bytes; zeros when they are used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> usize {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                usize::from(*first)
            }
            None => 0,
        }
    }

    fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.next() % of.len()]
    }

    fn yes(&mut self) -> bool {
        self.next() % 4 == 1
    }

    fn number(&mut self) -> Value {
        let numbers = [
            0,
            1,
            2,
            3,
            5,
            10,
            50,
            99,
            100,
            101,
            -1,
            -7,
            i32::MAX,
            i32::MIN,
            1_000_000,
        ];
        json!(self.one(&numbers))
    }

    /// Mostly something that makes sense.
    fn small(&mut self) -> Value {
        if self.yes() {
            return self.number();
        }
        json!(self.one(&[0, 1, 2, 3, 4, 5, 10]))
    }

    fn amount(&mut self) -> Value {
        let texts = [
            "25%",
            "0%",
            "100%",
            "-10%",
            "1000%",
            "99999999999999%",
            "1e309%",
            "NaN%",
            "inf",
            "ten",
            "",
            "5",
            "%",
            "25",
        ];
        if self.yes() {
            return self.number();
        }
        json!(self.one(&texts))
    }

    fn seconds(&mut self) -> Value {
        let texts = ["30s", "5m", "-1h", "9999999h", "1d", "soon", "", "300"];
        if self.yes() {
            return self.number();
        }
        json!(self.one(&texts))
    }

    fn time(&mut self) -> Value {
        let times = [
            "2030-01-01T00:00:00Z",
            "2029-12-31T23:59:30Z",
            "2030-01-01T00:10:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-30T22:00:00Z",
            "1969-12-31T23:59:59Z",
        ];
        json!(self.one(&times))
    }

    fn name(&mut self) -> String {
        match self.next() % 8 {
            0 => "n".repeat(2_000),
            1 => String::new(),
            2 => "Ünïcode/ and 'quotes' {{args.x}}".to_owned(),
            _ => (*self.one(&["canary", "stable", "active", "preview", "app", "other"])).to_owned(),
        }
    }

    fn hash(&mut self) -> String {
        (*self.one(&["aaa", "bbb", "ccc", "", "no such hash"])).to_owned()
    }

    /// Sets fields that the bytes choose.
    fn some(&mut self, object: &mut Value, field: &str, value: impl FnOnce(&mut Self) -> Value) {
        if self.next() % 3 == 1 {
            let value = value(self);
            object[field] = value;
        }
    }
}

fn template(bytes: &mut Bytes<'_>) -> Value {
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

fn rollout(bytes: &mut Bytes<'_>) -> Value {
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

fn owners(bytes: &mut Bytes<'_>) -> Value {
    let owner = |uid: &str| json!([{"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": uid, "controller": true}]);
    match bytes.next() % 5 {
        0 => Value::Null,
        1 => owner("somebody else"),
        _ => owner(UID),
    }
}

fn replica_set(bytes: &mut Bytes<'_>, index: usize) -> Value {
    let hash = bytes.hash();
    let mut annotations = Map::new();
    let texts = [
        "1",
        "2",
        "3",
        "-1",
        "abc",
        "99999999999999999999",
        "2030-01-01T00:00:10Z",
        "later",
    ];
    for name in [
        "rollout.argoproj.io/revision",
        "rollout.argoproj.io/desired-replicas",
        "scale-down-deadline",
        "rollout.argoproj.io/revision-history",
    ] {
        if !bytes.yes() {
            annotations.insert(name.to_owned(), json!(bytes.one(&texts)));
        }
    }
    let mut set = json!({
        "metadata": {
            "name": format!("app-{hash}{}", if bytes.yes() { "x" } else { "" }),
            "namespace": "demo",
            "uid": format!("set-{index}"),
            "resourceVersion": "1",
            "creationTimestamp": bytes.time(),
            "labels": {"app": "app", "rollouts-pod-template-hash": hash},
            "annotations": annotations,
            "ownerReferences": owners(bytes),
        },
        "spec": {
            "selector": {"matchLabels": {"app": "app"}},
            "template": template(bytes),
            "replicas": bytes.small(),
        },
        "status": {"replicas": bytes.small()},
    });
    for field in ["readyReplicas", "availableReplicas"] {
        bytes.some(&mut set["status"], field, Bytes::small);
    }
    if bytes.yes() {
        set["metadata"]["deletionTimestamp"] = bytes.time();
    }
    set
}

fn run(bytes: &mut Bytes<'_>, index: usize) -> Value {
    let phases = [
        "",
        "Pending",
        "Running",
        "Successful",
        "Failed",
        "Error",
        "Inconclusive",
    ];
    json!({
        "metadata": {"name": format!("app-aaa-2-{index}"), "namespace": "demo", "uid": format!("run-{index}"),
            "ownerReferences": owners(bytes), "creationTimestamp": bytes.time(),
            "labels": {"rollouts-pod-template-hash": bytes.hash(), "step-index": "0",
                "rollout-type": *bytes.one(&["Step", "Background", "PrePromotion", "PostPromotion", ""])}},
        "spec": {"metrics": []},
        "status": {"phase": *bytes.one(&phases), "message": bytes.name()},
    })
}

fn object(bytes: &mut Bytes<'_>) -> Value {
    match bytes.next() % 7 {
        0 => Value::Null,
        4 => {
            json!({"metadata": 5, "spec": {"template": {"metadata": 5, "spec": []}, "rules": [5, "x", [], {
                "matches": 5, "filters": "x", "name": 5,
                "backendRefs": [{"name": "stable"}, {"name": "canary"}],
            }]}})
        }
        1 => json!({"spec": {"rules": "no list", "template": 5, "replicas": "x"}}),
        2 => json!({"spec": {"rules": [{"backendRefs": [{"name": 5}, {}]}, null]}}),
        3 => json!({"spec": {"template": template(bytes), "replicas": bytes.number(),
            "selector": {"matchLabels": {"app": "app"}}}, "metadata": {"generation": bytes.number()}}),
        _ => {
            let backend = json!({"service": {"name": "stable", "port": {"number": 80}}});
            json!({"metadata": {"uid": "o", "resourceVersion": "1"}, "spec": {"rules": [{
                "backendRefs": [{"name": "stable", "weight": bytes.number()}, {"name": "canary", "weight": bytes.number()}],
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
            }]}})
        }
    }
}

fn decoded<T: DeserializeOwned>(objects: Vec<Value>) -> Vec<Arc<T>> {
    let decode = |object| serde_json::from_value(object).ok().map(Arc::new);
    objects.into_iter().filter_map(decode).collect()
}

fn refusal(bytes: &mut Bytes<'_>) -> Option<Refusal> {
    bytes.yes().then(|| Refusal {
        replica_set: "app-aaa".to_owned(),
        message: bytes.name(),
        kind: if bytes.yes() {
            RefusalKind::Invalid
        } else {
            RefusalKind::Failed
        },
        at: Timestamp::UNIX_EPOCH,
    })
}

/// `None`: the Rollout is none, and never comes to a planner.
fn snapshot(bytes: &mut Bytes<'_>) -> Option<RolloutSnapshot> {
    let rollout: Rollout = serde_json::from_value(rollout(bytes)).ok()?;
    let refs = references(&rollout);
    let mut services = std::collections::BTreeMap::new();
    for name in &refs.services {
        if bytes.next() % 8 == 7 {
            continue;
        }
        let manager = *bytes.one(&["app", "app", "app", "app", "other"]);
        let service = json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": "1",
                "annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": manager}},
            "spec": {"selector": {"app": "app", "rollouts-pod-template-hash": bytes.hash()}},
        });
        if let Ok(service) = serde_json::from_value(service) {
            services.insert(name.clone(), Arc::new(service));
        }
    }
    let mut objects = std::collections::BTreeMap::new();
    for key in &refs.objects {
        let object = object(bytes);
        if !object.is_null() {
            objects.insert(key.clone(), Arc::new(object));
        }
    }
    let sets = (0..bytes.next() % 5)
        .map(|index| replica_set(bytes, index))
        .collect();
    let runs = (0..bytes.next() % 4)
        .map(|index| run(bytes, index))
        .collect();
    let experiments = (0..bytes.next() % 2)
        .map(|index| {
            let mut experiment = run(bytes, index);
            experiment["spec"] = json!({"templates": []});
            experiment
        })
        .collect();
    let workload = refs
        .workload
        .is_some()
        .then(|| object(bytes))
        .filter(|object| !object.is_null());
    let refused = refusal(bytes);
    let workload_users = (0..bytes.next() % 3)
        .map(|_| WorkloadUser {
            created: bytes.yes().then_some(Timestamp::UNIX_EPOCH),
            name: bytes.name(),
        })
        .collect();
    Some(RolloutSnapshot {
        digest: None,
        rollout: Arc::new(rollout),
        workload_users,
        replica_sets: decoded(sets),
        pods: Vec::new(),
        services,
        analysis_runs: decoded(runs),
        experiments: decoded(experiments),
        templates: TemplateSet::default(),
        objects,
        workload: workload.map(Arc::new),
        inbox: Inbox {
            refused,
            ..Inbox::default()
        },
    })
}

/// Plans whatever the bytes say, and checks what holds of every plan. Panics on a breach.
pub(crate) fn plan_bytes(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(snapshot) = snapshot(&mut bytes) else {
        return;
    };
    let nows = [
        "2030-01-01T00:00:05.5Z",
        "1970-01-01T00:00:00Z",
        "9999-12-30T21:59:59Z",
    ];
    let now: Timestamp = bytes.one(&nows).parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let config = Config::default();
    let plan = engine::rollout::plan(&snapshot, &config, now);
    assert_eq!(
        plan,
        engine::rollout::plan(&snapshot, &config, now),
        "planning twice"
    );
    for action in &plan.actions {
        check_action(&snapshot, action);
    }
    says_why(&plan);
    let seen = Seen {
        snapshot: &snapshot,
        plan: &plan,
        now,
    };
    let page = explain(seen).text(Names { weir: "weir" });
    assert!(page.starts_with("Rollout demo/"), "{page}");
}

/// Nobody else's objects are written, and no count is negative.
fn check_action(snapshot: &RolloutSnapshot, action: &Action) {
    let negative = |value: &Value| {
        value
            .pointer("/spec/replicas")
            .and_then(Value::as_i64)
            .is_some_and(|n| n < 0)
    };
    match action.deed() {
        Action::Create { object } => assert!(!negative(object), "{object}"),
        Action::Patch { target, patch, .. } => {
            assert!(!negative(patch), "{target}: {patch}");
            assert!(
                !is_foreign(snapshot, target),
                "{target} belongs to somebody else: {patch}"
            );
        }
        Action::Delete { target, .. } => {
            assert!(
                !is_foreign(snapshot, target),
                "{target} belongs to somebody else"
            );
        }
        Action::Evict { .. } => {}
        Action::Apply { .. } | Action::Attempt(_) | Action::Measure(_) => {
            panic!("no action of a Rollout: {action:?}")
        }
    }
}

/// A ReplicaSet with another controller; when several have the name, all of them.
fn is_foreign(snapshot: &RolloutSnapshot, target: &ObjectKey) -> bool {
    let mut named = snapshot
        .replica_sets
        .iter()
        .filter(|set| {
            target.kind == "ReplicaSet" && set.metadata.name.as_deref() == Some(&target.name)
        })
        .peekable();
    named.peek().is_some()
        && named.all(|set| {
            let mut owners = set.metadata.owner_references.iter().flatten();
            owners.any(|owner| owner.controller == Some(true) && owner.uid != UID)
        })
}

/// Whatever is invalid says where; whatever does not move says what it waits for.
fn says_why(plan: &Plan<api::RolloutStatus>) {
    let invalid = plan
        .status
        .conditions
        .iter()
        .find(|one| one.type_ == "InvalidSpec");
    let invalid = invalid.filter(|_| plan.status.message.starts_with("InvalidSpec: "));
    if let Some(invalid) = invalid {
        assert!(
            invalid.message.contains("is invalid: spec."),
            "{}",
            invalid.message
        );
        assert!(
            plan.actions.is_empty(),
            "an invalid Rollout is left alone: {:?}",
            plan.actions
        );
        assert!(!plan.trace.waiting_on.is_empty(), "{}", invalid.message);
    }
}
