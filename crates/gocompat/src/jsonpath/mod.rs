//! kubectl's JSONPath, the dialect of client-go: templates like `{range .items[*]}{.name}{end}`.
//!
//! Differences to client-go, on purpose: keys of objects are visited in byte order where Go's order
//! is random, and a template, its nesting and its results are bounded.
//!
//! Whether a number is an int or a float matters to filters, as in Go: decode with
//! [`crate::json::with_float_numbers`] what the peer decodes with `encoding/json`.

mod eval;
mod node;
mod parse;
mod template;

pub use eval::EvalError;
pub use parse::ParseError;
pub use template::JsonPath;

#[cfg(test)]
mod tests;
