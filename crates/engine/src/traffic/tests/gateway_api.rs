use super::{Live, body, object, routed, routing, want};
use crate::traffic::gateway_api::give_back;
use crate::traffic::{ManagedRoute, Want, has_rules};
use api::constants::MANAGED_ROUTES_ANNOTATION;
use plan::{Action, ObjectKey};
use serde_json::{Value, json};
use std::sync::Arc;

const V1: &str = "gateway.networking.k8s.io/v1";

fn plugin(config: Value) -> Value {
    json!({"plugins": {"argoproj-labs/gatewayAPI": config}})
}

fn backends(canary: Value, stable: Value) -> Value {
    let backend = |name: &str, weight: Value| {
        let mut backend = json!({"name": name, "port": 80});
        if !weight.is_null() {
            backend["weight"] = weight;
        }
        backend
    };
    json!([backend("stable", stable), backend("canary", canary)])
}

fn route(kind: &str, rules: Value) -> (ObjectKey, Arc<Value>) {
    object(
        V1,
        kind,
        "web",
        json!({"metadata": {"uid": "r1"}, "spec": {"rules": rules}}),
    )
}

fn http(rules: Value) -> (ObjectKey, Arc<Value>) {
    route("HTTPRoute", rules)
}

fn header(value: Value) -> ManagedRoute {
    let route =
        json!({"name": "by-header", "match": [{"headerName": "X-Canary", "headerValue": value}]});
    ManagedRoute::Header(serde_json::from_value(route).expect("a header route"))
}

fn mirror(matches: Value, percentage: Option<i32>) -> ManagedRoute {
    let route = json!({"name": "mirrored", "match": matches, "percentage": percentage});
    ManagedRoute::Mirror(serde_json::from_value(route).expect("a mirror route"))
}

fn with_routes(weight: i32, routes: &[ManagedRoute]) -> Want<'_> {
    let mut want: Want<'_> = want(weight);
    want.routes = routes;
    want
}

/// The route as the API server would hold it after the patch, and whether there was one.
fn after(live: &(ObjectKey, Arc<Value>), want: &Want<'_>) -> ((ObjectKey, Arc<Value>), bool) {
    let kind = live.0.kind.replace("Route", "").to_lowercase();
    let routing = plugin(json!({format!("{kind}Route"): "web"}));
    let change = routed(&routing, &Live::from([live.clone()]), want);
    let mut object = (*live.1).clone();
    for action in &change.actions {
        let Action::Patch { patch, guard, .. } = action else {
            panic!("no patch: {action:?}");
        };
        assert_eq!(guard.resource_version.as_deref(), Some("7"));
        for operation in patch.as_array().expect("operations") {
            perform(&mut object, operation);
        }
    }
    (
        (live.0.clone(), Arc::new(object)),
        !change.actions.is_empty(),
    )
}

/// RFC 6902, as far as the router speaks it.
fn perform(object: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().expect("a path");
    let (parent, last) = path.rsplit_once('/').expect("a parent");
    let last = last.replace("~1", "/");
    let value = operation["value"].clone();
    let at = || last.parse::<usize>().expect("an index");
    match (
        object.pointer_mut(parent).expect("a parent"),
        operation["op"].as_str(),
    ) {
        (Value::Object(parent), Some("add")) => drop(parent.insert(last, value)),
        (Value::Object(parent), Some("remove")) => drop(parent.remove(&last)),
        (Value::Array(parent), Some("add")) if last == "-" => parent.push(value),
        (Value::Array(parent), Some("add")) => parent.insert(at(), value),
        (Value::Array(parent), Some("remove")) => drop(parent.remove(at())),
        (parent, op) => panic!("{op:?} in {parent}"),
    }
}

/// The rules of a route, once it is as wanted.
fn rules(live: &(ObjectKey, Arc<Value>), want: &Want<'_>) -> Value {
    let (settled, _) = after(live, want);
    let (_, again) = after(&settled, want);
    assert!(!again, "a second patch of {}", settled.1);
    settled.1["spec"]["rules"].clone()
}

#[test]
fn a_header_route_leads_to_the_canary_alone_and_stands_in_front() {
    let own = json!({
        "matches": [{"path": {"type": "PathPrefix", "value": "/shop"}, "headers": [{"name": "a", "value": "b"}]}],
        "filters": [{"type": "URLRewrite"}],
        "timeouts": {"request": "1s"},
        "backendRefs": backends(json!(0), json!(100)),
    });
    let other = json!({"backendRefs": [{"name": "stable", "port": 80}]});
    let live = http(json!([own, other]));
    let routes = [header(json!({"exact": "yes"}))];
    let mut weighted = own.clone();
    weighted["backendRefs"] = backends(json!(20), json!(80));
    assert_eq!(
        rules(&live, &with_routes(20, &routes)),
        json!([
            {
                "name": "by-header",
                "matches": [{
                    "path": {"type": "PathPrefix", "value": "/shop"},
                    "headers": [
                        {"name": "a", "value": "b"},
                        {"type": "Exact", "name": "X-Canary", "value": "yes"},
                    ],
                }],
                "filters": [{"type": "URLRewrite"}],
                "timeouts": {"request": "1s"},
                "backendRefs": [{"name": "canary", "port": 80}],
            },
            weighted,
            other,
        ])
    );
}

#[test]
fn added_rules_are_seen_as_long_as_they_are_there() {
    let routes = [header(json!({"exact": "yes"}))];
    let bare = http(json!([{"backendRefs": backends(json!(0), json!(100))}]));
    let (placed, _) = after(&bare, &with_routes(0, &routes));
    let spec = routing(&plugin(json!({"httpRoute": "web"})));
    let has = |live: &(ObjectKey, Arc<Value>), rollout: &str| {
        has_rules(&spec, &Live::from([live.clone()]), ("demo", rollout))
    };
    assert!(!has(&bare, "app"));
    assert!(has(&placed, "app"));
    assert!(!has(&placed, "other"));
    // Somebody has taken them away; the record is left.
    let mut taken = (*placed.1).clone();
    taken["spec"] = bare.1["spec"].clone();
    assert!(!has(&(placed.0, Arc::new(taken)), "app"));
}

#[test]
fn prefixes_are_quoted_and_expressions_taken_as_they_are() {
    let live = http(json!([{"backendRefs": backends(json!(0), json!(100))}]));
    for (value, pattern) in [
        (json!({"prefix": "v1.2"}), r"^v1\.2.*"),
        (json!({"regex": "v[12]"}), "v[12]"),
    ] {
        let routes = [header(value)];
        assert_eq!(
            rules(&live, &with_routes(0, &routes))[0]["matches"],
            json!([{"headers": [
                {"type": "RegularExpression", "name": "X-Canary", "value": pattern},
            ]}])
        );
    }
}

#[test]
fn a_mirror_route_keeps_the_weights_and_copies_to_the_canary() {
    let live = http(json!([{"backendRefs": backends(json!(0), json!(100))}]));
    let matches = json!([{"method": {"exact": "GET"}, "path": {"prefix": "/api"}, "headers": {"x": {"exact": "1"}}}]);
    let routes = [mirror(matches.clone(), Some(35))];
    let (placed, _) = after(&live, &with_routes(20, &routes));
    assert_eq!(
        placed.1["spec"]["rules"][0],
        json!({
            "name": "mirrored",
            "matches": [{
                "method": "GET",
                "path": {"type": "PathPrefix", "value": "/api"},
                "headers": [{"type": "Exact", "name": "x", "value": "1"}],
            }],
            "filters": [{
                "type": "RequestMirror",
                "requestMirror": {"backendRef": {"name": "canary", "port": 80}, "percent": 35},
            }],
            "backendRefs": backends(json!(20), json!(80)),
        })
    );
    // The weight of both rules moves on.
    let moved = rules(&placed, &with_routes(60, &routes));
    for rule in moved.as_array().expect("rules") {
        assert_eq!(rule["backendRefs"], backends(json!(60), json!(40)));
    }
    // All of the requests: said by saying nothing.
    let all = [mirror(matches, Some(100))];
    let filter = &rules(&live, &with_routes(0, &all))[0]["filters"][0]["requestMirror"];
    assert_eq!(
        *filter,
        json!({"backendRef": {"name": "canary", "port": 80}})
    );
}

#[test]
fn a_mirror_route_never_takes_requests_that_the_rule_did_not_have() {
    let paths = |own: Value, wanted: Value| {
        let rule =
            json!({"matches": [{"path": own}], "backendRefs": backends(json!(0), json!(100))});
        let routes = [mirror(json!([{"path": wanted}]), None)];
        let rules = rules(&http(json!([rule])), &with_routes(0, &routes));
        match rules.as_array().expect("rules").len() {
            1 => json!(null),
            _ => rules[0]["matches"][0]["path"].clone(),
        }
    };
    let path = |kind: &str, value: &str| json!({"type": kind, "value": value});
    for (own, wanted, both) in [
        (
            path("PathPrefix", "/"),
            json!({"regex": "/a.*"}),
            path("RegularExpression", "/a.*"),
        ),
        (
            path("PathPrefix", "/a"),
            json!({"prefix": "/"}),
            path("PathPrefix", "/a"),
        ),
        (
            path("PathPrefix", "/a"),
            json!({"prefix": "/a/b"}),
            path("PathPrefix", "/a/b"),
        ),
        (
            path("PathPrefix", "/a"),
            json!({"exact": "/a/b"}),
            path("Exact", "/a/b"),
        ),
        (
            path("PathPrefix", "/a"),
            json!({"prefix": "/ab"}),
            json!(null),
        ),
        (
            path("PathPrefix", "/a"),
            json!({"regex": "/a.*"}),
            json!(null),
        ),
        (
            path("Exact", "/a/b"),
            json!({"prefix": "/a"}),
            path("Exact", "/a/b"),
        ),
        (path("Exact", "/a"), json!({"exact": "/b"}), json!(null)),
        (
            path("RegularExpression", "/.*"),
            json!({"regex": "/.*"}),
            path("RegularExpression", "/.*"),
        ),
    ] {
        assert_eq!(
            paths(own.clone(), wanted.clone()),
            both,
            "{own} and {wanted}"
        );
    }
}

#[test]
fn what_was_added_is_taken_away_and_nothing_else() {
    let own = json!([
        {"matches": [{"headers": [{"name": "X-Canary", "value": "always"}]}],
         "backendRefs": [{"name": "canary", "port": 80}]},
        {"backendRefs": backends(json!(20), json!(80))},
    ]);
    let live = http(own.clone());
    let routes = [
        header(json!({"exact": "yes"})),
        mirror(json!([{"path": {"prefix": "/"}}]), None),
    ];
    let (placed, _) = after(&live, &with_routes(20, &routes));
    assert_eq!(placed.1["spec"]["rules"].as_array().map(Vec::len), Some(4));
    let (bare, patched) = after(&placed, &want(20));
    assert!(patched);
    assert_eq!(bare.1["spec"]["rules"], own);
    assert_eq!(bare.1["metadata"]["annotations"], json!({}));
    // While the stable pods can't take more, the rules still come and go.
    let mut held = want(0);
    held.moves_weights = false;
    let (held, _) = after(&placed, &held);
    assert_eq!(held.1["spec"]["rules"], own, "the weight stays at 20");
}

/// As the API server holds it, a mirrored rule differs from its own one in the filter alone.
#[test]
fn a_rule_of_the_routes_own_is_not_taken_for_its_mirror() {
    let any = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
    let own = json!([{"matches": any, "backendRefs": backends(json!(20), json!(80))}]);
    let live = http(own.clone());
    let routes = [mirror(json!([{"path": {"prefix": "/"}}]), None)];
    let ((key, placed), _) = after(&live, &with_routes(20, &routes));
    assert_eq!(placed["spec"]["rules"].as_array().map(Vec::len), Some(2));
    // Somebody applies the route as it is in Git.
    let mut applied = (*placed).clone();
    applied["spec"]["rules"] = own.clone();
    let applied = (key, Arc::new(applied));
    let (bare, _) = after(&applied, &want(20));
    assert_eq!(bare.1["spec"]["rules"], own);
    let (again, _) = after(&applied, &with_routes(20, &routes));
    assert_eq!(again.1["spec"]["rules"], placed["spec"]["rules"]);
}

/// Gateway API before 1.3 drops how many requests are mirrored.
#[test]
fn a_share_of_mirrored_requests_that_is_dropped_makes_no_other_rule() {
    let live = http(json!([{"backendRefs": backends(json!(20), json!(80))}]));
    let routes = [mirror(json!([{"path": {"prefix": "/"}}]), Some(35))];
    let ((key, placed), _) = after(&live, &with_routes(20, &routes));
    let mut stored = (*placed).clone();
    let filter = &mut stored["spec"]["rules"][0]["filters"][0]["requestMirror"];
    filter.as_object_mut().expect("a mirror").remove("percent");
    let (_, patched) = after(&(key, Arc::new(stored)), &with_routes(20, &routes));
    assert!(!patched);
}

#[test]
fn a_mirrored_rule_is_known_by_its_arms_whatever_an_experiment_adds() {
    let live = http(json!([{"backendRefs": backends(json!(20), json!(80))}]));
    let routes = [mirror(json!([{"path": {"prefix": "/"}}]), None)];
    let (placed, _) = after(&live, &with_routes(20, &routes));
    let shares = [api::WeightDestination {
        weight: 5,
        service_name: "trial".to_owned(),
        pod_template_hash: "x".to_owned(),
    }];
    let mut more = with_routes(20, &routes);
    more.additional = &shares;
    let mut route = placed;
    for _ in 0..3 {
        (route, _) = after(&route, &more);
        assert_eq!(route.1["spec"]["rules"].as_array().map(Vec::len), Some(2));
    }
    let former = ["trial".to_owned()];
    let mut less = want(20);
    less.former = &former;
    let (bare, _) = after(&route, &less);
    assert_eq!(bare.1["spec"]["rules"], live.1["spec"]["rules"]);
}

#[test]
fn defaults_and_dropped_names_change_nothing() {
    let live = http(json!([{"backendRefs": backends(json!(0), json!(100))}]));
    let routes = [header(json!({"exact": "yes"}))];
    let ((key, placed), _) = after(&live, &with_routes(0, &routes));
    let mut stored = (*placed).clone();
    let rule = &mut stored["spec"]["rules"][0];
    rule.as_object_mut().expect("a rule").remove("name");
    rule["backendRefs"][0]["weight"] = json!(1);
    rule["backendRefs"][0]["kind"] = json!("Service");
    rule["matches"][0]["path"] = json!({"type": "PathPrefix", "value": "/"});
    let (_, patched) = after(&(key, Arc::new(stored)), &with_routes(0, &routes));
    assert!(!patched);
}

#[test]
fn a_rule_that_somebody_removed_comes_back() {
    let live = http(json!([{"backendRefs": backends(json!(0), json!(100))}]));
    let routes = [header(json!({"exact": "yes"}))];
    let ((key, placed), _) = after(&live, &with_routes(0, &routes));
    let mut edited = (*placed).clone();
    edited["spec"]["rules"]
        .as_array_mut()
        .expect("rules")
        .remove(0);
    let edited = (key, Arc::new(edited));
    assert_eq!(
        rules(&edited, &with_routes(0, &routes)),
        placed["spec"]["rules"]
    );
    // And if it is not wanted any more, the record of it goes.
    let (bare, _) = after(&edited, &want(0));
    assert!(
        bare.1["metadata"]["annotations"]
            .get(MANAGED_ROUTES_ANNOTATION)
            .is_none()
    );
}

/// Two Rollouts, one route: each finds its own rules and weights, and nothing of the other's to
/// mend.
#[test]
fn rollouts_that_share_a_route_leave_each_other_alone() {
    let other = |weight: i32| {
        json!([
            {"name": "other-stable", "port": 80, "weight": 100 - weight},
            {"name": "other-canary", "port": 80, "weight": weight},
        ])
    };
    let path = |value: &str| json!([{"path": {"type": "PathPrefix", "value": value}}]);
    let live = http(json!([
        {"matches": path("/a"), "backendRefs": backends(json!(0), json!(100))},
        {"matches": path("/b"), "backendRefs": other(0)},
    ]));
    let routes = [header(json!({"exact": "yes"}))];
    let ours = with_routes(20, &routes);
    let mut theirs = with_routes(30, &routes);
    theirs.owner.name = "other".to_owned();
    (theirs.stable_service, theirs.canary_service) = ("other-stable", "other-canary");
    let (first, _) = after(&live, &ours);
    let (both, _) = after(&first, &theirs);
    assert_eq!(both.1["spec"]["rules"].as_array().map(Vec::len), Some(4));
    for want in [&ours, &theirs] {
        assert!(!after(&both, want).1, "{}", both.1);
    }
    // One comes to its end: what speaks of the other stays.
    theirs.routes = &[];
    theirs.weight = 0;
    let (one, _) = after(&both, &theirs);
    let rules = one.1["spec"]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), 3);
    assert_eq!(rules[2]["backendRefs"], other(0));
    let label = "rollouts.argoproj.io/gatewayapi-canary";
    let (one, _) = after(&one, &ours);
    assert_eq!(one.1["metadata"]["labels"][label], "in-progress");
    for want in [&ours, &theirs] {
        assert!(!after(&one, want).1, "{}", one.1);
    }
}

/// A rule with several backends that no Rollout has to do with.
#[test]
fn the_label_goes_at_the_end_of_an_update_whatever_other_rules_do() {
    let own = json!({"backendRefs": backends(json!(0), json!(100))});
    let other = json!({"backendRefs": [{"name": "x", "port": 80}, {"name": "y", "port": 80}]});
    let label = |live: &(ObjectKey, Arc<Value>)| {
        live.1["metadata"]["labels"]["rollouts.argoproj.io/gatewayapi-canary"].clone()
    };
    let (begun, _) = after(&http(json!([own, other])), &want(20));
    assert_eq!(label(&begun), "in-progress");
    let (whole, _) = after(&begun, &want(100));
    assert_eq!(label(&whole), Value::Null);
    let (over, _) = after(&begun, &want(0));
    assert_eq!(label(&over), Value::Null);
}

/// The spec may name other services than when the rule was added.
#[test]
fn rules_of_services_that_were_renamed_go() {
    let live = http(json!([{"backendRefs": backends(json!(0), json!(100))}]));
    let routes = [header(json!({"exact": "yes"}))];
    let (mut placed, _) = after(&live, &with_routes(0, &routes));
    let renamed = json!([
        {"name": "stable", "port": 80, "weight": 100}, {"name": "fresh", "port": 80, "weight": 0},
    ]);
    Arc::make_mut(&mut placed.1)["spec"]["rules"][1]["backendRefs"] = renamed.clone();
    let mut want = want(0);
    want.canary_service = "fresh";
    assert_eq!(rules(&placed, &want), json!([{"backendRefs": renamed}]));
}

/// A route that the spec names with other services by now has the rules of the steps in force.
#[test]
fn who_gives_a_route_back_may_leave_the_rules_of_steps() {
    let live = http(json!([{"backendRefs": backends(json!(40), json!(60))}]));
    let routes = [header(json!({"exact": "yes"}))];
    let (placed, _) = after(&live, &with_routes(40, &routes));
    let left = |with_rules: bool| {
        let back = give_back(&placed.0, &placed.1, &want(0), with_rules).expect("a patch");
        let mut object = (*placed.1).clone();
        for operation in body(&back).as_array().expect("operations") {
            perform(&mut object, operation);
        }
        object["spec"]["rules"].clone()
    };
    let own = json!({"backendRefs": backends(json!(0), json!(100))});
    assert_eq!(left(true), json!([own]));
    let kept = left(false);
    assert_eq!(
        (&kept[0]["name"], &kept[1], &kept[2]),
        (&json!("by-header"), &own, &Value::Null)
    );
}

#[test]
fn a_header_that_the_route_asks_for_already_is_not_asked_for_twice() {
    let own = |value: &str| json!([{"headers": [{"name": "x-canary", "value": value}]}]);
    for (value, added) in [("yes", true), ("no", false)] {
        let rule = json!({"matches": own(value), "backendRefs": backends(json!(0), json!(100))});
        let routes = [header(json!({"exact": "yes"}))];
        let rules = rules(&http(json!([rule])), &with_routes(0, &routes));
        let rules = rules.as_array().expect("rules");
        assert_eq!(rules.len(), 1 + usize::from(added));
        assert_eq!(rules[0]["matches"], own(value));
    }
}

#[test]
fn empty_settings_of_the_plugin_are_absent_ones() {
    let config = json!({"httpRoute": "web", "namespace": null, "httpRoutes": null});
    let live = http(json!([{"backendRefs": backends(json!(0), json!(100))}]));
    let change = routed(&plugin(config), &Live::from([live]), &want(20));
    assert_eq!(change.actions.len(), 1);
}

#[test]
fn only_routes_that_say_so_take_rules() {
    let routes = [header(json!({"exact": "yes"}))];
    let want = with_routes(0, &routes);
    let rule = || json!([{"backendRefs": backends(json!(0), json!(100))}]);
    let patched = |config: Value, live: (ObjectKey, Arc<Value>)| {
        let change = routed(&plugin(config), &Live::from([live]), &want);
        change
            .actions
            .iter()
            .any(|action| body(action).to_string().contains("X-Canary"))
    };
    assert!(patched(json!({"httpRoute": "web"}), http(rule())));
    assert!(!patched(
        json!({"httpRoutes": [{"name": "web"}]}),
        http(rule())
    ));
    let listed = json!({"httpRoutes": [{"name": "web", "useHeaderRoutes": true}]});
    assert!(patched(listed, http(rule())));
    assert!(patched(
        json!({"grpcRoute": "web"}),
        route("GRPCRoute", rule())
    ));
    let tcp = object(
        "gateway.networking.k8s.io/v1alpha2",
        "TCPRoute",
        "web",
        json!({"spec": {"rules": rule()}}),
    );
    assert!(!patched(json!({"tcpRoute": "web"}), tcp));
}

#[test]
fn routes_may_be_in_another_namespace() {
    let mut live = http(json!([{"backendRefs": backends(json!(0), json!(100))}]));
    live.0.namespace = Some("edge".to_owned());
    let config = plugin(json!({"httpRoutes": [{"name": "web"}], "namespace": "edge"}));
    let change = routed(&config, &Live::from([live.clone()]), &want(20));
    assert!(matches!(&change.actions[..], [Action::Patch { target, .. }] if *target == live.0));
}
