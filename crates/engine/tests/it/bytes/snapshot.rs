//! All of it, as a planner gets it.

use super::choices::Bytes;
use super::cluster::{object, replica_set, run};
use super::rollout::rollout;
use api::Rollout;
use engine::snapshot::{
    Inbox, Refusal, RefusalKind, RolloutSnapshot, TemplateSet, WorkloadUser, references,
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

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
pub(super) fn snapshot(bytes: &mut Bytes<'_>) -> Option<RolloutSnapshot> {
    let rollout: Rollout = serde_json::from_value(rollout(bytes)).ok()?;
    let refs = references(&rollout);
    let mut services = BTreeMap::new();
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
    let mut objects = BTreeMap::new();
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
