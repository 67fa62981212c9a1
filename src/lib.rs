//! TokenFormer in a web page.
#![deny(unsafe_code)]

#[cfg(target_arch = "wasm32")]
mod api;
pub mod checkpoint;
pub mod config;
pub mod error;
pub mod generate;
#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
pub mod gpu;
pub mod hub;
#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
pub mod model;
#[cfg(not(target_arch = "wasm32"))]
pub mod reference;
pub mod sampling;
pub mod tokenizer;
