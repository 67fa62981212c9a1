//! libFuzzer calls what `cases/archive.rs` says.
#![no_main]

#[path = "../cases/archive.rs"]
mod case;

libfuzzer_sys::fuzz_target!(|data: &[u8]| case::run(data));
