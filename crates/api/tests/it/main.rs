//! What the types promise: objects survive a round trip, and the CRDs are what an API server takes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "tests and their helpers fail by panicking, and take `json!` literals as they are"
)]

mod crds;
mod every_field;
mod lenient;
mod pod_template;
mod round_trip;
mod stored;
