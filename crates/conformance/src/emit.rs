//! YAML as the table is written: short values on one line, others as blocks.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: usize = 118;

/// `key: value` lines, indented by `indent` spaces.
pub(crate) fn entry(key: &str, value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let flow = flow(value);
    let key = scalar(key);
    if is_leaf(value) || indent + key.len() + 2 + flow.len() <= WIDTH {
        let _ = writeln!(out, "{pad}{key}: {flow}");
        return;
    }
    let _ = writeln!(out, "{pad}{key}:");
    let deeper = if value.is_array() { indent } else { indent + 2 };
    block(value, deeper, out);
}

fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                entry(key, value, indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let pad = " ".repeat(indent);
                let flow = flow(item);
                if is_leaf(item) || indent + 2 + flow.len() <= WIDTH {
                    let _ = writeln!(out, "{pad}- {flow}");
                    continue;
                }
                let mut inner = String::new();
                block(item, indent + 2, &mut inner);
                let _ = write!(out, "{pad}- {}", inner.trim_start());
            }
        }
        leaf => out.push_str(&flow(leaf)),
    }
}

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items = items.iter().map(flow);
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Plain where that can't be misread, else quoted.
fn scalar(text: &str) -> String {
    let first = text.chars().next().unwrap_or(' ');
    let plain = (first.is_ascii_alphabetic() || "/.<".contains(first))
        && !text.ends_with(' ')
        && !text.contains(": ")
        && !text.ends_with(':')
        && !text.contains(" #")
        && text
            .chars()
            .all(|c| c.is_ascii() && !c.is_ascii_control() && !"{}[],&*!|>%@`\"'".contains(c));
    let lower = text.to_ascii_lowercase();
    let word = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if plain && !word.contains(&lower.as_str()) || text == "<none>" {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back() {
        let long = "long ".repeat(30);
        let value = json!({
            "on": "y", "a": ["1", 1, null, true, "x: y", "it's", "line\nbreak", "", "<none>", "*"],
            "b": [{"c": long, "d": [{"e": long}, [], {}]}], "/p/a~1b": {"k8s.io/x": "v"}, "n": "-1",
        });
        let mut text = String::new();
        entry("answer", &value, 2, &mut text);
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, json!({ "answer": value }), "{text}");
    }
}
