//! Where two values differ, line by line.

use std::collections::BTreeSet;

use serde_json::Value;

/// One line per differing pointer: `-` what was wanted, `+` what came.
pub(crate) fn lines(want: &Value, have: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", want, have, &mut lines);
    lines
}

fn compare(at: &str, want: &Value, have: &Value, lines: &mut Vec<String>) {
    match (want, have) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let at = format!("{at}/{key}");
                pair(&at, a.get(key), b.get(key), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let at = format!("{at}/{index}");
                pair(&at, a.get(index), b.get(index), lines);
            }
        }
        _ if want == have => {}
        _ => {
            lines.push(format!("- {at}: {want}"));
            lines.push(format!("+ {at}: {have}"));
        }
    }
}

fn pair(at: &str, want: Option<&Value>, have: Option<&Value>, lines: &mut Vec<String>) {
    match (want, have) {
        (Some(want), Some(have)) => compare(at, want, have, lines),
        (Some(want), None) => lines.push(format!("- {at}: {want}")),
        (None, Some(have)) => lines.push(format!("+ {at}: {have}")),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_told() {
        let (want, have) = (
            json!({"a": [1, 2], "b": 1}),
            json!({"a": [1, 3, 4], "c": 1}),
        );
        let told = ["- /a/1: 2", "+ /a/1: 3", "+ /a/2: 4", "- /b: 1", "+ /c: 1"];
        assert_eq!(lines(&want, &have), told);
        assert!(lines(&want, &want).is_empty());
    }
}
