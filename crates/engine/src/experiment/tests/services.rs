use super::lab::{Lab, template};
use serde_json::{Value, json};

fn served(service: Value) -> Value {
    let mut one = template("base");
    one["service"] = service;
    json!({"templates": [one], "duration": "10s", "scaleDownDelaySeconds": 5})
}

#[test]
fn a_service_selects_the_pods_by_the_labels_of_the_replica_set() {
    let lab = Lab::running(served(json!({})));
    let service = lab.get("Service", "exp-base").expect("a service");
    let set = lab.get("ReplicaSet", "exp-base").expect("a ReplicaSet");
    assert_eq!(service["spec"]["selector"], set["metadata"]["labels"]);
    assert_eq!(
        service["spec"]["ports"],
        json!([{"port": 8080, "targetPort": 8080, "protocol": "TCP"}])
    );
    assert_eq!(service["metadata"]["ownerReferences"][0]["uid"], "exp-uid");
    let status = lab.template_status("base");
    assert_eq!(status["serviceName"], "exp-base");
    assert_eq!(
        status["podTemplateHash"],
        set["metadata"]["labels"]["rollouts-pod-template-hash"]
    );
}

#[test]
fn it_goes_once_the_last_pod_is_gone() {
    let mut lab = Lab::running(served(json!({"name": "own"})));
    assert_eq!(lab.template_status("base")["serviceName"], "own");
    lab.sleep(11);
    assert_eq!(lab.phase(), "Successful");
    assert!(lab.get("Service", "own").is_some());
    lab.sleep(6);
    assert_eq!(lab.size("exp-base"), 0);
    assert!(
        lab.get("Service", "own").is_some(),
        "its pod is still there"
    );
    lab.pods_come();
    lab.settle();
    assert!(lab.get("Service", "own").is_none());
    assert_eq!(lab.template_status("base")["serviceName"], Value::Null);
}

#[test]
fn pods_without_ports_get_none() {
    let mut spec = served(json!({}));
    spec["templates"][0]["template"]["spec"]["containers"][0]["ports"] = Value::Null;
    let mut lab = Lab::running(spec);
    assert!(lab.get("Service", "exp-base").is_none());
    let status = lab.template_status("base");
    assert_eq!(status["serviceName"], Value::Null);
    assert_eq!(status["podTemplateHash"], Value::Null);
    lab.sleep(11);
    assert_eq!(lab.phase(), "Successful");
}

#[test]
fn the_service_of_somebody_else_is_not_touched() {
    let mut lab = Lab::new(served(json!({"name": "shop"})));
    let foreign = json!({"metadata": {"name": "shop"}, "spec": {}});
    lab.objects
        .insert(("Service".to_owned(), "shop".to_owned()), foreign.clone());
    lab.settle();
    assert_eq!(
        lab.message(),
        "Failed to create Service shop for template 'base': Service shop exists and is not the \
         template's"
    );
    lab.sleep(3600);
    assert_eq!(lab.get("Service", "shop"), Some(&foreign));
}

#[test]
fn several_ports_get_names() {
    let mut spec = served(json!({}));
    spec["templates"][0]["template"]["spec"]["containers"][0]["ports"] = json!([
        {"containerPort": 8080, "name": "http"},
        {"containerPort": 9090},
        {"containerPort": 8080},
    ]);
    let lab = Lab::running(spec);
    let service = lab.get("Service", "exp-base").expect("a service");
    assert_eq!(
        service["spec"]["ports"],
        json!([
            {"port": 8080, "targetPort": 8080, "protocol": "TCP", "name": "http"},
            {"port": 9090, "targetPort": 9090, "protocol": "TCP", "name": "port-1"},
        ])
    );
}

/// A webhook guards it, say: what is measured is measured on.
#[test]
fn a_refused_selector_does_not_end_the_experiment() {
    let mut lab = Lab::running(served(json!({})));
    let key = ("Service".to_owned(), "exp-base".to_owned());
    let service = lab.objects.get_mut(&key).expect("a service");
    service["spec"]["selector"]["rollouts-pod-template-hash"] = json!("other");
    lab.refuse("Service", "exp-base", "denied");
    lab.settle();
    assert_eq!(lab.phase(), "Running");
    let selector = &lab.objects[&key]["spec"]["selector"];
    assert_eq!(selector["rollouts-pod-template-hash"], "other");
}
