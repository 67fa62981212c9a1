//! libFuzzer calls what `cases/hub.rs` says.
#![no_main]

#[path = "../cases/hub.rs"]
mod case;

libfuzzer_sys::fuzz_target!(|data: &[u8]| case::run(data));
