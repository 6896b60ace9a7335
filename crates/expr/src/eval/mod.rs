//! The tree evaluator.

mod access;
mod fold;
mod machine;
pub(crate) mod ops;
mod predicates;

pub(crate) use access::fetch;
pub(crate) use fold::fold_errors;
pub(crate) use machine::run;
pub(crate) use predicates::sorted;
