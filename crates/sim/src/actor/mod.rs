//! Those who act in a world: the controller, the analyses, the users.

mod analysis;
mod call;
mod controller;
mod user;

pub use analysis::{Analyses, Verdict};
pub use controller::Controller;
pub use user::{Act, perform};
