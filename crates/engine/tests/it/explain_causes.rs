//! Causes that `explain` names, and the commands that it gives for them, beyond the pages of
//! [`crate::explain`].

use crate::explain::{basic, page, snapshot, updated};
use crate::explain_more::of_workload;
use crate::operations::{blue_green, current, deployed, lead, routed, status, until, update, user};
use crate::swarm::{manifests, template};
use crate::world::World;
use engine::config::Config;
use engine::explain::{Names, Seen, explain, planned};
use engine::snapshot::{Refusal, RefusalKind, RolloutSnapshot};
use jiff::SignedDuration;
use plan::{Action, ObjectKey};
use serde_json::{Value, json};

/// The page of this moment.
fn text(world: &World) -> String {
    page(world, &snapshot(world))
}

/// The page of another process than the controller: it has no memory of what was refused.
fn text_elsewhere(world: &World) -> String {
    let mut snapshot = snapshot(world);
    let plan = planned(&mut snapshot, &Config::default(), world.now);
    let seen = Seen {
        snapshot: &snapshot,
        plan: &plan,
        now: world.now,
    };
    let names = Names {
        weir: "kubectl weir",
    };
    explain(seen).text(names)
}

fn shows(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

fn hides(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(!text.contains(line), "{line:?} in\n{text}");
    }
}

/// An update whose new pods never start, two seconds after it began.
fn starting(strategy: &Value, replicas: i32) -> World {
    let mut world = deployed(strategy, replicas);
    world.dead_images.insert("demo:green".to_owned());
    update(&mut world, 1);
    world.sleep(2.0);
    world
}

fn service(name: &str) -> ObjectKey {
    ObjectKey::namespaced("v1", "Service", "demo", name)
}

/// What the controller sees after the API server has refused the next ReplicaSet.
fn refused(world: &World, kind: RefusalKind, message: &str) -> RolloutSnapshot {
    let mut snapshot = snapshot(world);
    let plan = engine::rollout::plan(&snapshot, &Config::default(), world.now);
    let mut names = plan.actions.iter().filter_map(|action| match action {
        Action::Create { object } => object["metadata"]["name"].as_str(),
        _ => None,
    });
    snapshot.inbox.refused = Some(Refusal {
        replica_set: names.next().unwrap().to_owned(),
        message: message.to_owned(),
        kind,
        at: world.now,
    });
    snapshot
}

/// The controller tells in the status what it sees. Five minutes later it is still so.
fn tell(world: &mut World, snapshot: &RolloutSnapshot, config: &Config) {
    let told = engine::rollout::plan(snapshot, config, world.now).status;
    user(world, &json!({"status": told}));
    let later = SignedDuration::from_secs(300);
    world.now = world.now.checked_add(later).unwrap();
}

#[test]
fn a_refused_replica_set_is_told_of_for_as_long_as_the_status_does() {
    let mut world = deployed(&routed(), 2);
    update(&mut world, 1);
    let message = "replicasets.apps is forbidden: exceeded quota: count";
    let seen = refused(&world, RefusalKind::Refused, message);
    tell(&mut world, &seen, &Config::default());
    let page = text_elsewhere(&world);
    shows(
        &page,
        &[
            "somebody to correct this: Failed to create new replica set \"app-",
            message,
            "- it is tried again by then",
            "$ kubectl describe resourcequota -n demo  ",
            "$ kubectl weir undo app --to-revision=1 -n demo  ",
        ],
    );
    hides(&page, &["it is being created", "Not written yet"]);
}

#[test]
fn a_missing_right_is_nothing_to_edit() {
    let mut world = deployed(&routed(), 2);
    update(&mut world, 1);
    let message = "User \"weir\" cannot create resource \"replicasets\" in the namespace \"demo\"";
    let seen = refused(&world, RefusalKind::Refused, message);
    let page = page(&world, &seen);
    shows(
        &page,
        &["- the controller lacks a right: `weir check` says which"],
    );
    hides(&page, &["kubectl edit"]);
}

#[test]
fn a_template_that_only_the_api_server_finds_wrong_is_told_of() {
    let mut world = deployed(&routed(), 2);
    update(&mut world, 1);
    let wrong = "spec.template.spec.containers[0].image: Required value";
    let message = format!("ReplicaSet.apps \"app-x\" is invalid: {wrong}");
    let seen = refused(&world, RefusalKind::Invalid, &message);
    tell(&mut world, &seen, &Config::default());
    let page = text_elsewhere(&world);
    let told = format!("somebody to correct this: The Rollout \"app\" is invalid: {wrong}");
    shows(&page, &[&told, "$ kubectl edit rollout app -n demo  "]);
    hides(&page, &["it is being created"]);
}

#[test]
fn a_flag_of_the_controller_is_known_by_what_it_refuses() {
    let mut world = deployed(&routed(), 2);
    let mut latest = template(1);
    latest["spec"]["containers"][0]["image"] = json!("demo:latest");
    user(&mut world, &json!({"spec": {"template": latest}}));
    let strict = Config {
        deny_mutable_tags: true,
        ..Config::default()
    };
    let seen = snapshot(&world);
    tell(&mut world, &seen, &strict);
    let page = text_elsewhere(&world);
    shows(&page, &["this controller refuses tags that can change"]);
    hides(&page, &["it is being created"]);
}

/// The controller has yet to see that it is.
#[test]
fn what_was_missing_and_is_there_now_is_not_told_of() {
    let mut world = deployed(&routed(), 2);
    let gone = world.objects.remove(&service("canary")).unwrap();
    update(&mut world, 1);
    world.settle();
    shows(&text_elsewhere(&world), &["service \"canary\" not found"]);
    world.objects.insert(service("canary"), gone);
    let page = text_elsewhere(&world);
    shows(&page, &["it is being created"]);
    hides(&page, &["somebody to correct this"]);
}

#[test]
fn what_was_refused_is_corrected_where_the_template_is() {
    let world = of_workload(1);
    let message = "admission webhook \"policy.example\" denied the request: no";
    let seen = refused(&world, RefusalKind::Refused, message);
    shows(
        &page(&world, &seen),
        &[message, "$ kubectl edit deployment shop -n demo  "],
    );
}

#[test]
fn without_an_update_a_missed_deadline_aborts_nothing() {
    let mut world = World::new(&manifests(&routed(), 2));
    user(
        &mut world,
        &json!({"spec": {"progressDeadlineAbort": true}}),
    );
    world.dead_images.insert("demo:blue".to_owned());
    world.sleep(10.0);
    let page = text(&world);
    let then = "if nothing moves until then it is declared Degraded, and goes on trying";
    shows(&page, &[then]);
}

/// While a superseded ReplicaSet keeps its pods, none passes; and an abort does not make that delay
/// its own.
#[test]
fn a_deadline_that_does_not_count_is_not_named() {
    let mut world = deployed(&blue_green(300), 2);
    let first = current(&world);
    update(&mut world, 1);
    until(&mut world, "Healthy");
    world.dead_images.insert("demo:red".to_owned());
    update(&mut world, 2);
    world.sleep(2.0);
    let page = text(&world);
    let stands =
        format!("- progressDeadlineSeconds (60) does not count before app-{first} is scaled down");
    shows(&page, &["(revision 3) to have 2 available pods", &stands]);
    hides(&page, &["is declared Degraded"]);
    user(&mut world, &json!({"status": {"abort": true}}));
    world.settle();
    let delay = format!(
        "app-{first} (revision 1) to be scaled down; until then going back is instant \
         (scaleDownDelaySeconds)"
    );
    let undo = "$ kubectl weir undo app --to-revision=1 -n demo  # goes back to them";
    shows(&text(&world), &[&delay, undo]);
}

#[test]
fn a_canary_goes_back_to_warm_pods_but_not_at_once() {
    let mut world = updated(&routed(), 5, "Paused");
    user(&mut world, &json!({"status": {"promoteFull": true}}));
    until(&mut world, "Healthy");
    let then = "until then they are there to go back to (scaleDownDelaySeconds)";
    shows(&text(&world), &[then]);
}

#[test]
fn pods_that_an_abort_keeps_are_named() {
    let mut strategy = blue_green(30);
    strategy["blueGreen"]["autoPromotionEnabled"] = json!(false);
    strategy["blueGreen"]["abortScaleDownDelaySeconds"] = json!(0);
    let mut world = updated(&strategy, 2, "Paused");
    user(&mut world, &json!({"status": {"abort": true}}));
    world.sleep(600.0);
    let stay = format!(
        "- 2 pods of app-{} stay (abortScaleDownDelaySeconds: 0)",
        current(&world)
    );
    shows(&text(&world), &[&stay]);
}

#[test]
fn pods_of_an_experiment_that_do_not_start_are_named() {
    let step = json!({"experiment": {
        "templates": [{"name": "base", "specRef": "stable"}, {"name": "new", "specRef": "canary"}],
    }});
    let world = starting(&basic(&json!([step, {"setWeight": 50}])), 3);
    let pods = world.keys("Pod").into_iter();
    let mut dead = pods.filter(|key| key.name.contains("-new-"));
    let dead = dead.next().unwrap().name;
    shows(
        &text(&world),
        &[
            &format!("- pod {dead}: not ready since 2030-01-01T00:00:0"),
            "- template new fails if nothing moves until 2030-01-01T00:01:0",
            &format!("$ kubectl describe pod {dead} -n demo"),
        ],
    );
}

#[test]
fn a_measurement_that_is_put_off_says_until_when() {
    let mut objects = manifests(
        &basic(&json!([
            {"setWeight": 30},
            {"analysis": {"templates": [{"templateName": "smoke"}]}},
        ])),
        3,
    );
    let mut smoke = crate::operations::smoke();
    smoke["spec"]["metrics"][0]["initialDelay"] = json!("10m");
    objects.insert(0, smoke);
    let mut world = World::new(&objects);
    until(&mut world, "Healthy");
    update(&mut world, 1);
    world.sleep(5.0);
    let next = "- metric check: not measured yet; passes if true; next at 2030-01-01T00:10:0";
    shows(&text(&world), &[next]);
}

#[test]
fn services_that_lead_to_no_revision_are_named() {
    let mut world = updated(&routed(), 5, "Paused");
    lead(&mut world, "canary", None);
    let all = "  Service canary selects no revision yet: requests go to the pods of all\n";
    shows(&text(&world), &[all]);
    lead(&mut world, "canary", Some("gone"));
    let nobody = "  Service canary selects gone, which no ReplicaSet has: no pod is behind it\n";
    shows(&text(&world), &[nobody]);
    for name in ["canary", "stable"] {
        world.user_patch(&service(name), &json!({"spec": {"selector": null}}));
    }
    let none = "  Services canary, stable have no selector yet: no pod is behind it\n";
    shows(&text(&world), &[none]);
}

#[test]
fn a_service_that_another_rollout_has_can_be_freed() {
    let annotation = "argo-rollouts.argoproj.io/managed-by-rollouts";
    let mut world = updated(&routed(), 5, "Paused");
    let mark = json!({"metadata": {"annotations": {annotation: "older"}}});
    world.user_patch(&service("canary"), &mark);
    world.settle();
    shows(
        &text(&world),
        &[
            "- its annotation says which: older",
            &format!("$ kubectl annotate service canary {annotation}- -n demo  "),
        ],
    );
}

#[test]
fn a_service_that_selects_other_pods_is_what_to_edit() {
    let mut world = updated(&routed(), 5, "Paused");
    let other = json!({"spec": {"selector": {"app": "other"}}});
    world.user_patch(&service("canary"), &other);
    world.settle();
    shows(&text(&world), &["$ kubectl edit service canary -n demo  "]);
}

/// The conditions of a pod and its containers say more than that it is not ready.
#[test]
fn a_pod_that_is_not_ready_says_why() {
    let mut world = starting(&routed(), 3);
    let hash = current(&world);
    let mut pods = world.keys("Pod");
    pods.retain(|key| key.name.contains(&hash));
    let creating = json!({"status": {"containerStatuses": [{
        "name": "app", "image": "demo:green", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ContainerCreating"}},
    }]}});
    world.user_patch(&pods[0], &creating);
    let gate = json!({"status": {"conditions": [{
        "type": "Ready", "status": "False", "lastTransitionTime": "2030-01-01T00:00:00Z",
        "message": "the status of pod readiness gate \"lb\" is not \"True\", but False",
    }]}});
    world.user_patch(&pods[1], &gate);
    shows(
        &text(&world),
        &[
            "not ready (container app, ContainerCreating) since",
            "not ready (the status of pod readiness gate \"lb\" is not \"True\", but False) since",
        ],
    );
}

#[test]
fn an_autoscaler_is_named_while_pods_are_waited_for() {
    let scaled = json!({"metadata": {"managedFields": [{
        "manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
        "apiVersion": "argoproj.io/v1alpha1", "time": "2030-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }]}});
    let who = "Note: kube-controller-manager has set spec.replicas to 3 through the scale \
               subresource at 2030-01-01T00:00:00Z";
    let mut world = starting(&routed(), 3);
    user(&mut world, &scaled);
    shows(&text(&world), &[who]);
    let mut world = deployed(&routed(), 3);
    user(&mut world, &scaled);
    hides(&text(&world), &[who]);
}

#[test]
fn who_keeps_a_deleted_rollout_is_named() {
    let mut world = deployed(&routed(), 2);
    let at = world.now.to_string();
    let deleted = json!({"deletionTimestamp": at, "finalizers": ["foregroundDeletion"]});
    user(&mut world, &json!({"metadata": deleted}));
    let kept = "It stays until these finalizers are gone, which others take away: \
                foregroundDeletion.";
    shows(&text(&world), &[kept]);
}

/// A user's pause and an analysis that can't tell end together.
#[test]
fn a_promotion_under_a_users_pause_says_all_that_it_does() {
    let background = json!({"canary": {
        "analysis": {"templates": [{"templateName": "smoke"}]},
        "steps": [{"setWeight": 30}, {"pause": {}}, {"setWeight": 60}],
    }});
    let mut world = crate::operations::deployed_with_smoke(&background, 3);
    update(&mut world, 1);
    until(&mut world, "Paused");
    let run = world.keys("AnalysisRun").remove(0);
    world.user_patch(&run, &json!({"status": {"phase": "Inconclusive"}}));
    world.settle();
    user(&mut world, &json!({"spec": {"paused": true}}));
    world.settle();
    let promote = "$ kubectl weir promote app -n demo";
    let effect = "# goes on with step 3 (setWeight: 60), and runs the analysis again";
    let page = text(&world);
    let told = page.lines().filter(|line| line.contains(promote));
    let told: Vec<&str> = told.filter(|line| line.ends_with(effect)).collect();
    assert_eq!(told.len(), 3, "{page}");
    assert_eq!(
        status(&world, "pauseConditions").as_array().unwrap().len(),
        2
    );
}
