//! One table of requests pins what a Kubernetes API server answers.
//!
//! A file of the table is a sequence of [`Case`]s. Each is sent in order to a [`Server`]: the
//! embedded one in a test, a real kube-apiserver with its controllers in the suite `conformance` of
//! `weir-e2e`. The answer is compared whole after masking what differs from run to run. There is
//! one truth, the table; what the embedded server answers differently on purpose stands beside it
//! with the reason (`embedded`, `why`).
//!
//! | module | what |
//! | --- | --- |
//! | `case` | the format, and reading it |
//! | `mask` | what is hidden before a comparison |
//! | `pointer` | JSON pointers that can find an item of a list by a field |
//! | `replay` | sends a file and tells what differs |
//! | `cleanup` | what a file leaves behind on a server that lives on |
//! | `record` | writes a server's answers into the table |

mod case;
mod cleanup;
mod diff;
mod emit;
mod mask;
mod pointer;
mod record;
mod replay;

pub use case::{Case, Expected, File, TableError, read_table};
pub use cleanup::Leftovers;
pub use record::record;
pub use replay::{Answer, Difference, Replay, Server, Which};
