//! No input makes the language panic, and limits hold.

use expr::{Env, Program, Stage, Value};
use proptest::prelude::*;

fn env(result: serde_json::Value) -> Env {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    Env::condition(Value::from_json(&result), now)
}

fn eval(source: &str, env: &Env) -> Result<Value, expr::Error> {
    Program::compile(source, env)?.run(env)
}

/// Pieces that make up programs that get past the parser now and then.
const PIECES: &str = r#"result result.a result[0] # .a 1 -1 2.5 "a" 'b' nil true [1,2] {"a":1} ( )
[ ] { } + - * / % ** .. == < >= and or not in contains matches ?? ?. ? : ; let x = if else |
len( all( map( filter( sum( max( sort( sortBy( groupBy( reduce( take( get( int( string( date(
duration( split( join( repeat( fromJSON( toJSON( asInt( asFloat( default( isNil( now() , .Year()
$env #index #acc "#;

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PIECES.split_whitespace().collect::<Vec<_>>())
}

fn result() -> impl Strategy<Value = serde_json::Value> {
    prop::sample::select(vec![
        serde_json::json!(null),
        serde_json::json!(0.97),
        serde_json::json!("x"),
        serde_json::json!([]),
        serde_json::json!([1, "a", null, [2]]),
        serde_json::json!({"a": {"b": [1]}, "n": 5}),
        serde_json::json!([{"a": 1}, {"a": "x"}]),
    ])
}

/// What has no order among itself, and numbers that floats can't tell apart.
fn item() -> impl Strategy<Value = serde_json::Value> {
    prop::sample::select(vec![
        serde_json::json!(null),
        serde_json::json!(9),
        serde_json::json!(10),
        serde_json::json!(9_007_199_254_740_993_i64),
        serde_json::json!(9_007_199_254_740_992.0),
        serde_json::json!("5"),
        serde_json::json!("95"),
        serde_json::json!(true),
    ])
}

#[test]
fn a_layout_may_have_letters_of_any_language() {
    let env = env(serde_json::json!(null));
    let day = eval("now().Format(\"2006年01月02日\")", &env).unwrap();
    assert!(
        matches!(&day, Value::String(text) if **text == *"2026年01月01日"),
        "{day:?}"
    );
    assert!(eval("date(\"2026年\", \"aaé\")", &env).is_err());
}

#[test]
fn a_pattern_is_read_as_go_reads_it() {
    let holds = |source: &str| {
        let env = env(serde_json::json!("checkout-v2"));
        matches!(eval(source, &env), Ok(Value::Bool(true)))
    };
    assert!(holds(r#"result matches "^[\\w-]{1,64}$""#));
    assert!(holds(r#"result matches "^[\\w-.]+$""#));
    assert!(holds(r#""é" matches "^.$""#));
    assert!(holds(r#"not ("é" matches "\\w")"#));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn grammatical_noise_never_panics(
        pieces in prop::collection::vec(piece(), 1..24),
        result in result(),
    ) {
        let _ = eval(&pieces.join(" "), &env(result));
    }

    #[test]
    fn any_text_never_panics(text in ".{0,60}", result in result()) {
        let _ = eval(&text, &env(result));
    }

    #[test]
    fn any_layout_never_panics(layout in "[ 0-9A-Za-z:.,_+年月é-]{0,24}", text in "[ 0-9A-Za-z:.,_+年月é-]{0,24}") {
        let source = format!("date(\"{text}\", \"{layout}\")");
        let _ = eval(&source, &env(serde_json::json!(null)));
        let _ = eval(&format!("now().Format(\"{layout}\")"), &env(serde_json::json!(null)));
    }

    #[test]
    fn sorting_never_panics(items in prop::collection::vec(item(), 0..48)) {
        let env = env(serde_json::json!(items));
        for source in ["sort(result)", "sort(result, \"desc\")", "sortBy(result, #)", "string(groupBy(result, #))"] {
            let _ = eval(source, &env);
        }
    }

    #[test]
    fn durations_round_trip(ns in any::<i64>()) {
        let env = Env::condition(Value::Duration(ns), "2026-01-01T00:00:00Z".parse().unwrap());
        let back = eval("duration(string(result)) == result", &env);
        prop_assert!(matches!(back, Ok(Value::Bool(true))), "{back:?}");
    }

    #[test]
    fn times_round_trip(second in -62_000_000_000i64..200_000_000_000) {
        let time = jiff::Timestamp::from_second(second).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let env = Env::condition(Value::Time(Box::new(time)), "2026-01-01T00:00:00Z".parse().unwrap());
        let back = eval("date(result.Format(\"2006-01-02T15:04:05Z07:00\")) == result", &env);
        prop_assert!(matches!(back, Ok(Value::Bool(true))), "{back:?}");
    }
}

#[test]
fn now_is_what_the_environment_says() {
    let env = env(serde_json::json!(null));
    assert_eq!(
        eval("now().Unix()", &env).unwrap().go_string(),
        "1767225600"
    );
    assert_eq!(
        eval("string(now() - duration(\"5m\"))", &env)
            .unwrap()
            .go_string(),
        "2025-12-31 23:55:00 +0000 UTC"
    );
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let env = env(serde_json::json!(null));
    let shapes: [fn(usize) -> String; 6] = [
        |n| "(".repeat(n) + "1" + &")".repeat(n),
        |n| "[".repeat(n) + &"]".repeat(n),
        |n| "-".repeat(n) + "1",
        |n| "1".to_owned() + &"+1".repeat(n),
        |n| "result".to_owned() + &".a".repeat(n),
        |n| "true ? ".repeat(n) + "1" + &" : 2".repeat(n),
    ];
    for shape in shapes {
        let error = Program::compile(&shape(5_000), &env).unwrap_err();
        assert!(error.message.contains("nested more than"), "{error}");
    }
    // Just inside the limit, evaluation has enough stack as well.
    let source = shapes[3](140);
    assert!(matches!(eval(&source, &env), Ok(Value::Int(141))));
}

#[test]
fn extreme_numbers_do_not_overflow() {
    let env = env(serde_json::json!(null));
    let least = "(-9223372036854775807 - 1)";
    for source in [
        "date(\"2026-01-01\").AddDate(0, 0, 9223372036854775807)",
        "date(\"2026-01-01\").AddDate(9223372036854775807, 1, 1)",
        "date(\"9999-01-01\") + duration(\"2562047h\")",
        "LEAST % -1",
        "-LEAST",
        "abs(LEAST)",
        "LEAST * -1",
        "bitshl(1, 9223372036854775807)",
        "[1][LEAST]",
        "[1][LEAST:9223372036854775807]",
        "\"a\"[LEAST:LEAST]",
        "LEAST..9223372036854775807",
        "take([1], LEAST)",
        "repeat(\"a\", 9223372036854775807)",
        "duration(\"-9223372036854775808ns\").Abs()",
        "duration(\"-9223372036854775808ns\").Round(duration(\"1h\"))",
        "string(duration(\"-9223372036854775808ns\"))",
        "date(\"2026-01-01\") - duration(\"-9223372036854775808ns\")",
    ] {
        let _ = eval(&source.replace("LEAST", least), &env);
    }
}

#[test]
fn oversized_sources_are_refused() {
    let source = format!("\"{}\"", "a".repeat(expr::limits::SOURCE_CHARS));
    let error = Program::compile(&source, &env(serde_json::json!(null))).unwrap_err();
    assert_eq!(error.stage, Stage::Compile);
    assert_eq!(
        error.to_string(),
        "expression is longer than 65536 characters"
    );
}

#[test]
fn endless_work_runs_out_of_budget() {
    let env = env(serde_json::json!(null));
    let source = "count(1..900, count(1..900, count(1..900, # > 1) > 1) > 1)";
    let error = eval(source, &env).unwrap_err();
    assert!(
        ["memory budget exceeded", "step budget exceeded"].contains(&error.message.as_str()),
        "{error}"
    );
    for source in [
        "count(1..900, count(1..900, \"abc\" matches \"a.*\" + string(#)) > 0)",
        "len(uniq(1..100000))",
        "len(groupBy(1..100000, #))",
    ] {
        assert_eq!(
            eval(source, &env).unwrap_err().message,
            "step budget exceeded",
            "{source}"
        );
    }
    let doubling = "reduce(1..60, #acc + #acc, \"ab\")";
    assert_eq!(
        eval(doubling, &env).unwrap_err().message,
        "string is too long"
    );
}

#[test]
fn values_can_neither_nest_nor_share_without_end() {
    let env = env(serde_json::json!(null));
    let message = |source: &str| eval(source, &env).unwrap_err().message;
    assert_eq!(
        message("reduce(1..100000, [#acc])"),
        "value is nested too deeply"
    );
    assert_eq!(
        message("reduce(1..100000, ({\"a\": #acc}))"),
        "value is nested too deeply"
    );
    assert_eq!(
        message("reduce(1..100, [#acc, #acc])"),
        "memory budget exceeded"
    );
    let wide = "string(map(1..900, repeat(\"a\", 900)))";
    assert!(matches!(eval(wide, &env), Ok(Value::String(_))));
    let too_wide = "let s = reduce(1..16, #acc + #acc, \"abc\"); map(1..900, s)";
    assert_eq!(message(too_wide), "memory budget exceeded");
}

#[test]
fn errors_show_the_place() {
    let error = Program::compile("1 +\n  nope > 2", &env(serde_json::json!(null))).unwrap_err();
    assert_eq!((error.line, error.column), (2, 3));
    assert_eq!(
        error.to_string(),
        "unknown name nope (2:3)\n |   nope > 2\n | ..^"
    );
}
