use crate::snapshot::{Inbox, RolloutSnapshot, TemplateSet};
use crate::validate::references;
use api::{AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate};
use k8s_openapi::api::core::v1::Service;
use plan::ObjectKey;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn snapshot(spec: &Value) -> RolloutSnapshot {
    RolloutSnapshot {
        digest: None,
        rollout: Arc::new(super::rollout(spec)),
        replica_sets: Vec::new(),
        pods: Vec::new(),
        services: BTreeMap::new(),
        analysis_runs: Vec::new(),
        experiments: Vec::new(),
        templates: TemplateSet::default(),
        objects: BTreeMap::new(),
        workload: None,
        workload_users: Vec::new(),
        inbox: Inbox::default(),
    }
}

fn complaint(snapshot: &RolloutSnapshot) -> String {
    references(snapshot).map_or_else(String::new, |error| error.to_string())
}

fn service(name: &str, manager: Option<&str>, selector: &Value) -> (String, Arc<Service>) {
    let mut object = json!({"metadata": {"name": name}, "spec": {"selector": selector}});
    if let Some(manager) = manager {
        object["metadata"]["annotations"] =
            json!({"argo-rollouts.argoproj.io/managed-by-rollouts": manager});
    }
    (
        name.to_owned(),
        Arc::new(serde_json::from_value(object).unwrap()),
    )
}

fn canary() -> Value {
    json!({"strategy": {"canary": {"canaryService": "canary", "stableService": "stable"}}})
}

#[test]
fn services_exist_and_fit() {
    let mut snapshot = snapshot(&canary());
    let selector = json!({"app": "app", "rollouts-pod-template-hash": "abc"});
    assert_eq!(
        complaint(&snapshot),
        "spec.strategy.canary.stableService: Invalid value: \"stable\": service \"stable\" not \
         found"
    );
    snapshot
        .services
        .extend([service("stable", Some("app"), &selector)]);
    assert_eq!(
        complaint(&snapshot),
        "spec.strategy.canary.canaryService: Invalid value: \"canary\": service \"canary\" not \
         found"
    );
    snapshot
        .services
        .extend([service("canary", Some("other"), &selector)]);
    assert_eq!(
        complaint(&snapshot),
        "spec.strategy.canary.canaryService: Invalid value: \"canary\": Service \"canary\" is \
         managed by another Rollout"
    );
    snapshot
        .services
        .extend([service("canary", None, &json!({"app": "other"}))]);
    assert_eq!(
        complaint(&snapshot),
        "spec.strategy.canary.canaryService: Invalid value: \"canary\": Service \"canary\" selects \
         pods with the label app=other, which the template does not give them"
    );
    snapshot
        .services
        .extend([service("canary", None, &selector)]);
    assert_eq!(complaint(&snapshot), "");
}

#[test]
fn services_of_blue_green_and_ping_pong_are_looked_up_too() {
    let blue_green = json!({"strategy": {"canary": null, "blueGreen": {
        "activeService": "active", "previewService": "preview",
    }}});
    assert_eq!(
        complaint(&snapshot(&blue_green)),
        "spec.strategy.blueGreen.activeService: Invalid value: \"active\": service \"active\" not \
         found"
    );
    let ping_pong = json!({"strategy": {"canary": {
        "pingPong": {"pingService": "ping", "pongService": "pong"},
    }}});
    assert_eq!(
        complaint(&snapshot(&ping_pong)),
        "spec.strategy.canary.pingPong.pingService: Invalid value: \"ping\": service \"ping\" not \
         found"
    );
}

/// With `workloadRef` the labels are those of the workload.
#[test]
fn services_fit_the_template_of_the_workload() {
    let mut spec = canary();
    spec["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    spec["template"] = Value::Null;
    spec["selector"] = Value::Null;
    let mut snapshot = snapshot(&spec);
    let selector = json!({"app": "web"});
    snapshot.services.extend([
        service("stable", None, &selector),
        service("canary", None, &selector),
    ]);
    let labels = json!({"metadata": {"labels": {"app": "web"}}});
    snapshot.workload = Some(Arc::new(json!({"spec": {"template": labels}})));
    assert_eq!(complaint(&snapshot), "");
    snapshot.workload = Some(Arc::new(json!({"template": labels})));
    assert_eq!(complaint(&snapshot), "");
    snapshot.workload = Some(Arc::new(json!({"spec": {"template": {}}})));
    assert!(complaint(&snapshot).contains("the label app=web"));
}

fn gateway() -> RolloutSnapshot {
    let mut spec = canary();
    spec["strategy"]["canary"]["trafficRouting"] =
        json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}});
    let mut snapshot = snapshot(&spec);
    let selector = json!({"app": "app"});
    snapshot.services.extend([
        service("stable", None, &selector),
        service("canary", None, &selector),
    ]);
    snapshot
}

#[test]
fn routes_exist_and_join_the_two_services() {
    let path = "spec.strategy.canary.trafficRouting.plugins.argoproj-labs/gatewayAPI";
    let mut snapshot = gateway();
    assert_eq!(
        complaint(&snapshot),
        format!("{path}: Invalid value: \"web\": HTTPRoute demo/web not found")
    );
    let key = ObjectKey::namespaced("gateway.networking.k8s.io/v1", "HTTPRoute", "demo", "web");
    let route = |backends: Value| Arc::new(json!({"spec": {"rules": [{"backendRefs": backends}]}}));
    snapshot
        .objects
        .insert(key.clone(), route(json!([{"name": "stable"}])));
    assert_eq!(
        complaint(&snapshot),
        format!(
            "{path}: Invalid value: \"web\": HTTPRoute demo/web has no rule with the backends \
             \"stable\" and \"canary\""
        )
    );
    snapshot
        .objects
        .insert(key, route(json!([{"name": "stable"}, {"name": "canary"}])));
    assert_eq!(complaint(&snapshot), "");
}

#[test]
fn ingresses_exist_and_lead_to_the_stable_service() {
    let path = "spec.strategy.canary.trafficRouting.nginx";
    let routed = |nginx: Value| {
        let mut spec = canary();
        spec["strategy"]["canary"]["trafficRouting"] = json!({ "nginx": nginx });
        let mut snapshot = gateway();
        snapshot.rollout = Arc::new(super::rollout(&spec));
        snapshot
    };
    assert_eq!(
        complaint(&routed(json!({}))),
        format!(
            "{path}.stableIngress: Required value: nginx needs stableIngress or stableIngresses"
        )
    );
    assert_eq!(
        complaint(&routed(
            json!({"stableIngress": "a", "stableIngresses": ["b"]})
        )),
        format!(
            "{path}.stableIngress: Invalid value: \"a\": stableIngress and stableIngresses exclude \
             each other"
        )
    );
    let mut snapshot = routed(json!({"stableIngresses": ["web", "admin"]}));
    let ingress = |service: &str| {
        let backend = json!({"service": {"name": service, "port": {"number": 80}}});
        let rules = json!([{"http": {"paths": [{"path": "/", "backend": backend}]}}]);
        Arc::new(json!({"spec": {"rules": rules}}))
    };
    let key = |name: &str| ObjectKey::namespaced("networking.k8s.io/v1", "Ingress", "demo", name);
    snapshot.objects.insert(key("web"), ingress("stable"));
    assert_eq!(
        complaint(&snapshot),
        format!("{path}.stableIngresses[1]: Invalid value: \"admin\": ingress \"admin\" not found")
    );
    snapshot.objects.insert(key("admin"), ingress("other"));
    assert_eq!(
        complaint(&snapshot),
        format!(
            "{path}.stableIngresses[1]: Invalid value: \"admin\": ingress `admin` has no rules using \
             service stable backend"
        )
    );
    snapshot.objects.insert(key("admin"), ingress("stable"));
    assert_eq!(complaint(&snapshot), "");
}

#[test]
fn a_route_needs_the_two_services_named() {
    let mut spec = json!({"strategy": {"canary": {"trafficRouting": {
        "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}},
    }}}});
    assert_eq!(
        complaint(&snapshot(&spec)),
        "spec.strategy.canary.canaryService: Required value: trafficRouting by the Gateway API \
         needs a canary and a stable service"
    );
    spec["strategy"]["canary"]["trafficRouting"]["plugins"]["argoproj-labs/gatewayAPI"] = json!({});
    let told = complaint(&snapshot(&spec));
    assert!(
        told.starts_with("spec.strategy.canary.trafficRouting.plugins."),
        "{told}"
    );
    assert!(told.ends_with("no route is named"), "{told}");
}

fn with_analysis(analysis: &Value) -> RolloutSnapshot {
    snapshot(&json!({"strategy": {"canary": {"steps": [
        {"setWeight": 10}, {"analysis": analysis},
    ]}}}))
}

fn add_template(snapshot: &mut RolloutSnapshot, name: &str, spec: Value) {
    let spec: AnalysisTemplateSpec = serde_json::from_value(spec).unwrap();
    let template = AnalysisTemplate::new(name, spec);
    snapshot
        .templates
        .namespaced
        .insert(name.to_owned(), Arc::new(template));
}

#[test]
fn templates_exist() {
    let mut snapshot = with_analysis(&json!({"templates": [
        {"templateName": "rate"}, {"templateName": "global", "clusterScope": true},
    ]}));
    let templates = "spec.strategy.canary.steps[1].analysis.templates";
    assert_eq!(
        complaint(&snapshot),
        format!(
            "{templates}[0].templateName: Invalid value: \"rate\": AnalysisTemplate 'rate' not \
             found"
        )
    );
    let metric =
        |name: &str| json!({"metrics": [{"name": name, "provider": {"web": {"url": "u"}}}]});
    add_template(&mut snapshot, "rate", metric("rate"));
    assert_eq!(
        complaint(&snapshot),
        format!(
            "{templates}[1].templateName: Invalid value: \"global\": ClusterAnalysisTemplate \
             'global' not found"
        )
    );
    let spec = serde_json::from_value(metric("global")).unwrap();
    let template = ClusterAnalysisTemplate {
        spec,
        ..ClusterAnalysisTemplate::default()
    };
    snapshot
        .templates
        .cluster
        .insert("global".to_owned(), Arc::new(template));
    assert_eq!(complaint(&snapshot), "");
}

/// Nested templates are looked up too; a template that names itself does not hang the check.
#[test]
fn nested_templates_exist() {
    let mut snapshot = with_analysis(&json!({"templates": [{"templateName": "outer"}]}));
    add_template(
        &mut snapshot,
        "outer",
        json!({"templates": [{"templateName": "outer"}, {"templateName": "inner"}]}),
    );
    assert_eq!(
        complaint(&snapshot),
        "spec.strategy.canary.steps[1].analysis.templates[0].templateName: Invalid value: \
         \"inner\": AnalysisTemplate 'inner' not found"
    );
}

fn metric(fields: Value) -> Value {
    let mut metric = json!({"name": "rate", "provider": {"web": {"url": "http://x/{{args.app}}"}}});
    super::merge(&mut metric, &fields);
    json!({"args": [{"name": "app"}], "metrics": [metric]})
}

/// What a step with the template `rate` and these arguments is told.
fn told_of_step(template: Value, args: &Value) -> String {
    let mut snapshot =
        with_analysis(&json!({"templates": [{"templateName": "rate"}], "args": args}));
    add_template(&mut snapshot, "rate", template);
    complaint(&snapshot)
}

#[test]
fn a_step_has_arguments_and_metrics_that_end() {
    let base = "spec.strategy.canary.steps[1].analysis.templates: Invalid value: \
                \"templateNames: [rate]\"";
    let app = json!([{"name": "app", "value": "web"}]);
    for (template, args, words) in [
        (metric(json!({})), json!([]), "args.app was not resolved"),
        (
            metric(json!({"interval": "10s"})),
            app.clone(),
            "metric 'rate' has an interval and no count, so that it would never end",
        ),
        (
            metric(json!({"count": 3})),
            app.clone(),
            "metrics[0]: interval must be specified when count > 1",
        ),
        (
            metric(json!({"provider": {"job": {"spec": {}}}})),
            app.clone(),
            "metrics[0]: multiple providers specified",
        ),
        (json!({}), app.clone(), "no metrics specified"),
        (
            metric(json!({"successCondition": "{{args.other}} > 1"})),
            app.clone(),
            "failed to resolve {{args.other}}",
        ),
        (
            metric(json!({})),
            json!([{"name": "app", "valueFrom": {"fieldRef": {"fieldPath": "spec.none"}}}]),
            "invalid path spec.none in rollout",
        ),
    ] {
        assert_eq!(told_of_step(template, &args), format!("{base}: {words}"));
    }
}

#[test]
fn arguments_come_from_the_rollout() {
    for source in [
        json!({"value": "web"}),
        json!({"valueFrom": {"podTemplateHashValue": "Latest"}}),
        json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        json!({"valueFrom": {"fieldRef": {"fieldPath": "spec.strategy.canary.steps[0].setWeight"}}}),
        // Not there yet, but it may be when the run is made.
        json!({"valueFrom": {"fieldRef": {"fieldPath": "status.pauseConditions[0].reason"}}}),
    ] {
        let mut argument = source.clone();
        argument["name"] = json!("app");
        assert_eq!(
            told_of_step(metric(json!({})), &json!([argument])),
            "",
            "{source}"
        );
    }
    // A count by argument is a number once it is filled in.
    let template = metric(json!({"interval": "10s", "count": "{{args.app}}"}));
    assert_eq!(
        told_of_step(template, &json!([{"name": "app", "value": "5"}])),
        ""
    );
}

#[test]
fn a_background_analysis_may_go_on_for_ever() {
    let with = |args: Value| {
        let mut snapshot = snapshot(&json!({"strategy": {"canary": {"analysis": {
            "templates": [{"templateName": "rate"}], "args": args,
        }}}}));
        add_template(&mut snapshot, "rate", metric(json!({"interval": "10s"})));
        complaint(&snapshot)
    };
    assert_eq!(with(json!([{"name": "app", "value": "web"}])), "");
    assert_eq!(
        with(json!([])),
        "spec.strategy.canary.analysis.templates: Invalid value: \"templateNames: [rate]\": \
         args.app was not resolved"
    );
}

#[test]
fn two_templates_with_the_same_metric_do_not_fit() {
    let mut snapshot = with_analysis(&json!({"templates": [
        {"templateName": "a"}, {"templateName": "b"},
    ]}));
    let template = json!({"metrics": [{"name": "rate", "provider": {"web": {"url": "u"}}}]});
    add_template(&mut snapshot, "a", template.clone());
    add_template(&mut snapshot, "b", template);
    assert_eq!(
        complaint(&snapshot),
        "spec.strategy.canary.steps[1].analysis.templates: Invalid value: \"templateNames: \
         [a b]\": two metrics have the same name 'rate'"
    );
}

/// The rules of a step are for its own run; the peer lays them over those of every other run too.
#[test]
fn dry_run_rules_of_a_step_are_its_own() {
    let dry = json!([{"metricName": "rate"}]);
    let mut snapshot = snapshot(&json!({"strategy": {"canary": {
        "analysis": {"templates": [{"templateName": "background"}]},
        "steps": [{"analysis": {"templates": [{"templateName": "step"}], "dryRun": dry}}],
    }}}));
    let template = json!({"metrics": [{"name": "rate", "provider": {"web": {"url": "u"}}}]});
    let mut background = template.clone();
    background["dryRun"] = dry;
    add_template(&mut snapshot, "background", background);
    add_template(&mut snapshot, "step", template);
    assert_eq!(complaint(&snapshot), "");
}
