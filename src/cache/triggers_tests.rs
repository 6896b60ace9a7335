use super::*;
use crate::queue::Outcome;
use serde_json::{Value, json};

fn set(version: &str, of_status: &Value) -> ReplicaSet {
    let owner = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app",
        "uid": "r", "controller": true});
    let set = json!({
        "metadata": {"namespace": "demo", "name": "app-1", "uid": "u", "generation": 3,
            "resourceVersion": version, "ownerReferences": [owner]},
        "spec": {"replicas": 2, "selector": {}},
        "status": of_status,
    });
    serde_json::from_value(set).unwrap()
}

fn changed(old: ReplicaSet, new: ReplicaSet) -> Change<ReplicaSet> {
    Change {
        old: Some(Arc::new(old)),
        new: Some(Arc::new(new)),
    }
}

#[test]
fn a_replica_set_sets_its_owner_in_motion_only_by_what_a_plan_reads() {
    let before = || set("1", &json!({"replicas": 2, "readyReplicas": 1}));
    let quiet = [
        set("2", &json!({"replicas": 2, "readyReplicas": 1})),
        set(
            "2",
            &json!({"replicas": 2, "readyReplicas": 1, "fullyLabeledReplicas": 2,
                "terminatingReplicas": 1}),
        ),
    ];
    for after in quiet {
        let status = format!("{:?}", after.status);
        assert!(!concerns_plans(&changed(before(), after)), "{status}");
    }
    let ready = set("2", &json!({"replicas": 2, "readyReplicas": 2}));
    assert!(concerns_plans(&changed(before(), ready)));
    let mut labelled = before();
    labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    assert!(concerns_plans(&changed(before(), labelled)));
    let mut scaled = before();
    scaled.metadata.generation = Some(4);
    assert!(concerns_plans(&changed(before(), scaled)));
    let mut replaced = before();
    replaced.metadata.uid = Some("v".to_owned());
    assert!(concerns_plans(&changed(before(), replaced)));
    let gone = Change {
        old: Some(Arc::new(before())),
        new: None,
    };
    assert!(concerns_plans(&gone));
}

fn rollout(generation: i64, service: &str) -> Arc<Rollout> {
    let canary = json!({"canaryService": service, "stableService": "stable"});
    let rollout = json!({
        "metadata": {"namespace": "demo", "name": "app", "uid": "r", "generation": generation},
        "spec": {"strategy": {"canary": canary}},
    });
    Arc::new(serde_json::from_value(rollout).unwrap())
}

/// Names of the Services that are known to be referred to.
fn referred(triggers: &Triggers) -> Vec<String> {
    let index = triggers.index.known().into_iter();
    let services = index.map(|referent| match referent {
        Referent::Service((_, name)) => name,
        other => format!("{other:?}"),
    });
    services.collect()
}

#[tokio::test]
async fn what_nobody_refers_to_any_more_is_forgotten() {
    let queue = Arc::new(Queue::default());
    let triggers = Triggers::new(queue.clone(), "argocd".to_owned(), Arc::default());
    let tell = |old: Option<Arc<Rollout>>, new: Option<Arc<Rollout>>| {
        triggers.rollout(&Change { old, new });
    };
    let (first, second) = (rollout(1, "one"), rollout(2, "two"));
    tell(None, Some(first.clone()));
    assert_eq!(referred(&triggers), ["one", "stable"]);
    assert_eq!(queue.depth(), 3, "itself and both Services");
    tell(Some(first.clone()), Some(first.clone()));
    tell(Some(first), Some(second.clone()));
    assert_eq!(referred(&triggers), ["stable", "two"]);
    assert_eq!(queue.depth(), 4);
    tell(Some(second), None);
    assert_eq!(referred(&triggers), Vec::<String>::new());
}

/// The same with a status by which the traffic is divided.
fn dividing(generation: i64, service: &str, by: &str) -> Arc<Rollout> {
    let mut rollout = Arc::unwrap_or_clone(rollout(generation, service));
    let weights = json!({"canary": {"weight": 10, "serviceName": by},
        "stable": {"weight": 90, "serviceName": "stable"}});
    let status = json!({"canary": {"weights": weights}});
    rollout.status = serde_json::from_value(status).unwrap();
    Arc::new(rollout)
}

#[tokio::test]
async fn a_service_of_a_former_spec_is_let_go_once_the_status_does() {
    let queue = Arc::new(Queue::default());
    let triggers = Triggers::new(queue.clone(), "argocd".to_owned(), Arc::default());
    let tell = |old: Option<Arc<Rollout>>, new: Option<Arc<Rollout>>| {
        triggers.rollout(&Change { old, new });
    };
    let (first, second) = (dividing(1, "one", "one"), dividing(2, "two", "one"));
    tell(None, Some(first.clone()));
    tell(Some(first), Some(second.clone()));
    assert_eq!(referred(&triggers), ["one", "stable", "two"]);
    for _ in 0..queue.depth() {
        let key = queue.next().await;
        queue.done(key, Outcome::AwaitChange);
    }
    let third = dividing(2, "two", "two");
    tell(Some(second), Some(third.clone()));
    assert_eq!(referred(&triggers), ["stable", "two"]);
    let mut moved = Vec::new();
    for _ in 0..queue.depth() {
        let key = queue.next().await;
        moved.push((key.kind, key.name.clone()));
        queue.done(key, Outcome::AwaitChange);
    }
    moved.sort();
    let mut wanted = [
        (Kind::Rollout, "app".to_owned()),
        (Kind::Service, "one".to_owned()),
    ];
    wanted.sort();
    assert_eq!(moved, wanted);
    tell(Some(third.clone()), Some(third));
    assert_eq!(queue.depth(), 1, "only itself");
}

fn application(name: &str, project: &str, lists: &[(&str, &str)]) -> Arc<Application> {
    let resources = lists
        .iter()
        .map(|(kind, name)| json!({"kind": kind, "name": name}));
    let resources: Vec<Value> = resources.collect();
    let application = json!({
        "metadata": {"namespace": "argocd", "name": name},
        "spec": {"project": project, "destination": {}},
        "status": {"resources": resources},
    });
    Arc::new(serde_json::from_value(application).unwrap())
}

#[tokio::test]
async fn a_project_sets_its_applications_in_motion_and_the_default_one_those_that_name_none() {
    let applications = [
        application("none", "", &[]),
        application("default", "default", &[]),
        application("team", "team", &[]),
    ];
    let moved = |name: &str| {
        let queue = Arc::new(Queue::default());
        let triggers = Triggers::new(queue.clone(), "argocd".to_owned(), Arc::default());
        let project = json!({"metadata": {"namespace": "argocd", "name": name}, "spec": {}});
        let project: AppProject = serde_json::from_value(project).unwrap();
        let new = Some(Arc::new(project));
        triggers.project(&Change { old: None, new }, &applications);
        queue.depth()
    };
    assert_eq!(moved("default"), 2);
    assert_eq!(moved("team"), 1);
    assert_eq!(moved("other"), 0);
}

#[tokio::test]
async fn a_definition_sets_those_in_motion_that_list_it() {
    let applications = [
        application("its", "default", &[(DEFINITION, "things.example.com")]),
        application("another", "default", &[(DEFINITION, "gadgets.example.com")]),
        application("none", "default", &[("ConfigMap", "things.example.com")]),
    ];
    let queue = Arc::new(Queue::default());
    let triggers = Triggers::new(queue.clone(), "argocd".to_owned(), Arc::default());
    let definition = json!({"metadata": {"name": "things.example.com"}});
    let definition: DynamicObject = serde_json::from_value(definition).unwrap();
    let new = Some(Arc::new(definition));
    triggers.definition(&Change { old: None, new }, &applications);
    assert_eq!(queue.depth(), 1);
}
