use super::lab::{Lab, pods, template};
use plan::Next;
use serde_json::{Value, json};

fn two(more: Value) -> Value {
    let mut spec = json!({"templates": [template("base"), template("new")]});
    crate::rollout::replica_set::merge(&mut spec, more);
    spec
}

fn deadline(lab: &Lab, set: &str) -> Value {
    let set = lab.get("ReplicaSet", set).expect("a ReplicaSet");
    set["metadata"]["annotations"]["scale-down-deadline"].clone()
}

#[test]
fn a_replica_set_is_made_empty_and_scaled_up_in_the_next_pass() {
    let mut lab = Lab::new(two(json!({})));
    lab.pass();
    let set = lab.get("ReplicaSet", "exp-base").expect("a ReplicaSet");
    let hash = set["metadata"]["labels"]["rollouts-pod-template-hash"].clone();
    assert_eq!(set["spec"]["replicas"], 0);
    assert_eq!(
        set["spec"]["selector"]["matchLabels"],
        json!({"app": "app", "rollouts-pod-template-hash": hash})
    );
    assert_eq!(
        set["spec"]["template"]["metadata"]["labels"],
        set["metadata"]["labels"]
    );
    assert_eq!(
        set["metadata"]["annotations"],
        json!({"experiment.argoproj.io/name": "exp", "experiment.argoproj.io/template-name": "base"})
    );
    assert_eq!(set["metadata"]["ownerReferences"][0]["uid"], "exp-uid");
    assert_eq!(lab.phase(), "Pending");
    assert_eq!(lab.template_status("base")["status"], "Progressing");
    lab.pass();
    assert_eq!((lab.size("exp-base"), lab.size("exp-new")), (1, 1));
    assert!(lab.has_event("Normal ScalingReplicaSet Scaled up ReplicaSet exp-base from 0 to 1"));
    assert!(
        lab.has_event(
            "Normal TemplateProgressing Template 'base' transitioned from  -> Progressing"
        )
    );
    assert!(lab.has_event("Normal ExperimentPending Experiment transitioned from  -> Pending"));
}

/// The hashes of the recorded timeline `experiment-step`: templates copied from live ReplicaSets,
/// with the API server's defaults in them.
#[test]
fn the_hash_is_that_of_the_template_without_its_hash_label() {
    for (image, hash) in [("demo:blue", "77ff574f6b"), ("demo:green", "659cc85d9f")] {
        let mut copied = pods(image);
        copied["metadata"]["labels"]["rollouts-pod-template-hash"] = json!("74cc8ccddb");
        copied["spec"] = json!({
            "containers": [{
                "name": "app",
                "image": image,
                "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        });
        let mut one = template("base");
        one["template"] = copied;
        let mut lab = Lab::new(json!({"templates": [one]}));
        lab.pass();
        let set = lab.get("ReplicaSet", "exp-base").expect("a ReplicaSet");
        assert_eq!(
            set["metadata"]["labels"]["rollouts-pod-template-hash"], hash,
            "{image}"
        );
    }
}

#[test]
fn it_runs_once_all_pods_are_available_and_ends_with_its_duration() {
    let mut lab = Lab::running(two(json!({"duration": "10s"})));
    assert_eq!(
        lab.experiment["status"]["availableAt"],
        "2030-01-01T00:00:01Z"
    );
    let progressing = &lab.experiment["status"]["conditions"][0];
    assert_eq!(progressing["reason"], "NewReplicaSetAvailable");
    assert_eq!(progressing["message"], "Experiment \"exp\" is running.");
    let plan = lab.sleep(9);
    assert_eq!(lab.phase(), "Running");
    let end = "2030-01-01T00:00:11Z".parse().expect("a time");
    assert_eq!(plan.next, Next::At(end));
    lab.sleep(2);
    assert_eq!(lab.phase(), "Successful");
    assert_eq!(lab.template_status("new")["status"], "Successful");
    let progressing = &lab.experiment["status"]["conditions"][0];
    assert_eq!(progressing["status"], "False");
    assert_eq!(progressing["reason"], "ExperimentCompleted");
    assert_eq!(
        progressing["message"],
        "Experiment \"exp\" has successfully ran and completed."
    );
    assert!(lab.has_event(
        "Normal ExperimentSuccessful Experiment transitioned from Running -> Successful"
    ));
}

#[test]
fn the_pods_stay_for_the_delay_after_the_end() {
    let mut lab = Lab::running(two(json!({"duration": "1s", "scaleDownDelaySeconds": 20})));
    let plan = lab.sleep(5);
    let until = "2030-01-01T00:00:26Z";
    assert_eq!(deadline(&lab, "exp-base"), until);
    assert_eq!(plan.next, Next::At(until.parse().expect("a time")));
    lab.sleep(20);
    assert_eq!(lab.size("exp-base"), 1);
    lab.sleep(1);
    assert_eq!((lab.size("exp-base"), lab.size("exp-new")), (0, 0));
    assert_eq!(deadline(&lab, "exp-base"), Value::Null);
    assert!(lab.has_event("Normal ScalingReplicaSet Scaled down ReplicaSet exp-base from 1 to 0"));
    lab.pods_come();
    lab.settle();
    assert_eq!(lab.template_status("base")["availableReplicas"], 0);
    assert_eq!(lab.phase(), "Successful");
}

#[test]
fn without_a_delay_the_pods_go_at_once() {
    let mut lab = Lab::running(two(json!({"duration": "1s", "scaleDownDelaySeconds": 0})));
    lab.sleep(5);
    assert_eq!((lab.size("exp-base"), lab.size("exp-new")), (0, 0));
    assert_eq!(deadline(&lab, "exp-base"), Value::Null);
}

#[test]
fn without_a_duration_it_runs_until_somebody_ends_it() {
    let mut lab = Lab::running(two(json!({})));
    lab.sleep(100_000);
    assert_eq!(lab.phase(), "Running");
    lab.experiment["spec"]["terminate"] = json!(true);
    lab.settle();
    assert_eq!(lab.phase(), "Successful");
    assert!(deadline(&lab, "exp-base").is_string());
}

#[test]
fn one_terminated_before_its_pods_came_makes_none() {
    let mut lab = Lab::new(two(json!({"terminate": true})));
    lab.settle();
    assert!(lab.objects.is_empty());
    assert_eq!(lab.phase(), "Successful");
}

#[test]
fn pods_that_do_not_come_in_time_fail_it() {
    let mut lab = Lab::new(two(json!({"progressDeadlineSeconds": 60})));
    let plan = lab.settle();
    assert_eq!(
        plan.next,
        Next::At("2030-01-01T00:01:01Z".parse().expect("a time"))
    );
    lab.sleep(59);
    assert_eq!(lab.phase(), "Pending");
    lab.sleep(2);
    let message = "Template 'base' exceeded its progressDeadlineSeconds (60)";
    assert_eq!((lab.phase(), lab.message()), ("Failed", message));
    assert_eq!(lab.template_status("new")["status"], "Failed");
    assert!(lab.has_event(&format!(
        "Warning TemplateFailed Template 'base' transitioned from Progressing -> Failed: {message}"
    )));
    assert!(
        lab.has_event("Warning ExperimentFailed Experiment transitioned from Pending -> Failed")
    );
    lab.sleep(31);
    assert_eq!(lab.size("exp-base"), 0);
}

#[test]
fn pods_that_die_take_the_phase_back_until_they_return() {
    let mut lab = Lab::running(two(json!({"duration": "1h"})));
    let set = ("ReplicaSet".to_owned(), "exp-base".to_owned());
    let live = lab.objects.get_mut(&set).expect("a ReplicaSet");
    live["status"]["availableReplicas"] = json!(0);
    lab.settle();
    assert_eq!(lab.phase(), "Pending");
    let available = lab.experiment["status"]["availableAt"].clone();
    lab.pods_come();
    lab.sleep(10);
    assert_eq!(lab.phase(), "Running");
    assert_eq!(lab.experiment["status"]["availableAt"], available);
}

#[test]
fn a_replica_set_that_somebody_deletes_is_made_again() {
    let mut lab = Lab::running(two(json!({})));
    lab.objects
        .remove(&("ReplicaSet".to_owned(), "exp-base".to_owned()));
    lab.settle();
    assert_eq!(lab.size("exp-base"), 1);
    assert_eq!(lab.template_status("base")["availableReplicas"], 0);
    assert_eq!(lab.phase(), "Pending");
}

#[test]
fn a_name_that_is_taken_gets_another_one() {
    let mut lab = Lab::new(two(json!({})));
    let foreign = json!({
        "metadata": {"name": "exp-base", "uid": "foreign"},
        "spec": {"replicas": 3, "selector": {}},
    });
    lab.objects.insert(
        ("ReplicaSet".to_owned(), "exp-base".to_owned()),
        foreign.clone(),
    );
    lab.settle();
    assert_eq!(lab.get("ReplicaSet", "exp-base"), Some(&foreign));
    assert_eq!(lab.size("exp-base-1"), 1);
    assert_eq!(lab.template_status("base")["collisionCount"], 1);
    let statuses = lab.experiment["status"]["templateStatuses"].as_array();
    assert_eq!(statuses.map(Vec::len), Some(2));
}

#[test]
fn a_refused_replica_set_is_an_error_with_the_words_of_the_api_server() {
    let mut lab = Lab::new(two(json!({})));
    lab.refuse("ReplicaSet", "exp-base", "no quota");
    lab.settle();
    let message = "Failed to create ReplicaSet for template 'base': no quota";
    assert_eq!((lab.phase(), lab.message()), ("Error", message));
    assert!(lab.has_event(&format!("Warning ReplicaSetCreateError {message}")));
    assert!(lab.get("ReplicaSet", "exp-base").is_none());
}

#[test]
fn whatever_is_refused_is_told_and_tried_again_later() {
    let mut lab = Lab::new(two(json!({})));
    lab.refuse("ReplicaSet", "exp-base", "no quota");
    lab.refuse("ReplicaSet", "exp-new", "no quota");
    let plan = lab.pass();
    assert_eq!(plan.actions, []);
    for template in ["base", "new"] {
        let status = lab.template_status(template);
        let message = format!("Failed to create ReplicaSet for template '{template}': no quota");
        assert_eq!(status["status"], "Error");
        assert_eq!(status["message"], message.as_str());
    }
    let until = lab.refused.values().next().expect("two").until();
    assert_eq!(plan.next, Next::At(until));
    lab.settle();
    assert_eq!(lab.phase(), "Error");

    let mut lab = Lab::new(two(json!({})));
    lab.refuse("ReplicaSet", "exp-base", "no quota");
    lab.refuse("ReplicaSet", "exp-new", "no quota");
    lab.now = until;
    assert_eq!(lab.plan().actions.len(), 2);
}

#[test]
fn a_refused_scaling_is_an_error_too() {
    let mut lab = Lab::new(two(json!({})));
    lab.pass();
    lab.refuse("ReplicaSet", "exp-new", "not today");
    lab.settle();
    let message =
        "Unable to scale ReplicaSet for template 'new' to desired replica count '1': not today";
    assert_eq!((lab.phase(), lab.message()), ("Error", message));
    assert!(lab.has_event(&format!("Warning ReplicaSetUpdateError {message}")));
}

#[test]
fn a_refused_end_is_told_once_while_the_pods_stay() {
    let mut lab = Lab::running(two(json!({})));
    lab.experiment["spec"]["terminate"] = json!(true);
    lab.refuse("ReplicaSet", "exp-new", "not today");
    let plan = lab.settle();
    let message =
        "Unable to scale ReplicaSet for template 'new' to desired replica count '0': not today";
    assert_eq!((lab.phase(), lab.message()), ("Error", message));
    let told = format!("Warning ReplicaSetUpdateError {message}");
    assert_eq!(lab.events.iter().filter(|event| **event == told).count(), 1);
    let until = lab.refused.values().next().expect("one").until();
    assert_eq!(plan.next, Next::At(until));
    lab.refused.clear();
    lab.sleep(31);
    lab.sleep(31);
    assert_eq!((lab.size("exp-base"), lab.size("exp-new")), (0, 0));
}

#[test]
fn a_retry_begins_from_scratch_with_the_same_pods() {
    let mut lab = Lab::running(two(json!({"duration": "1s"})));
    lab.sleep(10);
    assert_eq!(lab.phase(), "Successful");
    lab.experiment["status"] = Value::Null;
    lab.settle();
    assert_eq!(lab.phase(), "Running");
    assert_eq!(deadline(&lab, "exp-base"), Value::Null);
}
