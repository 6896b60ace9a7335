//! The builtins that apply a predicate to each element.

use super::machine::{Machine, Scope, at};
use super::ops;
use crate::ast::{Kind, Node};
use crate::error::{Fault, Result};
use crate::value::Value;

impl Machine<'_> {
    pub(super) fn pointer(&mut self, place: usize, name: &str) -> Result<Value> {
        let Some(scope) = self.scopes.last() else {
            return Ok(Value::Nil);
        };
        match name {
            "index" => Ok(Value::Int(scope.index as i64)),
            "acc" => Ok(scope.accumulator.clone()),
            _ => at(place, element(&scope.collection, scope.index)),
        }
    }

    pub(super) fn predicate_builtin(
        &mut self,
        place: usize,
        name: &'static str,
        args: &[Node],
    ) -> Result<Value> {
        let collection = self.node(&args[0])?;
        let length = at(place, length(&collection))?;
        let predicate = args.get(1);
        self.scopes.push(Scope {
            collection,
            index: 0,
            accumulator: Value::Nil,
        });
        let answer = match (name, predicate) {
            ("all" | "none" | "any", Some(predicate)) => {
                self.quantifier(place, name, length, predicate)
            }
            ("one", Some(predicate)) => self
                .matching(place, length, Some(predicate))
                .map(|found| Value::Bool(found.len() == 1)),
            ("count", predicate) => self
                .matching(place, length, predicate)
                .map(|found| Value::Int(found.len() as i64)),
            ("filter", Some(predicate)) => self.filter(place, length, predicate),
            ("find" | "findIndex" | "findLast" | "findLastIndex", Some(predicate)) => {
                self.find(place, name, length, predicate)
            }
            ("map", Some(predicate)) => self
                .answers(length, predicate)
                .and_then(|items| self.collect(place, items)),
            ("sum", predicate) => self.sum(place, length, predicate, &args[0]),
            ("groupBy", Some(predicate)) => self.group_by(place, length, predicate),
            ("sortBy", Some(predicate)) => self.sort_by(place, length, predicate, args.get(2)),
            ("reduce", Some(predicate)) => self.reduce(place, length, predicate, args.get(2)),
            _ => Ok(Value::Nil),
        };
        self.scopes.pop();
        answer
    }

    fn collect(&mut self, place: usize, items: Vec<Value>) -> Result<Value> {
        self.grow(place, items.len())?;
        Self::weighed(place, Value::list(items))
    }

    fn at_index(&mut self, index: usize) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.index = index;
        }
    }

    fn current(&self, place: usize) -> Result<Value> {
        self.scopes.last().map_or(Ok(Value::Nil), |scope| {
            at(place, element(&scope.collection, scope.index))
        })
    }

    fn answer_at(&mut self, index: usize, predicate: &Node) -> Result<Value> {
        self.at_index(index);
        self.node(predicate)
    }

    fn answers(&mut self, length: usize, predicate: &Node) -> Result<Vec<Value>> {
        (0..length)
            .map(|index| self.answer_at(index, predicate))
            .collect()
    }

    /// What the predicate says of an element; without one, the element.
    fn answer_or_element(
        &mut self,
        place: usize,
        index: usize,
        predicate: Option<&Node>,
    ) -> Result<Value> {
        if let Some(predicate) = predicate {
            return self.answer_at(index, predicate);
        }
        self.at_index(index);
        self.current(place)
    }

    /// Whether the predicate holds; without one, whether the element is true.
    fn holds(&mut self, place: usize, index: usize, predicate: Option<&Node>) -> Result<bool> {
        let answer = self.answer_or_element(place, index, predicate)?;
        at(place, ops::as_bool(&answer))
    }

    fn quantifier(
        &mut self,
        place: usize,
        name: &str,
        length: usize,
        predicate: &Node,
    ) -> Result<Value> {
        for index in 0..length {
            let holds = self.holds(place, index, Some(predicate))?;
            if holds != (name == "all") {
                return Ok(Value::Bool(name == "any"));
            }
        }
        Ok(Value::Bool(name != "any"))
    }

    fn matching(
        &mut self,
        place: usize,
        length: usize,
        predicate: Option<&Node>,
    ) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        for index in 0..length {
            if self.holds(place, index, predicate)? {
                found.push(index);
            }
        }
        Ok(found)
    }

    fn filter(&mut self, place: usize, length: usize, predicate: &Node) -> Result<Value> {
        let mut items = Vec::new();
        for index in 0..length {
            if self.holds(place, index, Some(predicate))? {
                items.push(self.current(place)?);
            }
        }
        self.collect(place, items)
    }

    fn find(&mut self, place: usize, name: &str, length: usize, predicate: &Node) -> Result<Value> {
        let last = name.starts_with("findLast");
        for step in 0..length {
            let index = if last { length - 1 - step } else { step };
            if self.holds(place, index, Some(predicate))? {
                return if name.ends_with("Index") {
                    Ok(Value::Int(index as i64))
                } else {
                    self.current(place)
                };
            }
        }
        Ok(Value::Nil)
    }

    fn sum(
        &mut self,
        place: usize,
        length: usize,
        predicate: Option<&Node>,
        collection: &Node,
    ) -> Result<Value> {
        // Go rewrites the sum of a written list to a chain of `+`.
        let chain = predicate.is_none()
            && matches!(&collection.kind, Kind::Array(nodes) if nodes.len() > 1);
        let mut total = Value::Int(0);
        for index in 0..length {
            let value = self.answer_or_element(place, index, predicate)?;
            total = match (index, chain) {
                (0, true) => value,
                (_, true) => at(place, ops::add(&total, &value))?,
                // A sum that starts with durations starts with the first of them.
                (0, false) if matches!(value, Value::Duration(_)) => value,
                _ => at(place, ops::add(&value, &total))?,
            };
        }
        Ok(total)
    }

    fn group_by(&mut self, place: usize, length: usize, predicate: &Node) -> Result<Value> {
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        for index in 0..length {
            let key = self.answer_at(index, predicate)?;
            if matches!(key, Value::List(_) | Value::Map(_) | Value::Dict(_)) {
                let message = format!("hash of unhashable type: {}", key.go_type());
                return Err(Fault::new(place, message));
            }
            let item = self.current(place)?;
            self.charge(place, groups.len())?;
            if let Some((_, items)) = groups.iter_mut().find(|(have, _)| ops::same(have, &key)) {
                items.push(item);
            } else {
                self.grow(place, 1)?;
                groups.push((key, vec![item]));
            }
        }
        let entries = groups.into_iter();
        let entries = entries.map(|(key, items)| (key, Value::list(items)));
        Self::weighed(place, Value::groups(entries.collect()))
    }

    fn sort_by(
        &mut self,
        place: usize,
        length: usize,
        predicate: &Node,
        order: Option<&Node>,
    ) -> Result<Value> {
        let descending = match order {
            None => false,
            Some(order) => {
                let order = self.node(order)?;
                match at(place, ops::as_str(&order))? {
                    "asc" => false,
                    "desc" => true,
                    _ => {
                        let message = "unknown order, use asc or desc";
                        return Err(Fault::new(place, message));
                    }
                }
            }
        };
        let mut pairs = Vec::with_capacity(length);
        for index in 0..length {
            let key = self.answer_at(index, predicate)?;
            pairs.push((key, self.current(place)?));
        }
        let items = at(place, sorted(pairs, descending))?;
        self.collect(place, items)
    }

    fn reduce(
        &mut self,
        place: usize,
        length: usize,
        predicate: &Node,
        initial: Option<&Node>,
    ) -> Result<Value> {
        let (mut accumulator, start) = match initial {
            Some(initial) => (self.node(initial)?, 0),
            None if length == 0 => {
                let message = "reduce of empty array with no initial value";
                return Err(Fault::new(place, message));
            }
            None => {
                self.at_index(0);
                (self.current(place)?, 1)
            }
        };
        for index in start..length {
            self.at_index(index);
            if let Some(scope) = self.scopes.last_mut() {
                scope.accumulator = accumulator;
            }
            accumulator = self.node(predicate)?;
        }
        Ok(accumulator)
    }
}

/// Sorts values by their keys, stably. Keys that have no order are an error, found before anything
/// is sorted: a sort needs an order.
pub(crate) fn sorted(mut pairs: Vec<(Value, Value)>, descending: bool) -> ops::Answer<Vec<Value>> {
    use crate::ast::BinaryOp;
    // Go compares the later with the earlier one first; the error names them in that order.
    for two in pairs.windows(2) {
        ops::compared(BinaryOp::Lt, &two[1].0, &two[0].0)?;
    }
    pairs.sort_by(|(a, _), (b, _)| {
        let order = ops::order(a, b);
        if descending { order.reverse() } else { order }
    });
    Ok(pairs.into_iter().map(|(_, value)| value).collect())
}

fn length(collection: &Value) -> ops::Answer<usize> {
    match collection {
        Value::List(list) => Ok(list.items.len()),
        Value::String(text) => Ok(text.len()),
        Value::Map(map) => Ok(map.len()),
        Value::Dict(dict) => Ok(dict.entries.len()),
        Value::Nil => Err("reflect: call of reflect.Value.Len on zero Value".to_owned()),
        other => Err(format!(
            "reflect: call of reflect.Value.Len on {} Value",
            other.go_kind()
        )),
    }
}

fn element(collection: &Value, index: usize) -> ops::Answer<Value> {
    match collection {
        Value::List(list) => Ok(list.items.get(index).cloned().unwrap_or(Value::Nil)),
        Value::String(text) => Ok(text
            .as_bytes()
            .get(index)
            .map_or(Value::Nil, |byte| Value::Int((*byte).into()))),
        other => Err(format!(
            "reflect: call of reflect.Value.Index on {} Value",
            other.go_kind()
        )),
    }
}
