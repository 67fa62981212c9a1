//! The oracle: a TokenFormer forward pass in plain f32 on the CPU, written to be read.
//!
//! It follows arXiv 2410.23168 and the published code line by line and shares nothing with the GPU
//! path but the tables, so that agreement between the two means something. Its arithmetic, `math`, is all that there is
//! of it in a browser: what the kernels are compared with there.

#[cfg(not(target_arch = "wasm32"))]
pub mod calibrate;
#[cfg(not(target_arch = "wasm32"))]
mod descent;
#[cfg(not(target_arch = "wasm32"))]
mod engine;
#[cfg(not(target_arch = "wasm32"))]
mod forward;
#[cfg(not(target_arch = "wasm32"))]
mod gptq;
pub(crate) mod math;
#[cfg(not(target_arch = "wasm32"))]
mod texts;

#[cfg(not(target_arch = "wasm32"))]
pub use engine::ReferenceEngine;
#[cfg(not(target_arch = "wasm32"))]
pub use forward::{Forward, Reference};
