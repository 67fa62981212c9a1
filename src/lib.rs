//! TokenFormer (arXiv 2410.23168) in a web page: the map of the crate.
//!
//! The modules follow the flow of the data, in one direction:
//!
//! 1. [`hub`] names the files of a model and says what a server's answer means;
//! 2. [`checkpoint`] reads the published format and our own, and quantizes;
//! 3. [`store`] keeps what was downloaded, and [`load`] brings it from 1 or 3 through 2 into the tables of 5;
//! 4. [`gpu`] owns the device, and makes pipelines and counted buffers of `shaders/`;
//! 5. [`model`] holds the tables and the KV cache, and plans the dispatches of a step: Pattention is its heart; [`cpu`] is
//!    the same without a GPU. Both implement what [`engine`] describes, which also has what they share, such as an engine
//!    that outlives its device; [`packs`] are parameter tokens that join a model's own; `any_model` is either of them;
//! 6. [`sampling`] says how a token is drawn from logits;
//! 7. [`generate`] turns prompts into steps, and tokens into text with [`tokenizer`];
//! 8. [`training`] teaches a model a text: the loop around an engine's training steps;
//! 9. `api` exports all this to JavaScript (wasm only).
//!
//! The modules are in layers, and each imports only from lower layers (`tests/js/crate-imports.test.mjs`). From the
//! lowest: [`error`]; [`config`], [`hash`], `options`, [`sizes`]; [`pattention`], [`platform`], [`sampling`],
//! [`tokenizer`]; [`packs`]; [`engine`], [`gpu`], [`hub`]; [`checkpoint`]; [`cpu`], [`mod@reference`], [`store`];
//! [`model`], `quantizer`; `any_model`; [`generate`], [`load`], [`training`]; `api`.
//!
//! Below all of them, [`platform`] says what loading needs of a browser, and [`sizes`] how long a file may be.
//!
//! `reference` computes the same in plain f32 on the CPU and shares nothing with 4 and 5: natively it is the oracle of the
//! tests, and `model` compares each kernel with its arithmetic, in a browser too. `quantizer` (native only) rounds a
//! model's tables by the inputs that reach them in `reference`.
//! ARCHITECTURE.md follows a token through all of it.
#![deny(unsafe_code)]

// So that code shared by tests is written once, for those inside and outside the crate.
#[cfg(test)]
extern crate self as tokenformer_web;

#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
pub mod any_model;
#[cfg(target_arch = "wasm32")]
mod api;
pub mod checkpoint;
pub mod config;
pub mod cpu;
pub mod engine;
pub mod error;
pub mod generate;
#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
pub mod gpu;
pub mod hash;
pub mod hub;
pub mod load;
#[cfg(any(target_arch = "wasm32", feature = "native-gpu"))]
pub mod model;
mod options;
pub mod packs;
pub mod pattention;
pub mod platform;
#[cfg(not(target_arch = "wasm32"))]
pub mod quantizer;
pub mod reference;
pub mod sampling;
pub mod sizes;
pub mod store;
pub mod tokenizer;
pub mod training;
