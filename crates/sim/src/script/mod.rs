//! The scenario language: a transcript goes in, a transcript comes out.
//!
//! A file is the Rollout's spec as YAML, a line `---`, and commands, one a line. What comes out is
//! each command with what happened while it was carried out. A spec with a `workloadRef` brings the
//! Deployment that it names: `image` changes its template. `show` prints the state, and does not
//! depend on the ground; everything else has times and names in it.
//!
//! | command | what it does |
//! |---|---|
//! | `advance 90s` | lets time pass |
//! | `until Healthy` | lets time pass until the Rollout has the phase, and its generation is observed |
//! | `image N`, `scale N`, `steps N` | an update (3 never starts), a size, other steps |
//! | `edit {"minReadySeconds": 5}` | a merge patch of the spec |
//! | `promote`, `promote-full`, `skip`, `abort`, `retry`, `restart`, `pause`, `unpause` | as the command line does |
//! | `delete-set N`, `turn N`, `repoint SERVICE nobody\|everybody`, `lose OBJECT 30s` | behind the controller's back |
//! | `analysis PHASE 5s` | how the next analysis run ends, and when |
//! | `fault …` | see `script/parse.rs`; calls are counted from here |
//! | `heal` | no more faults |
//! | `show`, `explain` | the state; what the Rollout waits for |

mod parse;
mod play;

pub use parse::{Command, Script, ScriptError};
pub use play::{On, Transcript, play};
