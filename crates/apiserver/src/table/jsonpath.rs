//! The JSONPath of CRD printer columns: fields, indices, wildcards and equality filters.

use serde_json::Value;

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// `[?(@.path op literal)]`.
    Filter(Vec<String>, Operator, Value),
    /// `[?(@.path)]`.
    Has(Vec<String>),
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Everything a path such as `.status.conditions[?(@.type=="Ready")].status` finds. A path that
/// cannot be read finds nothing.
pub(super) fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some(steps) = parse(path) else {
        return Vec::new();
    };
    steps.iter().fold(vec![object], |found, step| {
        found
            .into_iter()
            .flat_map(|value| apply(value, step))
            .collect()
    })
}

fn apply<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let Some(list) = value.as_array() else {
                return Vec::new();
            };
            let at = if *index < 0 {
                list.len() as i64 + index
            } else {
                *index
            };
            usize::try_from(at)
                .ok()
                .and_then(|at| list.get(at))
                .into_iter()
                .collect()
        }
        Step::All => match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Has(path) => filtered(value, |item| walk(item, path).is_some()),
        Step::Filter(path, operator, literal) => filtered(value, |item| {
            walk(item, path).is_some_and(|found| compare(found, *operator, literal))
        }),
    }
}

fn filtered(value: &Value, keep: impl Fn(&Value) -> bool) -> Vec<&Value> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| keep(item))
        .collect()
}

fn walk<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, field| value.get(field))
}

fn compare(found: &Value, operator: Operator, literal: &Value) -> bool {
    use std::cmp::Ordering;
    let order = match (found, literal) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => match (found.as_f64(), literal.as_f64()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => None,
        },
    };
    let Some(order) = order else { return false };
    match operator {
        Operator::Equal => order == Ordering::Equal,
        Operator::Unequal => order != Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterEqual => order != Ordering::Less,
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            steps.push(bracket(&after[..end])?);
            rest = &after[end + 1..];
        } else {
            let (name, after) = field(rest.strip_prefix('.').unwrap_or(rest));
            if name == "*" {
                steps.push(Step::All);
            } else if !name.is_empty() {
                steps.push(Step::Field(name));
            } else if !after.starts_with('[') && !after.is_empty() {
                return None;
            }
            rest = after;
        }
    }
    Some(steps)
}

/// A field name up to the next `.` or `[`; a backslash takes the next character as it is.
fn field(source: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = source.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &source[at..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            _ => name.push(c),
        }
    }
    (name, "")
}

/// Index of the `]` that closes a bracket, outside of quotes.
fn closing(source: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in source.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, ']') => return Some(at),
            _ => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Option<Step> {
    let inside = inside.trim();
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inside
        .strip_prefix("?(")
        .and_then(|filter| filter.strip_suffix(')'))
    {
        return filter_step(filter);
    }
    if let Some(name) = unquoted(inside) {
        return Some(Step::Field(name.replace("\\.", ".")));
    }
    inside.parse().ok().map(Step::Index)
}

fn unquoted(text: &str) -> Option<&str> {
    let strip = |quote: char| {
        text.strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote))
    };
    strip('"').or_else(|| strip('\''))
}

fn filter_step(filter: &str) -> Option<Step> {
    const OPERATORS: [(&str, Operator); 6] = [
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("<=", Operator::LessEqual),
        (">=", Operator::GreaterEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    let path = |text: &str| -> Option<Vec<String>> {
        let text = text.trim().strip_prefix('@')?;
        Some(
            text.split('.')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    };
    for (sign, operator) in OPERATORS {
        if let Some((left, right)) = filter.split_once(sign) {
            let right = right.trim();
            let literal = match unquoted(right) {
                Some(text) => Value::String(text.to_owned()),
                None => serde_json::from_str(right).ok()?,
            };
            return Some(Step::Filter(path(left)?, operator, literal));
        }
    }
    path(filter).map(Step::Has)
}

#[cfg(test)]
mod tests {
    use super::find;
    use serde_json::json;

    #[test]
    fn paths_of_printer_columns_are_followed() {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "x"}},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]},
            "list": [1, 2, 3],
        });
        let cases = [
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                json!(["True"]),
            ),
            (".status.conditions[*].type", json!(["A", "Ready"])),
            (".metadata.labels['a\\.b/c']", json!(["x"])),
            (".metadata.labels.a\\.b/c", json!(["x"])),
            (".list[-1]", json!([3])),
            (".list[?(@>1)]", json!([2, 3])),
            (".absent.field", json!([])),
            (".list[", json!([])),
        ];
        for (path, want) in cases {
            assert_eq!(json!(find(&object, path)), want, "{path}");
        }
    }
}
