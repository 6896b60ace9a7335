//! What is served: the table of built-in kinds plus whatever CRDs say, as data.

mod builtin;
pub(crate) mod crd;
mod resource;
mod table;

pub(crate) use resource::{Extra, Generation, Origin, PrinterColumn, Resource, ScalePaths};
pub(crate) use table::Registry;
