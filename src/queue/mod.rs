//! The work queue: which object is to be reconciled, and when.
//!
//! A key is in the queue once, however often it is added, and is never handed to two workers at
//! a time: a key that is added while it is being worked on is handed out again afterwards. The
//! earliest of several due times wins. Failures back off per key, so that one object that fails
//! costs the others nothing; and so do passes that write something each time, once there were many
//! in a row. A process that does not lead queues nothing.

mod key;
mod state;
mod work;

pub use key::{Key, Kind, Outcome};
pub use work::{Load, Progress, Queue};

#[cfg(test)]
mod tests;
