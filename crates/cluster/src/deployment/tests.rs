use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn deployment(replicas: i32, strategy: &Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "d", "generation": 2 },
        "spec": {
            "replicas": replicas,
            "strategy": strategy,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "app", "image": "a:2" }] },
            },
        },
    }))
    .unwrap()
}

/// A ReplicaSet of the Deployment: `image` decides whether it is the new one.
fn replica_set(name: &str, image: &str, size: i32, available: i32) -> Arc<ReplicaSet> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "default", "uid": name, "generation": 1,
                "creationTimestamp": if image == "a:2" { "2026-01-02T00:00:00Z" } else { "2026-01-01T00:00:00Z" },
                "labels": { "app": "web", "pod-template-hash": name },
                "annotations": { "deployment.kubernetes.io/revision": if image == "a:2" { "2" } else { "1" } },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true }],
            },
            "spec": {
                "replicas": size,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web", "pod-template-hash": name } },
                    "spec": { "containers": [{ "name": "app", "image": image }] },
                },
            },
            "status": { "replicas": size, "readyReplicas": available, "availableReplicas": available, "observedGeneration": 1 },
        }))
        .unwrap(),
    )
}

fn run(deployment: &Deployment, replica_sets: &[Arc<ReplicaSet>]) -> Step {
    let view = View {
        deployment,
        replica_sets,
        pods_left: &BTreeMap::new(),
    };
    step(&view, "2026-01-03T00:00:00Z".parse().unwrap())
}

/// Sizes that the step asks for, by name.
fn sizes(step: &Step) -> BTreeMap<String, i64> {
    let sized = step.writes.iter().filter_map(|write| match write {
        Write::Merge { target, patch } => {
            Some((target.name.clone(), patch["spec"]["replicas"].as_i64()?))
        }
        _ => None,
    });
    sized.collect()
}

fn conditions(step: &Step) -> BTreeMap<String, String> {
    let status = step.writes.iter().find_map(|write| match write {
        Write::Update { object, .. } => object["status"]["conditions"].as_array().cloned(),
        _ => None,
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    status
        .into_iter()
        .flatten()
        .map(|c| (text(&c["type"]), text(&c["reason"])))
        .collect()
}

#[test]
fn first_replica_set_has_full_size_hash_and_revision() {
    let step = run(&deployment(3, &json!(null)), &[]);
    let Write::Create { object, .. } = &step.writes[0] else {
        panic!("create")
    };
    let hash = object["metadata"]["labels"][HASH_LABEL].as_str().unwrap();
    assert_eq!(object["metadata"]["name"], format!("web-{hash}"));
    assert_eq!(object["spec"]["replicas"], 3);
    assert_eq!(object["spec"]["selector"]["matchLabels"][HASH_LABEL], hash);
    assert_eq!(object["metadata"]["annotations"][REVISION_ANNOTATION], "1");
    assert_eq!(conditions(&step)["Progressing"], "NewReplicaSetCreated");
}

#[test]
fn the_hash_is_the_templates_and_spells_no_words() {
    let one = deployment(1, &json!(null)).spec.unwrap().template;
    let hash = template_hash(&one, None);
    assert_eq!(hash, template_hash(&one, None));
    assert_ne!(hash, template_hash(&one, Some(1)));
    assert!(
        hash.bytes()
            .all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)),
        "{hash}"
    );
}

#[test]
fn rolling_surges_then_shrinks() {
    let deployment = deployment(4, &json!(null));
    let old = |size, available| replica_set("old", "a:1", size, available);
    let new = |size, available| replica_set("new", "a:2", size, available);
    assert_eq!(sizes(&run(&deployment, &[old(4, 4), new(0, 0)]))["new"], 1);
    // 25 % of 4 may be missing, and one is there in excess.
    assert_eq!(sizes(&run(&deployment, &[old(4, 4), new(1, 0)]))["old"], 3);
    let unhealthy = run(&deployment, &[old(4, 2), new(1, 1)]);
    assert_eq!(sizes(&unhealthy)["old"], 2, "unavailable pods go first");
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let deployment = deployment(2, &json!({ "type": "Recreate" }));
    let sets = [
        replica_set("old", "a:1", 0, 0),
        replica_set("new", "a:2", 0, 0),
    ];
    let now = "2026-01-03T00:00:00Z".parse().unwrap();
    let mut pods_left = BTreeMap::from([("old".to_owned(), 1)]);
    let view = View {
        deployment: &deployment,
        replica_sets: &sets,
        pods_left: &pods_left,
    };
    assert!(!sizes(&step(&view, now)).contains_key("new"));
    pods_left.clear();
    let view = View {
        deployment: &deployment,
        replica_sets: &sets,
        pods_left: &pods_left,
    };
    assert_eq!(sizes(&step(&view, now))["new"], 2);
}

#[test]
fn scaling_amid_a_rollout_is_proportional() {
    let deployment = deployment(20, &json!(null));
    let noted = |rs: Arc<ReplicaSet>| {
        let mut rs = Arc::unwrap_or_clone(rs);
        let annotations = rs.metadata.annotations.as_mut().unwrap();
        annotations.insert(DESIRED_ANNOTATION.to_owned(), "10".to_owned());
        annotations.insert(MAX_ANNOTATION.to_owned(), "13".to_owned());
        Arc::new(rs)
    };
    let sets = [
        noted(replica_set("old", "a:1", 8, 8)),
        noted(replica_set("new", "a:2", 5, 5)),
    ];
    let sizes = sizes(&run(&deployment, &sets));
    assert_eq!(sizes["old"] + sizes["new"], 25);
    assert_eq!((sizes["old"], sizes["new"]), (15, 10));
}

#[test]
fn paused_moves_nothing_and_says_so() {
    let mut deployment = deployment(4, &json!(null));
    deployment.spec.as_mut().unwrap().paused = Some(true);
    let step = run(&deployment, &[replica_set("old", "a:1", 4, 4)]);
    assert!(
        !step
            .writes
            .iter()
            .any(|write| matches!(write, Write::Create { .. }))
    );
    assert_eq!(conditions(&step)["Progressing"], "DeploymentPaused");
}

#[test]
fn history_beyond_the_limit_goes() {
    let mut deployment = deployment(1, &json!(null));
    deployment.spec.as_mut().unwrap().revision_history_limit = Some(0);
    let sets = [
        replica_set("old", "a:1", 0, 0),
        replica_set("new", "a:2", 1, 1),
    ];
    let step = run(&deployment, &sets);
    assert!(
        step.writes
            .iter()
            .any(|write| matches!(write, Write::Delete { target, .. } if target.name == "old"))
    );
}

#[test]
fn missing_progress_is_reported_at_the_deadline() {
    let mut deployment = deployment(1, &json!(null));
    deployment.spec.as_mut().unwrap().progress_deadline_seconds = Some(60);
    let sets = [replica_set("new", "a:2", 1, 0)];
    let first = run(&deployment, &sets);
    let Some(Write::Update { object, .. }) = first.writes.last() else {
        panic!("status")
    };
    deployment.status = serde_json::from_value(object["status"].clone()).unwrap();
    let view = View {
        deployment: &deployment,
        replica_sets: &sets,
        pods_left: &BTreeMap::new(),
    };
    let late = step(&view, "2026-01-03T00:01:00Z".parse().unwrap());
    assert_eq!(conditions(&late)["Progressing"], "ProgressDeadlineExceeded");
}

/// The Deployment with the status that a step has stored.
fn carried(mut deployment: Deployment, step: &Step) -> Deployment {
    let status = step.writes.iter().find_map(|write| match write {
        Write::Update { object, .. } => Some(object["status"].clone()),
        _ => None,
    });
    if let Some(status) = status {
        deployment.status = serde_json::from_value(status).unwrap();
    }
    deployment
}

fn creates(step: &Step) -> usize {
    let creates = |write: &&Write| matches!(write, Write::Create { .. });
    step.writes.iter().filter(creates).count()
}

#[test]
fn a_finished_deployment_that_is_scaled_has_no_deadline_again() {
    let done = deployment(2, &json!(null));
    let done = carried(
        done.clone(),
        &run(&done, &[replica_set("new", "a:2", 2, 2)]),
    );
    let reason = |deployment: &Deployment| {
        let status = deployment.status.as_ref().unwrap();
        let conditions = status.conditions.as_ref().unwrap();
        let progressing = conditions.iter().find(|c| c.type_ == "Progressing");
        progressing.unwrap().reason.clone().unwrap()
    };
    assert_eq!(reason(&done), "NewReplicaSetAvailable");
    let mut scaled = done;
    scaled.spec.as_mut().unwrap().replicas = Some(5);
    let step = run(&scaled, &[replica_set("new", "a:2", 5, 2)]);
    assert_eq!(step.next, None);
    assert_eq!(reason(&carried(scaled, &step)), "NewReplicaSetAvailable");
}

#[test]
fn a_pause_does_not_hide_that_the_deadline_has_passed() {
    let mut late = deployment(1, &json!(null));
    late.status = serde_json::from_value(json!({ "conditions": [{
        "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
    }] }))
    .unwrap();
    late.spec.as_mut().unwrap().paused = Some(true);
    let step = run(&late, &[replica_set("new", "a:2", 1, 0)]);
    assert_eq!(conditions(&step)["Progressing"], "ProgressDeadlineExceeded");
}

#[test]
fn recreate_makes_nothing_new_beside_old_pods() {
    let deployment = deployment(2, &json!({ "type": "Recreate" }));
    let down = run(&deployment, &[replica_set("old", "a:1", 2, 2)]);
    assert_eq!((creates(&down), sizes(&down)["old"]), (0, 0));
    let mut going = Arc::unwrap_or_clone(replica_set("old", "a:1", 0, 0));
    going.status.as_mut().unwrap().replicas = 1;
    assert_eq!(creates(&run(&deployment, &[Arc::new(going)])), 0);
    let made = run(&deployment, &[replica_set("old", "a:1", 0, 0)]);
    let Some(Write::Create { object, .. }) = made.writes.first() else {
        panic!("{made:?}")
    };
    assert_eq!(object["spec"]["replicas"], 2);
}

#[test]
fn what_is_there_is_scaled_before_a_new_template_is_rolled() {
    let deployment = deployment(8, &json!(null));
    let mut old = Arc::unwrap_or_clone(replica_set("old", "a:1", 4, 4));
    let annotations = old.metadata.annotations.as_mut().unwrap();
    annotations.insert(DESIRED_ANNOTATION.to_owned(), "4".to_owned());
    annotations.insert(MAX_ANNOTATION.to_owned(), "5".to_owned());
    let first = run(&deployment, &[Arc::new(old.clone())]);
    assert_eq!((creates(&first), sizes(&first)["old"]), (0, 8));
    let annotations = old.metadata.annotations.as_mut().unwrap();
    annotations.insert(DESIRED_ANNOTATION.to_owned(), "8".to_owned());
    annotations.insert(MAX_ANNOTATION.to_owned(), "10".to_owned());
    old.spec.as_mut().unwrap().replicas = Some(8);
    assert_eq!(creates(&run(&deployment, &[Arc::new(old)])), 1);
}

#[test]
fn scaling_to_nothing_amid_a_rollout_leaves_nothing() {
    let deployment = deployment(0, &json!(null));
    let noted = |rs: Arc<ReplicaSet>| {
        let mut rs = Arc::unwrap_or_clone(rs);
        let annotations = rs.metadata.annotations.as_mut().unwrap();
        annotations.insert(DESIRED_ANNOTATION.to_owned(), "4".to_owned());
        Arc::new(rs)
    };
    let sets = [
        noted(replica_set("old", "a:1", 3, 3)),
        noted(replica_set("new", "a:2", 2, 1)),
    ];
    let sizes = sizes(&run(&deployment, &sets));
    assert_eq!((sizes["old"], sizes["new"]), (0, 0));
}

#[test]
fn a_paused_deployment_notes_revisions_and_clears_its_history() {
    let mut deployment = deployment(1, &json!(null));
    let spec = deployment.spec.as_mut().unwrap();
    spec.paused = Some(true);
    spec.revision_history_limit = Some(0);
    let mut back = Arc::unwrap_or_clone(replica_set("new", "a:2", 1, 1));
    let annotations = back.metadata.annotations.as_mut().unwrap();
    annotations.insert(REVISION_ANNOTATION.to_owned(), "1".to_owned());
    let mut newer = Arc::unwrap_or_clone(replica_set("old", "a:1", 0, 0));
    let annotations = newer.metadata.annotations.as_mut().unwrap();
    annotations.insert(REVISION_ANNOTATION.to_owned(), "2".to_owned());
    let step = run(&deployment, &[Arc::new(back), Arc::new(newer)]);
    let revision = step.writes.iter().find_map(|write| match write {
        Write::Merge { target, patch } if target.name == "new" => {
            patch["metadata"]["annotations"][REVISION_ANNOTATION].as_str()
        }
        _ => None,
    });
    assert_eq!(revision, Some("3"));
    let deletes =
        |write: &Write| matches!(write, Write::Delete { target, .. } if target.name == "old");
    assert!(step.writes.iter().any(deletes));
}

proptest! {
    /// From any start: the bounds hold in every step of a roll whose pods come up at once, and the
    /// roll ends.
    #[test]
    fn a_roll_keeps_its_bounds_and_ends(replicas in 1_i32..30, surge in 0_i32..6, unavailable in 0_i32..6) {
        let strategy = json!({ "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } });
        let deployment = deployment(replicas, &strategy);
        let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
        let (mut old, mut new) = (replicas, 0);
        for _ in 0..200 {
            let sets = [replica_set("old", "a:1", old, old), replica_set("new", "a:2", new, new)];
            let sizes = sizes(&run(&deployment, &sets));
            let size = |name: &str, live: i32| sizes.get(name).map_or(live, |size| *size as i32);
            (old, new) = (size("old", old), size("new", new));
            prop_assert!(old + new <= replicas + surge, "{old}+{new}");
            prop_assert!(old + new >= replicas - unavailable.min(replicas), "{old}+{new}");
            if old == 0 && new == replicas {
                return Ok(());
            }
        }
        prop_assert!(false, "no end: {old} old, {new} new");
    }
}
