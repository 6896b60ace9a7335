//! What is printed, as text. Pure: values in, text with styles out; the terminal takes the styles
//! away where they are not wanted.

mod application;
mod list;
mod rollout;
mod style;

pub use application::{application, applications, operation};
pub use list::{ListColumns, experiments, list, list_line};
pub use rollout::{experiment, rollout};
