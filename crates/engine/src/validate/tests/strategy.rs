use super::check_table;
use serde_json::{Value, json};

fn blue_green(fields: Value) -> Value {
    let mut strategy = json!({"activeService": "active"});
    super::merge(&mut strategy, &fields);
    json!({"strategy": {"canary": null, "blueGreen": strategy}})
}

fn canary(fields: Value) -> Value {
    json!({"strategy": {"canary": fields}})
}

/// A canary with routers, which this version may not drive, and two services.
fn routed(routing: Value, fields: Value) -> Value {
    let mut strategy = json!({
        "canaryService": "canary", "stableService": "stable", "trafficRouting": routing,
    });
    super::merge(&mut strategy, &fields);
    canary(strategy)
}

/// The router that this version drives.
fn gateway() -> Value {
    json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}})
}

#[test]
fn blue_green_services_and_limits() {
    check_table([
        (blue_green(json!({})), ""),
        (
            blue_green(json!({"previewService": "active"})),
            "spec.strategy.blueGreen.activeService: Invalid value: \"active\": the active and the \
             preview service must be two services",
        ),
        (
            blue_green(json!({"activeService": ""})),
            "spec.strategy.blueGreen.activeService: Invalid value: \"\": the active and the \
             preview service must be two services",
        ),
        (
            blue_green(json!({"scaleDownDelayRevisionLimit": 11})),
            "spec.strategy.blueGreen.scaleDownDelayRevisionLimit: Invalid value: 11: must not be \
             greater than revisionHistoryLimit, which is 10",
        ),
        (
            blue_green(json!({"prePromotionAnalysis": {"args": [
                {"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.color"}}},
            ]}})),
            "spec.strategy.blueGreen.prePromotionAnalysis.args[0].valueFrom.fieldRef.fieldPath: \
             Invalid value: \"metadata.color\": unsupported fieldPath: metadata.color",
        ),
    ]);
}

#[test]
fn anti_affinity() {
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let one = "Invalid value: exactly one of preferredDuringSchedulingIgnoredDuringExecution and \
               requiredDuringSchedulingIgnoredDuringExecution must be set";
    for (wrap, strategy) in [
        (blue_green as fn(Value) -> Value, "spec.strategy.blueGreen"),
        (canary, "spec.strategy.canary"),
    ] {
        for (affinity, expected) in [
            (json!({required: {}}), String::new()),
            (json!({preferred: {"weight": 1}}), String::new()),
            (json!({}), format!("{strategy}.antiAffinity: {one}")),
            (
                json!({preferred: {"weight": 1}, required: {}}),
                format!("{strategy}.antiAffinity: {one}"),
            ),
            (
                json!({preferred: {"weight": 101}}),
                format!(
                    "{strategy}.antiAffinity.{preferred}.weight: Invalid value: 101: must be \
                     between 1 and 100, inclusive"
                ),
            ),
        ] {
            assert_eq!(
                super::complaint(&wrap(json!({"antiAffinity": affinity}))),
                expected
            );
        }
    }
}

#[test]
fn canary_headroom() {
    let none = "spec.strategy.canary.maxSurge: Invalid value: 0: maxSurge and maxUnavailable can't \
                both be zero";
    check_table([
        (canary(json!({"maxSurge": 0, "maxUnavailable": 0})), none),
        (canary(json!({"maxSurge": 0, "maxUnavailable": "0%"})), none),
        (
            canary(json!({"maxSurge": 0, "maxUnavailable": "none"})),
            none,
        ),
        (canary(json!({"maxSurge": 0})), ""),
        (canary(json!({"maxSurge": "1%", "maxUnavailable": 0})), ""),
    ]);
}

#[test]
fn canary_services() {
    check_table([
        (
            canary(json!({"canaryService": "web", "stableService": "web"})),
            "spec.strategy.canary.stableService: Invalid value: \"web\": the canary and the stable \
             service must be two services",
        ),
        (
            canary(json!({"canaryService": "", "stableService": ""})),
            "",
        ),
        (
            routed(json!({"smi": {}}), json!({"canaryService": null})),
            "spec.strategy.canary.canaryService: Invalid value: \"\": trafficRouting by smi needs \
             a canary and a stable service",
        ),
        (
            routed(
                json!({"istio": {"virtualService": {"name": "vs"}}}),
                json!({"stableService": null}),
            ),
            "spec.strategy.canary.stableService: Invalid value: \"\": trafficRouting by istio \
             without a destinationRule needs a canary and a stable service",
        ),
    ]);
    for (router, settings) in [
        ("alb", json!({"ingress": "i", "servicePort": 80})),
        ("apisix", json!({"route": {"name": "r"}})),
        ("ambassador", json!({"mappings": ["m"]})),
        ("nginx", json!({"stableIngress": "i"})),
        ("appMesh", json!({})),
        ("traefik", json!({"weightedTraefikServiceName": "t"})),
    ] {
        assert_eq!(
            super::complaint(&canary(json!({"trafficRouting": {router: settings}}))),
            format!(
                "spec.strategy.canary.canaryService: Invalid value: \"\": trafficRouting by \
                 {router} needs a canary and a stable service"
            )
        );
    }
}

#[test]
fn ping_pong() {
    let names =
        |ping: &str, pong: &str| json!({"pingPong": {"pingService": ping, "pongService": pong}});
    let alb = json!({"alb": {"ingress": "i", "servicePort": 80}});
    check_table([
        (
            routed(json!({"nginx": {"stableIngress": "i"}}), names("a", "b")),
            "spec.strategy.canary.pingPong: Invalid value: pingPong works only with trafficRouting \
             by alb, istio or plugins",
        ),
        (
            routed(gateway(), names("a", "")),
            "spec.strategy.canary.pingPong.pongService: Invalid value: \"\": pingPong needs both \
             services",
        ),
        (
            routed(gateway(), names("a", "a")),
            "spec.strategy.canary.pingPong.pongService: Invalid value: \"a\": the ping and the \
             pong service must be two services",
        ),
        (
            routed(alb, names("a", "b")),
            "spec.strategy.canary.trafficRouting.alb.rootService: Invalid value: \"\": pingPong \
             with alb needs a root service",
        ),
        (
            canary(names("a", "b")),
            "spec.strategy.canary.pingPong: Invalid value: pingPong works only with trafficRouting \
             by alb, istio or plugins",
        ),
    ]);
    let both = json!({
        "nginx": {"stableIngress": "i"},
        "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "r"}},
    });
    let mut kept = names("a", "b");
    kept["stableService"] = json!("b");
    kept["canaryService"] = json!("c");
    check_table([
        (
            routed(both, names("a", "b")),
            "spec.strategy.canary.pingPong: Forbidden: an Ingress leads to one stable service: \
             pingPong works without nginx only",
        ),
        (
            routed(gateway(), kept),
            "spec.strategy.canary.stableService: Invalid value: \"b\": ping and pong swap roles, so \
             neither can be the canary or the stable service: leave it out",
        ),
    ]);
    assert_eq!(super::complaint(&routed(gateway(), names("a", "b"))), "");
}

#[test]
fn canary_delays_and_weights() {
    check_table([
        (
            canary(json!({"scaleDownDelaySeconds": 30})),
            "spec.strategy.canary.scaleDownDelaySeconds: Invalid value: 30: scaleDownDelaySeconds \
             needs trafficRouting",
        ),
        (
            canary(json!({"dynamicStableScale": true})),
            "spec.strategy.canary.dynamicStableScale: Invalid value: true: dynamicStableScale \
             needs trafficRouting",
        ),
        (
            routed(
                gateway(),
                json!({"dynamicStableScale": true, "scaleDownDelaySeconds": 30}),
            ),
            "spec.strategy.canary.dynamicStableScale: Invalid value: true: dynamicStableScale and \
             scaleDownDelaySeconds exclude each other",
        ),
        // The delays come before the greatest weight.
        (
            routed(
                json!({"smi": {}, "maxTrafficWeight": 1000}),
                json!({"dynamicStableScale": true, "scaleDownDelaySeconds": 30}),
            ),
            "spec.strategy.canary.dynamicStableScale: Invalid value: true: dynamicStableScale and \
             scaleDownDelaySeconds exclude each other",
        ),
        (routed(gateway(), json!({"dynamicStableScale": true})), ""),
        (canary(json!({"dynamicStableScale": false})), ""),
        (
            routed(json!({"smi": {}, "maxTrafficWeight": 1000}), json!({})),
            "spec.strategy.canary.trafficRouting.maxTrafficWeight: Invalid value: 1000: \
             maxTrafficWeight works only with nginx and plugins",
        ),
        (
            routed(
                gateway(),
                json!({"trafficRouting": {"maxTrafficWeight": 1000}, "steps": [{"setWeight": 500}]}),
            ),
            "",
        ),
    ]);
}

/// What is valid but can't be done is told.
#[test]
fn routers_that_are_not_supported_are_refused() {
    check_table([
        (
            routed(json!({"smi": {}}), json!({})),
            "spec.strategy.canary.trafficRouting.smi: Forbidden: traffic router smi is not \
             supported",
        ),
        (
            routed(json!({"plugins": {"acme/router": {}}}), json!({})),
            "spec.strategy.canary.trafficRouting.plugins.acme/router: Forbidden: traffic router \
             plugins.acme/router is not supported",
        ),
        (routed(gateway(), json!({})), ""),
    ]);
}
