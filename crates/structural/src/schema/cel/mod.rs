//! Rules in the Common Expression Language: what is an expression, and what it says of an object.
//!
//! A definition's rules are judged by what the API server's compiler would say of them: a grammar,
//! a type checker and an estimate of costs of our own, which refuse only what is refused there.
//!
//! The evaluation is that of the crate `cel` with the functions of `kube-cel`. Where it differs
//! from the API server's, `rewrite` puts other functions in place of the operators, or refuses:
//! such rules are told of when a definition is installed, and hold nobody up. Nor does a rule that
//! compares a list which it has made of others, such as a sum, with one that only differs in its
//! order, where there are sets or maps.
//!
//! - `syntax`: whether a text is an expression, with `lexer` and `parser`; a `tree` is what they
//!   read.
//! - `check`: whether it fits its schema, by the `types` of what that has `declare`d and the
//!   `overloads` of functions; and by the `estimate` of what it costs.
//! - `program`: compiled expressions, and what runs them.
//! - `rewrite`: what is changed in an expression first.
//! - `cost`: a bound to what running it may cost.
//! - `functions`: what an expression may call.
//! - `bind`: objects as values of the language.

mod bind;
mod check;
mod cost;
mod declare;
mod estimate;
mod functions;
mod lexer;
mod overloads;
mod parser;
mod program;
mod rewrite;
mod syntax;
mod tree;
mod types;

pub(super) use bind::Unordered;
pub(super) use check::{Fit, Refusal, Wanted, check};
pub(super) use declare::Declared;
pub(super) use program::{Fault, Program, Scope};
pub(super) use syntax::syntax_error;
