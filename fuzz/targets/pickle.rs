//! libFuzzer calls what `cases/pickle.rs` says.
#![no_main]

#[path = "../cases/pickle.rs"]
mod case;

libfuzzer_sys::fuzz_target!(|data: &[u8]| case::run(data));
