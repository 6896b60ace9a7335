//! Types of calls: of functions, methods, and functions with a predicate.

use super::node::{Checker, Scope};
use crate::ast::{Kind, Node};
use crate::builtins;
use crate::error::{Fault, Result};
use crate::time;
use crate::ty::Ty;

impl Checker<'_> {
    pub(super) fn call(&mut self, at: usize, callee: &Node, args: &[Node]) -> Result<Ty> {
        let ty = self.node(callee)?;
        match ty {
            Ty::Unknown => {
                for arg in args {
                    self.node(arg)?;
                }
                Ok(Ty::Unknown)
            }
            Ty::Function => {
                let (name, wants, answer) = self.signature(callee)?;
                self.arguments(at, &name, &wants, args)?;
                Ok(answer)
            }
            Ty::Nil => {
                let name = callee_name(callee);
                Err(Fault::new(
                    at,
                    format!("{name} is nil; cannot call nil as function"),
                ))
            }
            other => Err(Fault::new(at, format!("{} is not callable", other.name()))),
        }
    }

    /// Name, parameter types and answer of a function of the environment or a method.
    fn signature(&mut self, callee: &Node) -> Result<(String, Vec<Ty>, Ty)> {
        let name = callee_name(callee).to_owned();
        let base = match &callee.kind {
            Kind::Member { base, .. } => Some(self.node(base)?),
            _ => None,
        };
        if let Some(method) = base.as_ref().and_then(|base| time::method(base, &name)) {
            return Ok((name, method.parameters.to_vec(), method.answer.clone()));
        }
        let (wants, answer) = match name.as_str() {
            "asInt" => (vec![Ty::Unknown], Ty::Int64),
            "asFloat" => (vec![Ty::Unknown], Ty::Float),
            "isNaN" | "isInf" => (vec![Ty::Float], Ty::Bool),
            "isNil" => (vec![Ty::Unknown], Ty::Bool),
            _ => (vec![Ty::Unknown, Ty::Unknown], Ty::Unknown),
        };
        Ok((name, wants, answer))
    }

    fn arguments(&mut self, at: usize, name: &str, wants: &[Ty], args: &[Node]) -> Result<()> {
        if args.len() > wants.len() {
            return Err(Fault::new(at, format!("too many arguments to call {name}")));
        }
        if args.len() < wants.len() {
            return Err(Fault::new(
                at,
                format!("not enough arguments to call {name}"),
            ));
        }
        for (arg, want) in args.iter().zip(wants) {
            let ty = self.node(arg)?;
            let fits = want.is_unknown()
                || ty.is_unknown()
                || ty == *want
                || (*want == Ty::Float && ty.is_integer())
                || (*want == Ty::Int && ty.is_integer());
            if !fits {
                return Err(builtins::wrong_argument(arg.at, name, &ty, want.name()));
            }
        }
        Ok(())
    }

    pub(super) fn builtin(&mut self, at: usize, name: &str, args: &[Node]) -> Result<Ty> {
        if builtins::find(name).is_some_and(|builtin| builtin.parameters.is_some()) {
            return self.predicate_builtin(name, args);
        }
        let tys = args
            .iter()
            .map(|arg| self.node(arg))
            .collect::<Result<Vec<_>>>()?;
        builtins::check(at, name, args, &tys)
    }

    fn predicate_builtin(&mut self, name: &str, args: &[Node]) -> Result<Ty> {
        let collection = self.node(&args[0])?;
        if !collection.is_list() && !collection.is_unknown() {
            let got = collection.name();
            return Err(Fault::new(
                args[0].at,
                format!("builtin {name} takes only array (got {got})"),
            ));
        }
        let item = collection.item();
        let Some(predicate) = args.get(1) else {
            return Ok(if name == "sum" { item } else { Ty::Int });
        };
        self.predicates.push(Scope {
            item: item.clone(),
            accumulates: name == "reduce",
        });
        let answer = self.node(predicate);
        self.predicates.pop();
        let answer = answer?;
        if let Some(extra) = args.get(2) {
            self.node(extra)?;
        }
        if answer == Ty::Nil {
            return Err(Fault::new(
                predicate.at,
                "predicate should has one input and one output param",
            ));
        }
        let decides = !matches!(name, "map" | "sum" | "groupBy" | "sortBy" | "reduce");
        if decides && answer != Ty::Bool && !answer.is_unknown() {
            let got = answer.name();
            return Err(Fault::new(
                predicate.at,
                format!("predicate should return boolean (got {got})"),
            ));
        }
        Ok(match name {
            "all" | "any" | "none" | "one" => Ty::Bool,
            "count" | "findIndex" | "findLastIndex" => Ty::Int,
            "filter" | "sortBy" => Ty::list(item),
            "find" | "findLast" => item,
            "map" => Ty::list(answer),
            "groupBy" => Ty::Groups,
            _ => answer,
        })
    }
}

fn callee_name(callee: &Node) -> &str {
    match &callee.kind {
        Kind::Ident(name) => name,
        Kind::Member { property, .. } => match &property.kind {
            Kind::Str(name) => name,
            _ => "function",
        },
        _ => "function",
    }
}
