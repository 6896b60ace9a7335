//! Tokens to a tree: a Pratt parser.

mod call;
mod expression;
mod primary;
mod state;

pub(crate) use state::parse;
