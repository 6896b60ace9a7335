//! Behaviour that is defined by a Go implementation.
//!
//! A Rollout's pod template hash is a hash over bytes that Go's `encoding/json` writes; a
//! percentage is what apimachinery makes of it; a measurement's value is what `%v` prints. Each
//! module here names the Go function it mirrors. Everything is pure, bounds its input, and answers
//! bad input with an error.

pub mod duration;
mod generated;
pub mod hash;
pub mod intstr;
pub mod json;
pub mod jsonpath;
pub mod labels;
pub mod number;
pub mod quantity;
pub mod yaml;
