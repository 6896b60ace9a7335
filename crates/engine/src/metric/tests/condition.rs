use super::driver::now;
use crate::metric::condition::{evaluate, time};
use expr::Value;
use serde_json::{Value as Json, json};

fn phase(success: Option<&str>, failure: Option<&str>, result: &Value) -> String {
    let metric = serde_json::from_value(json!({
        "name": "m", "provider": {}, "successCondition": success, "failureCondition": failure,
    }));
    match evaluate(&metric.expect("a metric"), result, now()) {
        Ok(phase) => phase.to_string(),
        Err(message) => message,
    }
}

#[test]
fn conditions_decide_the_phase() {
    let (yes, no) = (Some("true"), Some("false"));
    let cases = [
        (None, None, "Successful"),
        (yes, None, "Successful"),
        (no, None, "Failed"),
        (None, yes, "Failed"),
        (None, no, "Successful"),
        (yes, yes, "Failed"),
        (yes, no, "Successful"),
        (no, yes, "Failed"),
        (no, no, "Inconclusive"),
        (Some(""), Some(""), "Successful"),
    ];
    for (success, failure, want) in cases {
        assert_eq!(phase(success, failure, &Value::Float(1.0)), want);
    }
}

#[test]
fn conditions_that_fail_are_told_in_one_line() {
    let json = |json: Json| Value::from_json(&json);
    insta::assert_snapshot!(phase(Some("nope == 1"), None, &json(json!(1))), @r#"could not evaluate successCondition "nope == 1": unknown name nope"#);
    insta::assert_snapshot!(phase(None, Some("result > 5"), &json(json!("x"))), @r#"could not evaluate failureCondition "result > 5": invalid operation: > (mismatched types string and int)"#);
    // The expression as it was written.
    insta::assert_snapshot!(phase(Some(r#"result == "a\b" + nope"#), None, &json(json!(1))), @r#"could not evaluate successCondition "result == "a\b" + nope": unknown name nope"#);
    insta::assert_snapshot!(phase(Some("result"), None, &json(json!(1))), @r#"could not evaluate successCondition "result": expected bool, but got float64"#);
    insta::assert_snapshot!(phase(Some("asInt(result)"), None, &json(json!(1))), @r#"could not evaluate successCondition "asInt(result)": expected bool, but got int64"#);
    let no_data = r#"could not evaluate successCondition "result[0] > 1": metric result is nil or empty: no data returned from the metric provider"#;
    assert_eq!(phase(Some("result[0] > 1"), None, &Value::Nil), no_data);
    assert_eq!(
        phase(Some("result[0] > 1"), None, &Value::floats([])),
        no_data
    );
}

#[test]
fn nan_and_no_data_follow_the_language() {
    let nan = Value::floats([f64::NAN]);
    assert_eq!(phase(Some("result[0] >= 0.9"), None, &nan), "Failed");
    assert_eq!(phase(None, Some("result[0] < 0.9"), &nan), "Successful");
    assert_eq!(
        phase(Some("isNaN(result[0]) || result[0] > 1"), None, &nan),
        "Successful"
    );
    assert_eq!(
        phase(Some("len(result) == 0"), None, &Value::floats([])),
        "Successful"
    );
    assert_eq!(
        phase(Some("isNil(result)"), None, &Value::Nil),
        "Successful"
    );
    assert_eq!(
        phase(Some("default(result, 0) == 0"), None, &Value::Nil),
        "Successful"
    );
}

#[test]
fn times_are_expressions_without_a_result() {
    assert_eq!(time("now()", now()), Ok(now()));
    let earlier = time("now() - duration('1h')", now()).expect("a time");
    assert_eq!(earlier.to_string(), "2025-12-31T23:00:00Z");
    assert_eq!(
        time("1", now()).expect_err("a number"),
        "expected time.Time, but got int"
    );
    assert_eq!(
        time("result", now()).expect_err("no result"),
        "unknown name result"
    );
}
