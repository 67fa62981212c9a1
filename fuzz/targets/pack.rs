//! libFuzzer calls what `cases/pack.rs` says.
#![no_main]

#[path = "../cases/pack.rs"]
mod case;

libfuzzer_sys::fuzz_target!(|data: &[u8]| case::run(data));
