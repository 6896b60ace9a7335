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
fn the_order_of_sets_is_seen_where_the_language_shows_it() {
    let schema = |rule: &str| {
        let set = json!({ "type": "array", "x-kubernetes-list-type": "set",
            "items": { "type": "string" } });
        parse(
            &json!({ "type": "object", "x-kubernetes-validations": [{ "rule": rule }],
            "properties": { "one": set, "other": set } }),
        )
    };
    let spec = json!({ "one": ["a", "b"], "other": ["b", "a"] });
    for rule in [
        "self.one != self.other",
        // A list that is written down has an order.
        "['b', 'a'] == self.one",
        "self.one[0] == self.other[0]",
    ] {
        assert_eq!(texts(&schema(rule), &spec, None).len(), 1, "{rule}");
    }
    let old = json!({ "one": ["b", "a"], "other": ["c"] });
    for rule in [
        "self.one == oldSelf.one",
        "oldSelf.one[0] == 'b'",
        "[1].all(n, self.one == oldSelf.one)",
    ] {
        assert!(texts(&schema(rule), &spec, Some(&old)).is_empty(), "{rule}");
    }
    // Of a sum nobody here knows whether it is a set.
    let sum = schema("self.one + ['c'] == ['c', 'b', 'a']");
    assert!(texts(&sum, &spec, None).is_empty());
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

fn broken(spec: &Value) -> Vec<String> {
    let errors = parse(spec).broken_rules("root", false);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_that_are_no_expressions_are_refused() {
    let errors = |rule: Value| broken(&immutable(&rule));
    let at = "root.properties[spec].properties[a].x-kubernetes-validations[0]";
    let told = errors(json!({ "rule": "self.nope ((" }));
    assert_eq!(told.len(), 1);
    let start = format!(
        r#"{at}.rule: Invalid value: {{"Rule":"self.nope ((","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}}: compilation failed: ERROR: <input>:1:13: Syntax error: mismatched input '<EOF>' expecting {{'['"#
    );
    assert!(told[0].starts_with(&start), "{}", told[0]);
    assert!(told[0].ends_with("\n | self.nope ((\n | ............^"));
    assert_eq!(
        errors(json!({ "rule": " " })),
        [format!("{at}.rule: Required value: rule is not specified")]
    );
    let message = errors(json!({ "rule": "self == oldSelf", "messageExpression": "'" }));
    assert_eq!(message.len(), 1);
    assert!(message[0].starts_with(&format!("{at}.messageExpression: Invalid value: {{")));
    assert!(message[0].contains("}: messageExpression compilation failed: ERROR: <input>:1:1: "));
}

#[test]
fn rules_that_do_not_fit_their_schema_are_refused() {
    let at = "root.properties[spec].properties[a].x-kubernetes-validations[0]";
    let errors = |rule: Value| broken(&immutable(&rule));
    let ends = |rule: Value, field: &str, detail: &str| {
        let told = errors(rule);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with(&format!("{at}.{field}: ")),
            "{}",
            told[0]
        );
        assert!(told[0].ends_with(detail), "{}", told[0]);
    };
    let words = "compilation failed: ERROR: <input>:1:5: type 'string' does not support field selection\n | self.b\n | ....^";
    ends(json!({ "rule": "self.b" }), "rule", words);
    let words = "cel expression must evaluate to a bool";
    ends(json!({ "rule": "self" }), "rule", words);
    let rule = json!({ "rule": "self < 'b'", "messageExpression": "1" });
    let words = "messageExpression must evaluate to a string";
    ends(rule, "messageExpression", words);
    let rule = json!({ "rule": "self < 'b'", "optionalOldSelf": true });
    let words = "Invalid value: true: may not be set if oldSelf is not used in rule";
    ends(rule, "optionalOldSelf", words);
    let reason = json!({ "rule": "self < 'b'", "reason": "Other", "messageExpression": "1" });
    let words = r#"Unsupported value: "Other": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired""#;
    ends(reason, "reason", words);
    let words = "message must be specified if rule contains line breaks";
    ends(json!({ "rule": "self\n< 'b'" }), "message", words);
    let words = "fieldPath must be a valid path";
    ends(
        json!({ "rule": "self < 'b'", "fieldPath": ".c" }),
        "fieldPath",
        words,
    );
    assert!(errors(json!({ "rule": "self < 'b'", "message": "m" })).is_empty());
}

/// An object with the sorts of fields that definitions have rules for.
fn in_use() -> Value {
    let text = |most: u64| json!({ "type": "string", "maxLength": most });
    let link = json!({ "type": "object", "required": ["name"], "properties": {
        "name": text(253), "namespace": text(63), "port": { "type": "integer" },
        "type": { "type": "string", "enum": ["Path", "Host"] },
    } });
    json!({ "type": "object", "properties": {
        "links": { "type": "array", "maxItems": 32, "items": link },
        "labels": { "type": "object", "maxProperties": 16, "additionalProperties": text(63) },
        "limit": { "x-kubernetes-int-or-string": true },
        "wait": text(16),
        "address": text(64),
        "replicas": { "type": "integer" },
        "ratio": { "type": "number" },
        "since": { "type": "string", "format": "date-time" },
        "owner": { "type": "object", "nullable": true, "properties": { "name": text(63) } },
        "template": { "type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true },
    } })
}

#[test]
fn rules_in_the_ways_of_definitions_in_use_are_taken() {
    for rule in [
        "self.links.all(a, self.links.exists_one(b, a.name == b.name && (has(a.__namespace__) ? has(b.__namespace__) && a.__namespace__ == b.__namespace__ : !has(b.__namespace__))))",
        "self.links.filter(l, l.type == 'Path').size() <= 1 && !self.links.exists(l, l.type in ['Host'] && !has(l.port))",
        "self.links.map(l, l.port) == oldSelf.links.map(l, l.port)",
        "(self.links.size() > 0 ? self.links[0].name.size() : 0) + (self.links.size() > 1 ? size(self.links[1].name) : 0) <= 128",
        "[has(self.wait), has(self.address)].filter(x, x == true).size() <= 1",
        "(has(self.wait) ? 1 : 0) + (has(self.address) ? 1 : 0) <= 1",
        "self.labels.all(k, !k.startsWith('x/') && self.labels[k] != '') && !('*' in self.labels)",
        "self.labels.all(k, k in ['a', 'b'] || !k.find('^([^/]+)').endsWith('example.com'))",
        "self.limit == null || oldSelf.limit == null || quantity(self.limit).compareTo(quantity(oldSelf.limit)) >= 0",
        "type(self.limit) == int ? self.limit > 0 : self.limit.matches(r'^[0-9]+%$') && int(self.limit.replace('%', '')) <= 100",
        "self.owner == null || oldSelf.owner == null || self.owner == oldSelf.owner",
        "!has(self.wait) || duration(self.wait) >= duration('1s') && duration(self.wait) <= duration('1h')",
        "isIP(self.address) && ip(self.address).family() == 4 || isCIDR(self.address) && cidr(self.address).ip().family() == 6",
        "!format.dns1123Label().validate(self.address).hasValue()",
        "has(self.address) && isURL(self.address) ? url(self.address).getScheme() in ['http', 'https'] : true",
        r#"size(self.address) == 0 || self.address.matches(r"""^[-'a-z0-9]+$""")"#,
        "self.replicas > 0 && self.ratio < 1 && self.replicas <= self.ratio",
        "self.?owner.name.orValue('') == '' && self.?labels[?'a'].orValue('b') == 'b'",
        "self.since < timestamp('2030-01-01T00:00:00Z')",
        "self.template.metadata.name != '' && self.template.kind == 'Pod'",
        "self.links.all(i, link, i < 3 || link.name != '')",
    ] {
        let mut spec = in_use();
        spec["x-kubernetes-validations"] = json!([{ "rule": rule }]);
        let told = broken(&spec);
        assert!(told.is_empty(), "{rule}: {told:?}");
    }
    let mut spec = in_use();
    let rule = "!oldSelf.hasValue() || self == oldSelf.value() || oldSelf.orValue('') == ''";
    let optional = json!([{ "rule": rule, "optionalOldSelf": true }]);
    spec["properties"]["wait"]["x-kubernetes-validations"] = optional;
    assert!(broken(&spec).is_empty(), "{:?}", broken(&spec));
}

#[test]
fn a_transition_rule_needs_values_that_can_be_told_apart() {
    let list = |kind: &str| {
        json!({ "type": "array", "maxItems": 5, "x-kubernetes-list-type": kind,
            "x-kubernetes-list-map-keys": if kind == "map" { json!(["n"]) } else { json!([]) },
            "items": { "type": "object", "required": ["n"], "x-kubernetes-map-type": "atomic",
                "properties": { "n": { "type": "string", "maxLength": 5 } },
                "x-kubernetes-validations": [{ "rule": "self == oldSelf" }] } })
    };
    assert!(broken(&list("map")).is_empty());
    let at = "root.properties[spec]";
    let words = "oldSelf cannot be used on the uncorrelatable portion of the schema within";
    assert_eq!(
        broken(&list("atomic")),
        [format!(
            "{at}.items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": {words} {at}"
        )]
    );
}

#[test]
fn rules_that_may_cost_too_much_are_refused() {
    let list = |bound: Value, rule: &str| {
        let mut list = json!({ "type": "array", "items": { "type": "string", "maxLength": 10 } });
        list.as_object_mut()
            .unwrap()
            .extend(bound.as_object().unwrap().clone());
        list["x-kubernetes-validations"] = json!([{ "rule": rule }]);
        list
    };
    let hint = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    let at = "root.properties[spec].x-kubernetes-validations[0].rule";
    let pairs = "self.all(a, self.all(b, a == b))";
    assert!(broken(&list(json!({ "maxItems": 10 }), pairs)).is_empty());
    let whole =
        "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
    assert_eq!(
        broken(&list(json!({}), pairs)),
        [
            format!(
                "{at}: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {hint}"
            ),
            format!("{at}: Forbidden: {whole}"),
            format!(
                "root: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x {hint}"
            ),
        ]
    );
    let spared = parse(&list(
        json!({}),
        "self.all(a, a.contains('01234567890123456789'))",
    ));
    // 12 in each of 1,048,575 rounds, and 2 around them.
    assert_eq!(
        spared.broken_rules("root", false)[0].to_string(),
        format!(
            "{at}: Forbidden: estimated rule cost exceeds budget by factor of 1.258290x {hint}"
        )
    );
    assert!(spared.broken_rules("root", true).is_empty());
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
