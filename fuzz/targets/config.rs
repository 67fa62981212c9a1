//! libFuzzer calls what `cases/config.rs` says.
#![no_main]

#[path = "../cases/config.rs"]
mod case;

libfuzzer_sys::fuzz_target!(|data: &[u8]| case::run(data));
