//! Calls and their arguments.

use super::state::Parser;
use crate::ast::{Kind, Node};
use crate::builtins::{self, Parameter};
use crate::error::Result;
use crate::lexer::{Token, TokenKind};

impl Parser {
    /// A call by name: a builtin, or a function of the environment. `first` is what a pipe puts
    /// in front.
    pub(super) fn call(&mut self, name: &Token, first: Vec<Node>) -> Result<Node> {
        if let Some(builtin) = builtins::find(&name.text) {
            let args = match builtin.parameters {
                Some(parameters) => self.predicate_arguments(parameters, first)?,
                None => self.arguments(first)?,
            };
            return self.node(
                name.at,
                Kind::Builtin {
                    name: builtin.name,
                    args,
                },
            );
        }
        let callee = Box::new(self.node(name.at, Kind::Ident(name.text.clone()))?);
        let args = self.arguments(first)?;
        self.node(name.at, Kind::Call { callee, args })
    }

    pub(super) fn arguments(&mut self, first: Vec<Node>) -> Result<Vec<Node>> {
        self.expect(TokenKind::Bracket, "(")?;
        let mut args = first;
        let mut separate = false;
        while !self.is_bracket(")") {
            if separate {
                self.expect(TokenKind::Operator, ",")?;
                if self.is_bracket(")") {
                    break;
                }
            }
            args.push(self.expression(0)?);
            separate = true;
        }
        self.next()?;
        Ok(args)
    }

    /// The arguments of a builtin that takes a predicate.
    fn predicate_arguments(
        &mut self,
        parameters: &'static [Parameter],
        first: Vec<Node>,
    ) -> Result<Vec<Node>> {
        self.expect(TokenKind::Bracket, "(")?;
        let mut args = first;
        let piped = args.len();
        for (index, parameter) in parameters.iter().enumerate().skip(piped) {
            let optional = matches!(
                parameter,
                Parameter::OptionalPredicate | Parameter::OptionalExpression
            );
            if self.is_bracket(")") {
                if optional {
                    break;
                }
                return Err(self.fault(format!("expected at least {} arguments", parameters.len())));
            }
            if index > piped {
                self.expect(TokenKind::Operator, ",")?;
                if self.is_bracket(")") {
                    return Err(self.unexpected());
                }
            }
            args.push(match parameter {
                Parameter::Expression | Parameter::OptionalExpression => self.expression(0)?,
                Parameter::Predicate | Parameter::OptionalPredicate => self.predicate()?,
            });
        }
        if self.is_operator(",") {
            self.next()?;
            if !self.is_bracket(")") {
                return Err(self.unexpected());
            }
        }
        self.expect(TokenKind::Bracket, ")")?;
        Ok(args)
    }

    fn predicate(&mut self) -> Result<Node> {
        let at = self.current().at;
        let braces = self.is_bracket("{");
        if braces {
            self.next()?;
        }
        self.closures += 1;
        let body = if braces {
            self.sequence()
        } else {
            self.expression(0)
        }?;
        self.closures -= 1;
        if braces {
            self.expect(TokenKind::Bracket, "}")?;
        }
        self.node(at, Kind::Predicate(Box::new(body)))
    }
}
