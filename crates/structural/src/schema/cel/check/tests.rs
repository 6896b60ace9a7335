use serde_json::json;

use super::{Declared, Fit, Refusal, Wanted, check};
use crate::schema::Schema;

/// What an object with all sorts of fields declares.
fn declared(whole: bool) -> std::sync::Arc<Declared> {
    let schema = json!({ "type": "object", "required": ["name"], "properties": {
        "name": { "type": "string", "maxLength": 10 },
        "long": { "type": "string" },
        "mode": { "type": "string", "enum": ["on", "off"] },
        "count": { "type": "integer" },
        "ratio": { "type": "number" },
        "flag": { "type": "boolean" },
        "at": { "type": "string", "format": "date-time" },
        "port": { "x-kubernetes-int-or-string": true },
        "namespace": { "type": "string" },
        "x-y": { "type": "boolean" },
        "few": { "type": "array", "maxItems": 5, "items": { "type": "integer" } },
        "many": { "type": "array", "items": { "type": "string" } },
        "parts": { "type": "array", "maxItems": 4, "items": { "type": "object",
            "properties": { "size": { "type": "integer" } } } },
        "labels": { "type": "object", "additionalProperties": { "type": "string" } },
        "free": { "x-kubernetes-preserve-unknown-fields": true },
    } });
    Declared::of(&Schema::parse(&schema, "").unwrap(), whole).unwrap()
}

fn judge(text: &str) -> Result<Fit, Refusal> {
    check(text, &declared(false), false, Wanted::Truth)
}

/// The first line of what the compiler says.
fn refused(text: &str) -> String {
    let Err(Refusal::Compilation(words)) = judge(text) else {
        panic!("{text} fits")
    };
    words.lines().next().unwrap_or_default().to_owned()
}

fn cost(text: &str) -> Option<u64> {
    judge(text)
        .unwrap_or_else(|why| panic!("{text}: {why:?}"))
        .cost
}

#[test]
fn what_fits_the_schema_is_taken() {
    for text in [
        "self.count > 1 && self.ratio < 1 || !self.flag",
        "has(self.name) ? self.name.size() <= 10 : size(self.few) == 2",
        "self.few.all(n, n > 0) && self.few.exists(n, n in [1, 2]) && self.few.exists_one(n, n == 1)",
        "self.few.map(n, n + 1).filter(n, n % 2 == 0).size() == self.parts.map(p, p.size > 1, p.size).size()",
        "self.parts.all(p, !has(p.size) || p.size == oldSelf.parts[0].size)",
        "self.labels.all(k, k.startsWith('a')) && 'b' in self.labels && self.labels['c'] == self.labels.d",
        "self.__namespace__ != 'kube-system' && self.x__dash__y",
        "type(self.port) == int ? self.port < 5 : self.port.matches('^[0-9]+%$')",
        "self.at > timestamp('2026-01-01T00:00:00Z') && self.at.getFullYear() == 2026",
        "duration('1h') > duration('1m') && int('1') + int(self.ratio) > -1",
        "self.?name.orValue('a') == 'a' && self.?labels.a.hasValue()",
        "self.?count.optMap(n, n + 1).orValue(1) > 0",
        "sets.contains(self.few, [1]) && self.few.sum() + self.few.max() == 4 && self.few.isSorted()",
        "quantity('1').isGreaterThan(quantity('2')) || isURL(self.name) || ip('::1').family() == 6",
        "self.name.split(',').exists(part, part.trim() == 'a') && '%s'.format([self.name]) != ''",
        "self.many.all(index, text, index > 0 && text != '') && self.labels.exists(k, v, k == v)",
        "self.few.existsOne(i, n, i == n) && self.parts.exists_one(i, p, p.size == i)",
        "self.few.transformList(i, n, i > 0, i + n)[0] > 1 && self.labels.transformList(k, v, k + v)[0] == ''",
        "self.labels.transformMap(k, v, v.size())['a'] == 1 && self.few.transformMap(i, n, n > 1, '')[0] == ''",
        "self.labels.transformMapEntry(k, v, {v: k})['a'] == '' && dyn(self.few).all(i, x, x == i)",
        "self.name.matches('^[a-z]+$') && 'x%'.matches(self.name) && duration(self.name) == duration('1h')",
        "self.flag ? '%s of %d'.format([self.name, 2]) == '' : [[], [1]] == [[2]]",
        "self.parts == oldSelf.parts && self.parts != null && self == oldSelf",
        "[?self.?name].size() == 1 && {'a': 1}.a == 1 && [] == self.few && {} == self.labels",
        "dyn(self.count) == 'a' && (self.flag ? [1] : [])[0] == 1 && !!self.flag && --1 == 1",
        "[self.?name].unwrapOpt() == ['a'] && type(self.port) != kubernetes.Quantity",
        "self.parts.sortBy(p, p.size)[0].size == 1",
    ] {
        assert!(judge(text).is_ok(), "{text}: {:?}", judge(text));
    }
    let old = "oldSelf.hasValue() ? self.count >= oldSelf.value().count : self.count == 1";
    assert!(check(old, &declared(false), true, Wanted::Truth).is_ok());
    let whole = "self.metadata.name != 'a' && self.kind == 'b' && self.apiVersion == 'c'";
    assert!(check(whole, &declared(true), false, Wanted::Truth).is_ok());
}

/// Each expression with what is told of it.
fn assert_refused(all: &[(&str, &str)]) {
    for (text, wanted) in all {
        assert_eq!(refused(text), format!("ERROR: <input>:{wanted}"), "{text}");
    }
}

#[test]
fn names_and_fields_that_nothing_declares_are_told() {
    assert_refused(&[
        ("self.nope", "1:5: undefined field 'nope'"),
        ("1 < 2 && has(self.nope)", "1:13: undefined field 'nope'"),
        ("self.free == 1", "1:5: undefined field 'free'"),
        (
            "self.parts.all(p, p.nope > 1)",
            "1:20: undefined field 'nope'",
        ),
        (
            "self.metadata.name == 'a'",
            "1:5: undefined field 'metadata'",
        ),
        (
            "other == 1",
            "1:1: undeclared reference to 'other' (in container '')",
        ),
        (
            "self.name.startWith('a')",
            "1:20: undeclared reference to 'startWith' (in container '')",
        ),
        (
            "self.few.all(n)",
            "1:14: undeclared reference to 'n' (in container '')",
        ),
        (
            "self.name.size",
            "1:10: type 'string' does not support field selection",
        ),
    ]);
}

#[test]
fn types_that_no_overload_takes_are_told() {
    assert_refused(&[
        (
            "self.count > 'a'",
            "1:12: found no matching overload for '_>_' applied to '(int, string)'",
        ),
        (
            "self.count == 1.0",
            "1:12: found no matching overload for '_==_' applied to '(int, double)'",
        ),
        (
            "self.name == null",
            "1:11: found no matching overload for '_==_' applied to '(string, null)'",
        ),
        (
            "self.flag && self.count",
            "1:18: expected type 'bool' but found 'int'",
        ),
        (
            "'a' in self.few",
            "1:5: found no matching overload for '@in' applied to '(string, list(int))'",
        ),
        (
            "self.name.contains(1)",
            "1:19: found no matching overload for 'contains' applied to 'string.(int)'",
        ),
        (
            "self.few['a'] == 1",
            "1:9: found no matching overload for '_[_]' applied to '(list(int), string)'",
        ),
        (
            "self.flag ? 1 : 'a'",
            "1:11: found no matching overload for '_?_:_' applied to '(bool, int, string)'",
        ),
        (
            "self.few.all(n, n)",
            "1:17: expected type 'bool' but found 'int'",
        ),
        (
            "self.at > duration('1h')",
            "1:9: found no matching overload for '_>_' applied to '(timestamp, duration)'",
        ),
        (
            "duration(1.5) == duration('1s')",
            "1:9: found no matching overload for 'duration' applied to '(double)'",
        ),
        (
            "self.few.filter(n, n).size() > 0",
            "1:16: found no matching overload for '_?_:_' applied to '(int, list(int), list(int))'",
        ),
    ]);
}

#[test]
fn what_is_wrong_besides_names_and_overloads_is_told() {
    assert_refused(&[
        (
            "self.count.all(n, n)",
            "1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        (
            "[1, 'a'].size() == 2",
            "1:5: expected type 'int' but found 'string'",
        ),
        (
            "self.labels == self.parts",
            "1:13: found no matching overload for '_==_' applied to '(map(string, string), list(object))'",
        ),
        ("has(self)", "1:5: invalid argument to has() macro"),
        (
            "self.few.all(1, true)",
            "1:14: argument must be a simple name",
        ),
        (
            "self.nope || self.few.map(1, true).size() > 0",
            "1:27: argument is not an identifier",
        ),
        (
            "self.name.matches('[') && self.nope",
            "1:31: undefined field 'nope'",
        ),
    ]);
    let both = "self.a ||\n self.b";
    let Err(Refusal::Compilation(words)) = judge(both) else {
        panic!("{both} fits")
    };
    let wanted = "ERROR: <input>:1:5: undefined field 'a'\n | self.a ||\n | ....^\n\
        ERROR: <input>:2:6: undefined field 'b'\n |  self.b\n | .....^";
    assert_eq!(words, wanted);
}

#[test]
fn macros_of_two_variables_are_checked() {
    assert_refused(&[
        (
            "self.labels.all(k, v, v > 1)",
            "1:25: found no matching overload for '_>_' applied to '(string, int)'",
        ),
        (
            "self.few.exists(i, n, i)",
            "1:23: expected type 'bool' but found 'int'",
        ),
        (
            "self.few.existsOne(i, n, n)",
            "1:19: found no matching overload for '_?_:_' applied to '(int, int, int)'",
        ),
        (
            "self.few.all(i, 2, true)",
            "1:17: argument must be a simple name",
        ),
        (
            "self.few.transformList(i, n, n, '') == []",
            "1:23: found no matching overload for '_?_:_' applied to '(int, list(string), list(string))'",
        ),
        (
            "self.few.transformMap(i, n, '')[0] > 1",
            "1:36: found no matching overload for '_>_' applied to '(string, int)'",
        ),
        (
            "self.few.transformMapEntry(i, n, n).size() > 1",
            "1:27: found no matching overload for 'cel.@mapInsert' applied to '(map(dyn, dyn), int)'",
        ),
        (
            "cel.bind(a, 1, a == 1)",
            "1:1: undeclared reference to 'cel' (in container '')",
        ),
    ]);
}

#[test]
fn what_is_written_down_for_a_function_must_be_fit_for_it() {
    assert_refused(&[
        ("self.name.matches('[')", "1:19: invalid matches argument"),
        (
            "self.flag || self.name.matches(r'(?=a)')",
            "1:32: invalid matches argument",
        ),
        ("duration('1x') == null", "1:10: invalid duration argument"),
        (
            "self.at > timestamp('2026-01-02')",
            "1:21: invalid timestamp argument",
        ),
        (
            "[1, dyn(2)].size() == 2",
            "1:8: expected type 'int' but found 'dyn'",
        ),
        (
            "[self.port, 'a'] == []",
            "1:13: expected type 'dyn' but found 'string'",
        ),
        (
            "{'a': 1, 'b': 'c'} == {}",
            "1:15: expected type 'int' but found 'string'",
        ),
        (
            "'%d of %s'.format([self.name, [1, 'a']]) == ''",
            "1:24: error during formatting: decimal clause can only be used on integers, was given string",
        ),
        (
            "'%s'.format(['a', 1]) == ''",
            "1:12: too many arguments supplied to string.format (expected 1, got 2)",
        ),
    ]);
}

#[test]
fn a_rule_is_a_truth_and_a_message_a_text() {
    assert_eq!(judge("self.count"), Err(Refusal::Result));
    assert_eq!(judge("dyn(self.flag)"), Err(Refusal::Result));
    let text = |text: &str| check(text, &declared(false), false, Wanted::Text);
    assert!(text("'too many: ' + string(self.count)").is_ok());
    assert_eq!(text("self.flag"), Err(Refusal::Result));
}

#[test]
fn costs_are_estimated_from_the_bounds_of_the_schema() {
    for (text, wanted) in [
        ("true", 0),
        ("self.flag", 2),
        ("has(self.flag)", 1),
        // Ten characters are up to forty bytes.
        ("self.name.contains('x')", 2 + 4),
        ("self.long.contains('x')", 2 + 314_573),
        ("self.name == 'abc'", 2 + 1),
        ("self.mode == self.name", 4 + 1),
        ("self.name.matches('^abc$')", 2 + 5 * 2),
        ("self.name.startsWith('abc')", 2 + 1),
        ("self.count + 1 > 2", 2 + 1 + 1),
        ("1 in self.few", 2 + 5),
        // Once 1 for the result, and in each round 3 for the loop and 2 for the comparison.
        ("self.few.all(n, n > 1)", 2 + 1 + 5 * (3 + 2)),
        ("self.few.exists(n, n > 1)", 2 + 1 + 5 * (4 + 2)),
        ("self.few.all(i, n, n > 1)", 2 + 1 + 5 * (3 + 2)),
        ("self.few.exists_one(n, n > 1)", 2 + 2 + 5 * (2 + 2)),
        (
            "self.few.map(n, n).size() > 0",
            2 + 11 + 5 * (12 + 1) + 1 + 1,
        ),
        ("self.parts[0].size > 1", 2 + 1 + 1 + 1),
        ("self.flag ? self.count > 1 : true", 2 + 3),
        ("[1, 2].size() == 2", 10 + 1 + 1),
        ("self.flag && (self.flag || self.flag)", 6),
        // The estimate takes the name of a type for the whole object, which has no size.
        ("type(self.count) == int", 2 + 1 + 1),
    ] {
        assert_eq!(cost(text), Some(wanted), "{text}");
    }
    // So many texts of two quotes each, with a comma, fit into a request.
    let many = 3_145_726 / 3;
    assert_eq!(cost("self.many.all(t, true)"), Some(3 + many * 3));
    let made = "self.labels.transformMap(k, v, v).size() == 1";
    for unknown in [made, "self.few.distinct().size() == 1"] {
        assert_eq!(cost(unknown), None, "{unknown}");
    }
}

#[test]
fn the_old_value_is_found_where_it_is_named() {
    let names = |text: &str| judge(text).is_ok_and(|fit| fit.names_old);
    assert!(names("[?oldSelf.?name].size() == 1"));
    assert!(!names("self.flag"));
}

#[test]
fn deep_and_long_expressions_are_not_judged_and_do_no_harm() {
    let value = |text: String| judge(&text).map(|fit| fit.cost);
    let deep = format!("{}1{}.size() == 1", "[".repeat(200), "]".repeat(200));
    assert_eq!(value(deep), Ok(None));
    let sum = format!("0{} > 1", " + 1".repeat(10_000));
    assert_eq!(value(sum), Ok(None));
    let all = format!("self.flag{}", " && self.flag".repeat(1_000));
    assert_eq!(value(all), Ok(Some(2_002)));
}
