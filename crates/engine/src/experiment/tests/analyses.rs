use super::lab::{Lab, template};
use plan::Next;
use serde_json::{Value, json};

fn analysis(name: &str, more: Value) -> Value {
    let mut one = json!({"name": name, "templateName": "smoke", "args": [
        {"name": "hash", "value": "{{ templates.base.podTemplateHash }}"},
    ]});
    crate::rollout::replica_set::merge(&mut one, more);
    one
}

fn measured(analyses: Value, more: Value) -> Value {
    let mut spec = json!({"templates": [template("base")], "analyses": analyses});
    crate::rollout::replica_set::merge(&mut spec, more);
    spec
}

fn run_status(lab: &Lab, name: &str) -> Value {
    let runs = lab.experiment["status"]["analysisRuns"].as_array();
    let mut runs = runs.into_iter().flatten();
    runs.find(|run| run["name"] == name)
        .cloned()
        .unwrap_or_default()
}

#[test]
fn a_run_begins_when_the_pods_are_available() {
    let more = json!({
        "duration": "1m",
        "dryRun": [{"metricName": "m"}],
        "measurementRetention": [{"metricName": "m", "limit": 3}],
        "analysisRunMetadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
    });
    let mut lab = Lab::new(measured(json!([analysis("a", json!({}))]), more));
    lab.config.instance_id = Some("blue".to_owned());
    lab.settle();
    assert!(lab.get("AnalysisRun", "exp-a").is_none());
    lab.pods_come();
    lab.settle();
    let run = lab.get("AnalysisRun", "exp-a").expect("a run");
    let set = lab.get("ReplicaSet", "exp-base").expect("a ReplicaSet");
    let hash = &set["metadata"]["labels"]["rollouts-pod-template-hash"];
    assert_eq!(
        run["spec"]["args"],
        json!([{"name": "hash", "value": hash}])
    );
    assert_eq!(run["spec"]["dryRun"], json!([{"metricName": "m"}]));
    assert_eq!(
        run["spec"]["measurementRetention"],
        json!([{"metricName": "m", "limit": 3}])
    );
    assert_eq!(
        run["metadata"]["labels"],
        json!({"team": "a", "argo-rollouts.argoproj.io/controller-instance-id": "blue"})
    );
    assert_eq!(run["metadata"]["annotations"], json!({"note": "b"}));
    assert_eq!(
        run_status(&lab, "a"),
        json!({"name": "a", "analysisRun": "exp-a", "phase": "Pending"})
    );
    let told = "AnalysisRunPending AnalysisRun 'a' transitioned from  -> Pending";
    assert!(lab.has_event(&format!("Normal {told}")));
    assert!(lab.has_event(&format!("*Warning {told}")));
}

#[test]
fn arguments_know_the_experiment() {
    let args = json!({"args": [{
        "name": "hash",
        "value": "{{templates.base.replicaset.name}} {{experiment.availableAt}} {{experiment.finishedAt}} {{",
    }]});
    let lab = Lab::running(measured(
        json!([analysis("a", args)]),
        json!({"duration": "1m"}),
    ));
    let run = lab.get("AnalysisRun", "exp-a").expect("a run");
    assert_eq!(
        run["spec"]["args"][0]["value"],
        "exp-base 2030-01-01T00:00:01Z 2030-01-01T00:01:01Z {{"
    );
}

#[test]
fn an_argument_that_stands_for_nothing_is_an_error() {
    for tag in [
        "experiment.finishedAt",
        "templates.other.podTemplateHash",
        "args.x",
    ] {
        let args = json!({"args": [{"name": "hash", "value": format!("{{{{{tag}}}}}")}]});
        let mut lab = Lab::new(measured(json!([analysis("a", args)]), json!({})));
        lab.settle();
        lab.pods_come();
        lab.settle();
        assert_eq!(lab.phase(), "Error");
        assert_eq!(
            lab.message(),
            format!(
                "Failed to create AnalysisRun for analysis 'a': failed to resolve {{{{{tag}}}}}"
            )
        );
    }
}

#[test]
fn a_template_that_is_missing_is_told_before_the_pods_come() {
    let missing = json!({"templateName": "nope"});
    let mut lab = Lab::new(measured(json!([analysis("a", missing)]), json!({})));
    lab.settle();
    assert_eq!(lab.phase(), "Error");
    assert_eq!(
        lab.message(),
        "AnalysisTemplate verification failed for analysis 'a': analysistemplate.argoproj.io \
         \"nope\" not found"
    );
    let missing = json!({"clusterScope": true});
    let mut lab = Lab::new(measured(json!([analysis("a", missing)]), json!({})));
    lab.settle();
    assert!(
        lab.message()
            .contains("clusteranalysistemplate.argoproj.io \"smoke\" not found")
    );
}

#[test]
fn a_failed_run_ends_everything_with_its_own_phase() {
    for (phase, kind) in [
        ("Failed", "Warning"),
        ("Error", "Warning"),
        ("Inconclusive", "Warning"),
    ] {
        let analyses = json!([analysis("a", json!({})), analysis("b", json!({}))]);
        let mut lab = Lab::running(measured(analyses, json!({"duration": "1h"})));
        lab.run_says("exp-b", json!({"phase": "Running"}));
        lab.settle();
        lab.run_says("exp-a", json!({"phase": phase, "message": "too slow"}));
        lab.settle();
        assert_eq!((lab.phase(), lab.message()), (phase, "too slow"));
        assert!(lab.has_event(&format!(
            "{kind} AnalysisRun{phase} AnalysisRun 'a' transitioned from Pending -> {phase}: too slow"
        )));
        assert!(lab.has_event(&format!(
            "Warning Experiment{phase} Experiment transitioned from Running -> {phase}"
        )));
        // The other one is ended; what it says then no longer matters.
        let other = lab.get("AnalysisRun", "exp-b").expect("a run");
        assert_eq!(other["spec"]["terminate"], true);
        assert!(lab.has_event("Normal AnalysisRunTerminating Terminating AnalysisRun 'exp-b'"));
        lab.run_says("exp-b", json!({"phase": "Successful"}));
        lab.settle();
        assert_eq!(run_status(&lab, "b")["phase"], "Running");
        assert_eq!(lab.template_status("base")["status"], "Successful");
    }
}

#[test]
fn analyses_that_succeed_do_not_end_it_unless_required() {
    let analyses = json!([analysis("a", json!({}))]);
    let mut lab = Lab::running(measured(analyses, json!({})));
    lab.run_says("exp-a", json!({"phase": "Successful"}));
    lab.sleep(3600);
    assert_eq!(lab.phase(), "Running");
}

#[test]
fn the_required_ones_end_it() {
    let required = json!({"requiredForCompletion": true});
    let analyses = json!([analysis("a", required), analysis("b", json!({}))]);
    let mut lab = Lab::running(measured(analyses, json!({})));
    lab.run_says("exp-b", json!({"phase": "Running"}));
    lab.run_says("exp-a", json!({"phase": "Successful"}));
    lab.settle();
    assert_eq!(
        (lab.phase(), lab.message()),
        ("Successful", "Required AnalysisRuns completed")
    );
    assert_eq!(
        lab.get("AnalysisRun", "exp-b").expect("a run")["spec"]["terminate"],
        true
    );
}

#[test]
fn the_required_ones_end_it_although_nothing_else_goes_on() {
    let required = json!({"requiredForCompletion": true});
    let analyses = json!([analysis("a", required), analysis("b", json!({}))]);
    for (others, more) in [
        (1, json!({})),
        (2, json!({})),
        (2, json!({"duration": "10s"})),
    ] {
        let mut some = analyses.clone();
        some.as_array_mut().expect("a list").truncate(others);
        let mut lab = Lab::running(measured(some, more));
        for run in &["exp-b", "exp-a"][2 - others..] {
            lab.run_says(run, json!({"phase": "Successful"}));
        }
        lab.sleep(11);
        assert_eq!(
            (lab.phase(), lab.message()),
            ("Successful", "Required AnalysisRuns completed")
        );
    }
}

#[test]
fn the_end_of_the_duration_waits_for_required_analyses_only() {
    let analyses = json!([analysis("a", json!({}))]);
    let mut lab = Lab::running(measured(analyses, json!({"duration": "10s"})));
    lab.sleep(11);
    assert_eq!(lab.phase(), "Successful");
    assert_eq!(
        lab.get("AnalysisRun", "exp-a").expect("a run")["spec"]["terminate"],
        true
    );

    let analyses = json!([analysis("a", json!({"requiredForCompletion": true}))]);
    let mut lab = Lab::running(measured(analyses, json!({"duration": "10s"})));
    lab.sleep(11);
    assert_eq!(lab.phase(), "Running");
    lab.run_says("exp-a", json!({"phase": "Failed", "message": "no"}));
    lab.settle();
    assert_eq!((lab.phase(), lab.message()), ("Failed", "no"));
}

#[test]
fn one_that_is_terminated_ends_although_required_analyses_have_not() {
    let required = || json!([analysis("a", json!({"requiredForCompletion": true}))]);
    let mut lab = Lab::new(measured(required(), json!({})));
    lab.settle();
    lab.experiment["spec"]["terminate"] = json!(true);
    lab.settle();
    assert_eq!(lab.phase(), "Successful");
    assert!(lab.get("AnalysisRun", "exp-a").is_none());

    let mut lab = Lab::running(measured(required(), json!({})));
    lab.run_says("exp-a", json!({"phase": "Running"}));
    lab.settle();
    lab.experiment["spec"]["terminate"] = json!(true);
    lab.settle();
    lab.run_says(
        "exp-a",
        json!({"phase": "Successful", "message": "Run Terminated"}),
    );
    lab.settle();
    assert_eq!(lab.phase(), "Successful");
}

#[test]
fn a_run_of_which_no_status_tells_is_taken_up_again() {
    let analyses = json!([analysis("a", json!({}))]);
    let mut lab = Lab::new(measured(analyses, json!({})));
    lab.settle();
    lab.pods_come();
    lab.pass();
    let before = lab.experiment["status"].clone();
    lab.pass();
    assert!(lab.get("AnalysisRun", "exp-a").is_some());
    // The controller died between the run and the status; meanwhile the run has ended.
    lab.experiment["status"] = before;
    lab.run_says("exp-a", json!({"phase": "Failed", "message": "no"}));
    lab.settle();
    assert_eq!((lab.phase(), lab.message()), ("Failed", "no"));
    assert!(lab.get("AnalysisRun", "exp-a.1").is_none());
}

#[test]
fn a_retry_takes_a_new_run() {
    let analyses = json!([analysis("a", json!({}))]);
    let mut lab = Lab::running(measured(analyses, json!({})));
    lab.run_says("exp-a", json!({"phase": "Failed"}));
    lab.settle();
    assert_eq!(lab.phase(), "Failed");
    lab.experiment["status"] = Value::Null;
    lab.sleep(60);
    assert_eq!(run_status(&lab, "a")["analysisRun"], "exp-a.1");
    assert_eq!(lab.phase(), "Running");
}

#[test]
fn a_run_that_somebody_deletes_is_an_error() {
    let analyses = json!([analysis("a", json!({}))]);
    let mut lab = Lab::running(measured(analyses, json!({})));
    lab.objects
        .remove(&("AnalysisRun".to_owned(), "exp-a".to_owned()));
    lab.settle();
    assert_eq!(
        (lab.phase(), lab.message()),
        ("Error", "AnalysisRun 'exp-a' is gone")
    );
}

#[test]
fn a_required_run_that_is_gone_is_not_waited_for() {
    let required = json!({"requiredForCompletion": true});
    for (more, phase, message) in [
        (required, "Error", "AnalysisRun 'exp-a' is gone"),
        (json!({}), "Successful", ""),
    ] {
        let analyses = json!([analysis("a", more)]);
        let mut lab = Lab::running(measured(analyses, json!({})));
        lab.run_says("exp-a", json!({"phase": "Running"}));
        lab.settle();
        lab.experiment["spec"]["terminate"] = json!(true);
        lab.objects
            .remove(&("AnalysisRun".to_owned(), "exp-a".to_owned()));
        lab.settle();
        assert_eq!((lab.phase(), lab.message()), (phase, message));
        // What it has come to stays.
        lab.sleep(60);
        assert_eq!(lab.phase(), phase);
    }
}

#[test]
fn a_run_of_which_no_status_tells_ends_with_the_experiment() {
    let analyses = json!([analysis("a", json!({}))]);
    let mut lab = Lab::new(measured(analyses, json!({})));
    lab.settle();
    lab.pods_come();
    lab.pass();
    let before = lab.experiment["status"].clone();
    lab.pass();
    let foreign = json!({"metadata": {"name": "exp-b"}, "spec": {"metrics": []}});
    lab.objects
        .insert(("AnalysisRun".to_owned(), "exp-b".to_owned()), foreign);
    // The controller died between the run and the status; then somebody ends it all.
    lab.experiment["status"] = before;
    lab.experiment["spec"]["terminate"] = json!(true);
    lab.settle();
    assert_eq!(lab.phase(), "Successful");
    let ended =
        |run: &str| lab.get("AnalysisRun", run).expect("a run")["spec"]["terminate"] == true;
    assert!(ended("exp-a"));
    assert!(!ended("exp-b"), "it is somebody else's");
    assert!(lab.has_event("Normal AnalysisRunTerminating Terminating AnalysisRun 'exp-a'"));
}

#[test]
fn a_run_that_will_not_be_ended_is_tried_again_later() {
    let analyses = json!([analysis("a", json!({}))]);
    let mut lab = Lab::running(measured(analyses, json!({})));
    lab.refuse("AnalysisRun", "exp-a", "not today");
    lab.experiment["spec"]["terminate"] = json!(true);
    let plan = lab.settle();
    assert_eq!(lab.phase(), "Successful");
    let until = lab.refused.values().next().expect("one").until();
    assert_eq!(plan.next, Next::At(until));
    lab.sleep(20);
    let run = lab.get("AnalysisRun", "exp-a").expect("a run");
    assert_eq!(run["spec"]["terminate"], true);
}

#[test]
fn a_refused_run_is_an_error() {
    let analyses = json!([analysis("a", json!({}))]);
    let mut lab = Lab::new(measured(analyses, json!({})));
    lab.settle();
    lab.pods_come();
    lab.refuse("AnalysisRun", "exp-a", "forbidden");
    lab.settle();
    assert_eq!(lab.phase(), "Error");
    assert_eq!(
        lab.message(),
        "Failed to create AnalysisRun for analysis 'a': forbidden"
    );
}
