//! Every case of `fixtures/go.jsonl` against what Go's expr 1.17.8 answered.

use expr::{Env, Program, Value};
use std::collections::BTreeMap;

const CASES: &str = include_str!("../fixtures/go.jsonl");
/// Where we differ on purpose: the program, a tab, the reason.
const DIFFERENCES: &str = include_str!("../fixtures/differences.txt");

fn float(json: &serde_json::Value) -> f64 {
    match json.as_str() {
        Some("NaN") => f64::NAN,
        Some("+Inf") => f64::INFINITY,
        Some("-Inf") => f64::NEG_INFINITY,
        _ => json.as_f64().unwrap(),
    }
}

fn env(case: &serde_json::Value, tables: &BTreeMap<String, serde_json::Value>) -> Env {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let raw = &case["r"];
    let json = raw
        .as_str()
        .and_then(|name| tables.get(name))
        .unwrap_or(raw);
    match case["k"].as_str() {
        Some("time") => Env::time(now),
        Some("floats") => {
            let floats = json.as_array().unwrap().iter().map(float);
            Env::condition(Value::floats(floats), now)
        }
        Some("float") => Env::condition(Value::Float(float(json)), now),
        _ => Env::condition(Value::from_json(json), now),
    }
}

/// A printable form that tells types apart where Go's does.
fn shown(value: &Value) -> String {
    match value {
        Value::Nil => "null".to_owned(),
        Value::Time(time) => {
            let program = Program::compile(
                "result.Format(\"2006-01-02T15:04:05.999999999Z07:00\")",
                &Env::condition(value.clone(), time.timestamp()),
            );
            let env = Env::condition(value.clone(), time.timestamp());
            program.unwrap().run(&env).unwrap().go_string()
        }
        Value::Float(f) if f.is_nan() || f.is_infinite() => value.go_string(),
        Value::Duration(_) | Value::Dict(_) => value.go_string(),
        Value::Zone(_) => "{}".to_owned(),
        other => {
            let env = Env::condition(other.clone(), "2026-01-01T00:00:00Z".parse().unwrap());
            match Program::compile("toJSON(result)", &env).unwrap().run(&env) {
                Ok(json) => json.go_string(),
                Err(_) => other.go_string(),
            }
        }
    }
}

/// Whether Go's `value` (JSON, or `%v` where there is none) says the same as ours.
fn agrees(go: &str, ours: &str) -> bool {
    let parse = |text: &str| {
        serde_json::from_str::<serde_json::Value>(text)
            .ok()
            .map(floats)
    };
    go == ours || (parse(go).is_some() && parse(go) == parse(ours))
}

/// Numbers as floats, so that `1` and `1.0` and `1e0` agree.
fn floats(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Number(n) => n.as_f64().into(),
        serde_json::Value::Array(items) => items.into_iter().map(floats).collect(),
        serde_json::Value::Object(map) => map.into_iter().map(|(k, v)| (k, floats(v))).collect(),
        other => other,
    }
}

/// What we answer, in the form of the fixture.
fn ours(source: &str, env: &Env) -> (&'static str, String) {
    match Program::compile(source, env) {
        Err(error) => ("compile", error.to_string()),
        Ok(program) => match program.run(env) {
            Err(error) => ("run", error.to_string()),
            Ok(value) => (
                "value",
                format!("{} {}", program.go_type(&value), shown(&value)),
            ),
        },
    }
}

fn check(case: &serde_json::Value, env: &Env) -> Result<(), String> {
    let source = case["e"].as_str().unwrap();
    let (kind, ours) = ours(source, env);
    for stage in ["compile", "run"] {
        if let Some(go) = case[stage].as_str() {
            return if kind == stage && go == ours {
                Ok(())
            } else {
                Err(format!(
                    "{source:?} {}\n   go {stage}: {go:?}\n ours {kind}: {ours:?}",
                    case["r"]
                ))
            };
        }
    }
    let (ty, go) = (
        case["type"].as_str().unwrap(),
        case["value"].as_str().unwrap(),
    );
    let same = kind == "value"
        && ours
            .strip_prefix(ty)
            .and_then(|rest| rest.strip_prefix(' '))
            .is_some_and(|value| agrees(go, value));
    if same {
        return Ok(());
    }
    Err(format!(
        "{source:?} {}\n   go value: {ty} {go:?}\n ours {kind}: {ours:?}",
        case["r"]
    ))
}

#[test]
fn answers_and_errors_are_those_of_go() {
    let allowed: BTreeMap<&str, &str> = DIFFERENCES
        .lines()
        .filter(|line| !line.starts_with("//") && !line.is_empty())
        .map(|line| line.split_once('\t').expect("program, tab, reason"))
        .collect();
    let mut tables = BTreeMap::new();
    let mut failures = Vec::new();
    let mut differing = std::collections::BTreeSet::new();
    let mut count = 0;
    for line in CASES.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(name) = case["table"].as_str() {
            tables.insert(name.to_owned(), case["is"].clone());
            continue;
        }
        count += 1;
        let source = case["e"].as_str().unwrap().to_owned();
        if let Err(report) = check(&case, &env(&case, &tables)) {
            if allowed.contains_key(source.as_str()) {
                differing.insert(source);
            } else {
                failures.push(report);
            }
        }
    }
    assert!(count > 1500, "the fixture shrank to {count} cases");
    assert!(
        failures.is_empty(),
        "{} of {count} cases differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
    let stale: Vec<_> = allowed
        .keys()
        .filter(|source| !differing.contains(**source))
        .collect();
    assert!(
        stale.is_empty(),
        "listed as different, but equal: {stale:?}"
    );
}
