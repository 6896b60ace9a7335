//! Fields, elements and slices of values, and calls of methods.

use super::machine::{Machine, at};
use super::ops::{self, Answer};
use crate::ast::{Kind, Node};
use crate::builtins;
use crate::env::is_function;
use crate::error::{Fault, Result};
use crate::time;
use crate::value::{List, Value};

impl Machine<'_> {
    /// Evaluates a link of a chain; `None` when a `?.` found nil, which ends the chain.
    pub(super) fn link(&mut self, node: &Node) -> Result<Option<Value>> {
        match &node.kind {
            Kind::Member { .. } => self.member(node),
            Kind::Slice { base, from, to } => {
                let Some(base) = self.link(base)? else {
                    return Ok(None);
                };
                self.slice(node.at, &base, [from, to]).map(Some)
            }
            Kind::Call { callee, args } => self.call(node.at, callee, args),
            // Parentheses do not end a chain: `(a?.b).c` is nil as well.
            Kind::Chain(inner) => self.link(inner),
            _ => self.node(node).map(Some),
        }
    }

    pub(super) fn member(&mut self, node: &Node) -> Result<Option<Value>> {
        let Kind::Member {
            base,
            property,
            optional,
            ..
        } = &node.kind
        else {
            return Ok(None);
        };
        if let (Kind::Ident(name), Kind::Str(key)) = (&base.kind, &property.kind)
            && name == "$env"
        {
            return Ok(Some(self.name_of_environment(key)));
        }
        let Some(base) = self.link(base)? else {
            return Ok(None);
        };
        if *optional && matches!(base, Value::Nil) {
            return Ok(None);
        }
        let key = self.node(property)?;
        if let Value::Dict(dict) = &base {
            self.charge(node.at, dict.entries.len())?;
        }
        at(node.at, fetch(&base, &key)).map(Some)
    }

    fn slice(
        &mut self,
        place: usize,
        base: &Value,
        bounds: [&Option<Box<Node>>; 2],
    ) -> Result<Value> {
        let mut resolved = [None, None];
        for (slot, bound) in resolved.iter_mut().zip(bounds) {
            if let Some(bound) = bound {
                *slot = Some(self.node(bound)?);
            }
        }
        let length = match base {
            Value::List(list) => list.items.len(),
            Value::String(text) => text.len(),
            _ => {
                let from = resolved[0].clone().unwrap_or(Value::Int(0));
                let message = format!("cannot slice {}", from.go_string());
                return Err(Fault::new(place, message));
            }
        };
        let mut from = 0;
        let mut to = length;
        if let Some(value) = &resolved[0] {
            from = position(at(place, ops::as_index(value))?, length);
        }
        if let Some(value) = &resolved[1] {
            to = position(at(place, ops::as_index(value))?, length);
        }
        let to = to.max(from);
        Ok(match base {
            Value::List(list) => {
                self.grow(place, to - from)?;
                ops::slice_list(list, from, to)
            }
            Value::String(text) => {
                // In bytes, as in Go; half a character becomes a replacement character.
                let part = &text.as_bytes()[from..to];
                Value::string(String::from_utf8_lossy(part).into_owned())
            }
            _ => Value::Nil,
        })
    }

    fn call(&mut self, place: usize, callee: &Node, args: &[Node]) -> Result<Option<Value>> {
        if let Some(name) = self.function_name(callee) {
            let mut values = Vec::with_capacity(args.len());
            for arg in args {
                values.push(self.node(arg)?);
            }
            return at(place, self.function(name, &values)).map(Some);
        }
        let Kind::Member {
            base,
            property,
            optional,
            ..
        } = &callee.kind
        else {
            let value = self.node(callee)?;
            return Err(Fault::new(place, not_callable(&value)));
        };
        let Some(base) = self.link(base)? else {
            return Ok(None);
        };
        if *optional && matches!(base, Value::Nil) {
            return Ok(None);
        }
        let key = self.node(property)?;
        let name = at(place, ops::as_str(&key))?.to_owned();
        let has_method = time::method(&crate::ty::Ty::of(&base), &name).is_some();
        if !has_method {
            let value = at(place, fetch(&base, &key))?;
            return Err(Fault::new(place, not_callable(&value)));
        }
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.node(arg)?);
        }
        time::call(&base, &name, &values)
            .map(Some)
            .ok_or_else(|| Fault::new(place, format!("cannot call {name} with these arguments")))
    }

    /// The function of the environment that a callee names.
    fn function_name<'n>(&self, callee: &'n Node) -> Option<&'n str> {
        let name = match &callee.kind {
            Kind::Ident(name) => name,
            Kind::Member { base, property, .. } => match (&base.kind, &property.kind) {
                (Kind::Ident(env), Kind::Str(name)) if env == "$env" => name,
                _ => return None,
            },
            _ => return None,
        };
        (self.env.has(name) && is_function(name)).then_some(name)
    }

    fn function(&self, name: &str, args: &[Value]) -> Answer<Value> {
        let first = args.first().unwrap_or(&Value::Nil);
        let result = &self.env.result;
        match name {
            "asInt" => builtins::call(&self.cx(), "$asInt", args),
            "asFloat" => builtins::call(&self.cx(), "$asFloat", args),
            "isNaN" => float_argument(first).map(|f| Value::Bool(f.is_nan())),
            "isInf" => float_argument(first).map(|f| Value::Bool(f.is_infinite())),
            // These two look at the whole result, whatever they are given.
            "isNil" => Ok(Value::Bool(matches!(result, Value::Nil))),
            _ => Ok(match result {
                Value::Nil => args.get(1).cloned().unwrap_or(Value::Nil),
                value => value.clone(),
            }),
        }
    }

    fn cx(&self) -> builtins::Cx {
        builtins::Cx { now: self.env.now }
    }
}

fn float_argument(value: &Value) -> Answer<f64> {
    match value {
        Value::Float(f) => Ok(*f),
        // The checker turns integers that it sees into floats.
        Value::Int(i) => Ok(*i as f64),
        other => Err(ops::conversion(other, "float64")),
    }
}

fn not_callable(value: &Value) -> String {
    match value {
        Value::Nil => "invalid operation: cannot call nil".to_owned(),
        other => format!(
            "invalid operation: cannot call non-function of type {}",
            other.go_type()
        ),
    }
}

/// A bound of a slice, counted from the end if negative, clamped.
fn position(bound: i64, length: usize) -> usize {
    let length = length as i64;
    let from_start = if bound < 0 { length + bound } else { bound };
    from_start.clamp(0, length) as usize
}

/// The index of an element, or why there is none.
pub(super) fn index(value: &Value, length: usize) -> Answer<usize> {
    let index = ops::as_index(value)?;
    let length_i = length as i64;
    let from_start = if index < 0 {
        length_i.saturating_add(index)
    } else {
        index
    };
    if (0..length_i).contains(&from_start) {
        return Ok(from_start as usize);
    }
    Err(format!(
        "index out of range: {from_start} (array length is {length})"
    ))
}

fn element(list: &List, key: &Value) -> Answer<Value> {
    index(key, list.items.len()).map(|index| list.items[index].clone())
}

/// `base[key]`.
pub(crate) fn fetch(base: &Value, key: &Value) -> Answer<Value> {
    match base {
        Value::Map(map) => match key {
            Value::String(key) => Ok(map.get(&**key).cloned().unwrap_or(Value::Nil)),
            Value::Nil => Ok(map.get("").cloned().unwrap_or(Value::Nil)),
            other => Err(ops::bad_key(other)),
        },
        Value::Dict(dict) => Ok(dict.get(key).cloned().unwrap_or_else(|| {
            if dict.groups {
                Value::list(Vec::new())
            } else {
                Value::Nil
            }
        })),
        Value::List(list) => element(list, key),
        Value::String(text) => {
            // Go indexes bytes and gives a number.
            index(key, text.len()).map(|index| Value::Int(text.as_bytes()[index].into()))
        }
        other => Err(format!(
            "cannot fetch {} from {}",
            key.go_string(),
            other.go_type()
        )),
    }
}
