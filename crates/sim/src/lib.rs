//! A world in virtual time that tries to break the planner.
//!
//! A [`world::World`] is one namespace: a store, pods, users, analyses, and the controller, which
//! sees everything late and is interrupted between any two of its calls. A [`scenario::Scenario`]
//! says what everybody does and what goes wrong; [`generate`] makes one out of a seed. [`check`]
//! holds the rules: what no action may make worse, what no status may say, and what a world at rest
//! is like. [`swarm`] runs scenarios by the thousand, [`shrink`] makes a failing one small, and
//! `bugs/` keeps them. [`mutant`] breaks the planner on purpose: a checker that never fired proves
//! nothing. [`fleet`] is thousands of Rollouts at once, to see what plans cost.
//!
//! Nothing here is random but by seed: the same scenario gives the same world, event by event.

pub mod actor;
pub mod bugs;
pub mod check;
pub mod fault;
pub mod fleet;
pub mod generate;
pub mod ground;
pub mod mutant;
pub mod object;
pub mod scenario;
pub mod script;
pub mod setup;
pub mod shrink;
pub mod swarm;
pub mod time;
pub mod view;
pub mod world;
