//! Leader election: of several controllers, one acts (rollouts.md §9.3).
//!
//! [`decide`] is the whole judgement, a pure function of what was seen of the Lease and since when.
//! [`elect`] is the loop around it, [`Leadership`] what the rest of the shell knows of it, and
//! [`Lead`] what whoever writes has to ask: it holds in one term only.
//!
//! The Lease, its name and its fields are those of the peer's controller, so that the two never act
//! side by side in one namespace. Unlike the peer, a controller that loses the Lease does not exit:
//! it parks its workers, keeps its caches, and stands by. One that is told to stop gives the Lease
//! back once its workers have finished, and the next one goes on at once.
//!
//! No clock of another machine is believed: a Lease runs out when it has not changed for its
//! duration by this process's own clock.
//!
//! With `--leader-elect=false` there is no election, and nothing keeps a second controller from
//! acting as well. [`look_out`] at least notices one; and each controller that acts, elected or
//! not, notices those that do so without holding the Lease, because they leave notes in it.

mod decide;
mod election;
mod elector;
mod leadership;
mod lock;
mod lookout;
mod newest;
mod others;
mod presence;

pub use decide::{Decision, Record, Seen, decide};
pub use election::{Election, Role, Timing, TimingError, identity};
pub use elector::elect;
pub use leadership::{Lead, Leadership};
pub use lookout::look_out;
pub(crate) use presence::rivals;
