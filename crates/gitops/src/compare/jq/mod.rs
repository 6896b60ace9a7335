//! Paths to ignored fields, as `jqPathExpressions` write them (gitops.md item 17): the part of jq
//! that leads to places in an object. What is of another shape there, or not there, is no place:
//! nothing is ignored for it.

mod parse;

use serde_json::Value;
use std::collections::BTreeSet;

/// A path that may lead to several places of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JqPath {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    /// Counted from the end, if it is negative.
    Index(i64),
    Each,
    Select(Test),
}

/// What `select` asks of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    /// There is something, and it is not false.
    Is(JqPath),
    Compares {
        path: JqPath,
        is_equal: bool,
        to: Value,
    },
    Calls {
        path: JqPath,
        function: Function,
        with: String,
    },
    Not(Box<Self>),
    Both(Box<Self>, Box<Self>),
    Either(Box<Self>, Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Has,
}

/// A step from a value to one in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

static NULL: Value = Value::Null;

impl JqPath {
    /// The places in an object as JSON pointers, in their order. The last step of each need not be
    /// there.
    pub(super) fn pointers(&self, object: &Value) -> Vec<String> {
        let mut found = BTreeSet::new();
        let mut at = Vec::new();
        walk(&self.parts, object, &mut at, &mut |at, _| {
            found.insert(at.to_vec());
        });
        found.iter().map(|at| pointer(at)).collect()
    }

    /// Whether one of the values that it leads to is such; `None` if there is none of which that
    /// can be said.
    fn any(&self, value: &Value, is_such: &dyn Fn(&Value) -> Option<bool>) -> Option<bool> {
        let mut is_any: Option<bool> = None;
        walk(&self.parts, value, &mut Vec::new(), &mut |_, value| {
            // No answer is less than a no, and that is less than a yes.
            is_any = is_any.max(is_such(value));
        });
        is_any
    }
}

fn walk(parts: &[Part], value: &Value, at: &mut Vec<Step>, found: &mut dyn FnMut(&[Step], &Value)) {
    let Some((part, rest)) = parts.split_first() else {
        found(at, value);
        return;
    };
    match (part, value) {
        (Part::Key(key), Value::Object(map)) => {
            let child = map.get(key).unwrap_or(&NULL);
            step(Step::Key(key.clone()), rest, child, at, found);
        }
        (Part::Key(key), Value::Null) => step(Step::Key(key.clone()), rest, &NULL, at, found),
        (Part::Index(index), Value::Array(list)) => {
            let index = place(*index, list.len());
            if let Some((index, item)) = index.and_then(|index| Some((index, list.get(index)?))) {
                step(Step::Index(index), rest, item, at, found);
            }
        }
        (Part::Each, Value::Array(list)) => {
            for (index, item) in list.iter().enumerate() {
                step(Step::Index(index), rest, item, at, found);
            }
        }
        (Part::Each, Value::Object(map)) => {
            for (key, item) in map {
                step(Step::Key(key.clone()), rest, item, at, found);
            }
        }
        (Part::Select(test), _) if test.holds(value) == Some(true) => {
            walk(rest, value, at, found);
        }
        _ => {}
    }
}

fn step(
    step: Step,
    rest: &[Part],
    value: &Value,
    at: &mut Vec<Step>,
    found: &mut dyn FnMut(&[Step], &Value),
) {
    at.push(step);
    walk(rest, value, at, found);
    at.pop();
}

/// Where an index of a list leads to.
fn place(index: i64, length: usize) -> Option<usize> {
    let distance = usize::try_from(index.unsigned_abs()).ok()?;
    if index < 0 {
        length.checked_sub(distance)
    } else {
        Some(distance)
    }
}

fn pointer(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        out.push('/');
        match step {
            Step::Key(key) => out.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => out.push_str(&index.to_string()),
        }
    }
    out
}

impl Test {
    /// `None` where jq gives no answer, or an error: what is not there, or of another shape, is
    /// selected by no test, nor by the opposite of one.
    fn holds(&self, value: &Value) -> Option<bool> {
        match self {
            Self::Is(path) => path.any(value, &|one| {
                Some(!matches!(one, Value::Null | Value::Bool(false)))
            }),
            Self::Compares { path, is_equal, to } => {
                path.any(value, &|one| Some(is_same(one, to) == *is_equal))
            }
            Self::Calls {
                path,
                function,
                with,
            } => path.any(value, &|one| function.holds(one, with)),
            Self::Not(test) => test.holds(value).map(|holds| !holds),
            Self::Both(one, other) => {
                if one.holds(value)? {
                    other.holds(value)
                } else {
                    Some(false)
                }
            }
            Self::Either(one, other) => {
                if one.holds(value)? {
                    Some(true)
                } else {
                    other.holds(value)
                }
            }
        }
    }
}

/// Numbers are the same however they are written.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
        _ => one == other,
    }
}

impl Function {
    /// `None` of a value of another shape.
    fn holds(self, value: &Value, with: &str) -> Option<bool> {
        match self {
            Self::StartsWith => value.as_str().map(|text| text.starts_with(with)),
            Self::EndsWith => value.as_str().map(|text| text.ends_with(with)),
            Self::Contains => value.as_str().map(|text| text.contains(with)),
            Self::Has => value.as_object().map(|map| map.contains_key(with)),
        }
    }
}

#[cfg(test)]
mod tests;
