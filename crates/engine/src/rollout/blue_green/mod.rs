//! The blue-green strategy: two full sets of pods, one switch (rollouts.md §3.7).

mod advance;
mod pause;
mod scale_down;
mod sizes;
mod status;
mod switch;

pub(crate) use advance::advance;
