//! Integration tests of the language.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod go;
mod robustness;
