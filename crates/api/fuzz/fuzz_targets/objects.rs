//! Stored objects out of arbitrary bytes. The checks are those of `cargo test`
//! (`every_field::malformed_objects_come_back_as_they_are_written`), which runs a bounded number of
//! them.
#![no_main]

#[path = "../../tests/it/stored.rs"]
mod stored;

libfuzzer_sys::fuzz_target!(|data: &[u8]| stored::read_bytes(data));
