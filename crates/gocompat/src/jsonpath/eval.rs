//! The evaluator. Error texts are client-go's.

use super::node::{Filter, List, Node, Slice};
use crate::{json, number};
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Most values that one step may give.
const MAX_VALUES: usize = 100_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("{0} is not found")]
    NotFound(String),
    #[error("array index out of bounds: index {index}, length {length}")]
    OutOfBounds { index: i64, length: i64 },
    #[error("starting index {start} is greater than ending index {end}")]
    Reversed { start: i64, end: i64 },
    #[error("step must be > 0")]
    Step,
    #[error("{0} is not array or slice")]
    NotAnArray(&'static str),
    #[error("{0} is not array or slice and cannot be filtered")]
    NotFilterable(String),
    #[error("can only compare one element at a time")]
    ManyToCompare,
    #[error("unrecognized filter operator {0}")]
    Operator(String),
    #[error("incompatible types for comparison")]
    IncompatibleTypes,
    #[error("invalid type for comparison")]
    IncomparableType,
    #[error("not in range, nothing to end")]
    NothingToEnd,
    #[error("unrecognized identifier {0}")]
    Identifier(String),
    #[error("more than {MAX_VALUES} values")]
    TooManyValues,
}

type Values<'v> = Vec<Cow<'v, Value>>;

/// One run over a template. `range` and `end` are counted, as they may stand in any action.
pub(super) struct Evaluator<'t> {
    nodes: &'t List,
    allow_missing_keys: bool,
    ranges_begun: usize,
    ranges_open: usize,
    ranges_ended: usize,
    /// Index of the action that ended the last turn of a range.
    last_end: Option<usize>,
}

impl<'t> Evaluator<'t> {
    pub(super) fn new(nodes: &'t List, allow_missing_keys: bool) -> Self {
        Self {
            nodes,
            allow_missing_keys,
            ranges_begun: 0,
            ranges_open: 0,
            ranges_ended: 0,
            last_end: None,
        }
    }

    pub(super) fn run(mut self, data: &Value) -> Result<Vec<Values<'_>>, EvalError> {
        let mut results = Vec::new();
        self.block(0, Some(&Cow::Borrowed(data)), &mut results)?;
        Ok(results)
    }

    /// Evaluates the nodes from `start` up to the end of the range that it stands in.
    fn block<'v>(
        &mut self,
        start: usize,
        current: Option<&Cow<'v, Value>>,
        results: &mut Vec<Values<'v>>,
    ) -> Result<(), EvalError> {
        let nodes = self.nodes;
        let null = Cow::Owned(Value::Null);
        let current = vec![current.unwrap_or(&null).clone()];
        let mut index = start;
        while index < nodes.len() {
            let found = self.node(&current, &nodes[index])?;
            if self.ranges_ended > 0 && self.ranges_ended <= self.ranges_open {
                self.ranges_ended -= 1;
                self.last_end = Some(index);
                return Ok(());
            }
            if self.ranges_begun > 0 {
                self.range(index, &found, results)?;
                // Go on after the end of the range, if it has one.
                index = self.last_end.filter(|end| *end > index).unwrap_or(index);
            } else {
                bounded(results.len())?;
                results.push(found);
            }
            index += 1;
        }
        Ok(())
    }

    /// One turn for each value; without values a dry one that finds the end.
    fn range<'v>(
        &mut self,
        index: usize,
        values: &Values<'v>,
        results: &mut Vec<Values<'v>>,
    ) -> Result<(), EvalError> {
        self.ranges_begun -= 1;
        self.ranges_open += 1;
        for value in values {
            self.block(index + 1, Some(value), results)?;
        }
        if values.is_empty() {
            let mut unused = Vec::new();
            self.block(index + 1, None, &mut unused)?;
        }
        self.ranges_open -= 1;
        Ok(())
    }

    fn list<'v>(&mut self, input: &Values<'v>, list: &[Node]) -> Result<Values<'v>, EvalError> {
        let Some((first, rest)) = list.split_first() else {
            return Ok(input.clone());
        };
        let mut values = self.node(input, first)?;
        for node in rest {
            values = self.node(&values, node)?;
        }
        Ok(values)
    }

    fn node<'v>(&mut self, input: &Values<'v>, node: &Node) -> Result<Values<'v>, EvalError> {
        let constant = |value: Value| input.iter().map(|_| Cow::Owned(value.clone())).collect();
        match node {
            Node::Action(list) => self.list(input, list),
            Node::Text(text) => Ok(vec![Cow::Owned(Value::from(text.as_str()))]),
            Node::Int(int) => Ok(constant(Value::from(*int))),
            Node::Float(float) => Ok(constant(Value::from(*float))),
            Node::Bool(flag) => Ok(constant(Value::from(*flag))),
            Node::Field(name) => self.field(input, name),
            Node::Slice(range) => slice(input, *range),
            Node::Filter(filter) => self.filter(input, filter),
            Node::Wildcard => {
                let values: Values<'v> = input.iter().flat_map(children).collect();
                bounded(values.len()).map(|()| values)
            }
            Node::Recursive => {
                let mut values = Vec::new();
                descend(input, &mut values)?;
                Ok(values)
            }
            Node::Union(lists) => {
                let mut values = Vec::new();
                for list in lists {
                    values.extend(self.list(input, list)?);
                    bounded(values.len())?;
                }
                Ok(values)
            }
            Node::Identifier(name) => self.identifier(input, name),
        }
    }

    fn identifier<'v>(&mut self, input: &Values<'v>, name: &str) -> Result<Values<'v>, EvalError> {
        match name {
            "range" => {
                self.ranges_begun += 1;
                Ok(input.clone())
            }
            "end" if self.ranges_open > 0 => {
                self.ranges_ended += 1;
                Ok(Vec::new())
            }
            "end" => Err(EvalError::NothingToEnd),
            other => Err(EvalError::Identifier(other.to_owned())),
        }
    }

    fn field<'v>(&self, input: &Values<'v>, name: &str) -> Result<Values<'v>, EvalError> {
        let values: Values<'v> = input
            .iter()
            .filter_map(|value| member(value, name))
            .collect();
        if values.is_empty() && !input.is_empty() && !self.allow_missing_keys {
            return Err(EvalError::NotFound(name.to_owned()));
        }
        Ok(values)
    }

    fn filter<'v>(&mut self, input: &Values<'v>, filter: &Filter) -> Result<Values<'v>, EvalError> {
        let mut kept = Vec::new();
        for value in input {
            if !value.is_array() {
                return Err(EvalError::NotFilterable(number::format_value(value)));
            }
            for item in children(value) {
                if self.passes(&vec![item.clone()], filter)? {
                    kept.push(item);
                }
            }
        }
        bounded(kept.len()).map(|()| kept)
    }

    fn passes(&mut self, item: &Values<'_>, filter: &Filter) -> Result<bool, EvalError> {
        let left = self.list(item, &filter.left);
        let Some((operator, right)) = &filter.comparison else {
            // A mistake other than a missing field leaves a value behind, which counts as existing.
            return Ok(match left {
                Ok(values) => !values.is_empty(),
                Err(EvalError::NotFound(_) | EvalError::NothingToEnd) => false,
                Err(_) => true,
            });
        };
        let Some(left) = single(left?)? else {
            return Ok(false);
        };
        let Some(right) = single(self.list(item, right)?)? else {
            return Ok(false);
        };
        compare(&left, operator, &right)
    }
}

fn single(values: Values<'_>) -> Result<Option<Cow<'_, Value>>, EvalError> {
    if values.len() > 1 {
        return Err(EvalError::ManyToCompare);
    }
    Ok(values.into_iter().next())
}

fn bounded(count: usize) -> Result<(), EvalError> {
    if count > MAX_VALUES {
        Err(EvalError::TooManyValues)
    } else {
        Ok(())
    }
}

fn member<'v>(value: &Cow<'v, Value>, name: &str) -> Option<Cow<'v, Value>> {
    match value {
        Cow::Borrowed(value) => value.as_object()?.get(name).map(Cow::Borrowed),
        Cow::Owned(value) => value.as_object()?.get(name).cloned().map(Cow::Owned),
    }
}

/// Members of an object by key, items of an array, bytes of a string.
fn children<'v>(value: &Cow<'v, Value>) -> Values<'v> {
    match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(entries)) => json::sorted(entries)
            .into_iter()
            .map(|(_, value)| Cow::Borrowed(value))
            .collect(),
        Cow::Owned(Value::Array(items)) => items.iter().cloned().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(entries)) => json::sorted(entries)
            .into_iter()
            .map(|(_, value)| Cow::Owned(value.clone()))
            .collect(),
        Cow::Borrowed(Value::String(text)) | Cow::Owned(Value::String(text)) => bytes(text),
        _ => Vec::new(),
    }
}

fn bytes<'v>(text: &str) -> Values<'v> {
    text.bytes()
        .map(|byte| Cow::Owned(Value::from(byte)))
        .collect()
}

/// Everything that has something in it, from the outside in.
fn descend<'v>(input: &Values<'v>, found: &mut Values<'v>) -> Result<(), EvalError> {
    for value in input {
        let inner = children(value);
        if !inner.is_empty() {
            bounded(found.len())?;
            found.push(value.clone());
            descend(&inner, found)?;
        }
    }
    Ok(())
}

fn slice<'v>(input: &Values<'v>, range: Slice) -> Result<Values<'v>, EvalError> {
    let mut found = Vec::new();
    for value in input.iter().filter(|value| !value.is_null()) {
        if !value.is_array() {
            return Err(EvalError::NotAnArray(go_type(value)));
        }
        let items = children(value);
        let length = items.len() as i64;
        let mut start = range.start.unwrap_or_default();
        if start < 0 {
            start = start.saturating_add(length);
        }
        let mut end = range.end.unwrap_or(length);
        if end < 0 || (end == 0 && range.end_is_derived) {
            end = end.saturating_add(length);
        }
        if start == end {
            // Asking for nothing is fine wherever it is; Go answers for all values at once then.
            return Ok(found);
        }
        if start >= length || start < 0 {
            return Err(EvalError::OutOfBounds {
                index: start,
                length,
            });
        }
        if end > length || end < 0 {
            return Err(EvalError::OutOfBounds {
                index: end - 1,
                length,
            });
        }
        if start > end {
            return Err(EvalError::Reversed { start, end });
        }
        let step = range.step.unwrap_or(1);
        let step = usize::try_from(step)
            .ok()
            .filter(|step| *step > 0)
            .ok_or(EvalError::Step)?;
        let picked = items
            .into_iter()
            .take(end as usize)
            .skip(start as usize)
            .step_by(step);
        found.extend(picked);
        bounded(found.len())?;
    }
    Ok(found)
}

/// What Go calls the type of a decoded value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Compares two values of one type; ints and floats are two types.
fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, EvalError> {
    let order = order(left, right)?;
    let flags = matches!(left, Value::Bool(_));
    match operator {
        "==" => Ok(order == Some(Ordering::Equal)),
        "!=" => Ok(order != Some(Ordering::Equal)),
        "<" | "<=" | ">" | ">=" if flags => Err(EvalError::IncomparableType),
        "<" => Ok(order == Some(Ordering::Less)),
        "<=" => Ok(matches!(order, Some(Ordering::Less | Ordering::Equal))),
        ">" => Ok(order == Some(Ordering::Greater)),
        ">=" => Ok(matches!(order, Some(Ordering::Greater | Ordering::Equal))),
        other => Err(EvalError::Operator(other.to_owned())),
    }
}

fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, EvalError> {
    let comparable =
        |value: &Value| !matches!(value, Value::Null | Value::Array(_) | Value::Object(_));
    if !comparable(left) || !comparable(right) {
        return Err(EvalError::IncomparableType);
    }
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(Some(left.cmp(right))),
        (Value::String(left), Value::String(right)) => Ok(Some(left.cmp(right))),
        (Value::Number(left), Value::Number(right)) if left.is_f64() == right.is_f64() => {
            match (left.as_i64(), right.as_i64()) {
                (Some(left), Some(right)) => Ok(Some(left.cmp(&right))),
                _ => Ok(left.as_f64().partial_cmp(&right.as_f64())),
            }
        }
        _ => Err(EvalError::IncompatibleTypes),
    }
}
