//! Updates of custom resources: transition rules, and what an unchanged value is spared.

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

#[test]
fn rules_that_are_not_evaluated_are_told_when_the_schema_is_installed() {
    let schema = parse(&immutable(&json!({ "rule": "self.size() < 5" })));
    assert_eq!(
        schema.unsupported_rules("root"),
        [
            "root.properties[spec].properties[a].x-kubernetes-validations[0].rule is kept but not evaluated, this API server knows immutability rules such as self == oldSelf alone"
        ]
    );
    assert!(schema.broken_rules("root").is_empty());
    let message = json!({ "rule": "self == oldSelf", "messageExpression": "'was ' + oldSelf" });
    let message = parse(&immutable(&message));
    let sentences = message.unsupported_rules("root");
    assert_eq!(sentences.len(), 1);
    assert!(sentences[0].contains("[0].messageExpression is kept but"));
    let known = parse(&immutable(&json!({ "rule": "self.a.b == oldSelf.a.b" })));
    assert!(known.unsupported_rules("root").is_empty());
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
