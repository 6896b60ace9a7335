//! Plans of Rollouts out of arbitrary bytes. The checks are those of `cargo test`
//! (`bad_input::arbitrary_snapshots_never_panic`), which runs a bounded number of them.
#![no_main]

#[path = "../../tests/it/bytes/mod.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bytes::plan_bytes(data));
