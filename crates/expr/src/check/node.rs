//! The checker: the type of a node, or why there is none.

use crate::ast::{Kind, Node, UnaryOp};
use crate::builtins;
use crate::env::{Env, is_function};
use crate::error::{Fault, Result};
use crate::ty::Ty;

/// The type of the program's value.
pub(crate) fn check(root: &Node, env: &Env) -> Result<Ty> {
    let mut checker = Checker {
        env,
        result: Ty::of(&env.result),
        variables: Vec::new(),
        predicates: Vec::new(),
    };
    checker.node(root)
}

pub(super) struct Checker<'a> {
    pub(super) env: &'a Env,
    result: Ty,
    variables: Vec<(String, Ty)>,
    pub(super) predicates: Vec<Scope>,
}

/// What `#` means inside a predicate.
pub(super) struct Scope {
    pub(super) item: Ty,
    /// `reduce` has `#acc`.
    pub(super) accumulates: bool,
}

impl Checker<'_> {
    pub(super) fn node(&mut self, node: &Node) -> Result<Ty> {
        match &node.kind {
            Kind::Nil => Ok(Ty::Nil),
            Kind::Bool(_) => Ok(Ty::Bool),
            Kind::Int(_) => Ok(Ty::Int),
            Kind::Float(_) => Ok(Ty::Float),
            Kind::Str(_) => Ok(Ty::String),
            Kind::Ident(name) => self.identifier(node.at, name),
            Kind::Unary { op, text, operand } => self.unary(node.at, *op, text, operand),
            Kind::Binary {
                op,
                text,
                left,
                right,
            } => {
                let (left, right) = (self.node(left)?, self.node(right)?);
                super::operators::binary(node.at, *op, text, [&left, &right])
            }
            Kind::Member { .. } => self.member(node),
            Kind::Chain(inner) | Kind::Predicate(inner) => self.node(inner),
            Kind::Slice { base, from, to } => self.slice(node.at, base, [from, to]),
            Kind::Call { callee, args } => self.call(node.at, callee, args),
            Kind::Builtin { name, args } => self.builtin(node.at, name, args),
            Kind::Pointer(name) => self.pointer(node.at, name),
            Kind::Conditional {
                condition,
                then,
                otherwise,
            } => self.conditional(condition, then, otherwise),
            Kind::Let { name, value, body } => self.declaration(node.at, name, value, body),
            Kind::Sequence(nodes) => {
                let mut ty = Ty::Nil;
                for node in nodes {
                    ty = self.node(node)?;
                }
                Ok(ty)
            }
            Kind::Array(nodes) => self.array(nodes),
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    self.node(key)?;
                    self.node(value)?;
                }
                Ok(Ty::Map)
            }
        }
    }

    /// The type of a variable or of a name of the environment.
    pub(super) fn lookup(&self, name: &str) -> Option<Ty> {
        if let Some((_, ty)) = self.variables.iter().rev().find(|(have, _)| have == name) {
            return Some(ty.clone());
        }
        if !self.env.has(name) {
            return None;
        }
        Some(if is_function(name) {
            Ty::Function
        } else {
            self.result.clone()
        })
    }

    fn identifier(&self, at: usize, name: &str) -> Result<Ty> {
        if name == "$env" {
            return Ok(Ty::Env);
        }
        if let Some(ty) = self.lookup(name) {
            return Ok(ty);
        }
        if builtins::is_builtin(name) {
            return Ok(Ty::Unknown);
        }
        Err(Fault::new(at, format!("unknown name {name}")))
    }

    fn unary(&mut self, at: usize, op: UnaryOp, text: &str, operand: &Node) -> Result<Ty> {
        let ty = self.node(operand)?;
        let fits = match op {
            UnaryOp::Not => ty == Ty::Bool,
            UnaryOp::Minus | UnaryOp::Plus => ty.is_number(),
        };
        if fits || ty.is_unknown() {
            return Ok(if op == UnaryOp::Not { Ty::Bool } else { ty });
        }
        let message = format!("invalid operation: {text} (mismatched type {})", ty.name());
        Err(Fault::new(at, message))
    }

    fn pointer(&self, at: usize, name: &str) -> Result<Ty> {
        let scope = self.predicates.last();
        match (name, scope) {
            ("", Some(scope)) => Ok(scope.item.clone()),
            ("index", Some(_)) => Ok(Ty::Int),
            ("acc", Some(scope)) if scope.accumulates => Ok(Ty::Unknown),
            _ => Err(Fault::new(at, format!("unknown pointer #{name}"))),
        }
    }

    fn conditional(&mut self, condition: &Node, then: &Node, otherwise: &Node) -> Result<Ty> {
        let ty = self.node(condition)?;
        if ty != Ty::Bool && !ty.is_unknown() {
            return Err(Fault::new(
                condition.at,
                format!("non-bool expression (type {}) used as condition", ty.name()),
            ));
        }
        let (then, otherwise) = (self.node(then)?, self.node(otherwise)?);
        Ok(match (then, otherwise) {
            (Ty::Nil, other) | (other, Ty::Nil) => other,
            (then, otherwise) if then.assignable_to(&otherwise) => then,
            _ => Ty::Unknown,
        })
    }

    fn declaration(&mut self, at: usize, name: &str, value: &Node, body: &Node) -> Result<Ty> {
        if self.env.has(name) {
            return Err(Fault::new(at, format!("cannot redeclare {name}")));
        }
        if builtins::is_builtin(name) {
            return Err(Fault::new(at, format!("cannot redeclare builtin {name}")));
        }
        if self.variables.iter().any(|(have, _)| have == name) {
            return Err(Fault::new(at, format!("cannot redeclare variable {name}")));
        }
        let ty = self.node(value)?;
        self.variables.push((name.to_owned(), ty));
        let ty = self.node(body);
        self.variables.pop();
        ty
    }

    fn array(&mut self, nodes: &[Node]) -> Result<Ty> {
        let mut item: Option<Ty> = None;
        for node in nodes {
            let ty = self.node(node)?;
            item = Some(match item {
                None => ty,
                Some(so_far) if so_far == ty => ty,
                Some(_) => Ty::Unknown,
            });
        }
        Ok(Ty::list(item.unwrap_or(Ty::Unknown)))
    }
}
