use super::{check_table, complaint};
use serde_json::{Value, json};

/// A canary without a router and with this step.
fn step(step: Value) -> Value {
    json!({"strategy": {"canary": {"steps": [step]}}})
}

/// A canary with a router and with this step.
fn routed(routing: Value, step: Value) -> Value {
    json!({"strategy": {"canary": {
        "canaryService": "canary", "stableService": "stable",
        "trafficRouting": routing, "steps": [step],
    }}})
}

fn gateway() -> Value {
    json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}})
}

fn istio() -> Value {
    json!({"istio": {"virtualService": {"name": "vs"}}, "managedRoutes": [{"name": "known"}]})
}

#[test]
fn a_step_is_one_thing() {
    check_table([
        (
            step(json!({"setWeight": 10, "pause": {}})),
            "spec.strategy.canary.steps[0]: Invalid value: a step can't be more than one of \
             setWeight, pause, experiment and analysis",
        ),
        (
            step(json!({})),
            "spec.strategy.canary.steps[0]: Invalid value: a step must say what to do",
        ),
        (
            step(json!({"replicaProgressThreshold": {"type": "Pods", "value": 1}})),
            "spec.strategy.canary.steps[0]: Invalid value: a step must say what to do",
        ),
        (
            step(json!({
                "setWeight": 10, "replicaProgressThreshold": {"type": "Percent", "value": 50},
            })),
            "",
        ),
        // The peer lets this pass and does only one of the two.
        (
            routed(
                gateway(),
                json!({"setWeight": 10, "setCanaryScale": {"replicas": 1}}),
            ),
            "spec.strategy.canary.steps[0]: Forbidden: a step has one kind; this one has setWeight \
             and setCanaryScale",
        ),
    ]);
}

#[test]
fn weights_and_pauses() {
    check_table([
        (
            step(json!({"setWeight": 101})),
            "spec.strategy.canary.steps[0].setWeight: Invalid value: 101: must be between 0 and \
             100, inclusive",
        ),
        (
            step(json!({"setWeight": -1})),
            "spec.strategy.canary.steps[0].setWeight: Invalid value: -1: must be between 0 and \
             100, inclusive",
        ),
        (step(json!({"setWeight": 0})), ""),
        (step(json!({"pause": {}})), ""),
        (step(json!({"pause": {"duration": 0}})), ""),
        (step(json!({"pause": {"duration": "1h30m"}})), ""),
        (step(json!({"pause": {"duration": "30"}})), ""),
        (
            step(json!({"pause": {"duration": -5}})),
            "spec.strategy.canary.steps[0].pause.duration: Invalid value: -5: Duration needs to be \
             greater than 0",
        ),
        (
            step(json!({"pause": {"duration": "soon"}})),
            "spec.strategy.canary.steps[0].pause.duration: Invalid value: \"soon\": Duration needs \
             to be greater than 0",
        ),
        (
            step(json!({"setCanaryScale": {"replicas": 1}})),
            "spec.strategy.canary.steps[0].setCanaryScale: Invalid value: setCanaryScale needs \
             trafficRouting",
        ),
        (
            routed(
                gateway(),
                json!({"setCanaryScale": {"matchTrafficWeight": true}}),
            ),
            "",
        ),
    ]);
}

#[test]
fn header_routes() {
    let base = "spec.strategy.canary.steps[0].setHeaderRoute";
    let route = |value: Value| {
        json!({"setHeaderRoute": {
            "name": "known", "match": [{"headerName": "x", "headerValue": value}],
        }})
    };
    let mut alb = json!({"alb": {"ingress": "i", "servicePort": 80}});
    alb["managedRoutes"] = json!([{"name": "known"}]);
    for (spec, words) in [
        (
            routed(json!({"smi": {}}), route(json!({"exact": "a"}))),
            ": Invalid value: setHeaderRoute works only with trafficRouting by istio, alb, apisix \
             or plugins",
        ),
        (
            routed(istio(), route(json!({"exact": "a", "prefix": "b"}))),
            ".match[0].headerValue: Invalid value: exactly one of exact, prefix and regex must be \
             set",
        ),
        (
            routed(istio(), route(json!({}))),
            ".match[0].headerValue: Invalid value: exactly one of exact, prefix and regex must be \
             set",
        ),
        (
            routed(alb, route(json!({"regex": "a"}))),
            ".match[0].headerValue: Invalid value: with alb a header can only be matched exactly",
        ),
        (
            routed(istio(), json!({"setHeaderRoute": {"name": "unknown"}})),
            ".name: Invalid value: \"unknown\": the route must be listed in \
             trafficRouting.managedRoutes",
        ),
    ] {
        assert_eq!(complaint(&spec), format!("{base}{words}"));
    }
}

#[test]
fn mirror_routes() {
    let base = "spec.strategy.canary.steps[0].setMirrorRoute";
    for (spec, words) in [
        (
            routed(
                json!({"nginx": {"stableIngress": "i"}}),
                json!({"setMirrorRoute": {"name": "known"}}),
            ),
            ": Invalid value: setMirrorRoute works only with trafficRouting by istio or plugins",
        ),
        (
            routed(
                istio(),
                json!({"setMirrorRoute": {"name": "known", "match": [{"method": {}}]}}),
            ),
            ".match[0].method: Invalid value: exactly one of exact, prefix and regex must be set",
        ),
        (
            routed(istio(), json!({"setMirrorRoute": {"name": "unknown"}})),
            ".name: Invalid value: \"unknown\": the route must be listed in \
             trafficRouting.managedRoutes",
        ),
    ] {
        assert_eq!(complaint(&spec), format!("{base}{words}"));
    }
}

/// What the Gateway API has no words for.
#[test]
fn managed_routes_of_the_gateway_api() {
    let base = "spec.strategy.canary.steps[0]";
    let plugin = |config: Value| {
        json!({
            "plugins": {"argoproj-labs/gatewayAPI": config},
            "managedRoutes": [{"name": "known"}],
        })
    };
    let header = json!({"setHeaderRoute": {"name": "known"}});
    let mirror = |fields: Value| {
        let mut route = fields;
        route["name"] = json!("known");
        json!({ "setMirrorRoute": route })
    };
    let http = || plugin(json!({"httpRoute": "web"}));
    let none = "Invalid value: none of the routes takes header routes: name one as httpRoute or \
                grpcRoute, or set useHeaderRoutes in httpRoutes or grpcRoutes";
    for (routing, step, words) in [
        (http(), header.clone(), String::new()),
        (
            plugin(json!({"httpRoutes": [{"name": "web"}]})),
            header.clone(),
            format!("{base}.setHeaderRoute: {none}"),
        ),
        (
            plugin(json!({"tcpRoute": "web"})),
            mirror(json!({})),
            format!("{base}.setMirrorRoute: {none}"),
        ),
        (
            plugin(json!({"grpcRoutes": [{"name": "web", "useHeaderRoutes": true}]})),
            header,
            String::new(),
        ),
        (
            http(),
            mirror(json!({"percentage": 101})),
            format!(
                "{base}.setMirrorRoute.percentage: Invalid value: 101: must be between 0 and 100, \
                 inclusive"
            ),
        ),
        (
            http(),
            mirror(json!({"match": [{"method": {"prefix": "G"}}]})),
            format!(
                "{base}.setMirrorRoute.match[0].method: Invalid value: with the Gateway API a \
                 method can only be matched exactly"
            ),
        ),
        (
            plugin(json!({"grpcRoute": "web"})),
            mirror(json!({"match": [{"path": {"prefix": "/"}}]})),
            format!(
                "{base}.setMirrorRoute.match[0].path: Invalid value: requests of a GRPCRoute can \
                 only be matched by headers"
            ),
        ),
    ] {
        assert_eq!(complaint(&routed(routing, step.clone())), words, "{step}");
    }
}

#[test]
fn experiments() {
    let experiment = json!({"experiment": {"templates": [
        {"name": "a", "specRef": "stable", "weight": 5},
    ]}});
    check_table([(
        routed(json!({"nginx": {"stableIngress": "i"}}), experiment.clone()),
        "spec.strategy.canary.steps[0].experiment.templates[0].weight: Invalid value: 5: a weight \
         needs trafficRouting by smi, alb, istio or plugins",
    )]);
    let weighed = |weights: [i32; 2], more: Value| {
        let mut experiment = json!({"templates": [
            {"name": "a", "specRef": "stable", "weight": weights[0]},
            {"name": "b", "specRef": "canary", "weight": weights[1]},
        ]});
        if let (Some(fields), Value::Object(more)) = (experiment.as_object_mut(), more) {
            fields.extend(more);
        }
        let mut spec = routed(gateway(), json!({"experiment": experiment}));
        let steps = spec.pointer_mut("/strategy/canary/steps");
        let steps = steps.and_then(Value::as_array_mut).expect("steps");
        steps.insert(0, json!({"setWeight": 80}));
        spec
    };
    let base = "spec.strategy.canary.steps[1].experiment";
    assert_eq!(complaint(&weighed([10, 10], json!({}))), "");
    assert_eq!(
        complaint(&weighed([10, 11], json!({}))),
        format!(
            "{base}.templates[1].weight: Invalid value: 11: with the canary's weight and those \
             before it makes 101 of 100"
        )
    );
    assert_eq!(
        complaint(&weighed([5, 5], json!({"duration": "soon"}))),
        format!("{base}.duration: Invalid value: time: invalid duration \"soon\"")
    );
}

#[test]
fn arguments_from_metadata() {
    let argument = |path: &str| {
        step(json!({"analysis": {
            "templates": [{"templateName": "t"}],
            "args": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": path}}}],
        }}))
    };
    let base = "spec.strategy.canary.steps[0].analysis.args[0].valueFrom.fieldRef.fieldPath";
    for path in [
        "metadata.name",
        "metadata.labels['env']",
        "metadata.annotations['example.com/Note']",
        "spec.strategy.canary.steps[0].setWeight",
    ] {
        assert_eq!(complaint(&argument(path)), "", "{path}");
    }
    for (path, words) in [
        ("metadata.color", "unsupported fieldPath: metadata.color"),
        (
            "metadata.name['x']",
            "fieldPath \"metadata.name\" does not support subscript",
        ),
        ("metadata.labels['/x']", "prefix part must be non-empty"),
    ] {
        assert_eq!(
            complaint(&argument(path)),
            format!("{base}: Invalid value: \"{path}\": {words}")
        );
    }
}

/// Kinds of steps that the planner does not carry out are refused, whatever they are.
#[test]
fn unsupported_steps_are_refused() {
    for (index, step) in [json!({"plugin": {"name": "acme/step"}})]
        .into_iter()
        .enumerate()
    {
        let mut routing = gateway();
        routing["managedRoutes"] = json!([{"name": "known"}]);
        let rollout = super::rollout(&routed(routing, step.clone()));
        let told = crate::validate::spec(&rollout);
        let unsupported = crate::rollout::unsupported(&rollout);
        assert_eq!(
            told.map(|error| error.path),
            unsupported.into_iter().next().map(|(path, _)| path),
            "{index}: {step}"
        );
    }
}
