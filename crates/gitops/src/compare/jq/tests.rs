use super::*;
use crate::ResourceId;
use crate::compare::tests::{applied, diff, manifest};
use crate::compare::{DiffRules, IgnoreRule};
use proptest::prelude::*;
use serde_json::json;

fn workload() -> Value {
    json!({
        "metadata": {"annotations": {"example.com/note": "x"}},
        "spec": {
            "containers": [
                {"name": "web", "image": "web:1", "env": [{"name": "A"}, {"name": "B"}]},
                {"name": "istio-proxy", "image": "proxy:1", "injected": true, "weight": 2.0},
            ],
            "http": [{"route": [{"weight": 100}, {"weight": 0}]}, {"route": [{"weight": 1}]}, {}],
        },
    })
}

fn found(expression: &str) -> Vec<String> {
    let path = JqPath::parse(expression);
    let path = path.unwrap_or_else(|why| panic!("{expression}: {why}"));
    path.pointers(&workload())
}

#[test]
fn a_path_leads_to_places() {
    let proxy = "/spec/containers/1";
    for (expression, wanted) in [
        (".spec.replicas", vec!["/spec/replicas"]),
        (".spec.nothing.below", vec!["/spec/nothing/below"]),
        (
            ".metadata.annotations[\"example.com/note\"]",
            vec!["/metadata/annotations/example.com~1note"],
        ),
        (
            " .metadata.annotations.\"example.com/note\" ",
            vec!["/metadata/annotations/example.com~1note"],
        ),
        (
            ".spec.containers[0].image",
            vec!["/spec/containers/0/image"],
        ),
        (".spec.containers[-1]", vec![proxy]),
        (".spec.containers[7]", vec![]),
        (
            ".spec.http[].route[].weight",
            vec![
                "/spec/http/0/route/0/weight",
                "/spec/http/0/route/1/weight",
                "/spec/http/1/route/0/weight",
            ],
        ),
        (".spec.webhooks[]?.caBundle", vec![]),
        (".spec.containers.name", vec![]),
        (".metadata[]", vec!["/metadata/annotations"]),
        (".spec | .containers | .[1]", vec![proxy]),
    ] {
        assert_eq!(found(expression), wanted, "{expression}");
    }
}

#[test]
fn what_is_selected_is_what_the_test_holds_for() {
    for (test, wanted) in [
        (".name == \"istio-proxy\"", vec![1]),
        (".name != \"istio-proxy\"", vec![0]),
        (".name==\"web\" or .injected", vec![0, 1]),
        (".name == \"web\" and .injected", vec![]),
        (".injected == true", vec![1]),
        (".injected == null", vec![0]),
        (".weight == 2", vec![1]),
        (".injected | not", vec![0]),
        ("(.name == \"web\") | not", vec![1]),
        (".name | startswith(\"istio-\")", vec![1]),
        (".name | endswith(\"b\")", vec![0]),
        (
            "(.name | contains(\"-\")) or (.image == \"web:1\")",
            vec![0, 1],
        ),
        ("has(\"env\")", vec![0]),
        (".env[].name == \"B\"", vec![0]),
        // Where jq has no answer, or an error, the opposite is not selected either.
        ("(.env[].name == \"C\") | not", vec![0]),
        ("(.weight | startswith(\"x\")) | not", vec![]),
        ("(.injected.deep | has(\"x\")) | not", vec![]),
        ("(.env[].name == \"C\") or .injected", vec![]),
    ] {
        let expression = format!(".spec.containers[] | select({test})");
        let wanted: Vec<String> = wanted
            .into_iter()
            .map(|at: usize| format!("/spec/containers/{at}"))
            .collect();
        assert_eq!(found(&expression), wanted, "{expression}");
    }
    let images = [".image", " | .image"].map(|rest| {
        let expression = format!(".spec.containers[] | select(.name == \"web\"){rest}");
        found(&expression)
    });
    assert_eq!(images, [["/spec/containers/0/image"]; 2]);
}

#[test]
fn what_is_more_than_a_path_is_refused_with_the_place() {
    for (expression, place) in [
        ("", "it ends too soon"),
        (".a.", "it ends too soon"),
        (".a[", "it ends too soon"),
        ("..", "\".\""),
        (".a, .b", "\", .b\""),
        (".a | test(\"x\")", "test"),
        (".a[1:2]", "\":2]\""),
        ("del(.a)", "del"),
        (".a[] | select(.b == .c)", ".c"),
        (".a[] | select(.b | test(\"x\"))", "test"),
        (".a[] | select(.b == \"x)", "x)"),
    ] {
        let why = JqPath::parse(expression).unwrap_err();
        assert!(why.contains(place), "{expression}: {why}");
        assert!(why.contains("select(…)"), "{expression}: {why}");
    }
    assert!(JqPath::parse(&".a".repeat(65)).is_err());
    assert!(JqPath::parse(&".a".repeat(64)).is_ok());
    assert!(JqPath::parse(&format!(".{}", "a".repeat(5000))).is_err());
    let nested = |depth: usize| {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        JqPath::parse(&format!(".a[] | select({open}.b{close})"))
    };
    assert!(nested(16).is_ok());
    assert!(nested(17).is_err());
}

/// What an Application ignores by one expression.
fn ignoring(expression: &str, is_kept: bool) -> DiffRules {
    let rule = IgnoreRule {
        group: "*".to_owned(),
        kind: "*".to_owned(),
        jq_paths: vec![JqPath::parse(expression).unwrap()],
        ..IgnoreRule::default()
    };
    DiffRules::new("shop", vec![rule], is_kept)
}

#[test]
fn where_a_path_leads_to_nothing_is_compared_and_it_is_kept_on_demand() {
    let routes = |weights: [u32; 2]| {
        let arms = weights.map(|weight| json!({"destination": {"host": "web"}, "weight": weight}));
        json!([{"name": "primary", "route": arms}])
    };
    let target = manifest(json!({"apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService", "metadata": {"name": "web"},
        "spec": {"hosts": ["web"], "http": routes([100, 0])}}));
    for is_kept in [false, true] {
        let rules = ignoring(".spec.http[].route[].weight", is_kept);
        let owned = json!({"f:spec": {"f:hosts": {}, "f:http": {}}});
        let mut live = applied(&target, &rules, owned);
        live["spec"]["http"] = routes([80, 20]);
        assert_eq!(diff(&target, live.clone(), &rules), [""; 0]);
        let mut sent = target.object.clone();
        assert_eq!(rules.keep(&target.id, &mut sent, &live), is_kept);
        let wanted = routes(if is_kept { [80, 20] } else { [100, 0] });
        assert_eq!(sent["spec"]["http"], wanted);
        live["spec"]["http"][0]["name"] = json!("other");
        assert!(!diff(&target, live, &rules).is_empty());
    }
}

#[test]
fn what_is_kept_goes_to_the_item_that_it_is_of() {
    let id = ResourceId::new("x", "Thing", "", "a");
    let thing = |items: Value| json!({"spec": {"items": items}});
    let mut target = thing(json!([{"name": "a", "size": 1}, {"name": "b", "size": 1}]));
    let live = thing(json!([{"name": "b", "size": 9}, {"name": "a", "size": 8}]));
    let rules = ignoring(".spec.items[] | select(.name == \"b\") | .size", true);
    assert!(rules.keep(&id, &mut target, &live));
    let wanted = thing(json!([{"name": "a", "size": 1}, {"name": "b", "size": 9}]));
    assert_eq!(target, wanted);
    // One more there: only what is at the same place is the same.
    let mut target = thing(json!([{"size": 1}]));
    let live = thing(json!([{"size": 8}, {"size": 9}]));
    assert!(ignoring(".spec.items[].size", true).keep(&id, &mut target, &live));
    assert_eq!(target, thing(json!([{"size": 8}])));
    // One has gone and another has come: what has a name is the item of that name.
    let mut target = thing(json!([{"name": "c", "size": 1}, {"name": "a", "size": 1}]));
    let live = thing(json!([{"name": "a", "size": 8}, {"name": "b", "size": 9}]));
    assert!(ignoring(".spec.items[].size", true).keep(&id, &mut target, &live));
    let wanted = thing(json!([{"name": "c", "size": 1}, {"name": "a", "size": 8}]));
    assert_eq!(target, wanted);
    // Without names it is by their order.
    let kept = ".spec.items[] | select(.kind == \"x\") | .size";
    let mut target = thing(json!([{"kind": "y"}, {"kind": "x", "size": 1}]));
    let live = thing(json!([{"kind": "x", "size": 8}]));
    assert!(ignoring(kept, true).keep(&id, &mut target, &live));
    let wanted = thing(json!([{"kind": "y"}, {"kind": "x", "size": 8}]));
    assert_eq!(target, wanted);
    // What is not there is taken out.
    let mut target = thing(json!([{"size": 1}]));
    let live = thing(json!([{"other": 1}]));
    assert!(ignoring(".spec.items[].size", true).keep(&id, &mut target, &live));
    assert_eq!(target, thing(json!([{}])));
}

#[test]
fn all_items_that_are_selected_are_left_out() {
    let items = json!([{"injected": true}, {"name": "a"}, {"injected": true}, {"name": "b"}]);
    let mut object = json!({"spec": {"items": items}});
    let rules = ignoring(".spec.items[] | select(.injected)", false);
    let id = ResourceId::new("x", "Thing", "", "a");
    rules.mask(&id, &mut object, None);
    assert_eq!(
        object,
        json!({"spec": {"items": [{"name": "a"}, {"name": "b"}]}})
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[.a\"\\[\\]()|?=! \\\\0-9selctandornothas-]{0,60}") {
        if let Ok(path) = JqPath::parse(&text) {
            for pointer in path.pointers(&workload()) {
                prop_assert!(pointer.is_empty() || pointer.starts_with('/'));
            }
        }
    }

    #[test]
    fn any_key_in_quotes_leads_to_its_pointer(key in "\\PC{0,20}") {
        let expression = format!(".[{}]", json!(key));
        let path = JqPath::parse(&expression);
        prop_assert!(path.is_ok(), "{path:?}");
        let object = json!({"other": 1, key.clone(): 2});
        let pointers = path.unwrap_or_default().pointers(&object);
        prop_assert_eq!(pointers.len(), 1);
        prop_assert_eq!(object.pointer(&pointers[0]), object.get(&key));
    }
}
