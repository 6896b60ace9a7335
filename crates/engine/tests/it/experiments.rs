//! The experiment step of a Rollout, with the Experiments that it makes.
