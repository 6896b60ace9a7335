//! The expr-lang language (1.17) in which analysis conditions are written.
//!
//! A condition is compiled against its environment, as the peer does it: names and types are
//! checked against the *values at hand*, so that `result > 5` is a compile error when this
//! measurement's `result` is a string. Then the tree is evaluated. Sentences, positions and
//! snippets of errors are those of expr-lang 1.17.8, because they end up in measurements.
//!
//! The crate is pure: `now()` is what the [`Env`] says, named time zones come from data that is
//! compiled in, and both the size of a source and the work of a run have limits ([`limits`]).
//!
//! Intended differences from Go, all listed with their reason in
//! `tests/fixtures/differences.txt`: no byte strings, no function values outside calls, no nil
//! lists apart from the empty one.

mod ast;
mod builtins;
mod check;
mod env;
mod error;
mod eval;
mod go;
mod lexer;
pub mod limits;
mod parse;
mod pattern;
mod program;
mod time;
mod ty;
mod value;

pub use env::{Env, Names};
pub use error::{Error, Stage};
pub use pattern::go_regex;
pub use program::Program;
pub use value::{Dict, Elements, List, Map, Value};
