//! The functions of the language: which there are ([`find`]), how they are checked ([`check`])
//! and what they do ([`call`]).

mod arrays;
mod call;
mod json;
mod maps;
mod numbers;
mod strings;
mod table;
mod times;

pub(crate) use call::{Cx, call};
pub(crate) use table::{Parameter, check, find, is_builtin, wrong_argument};
