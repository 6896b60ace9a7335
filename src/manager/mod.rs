//! Start and stop of the controller: caches first, then the election, then the workers of whoever
//! leads. On shutdown the workers end what they are at, no more than one request each, and then the
//! lead is given back.

mod run;
mod term;
mod watches;

pub use run::{Only, Options, run};
