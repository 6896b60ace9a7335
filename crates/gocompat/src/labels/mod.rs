//! apimachinery's label selectors: `app=web,tier in (db, cache),!legacy`, and `LabelSelector`.

mod parse;
mod requirement;
mod selector;
pub mod validate;

pub use requirement::{Operator, Requirement};
pub use selector::{Expression, Selector, SelectorError};
