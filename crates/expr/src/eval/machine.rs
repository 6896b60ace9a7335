//! The evaluator, which counts what a run costs (see [`limits`]).

use super::ops;
use crate::ast::{BinaryOp, Kind, Node, UnaryOp};
use crate::builtins;
use crate::error::{Fault, Result};
use crate::value::{Elements, Value};
use crate::{Env, limits};
use std::collections::BTreeMap;

/// What compiling a pattern costs, in steps.
const REGEX_STEPS: usize = 2_000;
/// What a large one costs besides: fifty of them in one run are too many.
const LARGE_REGEX_STEPS: usize = 100_000;

pub(crate) fn run(root: &Node, env: &Env) -> Result<Value> {
    let mut machine = Machine {
        env,
        variables: Vec::new(),
        scopes: Vec::new(),
        memory: 0,
        steps: 0,
    };
    machine.node(root)
}

pub(super) struct Machine<'a> {
    pub(super) env: &'a Env,
    variables: Vec<(String, Value)>,
    pub(super) scopes: Vec<Scope>,
    memory: usize,
    steps: usize,
}

/// One running predicate.
pub(super) struct Scope {
    pub(super) collection: Value,
    pub(super) index: usize,
    pub(super) accumulator: Value,
}

/// Gives a message its place.
pub(super) fn at<T>(place: usize, answer: ops::Answer<T>) -> Result<T> {
    answer.map_err(|message| Fault::new(place, message))
}

impl Machine<'_> {
    /// Accounts for new elements.
    pub(super) fn grow(&mut self, place: usize, elements: usize) -> Result<()> {
        self.memory = self.memory.saturating_add(elements);
        if self.memory >= limits::MEMORY {
            return Err(Fault::new(place, "memory budget exceeded"));
        }
        Ok(())
    }

    /// Accounts for work.
    pub(super) fn charge(&mut self, place: usize, steps: usize) -> Result<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > limits::STEPS {
            return Err(Fault::new(place, "step budget exceeded"));
        }
        Ok(())
    }

    /// Refuses values that would be costly to walk over: a reduction can nest and share lists
    /// without end (`[#acc, #acc]`).
    pub(super) fn weighed(place: usize, value: Value) -> Result<Value> {
        let weight = value.weight();
        if weight.depth > limits::VALUE_DEPTH {
            return Err(Fault::new(place, "value is nested too deeply"));
        }
        if weight.size > limits::MEMORY {
            return Err(Fault::new(place, "memory budget exceeded"));
        }
        Ok(value)
    }

    pub(super) fn node(&mut self, node: &Node) -> Result<Value> {
        self.charge(node.at, 1)?;
        match &node.kind {
            Kind::Nil => Ok(Value::Nil),
            Kind::Bool(b) => Ok(Value::Bool(*b)),
            Kind::Int(i) => Ok(Value::Int(*i)),
            Kind::Float(f) => Ok(Value::Float(*f)),
            Kind::Str(s) => Ok(Value::string(s.as_str())),
            Kind::Ident(name) => Ok(self.identifier(name)),
            Kind::Unary { op, operand, .. } => self.unary(node.at, *op, operand),
            Kind::Binary {
                op, left, right, ..
            } => self.binary(node.at, *op, left, right),
            Kind::Member { .. } => Ok(self.member(node)?.unwrap_or(Value::Nil)),
            Kind::Chain(inner) => Ok(self.link(inner)?.unwrap_or(Value::Nil)),
            Kind::Slice { .. } | Kind::Call { .. } => Ok(self.link(node)?.unwrap_or(Value::Nil)),
            Kind::Builtin { name, args } => self.builtin(node.at, name, args),
            Kind::Predicate(body) => self.node(body),
            Kind::Pointer(name) => self.pointer(node.at, name),
            Kind::Conditional {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.node(condition)?;
                let branch = if at(node.at, ops::as_bool(&condition))? {
                    then
                } else {
                    otherwise
                };
                self.node(branch)
            }
            Kind::Let { name, value, body } => {
                let value = self.node(value)?;
                self.variables.push((name.clone(), value));
                let answer = self.node(body);
                self.variables.pop();
                answer
            }
            Kind::Sequence(nodes) => self.sequence(nodes),
            Kind::Array(nodes) => self.array(node.at, nodes),
            Kind::Map(pairs) => self.map(node.at, pairs),
        }
    }

    fn sequence(&mut self, nodes: &[Node]) -> Result<Value> {
        let mut last = Value::Nil;
        for node in nodes {
            last = self.node(node)?;
        }
        Ok(last)
    }

    fn array(&mut self, place: usize, nodes: &[Node]) -> Result<Value> {
        let mut items = Vec::with_capacity(nodes.len());
        for node in nodes {
            items.push(self.node(node)?);
        }
        self.grow(place, items.len())?;
        Self::weighed(place, Value::list(items))
    }

    fn map(&mut self, place: usize, pairs: &[(Node, Node)]) -> Result<Value> {
        let mut map = BTreeMap::new();
        for (key, value) in pairs {
            let key = self.node(key)?;
            let value = self.node(value)?;
            map.insert(at(place, ops::as_str(&key))?.to_owned(), value);
        }
        self.grow(place, map.len())?;
        Self::weighed(place, Value::map(map))
    }

    fn identifier(&self, name: &str) -> Value {
        if let Some((_, value)) = self.variables.iter().rev().find(|(have, _)| have == name) {
            return value.clone();
        }
        self.name_of_environment(name)
    }

    pub(super) fn name_of_environment(&self, name: &str) -> Value {
        if name == "result" && self.env.has(name) {
            return self.env.result.clone();
        }
        if name == "$env" && self.env.has("result") {
            let map = BTreeMap::from([("result".to_owned(), self.env.result.clone())]);
            return Value::map(map);
        }
        Value::Nil
    }

    fn unary(&mut self, place: usize, op: UnaryOp, operand: &Node) -> Result<Value> {
        let value = self.node(operand)?;
        match op {
            UnaryOp::Not => Ok(Value::Bool(!at(place, ops::as_bool(&value))?)),
            UnaryOp::Minus => at(place, ops::negate(&value)),
            UnaryOp::Plus => Ok(value),
        }
    }

    fn binary(&mut self, place: usize, op: BinaryOp, left: &Node, right: &Node) -> Result<Value> {
        use BinaryOp as B;
        let a = self.node(left)?;
        // Go jumps on the value itself: what is no bool ends an `and` and goes on in an `or`.
        let decided = match op {
            B::And => Some(!matches!(a, Value::Bool(true))),
            B::Or => Some(matches!(a, Value::Bool(true))),
            B::Coalesce => Some(!matches!(a, Value::Nil)),
            _ => None,
        };
        match decided {
            Some(true) => return Ok(a),
            Some(false) => return self.node(right),
            None => {}
        }
        let b = self.node(right)?;
        self.charge(place, a.weight().size.saturating_add(b.weight().size))?;
        match op {
            B::Eq => Ok(Value::Bool(ops::equal(&a, &b))),
            B::Ne => Ok(Value::Bool(!ops::equal(&a, &b))),
            B::Lt | B::Gt | B::Le | B::Ge => at(place, ops::compared(op, &a, &b)).map(Value::Bool),
            B::In => {
                let is_env = matches!(&right.kind, Kind::Ident(name) if name == "$env");
                if is_env && let Value::String(name) = &a {
                    return Ok(Value::Bool(self.env.has(name)));
                }
                at(place, ops::contains(&a, &b)).map(Value::Bool)
            }
            B::Matches => {
                self.charge(place, REGEX_STEPS)?;
                let found = at(place, ops::matches(&a, &b))?;
                if found.is_costly {
                    self.charge(place, LARGE_REGEX_STEPS)?;
                }
                Ok(Value::Bool(found.holds))
            }
            B::Contains | B::StartsWith | B::EndsWith => {
                at(place, ops::text(op, &a, &b)).map(Value::Bool)
            }
            B::Range => self.range(place, &a, &b),
            _ => at(place, ops::arithmetic(op, &a, &b)),
        }
    }

    fn range(&mut self, place: usize, a: &Value, b: &Value) -> Result<Value> {
        let from = at(place, ops::as_index(a))?;
        let to = at(place, ops::as_index(b))?;
        let length = if to < from {
            0
        } else {
            usize::try_from(i128::from(to) - i128::from(from) + 1).unwrap_or(usize::MAX)
        };
        self.grow(place, length)?;
        let items = (from..=to).take(length).map(Value::Int).collect();
        Ok(Value::of(Elements::Ints, items))
    }

    fn builtin(&mut self, place: usize, name: &'static str, args: &[Node]) -> Result<Value> {
        if builtins::find(name).is_some_and(|builtin| builtin.parameters.is_some()) {
            return self.predicate_builtin(place, name, args);
        }
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.node(arg)?);
        }
        let size = values.iter().map(|value| value.weight().size);
        let size = size.fold(0, usize::saturating_add);
        // These compare each element with the different ones before it.
        let quadratic = matches!(name, "uniq" | "fromPairs");
        let factor = if quadratic {
            size.min(5_000) / 16 + 1
        } else {
            1
        };
        self.charge(place, size.saturating_mul(factor))?;
        let cx = builtins::Cx { now: self.env.now };
        let answer = at(place, builtins::call(&cx, name, &values))?;
        let elements = match &answer {
            Value::List(list) => list.items.len(),
            Value::Map(map) => map.len(),
            Value::String(text) if name == "repeat" => text.len(),
            _ => 0,
        };
        self.grow(place, elements)?;
        Self::weighed(place, answer)
    }
}
