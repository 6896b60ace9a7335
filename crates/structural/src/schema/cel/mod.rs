//! Rules in the Common Expression Language: what is an expression, and what it says of an object.
//!
//! The evaluation is that of the crate `cel` with the functions of `kube-cel`, without a type
//! checker. Where it differs from the API server's, `rewrite` puts other functions in place of the
//! operators, or refuses: such rules are told of when a definition is installed, and hold nobody
//! up. Nor does a rule that compares lists which only differ in their order, where there are sets
//! or maps.
//!
//! - `syntax`: the parser for the errors that a definition is refused with.
//! - `program`: compiled expressions, and what runs them.
//! - `rewrite`: what is changed in an expression first.
//! - `cost`: a bound to what running it may cost.
//! - `functions`: what an expression may call.
//! - `bind`: objects as values of the language.

mod bind;
mod cost;
mod functions;
mod program;
mod rewrite;
mod syntax;

pub(super) use program::{Fault, Program, Scope};
pub(super) use syntax::syntax_error;
