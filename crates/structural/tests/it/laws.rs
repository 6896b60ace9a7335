//! Algebra that holds for any input.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use structural::apply::{self, ApplyError, FieldSet, PathElement, Request};
use structural::{Schema, builtin, patch, schema};

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..100).prop_map(Value::from),
        Just(json!(1.5)),
        "[a-c]{0,2}".prop_map(Value::from),
    ]
}

/// JSON whose keys often mean something to the schemas below, and to patches.
fn arbitrary_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("spec"),
        Just("name"),
        Just("metadata"),
        Just("labels"),
        Just("containers"),
        Just("template"),
        Just("ports"),
        Just("env"),
        Just("$patch"),
        Just("$retainKeys"),
        Just("$setElementOrder/containers"),
        Just("$deleteFromPrimitiveList/finalizers"),
        Just("finalizers"),
        Just("type"),
        Just("properties"),
        Just("items"),
        Just("x-kubernetes-list-type"),
        Just("managedFields"),
        Just("fieldsV1"),
        Just("a"),
    ];
    let word = prop_oneof![
        Just("delete"),
        Just("replace"),
        Just("object"),
        Just("array"),
        Just("map"),
        Just("f:spec"),
        Just("k:{"),
    ];
    prop_oneof![scalar(), word.prop_map(Value::from)].prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn named_list(key: &'static str, value: &'static str) -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", "[x-z]", 0..4).prop_map(move |items| {
        items
            .into_iter()
            .map(|(k, v)| json!({ key: k, value: v }))
            .collect::<Value>()
    })
}

/// A configuration of a deployment as an applier would send it.
fn deployment() -> impl Strategy<Value = Value> {
    let container = (
        "[a-d]",
        "[x-z]",
        prop::option::of(named_list("name", "value")),
    );
    let containers = prop::collection::vec(container, 0..4).prop_map(|list| {
        let mut seen = std::collections::BTreeMap::new();
        for (name, image, env) in list {
            let mut container = json!({ "name": name, "image": image });
            if let Some(env) = env {
                container["env"] = env;
            }
            seen.insert(name, container);
        }
        seen.into_values().collect::<Value>()
    });
    let labels = prop::collection::btree_map("[a-d]", "[x-z]", 0..4);
    (prop::option::of(0i64..4), labels, containers).prop_map(|(replicas, labels, containers)| {
        let mut spec = Map::new();
        if let Some(replicas) = replicas {
            spec.insert("replicas".to_owned(), json!(replicas));
        }
        spec.insert(
            "template".to_owned(),
            json!({ "spec": { "containers": containers } }),
        );
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "d", "namespace": "n", "labels": labels },
            "spec": spec,
        })
    })
}

fn kind() -> &'static builtin::Kind {
    builtin::kind_of("apps/v1", "Deployment").unwrap()
}

fn request<'a>(manager: &'a str, ignored: &'a FieldSet, second: i64) -> Request<'a> {
    Request {
        schema: kind().schema(),
        api_version: "apps/v1",
        kind: "Deployment",
        manager,
        subresource: None,
        now: Timestamp::from_second(1_700_000_000 + second).unwrap(),
        ignored,
    }
}

fn custom_schema() -> Schema {
    let item = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "a": { "type": "integer", "default": 3 } },
    });
    let list = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": item,
    });
    let spec = json!({
        "type": "object", "default": {},
        "properties": {
            "containers": list,
            "a": { "type": "string", "default": "x" },
            "name": { "type": "string", "nullable": true, "default": "y" },
            "template": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    });
    let root = json!({ "type": "object", "properties": { "spec": spec } });
    Schema::parse(&root, "").unwrap()
}

fn field_set() -> impl Strategy<Value = FieldSet> {
    let element = prop_oneof![
        "[a-c]".prop_map(PathElement::field),
        "[a-b]".prop_map(|name| PathElement::key(&[("name", json!(name))])),
        (0i64..3).prop_map(PathElement::Index),
    ];
    let path = prop::collection::vec(element, 1..4);
    prop::collection::vec(path, 0..6).prop_map(|paths| {
        let mut set = FieldSet::new();
        for path in &paths {
            set.insert(path);
        }
        set
    })
}

fn sorted(set: &FieldSet) -> Vec<Vec<PathElement>> {
    let mut paths = set.paths();
    paths.sort();
    paths
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn merge_patch_is_idempotent_and_empty_patch_is_identity(
        document in arbitrary_json(), change in arbitrary_json(),
    ) {
        let once = patch::merge(&document, &change);
        prop_assert_eq!(patch::merge(&once, &change), once);
        if document.is_object() {
            prop_assert_eq!(patch::merge(&document, &json!({})), document);
        }
    }

    #[test]
    fn strategic_patch_to_replace_every_field_arrives(old in deployment(), new in deployment()) {
        let mut change = new.clone();
        for field in ["metadata", "spec"] {
            change[field]["$patch"] = json!("replace");
        }
        prop_assert_eq!(patch::strategic(&old, &change, kind().schema()).unwrap(), new);
    }

    #[test]
    fn strategic_patch_of_the_object_itself_changes_nothing(object in deployment()) {
        prop_assert_eq!(patch::strategic(&object, &object, kind().schema()).unwrap(), object);
    }

    #[test]
    fn strategic_patch_deletes_and_adds_containers(old in deployment(), new in deployment()) {
        let list = |object: &Value| object["spec"]["template"]["spec"]["containers"].clone();
        let (before, after) = (list(&old), list(&new));
        let mut items = after.as_array().unwrap().clone();
        let kept: Vec<Value> = items.iter().map(|item| item["name"].clone()).collect();
        for item in &mut items {
            item["$patch"] = json!("delete");
        }
        // First everything goes, named or not, then the new list comes.
        let gone: Vec<Value> = before.as_array().unwrap().iter()
            .map(|item| json!({ "name": item["name"], "$patch": "delete" })).collect();
        let wrap = |list: Value| json!({ "spec": { "template": { "spec": { "containers": list } } } });
        let emptied = patch::strategic(&old, &wrap(Value::from(gone)), kind().schema()).unwrap();
        let filled = patch::strategic(&emptied, &wrap(after.clone()), kind().schema()).unwrap();
        prop_assert_eq!(list(&filled), after);
        prop_assert_eq!(kept.len(), items.len());
    }

    #[test]
    fn apply_twice_is_apply_once(live in deployment(), config in deployment()) {
        let ignored = FieldSet::new();
        let live = apply::record_update(&request("u", &ignored, 0), None, live);
        let once = apply::apply(&request("a", &ignored, 1), Some(&live), &config, true).unwrap();
        let twice = apply::apply(&request("a", &ignored, 2), Some(&once.object), &config, false).unwrap();
        prop_assert_eq!(&twice.object, &once.object);
        prop_assert!(!twice.changed);
    }

    #[test]
    fn forced_apply_leaves_what_it_asked_for(live in deployment(), config in deployment()) {
        let ignored = FieldSet::new();
        let live = apply::record_update(&request("u", &ignored, 0), None, live);
        let applied = apply::apply(&request("a", &ignored, 1), Some(&live), &config, true).unwrap();
        prop_assert_eq!(&applied.object["metadata"]["name"], &config["metadata"]["name"]);
        if let Some(replicas) = config["spec"].get("replicas") {
            prop_assert_eq!(&applied.object["spec"]["replicas"], replicas);
        }
        for wanted in config["spec"]["template"]["spec"]["containers"].as_array().unwrap() {
            let live = applied.object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
            let found = live.iter().find(|item| item["name"] == wanted["name"]).unwrap();
            prop_assert_eq!(&found["image"], &wanted["image"]);
        }
    }

    #[test]
    fn what_only_one_applier_wanted_goes_with_it(mut config in deployment()) {
        // An empty list has nothing that could be owned, so it would stay.
        let containers = config["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({ "name": "last" }));
        let ignored = FieldSet::new();
        let first = apply::apply(&request("a", &ignored, 0), None, &config, false).unwrap();
        let bare = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d", "namespace": "n" },
        });
        let second = apply::apply(&request("a", &ignored, 1), Some(&first.object), &bare, false).unwrap();
        prop_assert!(second.object.get("spec").is_none_or(Value::is_null));
        prop_assert!(second.object["metadata"].get("labels").is_none());
    }

    #[test]
    fn an_apply_without_force_never_changes_what_others_own(
        live in deployment(), config in deployment(),
    ) {
        let ignored = FieldSet::new();
        let live = apply::apply(&request("a", &ignored, 0), None, &live, false).unwrap().object;
        match apply::apply(&request("b", &ignored, 1), Some(&live), &config, false) {
            Err(ApplyError::Conflict(conflicts)) => prop_assert!(!conflicts.is_empty()),
            Err(error) => prop_assert!(false, "{error}"),
            Ok(outcome) => {
                if let Some(replicas) = live["spec"].get("replicas") {
                    prop_assert_eq!(&outcome.object["spec"]["replicas"], replicas);
                }
                let labels = live["metadata"]["labels"].as_object();
                for (key, value) in labels.into_iter().flatten() {
                    prop_assert_eq!(&outcome.object["metadata"]["labels"][key], value);
                }
            }
        }
    }

    #[test]
    fn field_sets_form_an_algebra(a in field_set(), b in field_set()) {
        let (union, both) = (a.union(&b), a.intersection(&b));
        prop_assert_eq!(sorted(&union), sorted(&b.union(&a)));
        prop_assert_eq!(sorted(&both), sorted(&b.intersection(&a)));
        prop_assert_eq!(sorted(&a.difference(&b).union(&both)), sorted(&a));
        prop_assert!(a.difference(&a).is_empty());
        prop_assert_eq!(sorted(&union.difference(&b)), sorted(&a.difference(&b)));
        let read = FieldSet::from_fields_v1(&a.to_fields_v1()).unwrap();
        prop_assert_eq!(sorted(&read), sorted(&a));
        for path in a.paths() {
            prop_assert!(union.has(&path) && (both.has(&path) == b.has(&path)));
        }
    }

    #[test]
    fn prune_and_default_are_idempotent_and_agree(mut object in arbitrary_json()) {
        let schema = custom_schema();
        schema::prune(&schema, &mut object);
        let pruned = object.clone();
        prop_assert!(schema::prune(&schema, &mut object).is_empty());
        prop_assert_eq!(&object, &pruned);
        schema::default(&schema, &mut object);
        let defaulted = object.clone();
        prop_assert!(schema::prune(&schema, &mut object).is_empty());
        schema::default(&schema, &mut object);
        prop_assert_eq!(object, defaulted);
    }

    #[test]
    fn nothing_panics(a in arbitrary_json(), b in arbitrary_json()) {
        let _ = Schema::parse(&a, "x").map(|parsed| {
            let mut object = b.clone();
            schema::prune(&parsed, &mut object);
            schema::prune_metadata(&parsed, &mut object);
            schema::default(&parsed, &mut object);
            schema::validate(&parsed, &object, Some(&a));
        });
        let _ = patch::json(&a, &b);
        let _ = patch::merge_checked(&a, &b);
        let _ = FieldSet::from_fields_v1(&a);
        let ignored = FieldSet::new();
        for kind in builtin::KINDS {
            let mut object = a.clone();
            let _ = builtin::decode_error(kind, &object);
            schema::prune(kind.schema(), &mut object);
            builtin::default(kind, &mut object);
            builtin::validate(kind, &object);
            builtin::validate_update(kind, &object, &b);
        }
        builtin::validate_metadata(&a, true);
        let _ = patch::strategic(&a, &b, kind().schema());
        let mut config = b;
        if config.is_object() {
            config["apiVersion"] = json!("apps/v1");
            config["kind"] = json!("Deployment");
        }
        let _ = apply::apply(&request("a", &ignored, 0), Some(&a), &config, true);
        apply::record_update(&request("a", &ignored, 0), Some(&a), config);
    }
}
