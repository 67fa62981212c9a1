//! libFuzzer calls what `cases/tokenizer.rs` says.
#![no_main]

#[path = "../cases/tokenizer.rs"]
mod case;

libfuzzer_sys::fuzz_target!(|data: &[u8]| case::run(data));
