//! The experiment step of a Rollout, with the Experiments that it makes (rollouts.md §3.11, §3.13).
//! What shares of the traffic they get is in [`crate::experiment_shares`].

use crate::adversity::written;
use crate::operations::{current, smoke, status, update, user};
use crate::swarm::manifests;
use crate::world::{Script, World};
use plan::{ObjectKey, WaitingOn};
use serde_json::{Value, json};

pub(crate) fn templates(weight: Option<i32>) -> Value {
    json!([
        {"name": "base", "specRef": "stable", "weight": weight},
        {"name": "new", "specRef": "canary", "weight": weight},
    ])
}

fn basic(experiment: &Value) -> Value {
    json!({"canary": {"steps": [{"experiment": experiment}, {"pause": {}}]}})
}

/// An experiment whose templates get a tenth of the traffic each.
pub(crate) fn weighed() -> Value {
    json!({"canary": {
        "steps": [{"experiment": {"templates": templates(Some(10))}}, {"pause": {}}],
        "canaryService": "canary",
        "stableService": "stable",
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "app"}}},
    }})
}

pub(crate) fn measured() -> Value {
    basic(&json!({
        "templates": templates(None),
        "analyses": [{
            "name": "check",
            "templateName": "smoke",
            "requiredForCompletion": true,
        }],
    }))
}

/// A healthy first revision, and an update that is at its experiment.
pub(crate) fn at_experiment(strategy: &Value) -> World {
    let mut world = deployed(strategy);
    update(&mut world, 1);
    assert!(world.run_until(|world| phase(world, &name(world)) == "Running"));
    world
}

pub(crate) fn deployed(strategy: &Value) -> World {
    let mut manifests = manifests(strategy, 4);
    manifests.push(smoke());
    let mut world = World::new(&manifests);
    assert!(world.run_until(|world| status(world, "phase") == "Healthy"));
    world
}

pub(crate) fn name(world: &World) -> String {
    let name = &status(world, "canary")["currentExperiment"];
    name.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn phase(world: &World, name: &str) -> Value {
    if name.is_empty() {
        return Value::Null;
    }
    world.experiment(name)["status"]["phase"].clone()
}

pub(crate) fn backends(world: &World) -> Vec<(String, i64, i64)> {
    let key = world.keys("HTTPRoute").remove(0);
    let backends = world.objects[&key]["spec"]["rules"][0]["backendRefs"].clone();
    let one = |backend: &Value| {
        (
            backend["name"].as_str().unwrap().to_owned(),
            backend["port"].as_i64().unwrap(),
            backend["weight"].as_i64().unwrap(),
        )
    };
    backends.as_array().unwrap().iter().map(one).collect()
}

pub(crate) fn names(world: &World) -> Vec<String> {
    let keys = world.keys("Experiment").into_iter();
    keys.map(|key| key.name).collect()
}

pub(crate) fn is_terminated(world: &World, name: &str) -> bool {
    world.experiment(name)["spec"]["terminate"] == json!(true)
}

/// A step with everything in it.
fn whole_step() -> Value {
    basic(&json!({
        "duration": "90s",
        "scaleDownDelaySeconds": 7,
        "dryRun": [{"metricName": "check"}],
        "analysisRunMetadata": {"labels": {"team": "a"}},
        "templates": [
            {
                "name": "base",
                "specRef": "stable",
                "replicas": 2,
                "metadata": {"labels": {"role": "base"}, "annotations": {"note": "x"}},
            },
            {
                "name": "new",
                "specRef": "canary",
                "selector": {"matchLabels": {"app": "app"}},
                "service": {"name": "trial"},
            },
        ],
        "analyses": [{
            "name": "check",
            "templateName": "smoke",
            "args": [{"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}],
        }],
    }))
}

#[test]
fn the_experiment_has_the_pods_of_both_revisions() {
    let mut world = deployed(&whole_step());
    user(
        &mut world,
        &json!({"metadata": {"labels": {"owner": "shop"}}}),
    );
    let stable = current(&world);
    update(&mut world, 1);
    world.settle();
    let hash = current(&world);
    let experiment = world.experiment(&format!("app-{hash}-2-0"));
    let metadata = &experiment["metadata"];
    assert_eq!(
        metadata["labels"],
        json!({"owner": "shop", "rollouts-pod-template-hash": hash})
    );
    assert_eq!(
        metadata["annotations"],
        json!({"rollout.argoproj.io/revision": "2"})
    );
    assert_eq!(metadata["ownerReferences"][0]["kind"], "Rollout");
    let spec = &experiment["spec"];
    assert_eq!(spec["duration"], "90s");
    assert_eq!(spec["progressDeadlineSeconds"], 60);
    assert_eq!(spec["scaleDownDelaySeconds"], 7);
    assert_eq!(spec["dryRun"], json!([{"metricName": "check"}]));
    assert_eq!(
        spec["analysisRunMetadata"],
        json!({"labels": {"team": "a"}})
    );
    assert_eq!(
        spec["analyses"][0]["args"],
        json!([{"name": "hash", "value": hash}])
    );
    let (base, new) = (&spec["templates"][0], &spec["templates"][1]);
    assert_eq!(base["replicas"], 2);
    assert_eq!(
        base["template"]["metadata"],
        json!({
            "labels": {"app": "app", "role": "base", "rollouts-pod-template-hash": stable},
            "annotations": {"note": "x"},
        })
    );
    assert_eq!(
        base["selector"]["matchLabels"],
        json!({"app": "app", "role": "base", "rollouts-pod-template-hash": stable})
    );
    assert_eq!(
        base["template"]["spec"]["containers"][0]["image"],
        "demo:blue"
    );
    assert_eq!(base["service"], Value::Null);
    assert_eq!(
        new["template"]["spec"]["containers"][0]["image"],
        "demo:green"
    );
    assert_eq!(new["selector"], json!({"matchLabels": {"app": "app"}}));
    assert_eq!(new["service"], json!({"name": "trial"}));
}

/// The pass that ends it could not store that the status names it no more.
#[test]
fn one_that_an_abort_has_cut_short_is_repeated_however_soon_the_retry_comes() {
    for is_ended in [true, false] {
        let mut world = at_experiment(&basic(&json!({"templates": templates(None)})));
        let experiment = name(&world);
        user(&mut world, &json!({"status": {"abort": true}}));
        world.reconcile();
        assert_ne!(status(&world, "abortedAt"), Value::Null);
        if is_ended {
            world.reconcile_without_status();
        }
        assert_eq!(is_terminated(&world, &experiment), is_ended);
        assert_eq!(name(&world), experiment);
        user(&mut world, &json!({"status": {"abort": false}}));
        world.sleep(1.0);
        let page = format!("ended: {is_ended}, {:#}", world.rollout()["status"]);
        assert_eq!(status(&world, "currentStepIndex"), 0, "{page}");
        assert_eq!(name(&world), format!("{experiment}-1"), "{page}");
        assert_eq!(phase(&world, &name(&world)), "Running", "{page}");
        assert_eq!(phase(&world, &experiment), "Successful", "{page}");
    }
}

/// Nothing tells then that it would have been cut short.
#[test]
fn an_abort_that_is_taken_back_before_it_is_on_record_does_not_end_it() {
    let mut world = at_experiment(&basic(&json!({"templates": templates(None)})));
    let experiment = name(&world);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.reconcile_without_status();
    assert_eq!(status(&world, "abortedAt"), Value::Null);
    user(&mut world, &json!({"status": {"abort": false}}));
    world.sleep(1.0);
    assert!(!is_terminated(&world, &experiment));
    assert_eq!(phase(&world, &experiment), "Running");
    assert_eq!(status(&world, "currentStepIndex"), 0);
    assert_eq!(names(&world), [experiment]);
}

#[test]
fn a_failed_experiment_aborts_the_update() {
    let mut world = deployed(&measured());
    update(&mut world, 1);
    world.settle();
    let experiment = format!("app-{}-2-0", current(&world));
    let run = format!("{experiment}-check");
    let script = Script {
        after_s: 5,
        seen_running: true,
        phase: "Failed".to_owned(),
        message: "too slow".to_owned(),
    };
    world.scripts.insert(run.clone(), script);
    world.sleep(60.0);
    assert_eq!(status(&world, "phase"), "Degraded");
    let message = status(&world, "message");
    assert_eq!(
        message,
        "RolloutAborted: Rollout aborted update to revision 2: Experiment analysis phase is \
         error/failed: too slow"
    );
    assert_eq!(phase(&world, &experiment), "Failed");
    let on_rollout = (
        "Warning".to_owned(),
        "AnalysisRunFailed".to_owned(),
        "AnalysisRun 'check' transitioned from Running -> Failed: too slow".to_owned(),
    );
    assert!(world.events.contains(&on_rollout));
}

#[test]
fn a_successful_one_lets_the_update_go_on() {
    let mut world = deployed(&measured());
    update(&mut world, 1);
    world.settle();
    let experiment = format!("app-{}-2-0", current(&world));
    let script = Script {
        after_s: 5,
        seen_running: true,
        phase: "Successful".to_owned(),
        message: String::new(),
    };
    world.scripts.insert(format!("{experiment}-check"), script);
    world.sleep(60.0);
    assert_eq!(status(&world, "phase"), "Paused");
    assert_eq!(status(&world, "currentStepIndex"), 1);
    assert_eq!(name(&world), "");
    assert_eq!(names(&world), [experiment]);
}

#[test]
fn an_inconclusive_one_pauses_and_is_repeated_when_somebody_resumes() {
    let mut world = at_experiment(&measured());
    let experiment = name(&world);
    world.decide_experiment(&experiment, &json!({"phase": "Inconclusive"}));
    world.sleep(600.0);
    assert_eq!(status(&world, "phase"), "Paused");
    assert_eq!(
        status(&world, "pauseConditions")[0]["reason"],
        "InconclusiveExperiment"
    );
    assert_eq!(names(&world), std::slice::from_ref(&experiment));
    user(&mut world, &json!({"status": {"pauseConditions": null}}));
    world.sleep(2.0);
    assert_eq!(status(&world, "phase"), "Progressing");
    assert_eq!(name(&world), format!("{experiment}-1"));
    assert_eq!(phase(&world, &name(&world)), "Running");
}

/// Whether it is deleted meanwhile, or its revision gets another number: that of a ReplicaSet which
/// is gone, when its own comes back.
#[test]
fn none_is_begun_after_an_inconclusive_one_before_somebody_resumes() {
    let set =
        |hash: &str| ObjectKey::namespaced("apps/v1", "ReplicaSet", "demo", &format!("app-{hash}"));
    for is_deleted in [true, false] {
        let mut world = at_experiment(&measured());
        let former = current(&world);
        update(&mut world, 2);
        world.sleep(2.0);
        let (hash, experiment) = (current(&world), name(&world));
        assert_eq!(experiment, format!("app-{hash}-3-0"));
        world.decide_experiment(&experiment, &json!({"phase": "Inconclusive"}));
        world.sleep(5.0);
        assert_eq!(status(&world, "phase"), "Paused");
        if is_deleted {
            let kind = "Experiment";
            let key = ObjectKey::namespaced("argoproj.io/v1alpha1", kind, "demo", &experiment);
            // Its pods and its run go with it.
            world.delete_set(&key);
        } else {
            world.delete_set(&set(&former));
            world.delete_set(&set(&hash));
        }
        world.sleep(60.0);
        let page = format!("deleted: {is_deleted}, {:#}", world.rollout()["status"]);
        let is_begun = |one: &String| phase(&world, one) == "Running";
        assert!(!names(&world).iter().any(is_begun), "{page}");
        let reason = &status(&world, "pauseConditions")[0]["reason"];
        assert_eq!(reason, "InconclusiveExperiment", "{page}");
        assert_eq!(name(&world), experiment, "{page}");

        user(&mut world, &json!({"status": {"pauseConditions": null}}));
        world.sleep(2.0);
        let revision = if is_deleted { 3 } else { 2 };
        assert_eq!(name(&world), format!("app-{hash}-{revision}-0"), "{page}");
        assert_eq!(phase(&world, &name(&world)), "Running", "{page}");
    }
}

#[test]
fn whoever_goes_past_it_ends_it() {
    let ways = [
        json!({"status": {"promoteFull": true}}),
        json!({"status": {"currentStepIndex": 1}}),
        json!({"status": {"abort": true}}),
    ];
    for way in ways {
        let mut world = at_experiment(&measured());
        let experiment = name(&world);
        user(&mut world, &way);
        world.settle();
        assert!(is_terminated(&world, &experiment), "{way}");
        assert_eq!(name(&world), "", "{way}");
    }
    let mut world = at_experiment(&measured());
    let experiment = name(&world);
    update(&mut world, 2);
    world.sleep(1.0);
    assert!(is_terminated(&world, &experiment));
    assert_eq!(name(&world), format!("app-{}-3-0", current(&world)));
}

/// By a new revision, by a retry that comes before the abort has ended it, and by other steps.
#[test]
fn one_that_is_replaced_ends_before_another_one_is_made() {
    let ways: [fn(&mut World); 3] = [
        |world| update(world, 2),
        |world| {
            user(world, &json!({"status": {"abort": true}}));
            world.reconcile();
            user(world, &json!({"status": {"abort": false}}));
        },
        |world| {
            let longer = json!({"duration": "60s", "templates": templates(None)});
            user(world, &json!({"spec": {"strategy": basic(&longer)}}));
        },
    ];
    for (index, way) in ways.into_iter().enumerate() {
        let mut world = at_experiment(&basic(&json!({"templates": templates(None)})));
        let former = name(&world);
        way(&mut world);
        while written(&world, "Experiment").is_empty() {
            assert!(world.reconcile(), "way {index}: nothing replaces it");
        }
        let writes = written(&world, "Experiment");
        let next = writes.last().unwrap();
        assert_eq!(writes, [former.as_str(), next.as_str()], "way {index}");
        assert_ne!(*next, former, "way {index}");
        let is_there = |world: &World| phase(world, next) == "Running";
        assert!(world.run_until(is_there), "way {index}");
        assert_eq!(name(&world), *next, "way {index}");
        assert!(is_terminated(&world, &former), "way {index}");
    }
}

#[test]
fn one_that_ends_while_the_rollout_is_paused_is_not_repeated() {
    let strategy = basic(&json!({"duration": "10s", "templates": templates(None)}));
    let mut world = at_experiment(&strategy);
    let experiment = name(&world);
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.sleep(60.0);
    assert_eq!(phase(&world, &experiment), "Successful");
    assert_eq!(status(&world, "currentStepIndex"), 0);
    assert_eq!(names(&world), std::slice::from_ref(&experiment));
    user(&mut world, &json!({"spec": {"paused": false}}));
    world.settle();
    assert_eq!(status(&world, "currentStepIndex"), 1);
    assert_eq!(names(&world), [experiment]);
}

#[test]
fn without_the_stable_pods_it_says_what_it_lacks() {
    let mut world = deployed(&basic(&json!({"templates": templates(None)})));
    let stable = world.keys("ReplicaSet").remove(0);
    update(&mut world, 1);
    world.delete_set(&stable);
    world.settle();
    let plan = world.last_plan.clone().unwrap();
    let says = plan.trace.waiting_on.iter().any(|wait| {
        matches!(wait, WaitingOn::Fix { message }
            if message.starts_with("the experiment needs the stable ReplicaSet, which is gone"))
    });
    assert!(says, "{:#?}", plan.trace);
    assert!(names(&world).is_empty());
}

#[test]
fn an_experiment_that_makes_no_sense_is_told_by_the_rollout() {
    let strategy = basic(&json!({"templates": [
        {"name": "base", "specRef": "stable"},
        {"name": "new", "specRef": "canary", "selector": {}},
    ]}));
    let mut world = deployed(&strategy);
    update(&mut world, 1);
    world.sleep(5.0);
    let plan = world.last_plan.clone().unwrap();
    let says = plan.trace.waiting_on.iter().any(
        |wait| matches!(wait, WaitingOn::Fix { message } if message.contains("templates[1].selector")),
    );
    assert!(says, "{:#?}", plan.trace);
}

#[test]
fn finished_experiments_are_forgotten_beyond_the_limit() {
    let strategy = basic(&json!({"duration": "1s", "templates": templates(None)}));
    let mut world = deployed(&strategy);
    user(
        &mut world,
        &json!({"spec": {"analysis": {"successfulRunHistoryLimit": 1}}}),
    );
    update(&mut world, 1);
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(5.0);
    user(&mut world, &json!({"status": {"abort": false}}));
    assert!(world.run_until(|world| status(world, "phase") == "Paused"));
    world.sleep(60.0);
    let hash = current(&world);
    assert_eq!(names(&world), [format!("app-{hash}-2-0-1")]);
}
