//! What the rules of a definition say of custom resources, and what an unchanged value is spared.

use serde_json::{Value, json};
use structural::{Schema, schema};

fn parse(spec: &Value) -> Schema {
    Schema::parse(
        &json!({ "type": "object", "properties": { "spec": spec } }),
        "root",
    )
    .unwrap()
}

fn texts(schema: &Schema, new: &Value, old: Option<&Value>) -> Vec<String> {
    let whole = |spec: &Value| json!({ "spec": spec });
    let old = old.map(whole);
    schema::validate(schema, &whole(new), old.as_ref())
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn immutable(rule: &Value) -> Value {
    json!({ "type": "object", "properties": {
        "a": { "type": "string", "x-kubernetes-validations": [rule] },
    } })
}

#[test]
fn an_immutable_value_may_be_set_but_not_changed() {
    let schema = parse(&immutable(
        &json!({ "rule": "self == oldSelf", "message": "is fixed" }),
    ));
    assert!(texts(&schema, &json!({ "a": "x" }), None).is_empty());
    assert!(texts(&schema, &json!({ "a": "x" }), Some(&json!({}))).is_empty());
    assert!(texts(&schema, &json!({ "a": "x" }), Some(&json!({ "a": "x" }))).is_empty());
    assert_eq!(
        texts(&schema, &json!({ "a": "y" }), Some(&json!({ "a": "x" }))),
        ["spec.a: Invalid value: \"string\": is fixed"]
    );
}

#[test]
fn a_rule_without_message_prints_itself_and_a_reason_picks_the_error() {
    let schema = parse(&immutable(&json!({ "rule": " oldSelf == self " })));
    let (new, old) = (json!({ "a": "y" }), json!({ "a": "x" }));
    assert_eq!(
        texts(&schema, &new, Some(&old)),
        ["spec.a: Invalid value: \"string\": failed rule: oldSelf == self"]
    );
    let rule =
        json!({ "rule": "self == oldSelf", "reason": "FieldValueForbidden", "message": "no" });
    assert_eq!(
        texts(&parse(&immutable(&rule)), &new, Some(&old)),
        ["spec.a: Forbidden: no"]
    );
}

#[test]
fn items_of_a_map_keep_their_identity_and_items_of_other_lists_have_none() {
    let item = json!({
        "type": "object", "required": ["n"],
        "properties": {
            "n": { "type": "string" },
            "v": { "type": "string", "x-kubernetes-validations": [{ "rule": "self == oldSelf" }] },
        },
    });
    let keyed = json!({ "type": "object", "properties": { "l": {
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
        "items": item,
    } } });
    let old = json!({ "l": [{ "n": "a", "v": "1" }, { "n": "b", "v": "2" }] });
    let new = json!({ "l": [{ "n": "b", "v": "2" }, { "n": "a", "v": "3" }] });
    assert_eq!(
        texts(&parse(&keyed), &new, Some(&old)),
        ["spec.l[1].v: Invalid value: \"string\": failed rule: self == oldSelf"]
    );
    let atomic =
        json!({ "type": "object", "properties": { "l": { "type": "array", "items": item } } });
    assert!(texts(&parse(&atomic), &new, Some(&old)).is_empty());
}

/// The rules of an object with two numbers and a list.
fn ruled(rules: &Value) -> Schema {
    parse(&json!({
        "type": "object", "x-kubernetes-validations": rules,
        "properties": {
            "min": { "type": "integer", "default": 1 },
            "max": { "type": "integer" },
            "names": { "type": "array", "items": { "type": "string" } },
            "x-y": { "type": "object", "properties": { "namespace": { "type": "string" } } },
        },
    }))
}

#[test]
fn a_rule_is_evaluated_at_creation_and_on_updates() {
    let schema = ruled(&json!([{ "rule": "!has(self.max) || self.min <= self.max" }]));
    let wrong =
        ["spec: Invalid value: \"object\": failed rule: !has(self.max) || self.min <= self.max"];
    let (good, bad) = (json!({ "min": 1, "max": 2 }), json!({ "min": 3, "max": 2 }));
    assert!(texts(&schema, &good, None).is_empty());
    assert!(texts(&schema, &json!({ "min": 3 }), None).is_empty());
    assert_eq!(texts(&schema, &bad, None), wrong);
    assert_eq!(texts(&schema, &bad, Some(&good)), wrong);
    assert!(
        texts(&schema, &bad, Some(&bad)).is_empty(),
        "it was so before"
    );
}

#[test]
fn a_default_is_there_before_the_rules() {
    let schema = ruled(&json!([{ "rule": "self.min == 1" }]));
    let mut object = json!({ "spec": {} });
    schema::default(&schema, &mut object);
    assert!(schema::validate(&schema, &object, None).is_empty());
}

#[test]
fn a_message_may_be_an_expression() {
    let rule = |rest: Value| {
        let mut rule = json!({ "rule": "self.min < 5", "message": " too much " });
        rule.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        texts(&ruled(&json!([rule])), &json!({ "min": 7 }), None)
    };
    let plain = ["spec: Invalid value: \"object\": too much"];
    assert_eq!(rule(json!({})), plain);
    assert_eq!(
        rule(json!({ "messageExpression": "' it is ' + string(self.min)" })),
        ["spec: Invalid value: \"object\": it is 7"]
    );
    for unfit in ["''", "'a\\nb'", "self.nothing", "self.names[0]"] {
        assert_eq!(
            rule(json!({ "messageExpression": unfit })),
            plain,
            "{unfit}"
        );
    }
}

#[test]
fn a_reason_and_a_path_say_how_and_where_it_is_told() {
    let told = |reason: &str, path: &str| {
        let rule = json!({ "rule": "false", "message": "m", "reason": reason, "fieldPath": path });
        texts(&ruled(&json!([rule])), &json!({}), None)
    };
    assert_eq!(
        told("FieldValueInvalid", ".max"),
        ["spec.max: Invalid value: \"object\": m"]
    );
    assert_eq!(
        told("FieldValueRequired", "['x-y'].namespace"),
        ["spec.x-y.namespace: Required value: m"]
    );
    assert_eq!(told("FieldValueForbidden", ""), ["spec: Forbidden: m"]);
    assert_eq!(
        told("FieldValueDuplicate", ".names"),
        ["spec.names: Duplicate value: \"object\""]
    );
}

#[test]
fn rules_stand_on_properties_items_and_values_of_maps() {
    let rule = |rule: &str| json!([{ "rule": rule, "message": "no" }]);
    let whole = rule("self.__namespace__ != self.map['a.b'] && self.none == null");
    let schema = parse(
        &json!({ "type": "object", "x-kubernetes-validations": whole, "properties": {
        "namespace":
            { "type": "string", "x-kubernetes-validations": rule("self != 'kube-system'") },
        "list": { "type": "array", "x-kubernetes-validations": rule("self.size() < 3"),
            "items": { "type": "integer", "x-kubernetes-validations": rule("self > 0") } },
        "map": { "type": "object", "additionalProperties":
            { "type": "string", "x-kubernetes-validations": rule("self.startsWith('v')") } },
        "none": { "type": "string", "nullable": true, "x-kubernetes-validations": rule("false") },
    } }),
    );
    let good = json!({ "namespace": "a", "list": [1], "map": { "a.b": "v1" }, "none": null });
    assert!(texts(&schema, &good, None).is_empty());
    let bad = json!({
        "namespace": "kube-system", "list": [1, 0, 2], "map": { "a.b": "w" }, "none": null,
    });
    let mut errors = texts(&schema, &bad, None);
    errors.sort();
    assert_eq!(
        errors,
        [
            "spec.list: Invalid value: \"array\": no",
            "spec.list[1]: Invalid value: \"integer\": no",
            "spec.map[a.b]: Invalid value: \"string\": no",
            "spec.namespace: Invalid value: \"string\": no",
        ]
    );
}

#[test]
fn a_transition_rule_with_an_optional_old_self_runs_at_creation_too() {
    let rule = "oldSelf.hasValue() ? self.min >= oldSelf.value().min : self.min == 1";
    let schema = ruled(&json!([{ "rule": rule, "optionalOldSelf": true, "message": "only up" }]));
    let at = |min: i64| json!({ "min": min });
    let wrong = ["spec: Invalid value: \"object\": only up"];
    assert!(texts(&schema, &at(1), None).is_empty());
    assert_eq!(texts(&schema, &at(2), None), wrong);
    assert!(texts(&schema, &at(2), Some(&at(1))).is_empty());
    assert_eq!(texts(&schema, &at(1), Some(&at(2))), wrong);
    let told = json!([{ "rule": rule, "optionalOldSelf": true, "message": "only up",
        "messageExpression": "'it was ' + string(oldSelf.value().min)" }]);
    let told = ruled(&told);
    assert_eq!(texts(&told, &at(2), None), wrong, "there is no old value");
    assert_eq!(
        texts(&told, &at(1), Some(&at(2))),
        ["spec: Invalid value: \"object\": it was 2"]
    );
}

#[test]
fn an_object_that_makes_a_rule_fail_is_refused_and_one_that_confuses_us_is_not() {
    let schema = ruled(&json!([{ "rule": "self.names[0] == 'a'" }]));
    assert_eq!(
        texts(&schema, &json!({ "names": [] }), None),
        [
            "spec: Invalid value: \"object\": index out of bounds: 0 evaluating rule: self.names[0] == 'a'"
        ]
    );
    assert_eq!(
        texts(&schema, &json!({}), None),
        [
            "spec: Invalid value: \"object\": no such key: names evaluating rule: self.names[0] == 'a'"
        ]
    );
    let unsure =
        ruled(&json!([{ "rule": "self.names > 1" }, { "rule": "self.names.sortBy(n, n) == []" }]));
    assert!(texts(&unsure, &json!({ "names": ["b"] }), None).is_empty());
}

#[test]
fn the_order_of_a_set_makes_no_difference_to_equality() {
    let schema = parse(&json!({ "type": "object", "properties": { "set": {
        "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" },
        "x-kubernetes-validations": [{ "rule": "self == oldSelf" }],
    } } }));
    let (old, same) = (json!({ "set": ["a", "b"] }), json!({ "set": ["b", "a"] }));
    assert!(texts(&schema, &same, Some(&old)).is_empty());
    let other = json!({ "set": ["b", "c"] });
    assert_eq!(texts(&schema, &other, Some(&old)).len(), 1);
}

#[test]
fn the_order_of_sets_and_maps_refuses_no_object() {
    let set = |kind: &str| {
        let items = json!({ "type": "string" });
        json!({ "type": "array", "x-kubernetes-list-type": kind, "items": items })
    };
    let schema = |kind: &str, rule: &str| {
        parse(
            &json!({ "type": "object", "x-kubernetes-validations": [{ "rule": rule }],
            "properties": {
                "one": set(kind), "other": set(kind),
                "map": { "type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["n"], "items": {
                        "type": "object", "required": ["n"],
                        "properties": { "n": { "type": "string" }, "v": { "type": "integer" } },
                    } },
            } }),
        )
    };
    let spec = json!({ "one": ["a", "b"], "other": ["b", "a"] });
    for rule in [
        "self.one == ['b', 'a']",
        "self.one == self.other",
        "!(self.one != self.other)",
        "self.one in [['b', 'a']]",
    ] {
        assert!(
            texts(&schema("set", rule), &spec, None).is_empty(),
            "{rule}"
        );
        assert_eq!(
            texts(&schema("atomic", rule), &spec, None).len(),
            1,
            "{rule}"
        );
    }
    let other = schema("set", "self.one == ['b', 'c']");
    assert_eq!(texts(&other, &spec, None).len(), 1, "items count");
    let map = schema(
        "atomic",
        "self.map == [{'n': 'b', 'v': 2}, {'n': 'a', 'v': 1}]",
    );
    let listed = |v: i64| json!({ "map": [{ "n": "a", "v": v }, { "n": "b", "v": 2 }] });
    assert!(texts(&map, &listed(1), None).is_empty());
    assert_eq!(texts(&map, &listed(3), None).len(), 1);
}

#[test]
fn rules_that_are_not_evaluated_are_told_when_the_schema_is_installed() {
    let told = |rule: Value| parse(&immutable(&rule)).unsupported_rules("root");
    let at = "root.properties[spec].properties[a].x-kubernetes-validations[0]";
    assert_eq!(
        told(json!({ "rule": "self.split(',').sortBy(x, x) == []" })),
        [format!(
            "{at}.rule is kept but not evaluated by this API server"
        )]
    );
    let message =
        json!({ "rule": "self == oldSelf", "messageExpression": "!!(self == 'a') ? 'a' : 'b'" });
    assert_eq!(
        told(message),
        [format!(
            "{at}.messageExpression is kept but not evaluated by this API server"
        )]
    );
    assert!(told(json!({ "rule": "self.size() < 5" })).is_empty());
    assert!(
        told(json!({ "rule": "self == oldSelf", "messageExpression": "'was ' + oldSelf" }))
            .is_empty()
    );
    let optional =
        json!({ "rule": "oldSelf.optMap(o, o == self).orValue(true)", "optionalOldSelf": true });
    assert!(told(optional).is_empty());
}

#[test]
fn rules_that_are_no_expressions_are_refused() {
    let errors = |rule: Value| -> Vec<String> {
        let errors = parse(&immutable(&rule)).broken_rules("root");
        errors.iter().map(ToString::to_string).collect()
    };
    let at = "root.properties[spec].properties[a].x-kubernetes-validations[0]";
    assert_eq!(
        errors(json!({ "rule": "self.nope ((" })),
        [format!(
            "{at}.rule: Invalid value: \"self.nope ((\": compilation failed: ERROR: <input>:1:13: Syntax error: mismatched input '<EOF>' expecting an expression"
        )]
    );
    assert_eq!(
        errors(json!({ "rule": " " })),
        [format!("{at}.rule: Required value: rule is not specified")]
    );
    let message = errors(json!({ "rule": "self == oldSelf", "messageExpression": "'" }));
    assert_eq!(message.len(), 1);
    assert!(message[0].starts_with(&format!(
        "{at}.messageExpression: Invalid value: \"'\": messageExpression compilation failed: "
    )));
}

#[test]
fn a_value_that_did_not_change_is_not_checked_again() {
    let schema = parse(&json!({ "type": "object", "properties": {
        "a": { "type": "string", "maxLength": 1 }, "b": { "type": "integer" },
    } }));
    let (old, new) = (json!({ "a": "long" }), json!({ "a": "long", "b": 1 }));
    assert!(texts(&schema, &new, Some(&old)).is_empty());
    assert_eq!(
        texts(&schema, &new, None),
        ["spec.a: Too long: may not be more than 1 byte"]
    );
}

#[test]
fn schemas_that_a_definition_must_not_have_are_refused() {
    let refused = |schema: Value| -> Vec<String> {
        let wrapped = json!({ "type": "object", "properties": { "a": schema } });
        let errors = Schema::parse(&wrapped, "s").unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        refused(json!({ "type": "string", "$ref": "#/x" })),
        ["s.properties[a].$ref: Forbidden: $ref is not supported"]
    );
    assert_eq!(
        refused(
            json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "map" })
        ),
        [
            "s.properties[a].items.type: Invalid value: \"string\": must be object if parent array's x-kubernetes-list-type is map",
            "s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ]
    );
    assert_eq!(
        refused(json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": false })),
        [
            "s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"
        ]
    );
    let mut deep = json!({ "type": "object" });
    for _ in 0..200 {
        deep = json!({ "type": "object", "properties": { "a": deep } });
    }
    assert!(Schema::parse(&deep, "s").is_err());
}
