//! TokenFormer (arXiv 2410.23168) in a web page: the map of the crate.
//!
//! As data flows, so do the modules, in one direction:
//!
//! 1. [`hub`] names the files of a model and says what a server's answer means;
//! 2. [`checkpoint`] reads the published format and our own, and quantizes;
//! 3. [`store`] keeps what was downloaded, and [`load`] brings it from 1 or 3 through 2 into the tables of 5;
//! 4. [`gpu`] owns the device, and makes pipelines and counted buffers of `shaders/`;
//! 5. [`model`] holds the tables and the KV cache, and plans the dispatches of a step: Pattention is its heart; [`cpu`] is the same
//!    without a GPU. Both are what [`engine`] describes, which has what they share, as one that outlives its device; [`packs`] are parameter tokens that join a model's
//!    own; `any_model` is either of them;
//! 6. [`sampling`] says how a token is drawn from logits;
//! 7. [`generate`] turns prompts into steps, and tokens into text with [`tokenizer`];
//! 8. [`training`] teaches a model a text: the loop, around what an engine makes of a step;
//! 9. `api` exports all this to JavaScript (wasm only).
//!
//! So the modules stand on floors, and imports go down only (`tests/js/crate-imports.test.mjs`), from the lowest: [`error`];
//! [`config`], [`hash`], `options`, [`sizes`]; [`pattention`], [`platform`], [`sampling`], [`tokenizer`]; [`packs`]; [`engine`], [`gpu`],
//! [`hub`]; [`checkpoint`];
//! [`cpu`], [`mod@reference`], [`store`]; [`model`], `quantizer`; `any_model`; [`generate`], [`load`], [`training`]; `api`.
//!
//! Below all of them, [`platform`] says what loading needs of a browser, and [`sizes`] how long a file may be.
//!
//! `reference` computes the same in plain f32 on the CPU and shares nothing with 4 and 5: it is the oracle of the tests, natively,
//! and its arithmetic is what `model` compares each kernel with, in a browser too.
//! `quantizer` (native only) rounds a model's tables by what reaches them in `reference`.
//! ARCHITECTURE.md follows a token through all of it.
#![deny(unsafe_code)]

// So that what tests share is written once, for those inside and outside of the crate.
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
