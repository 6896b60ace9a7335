//! Those who act in a world: the controller, the analyses, the experiments, the users.

mod analysis;
mod call;
mod controller;
pub mod experiments;
mod user;

pub use analysis::{Analyses, Verdict};
pub use controller::Controller;
pub use user::{Act, Sight, perform};
