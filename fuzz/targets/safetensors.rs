//! libFuzzer calls what `cases/safetensors.rs` says.
#![no_main]

#[path = "../cases/safetensors.rs"]
mod case;

libfuzzer_sys::fuzz_target!(|data: &[u8]| case::run(data));
