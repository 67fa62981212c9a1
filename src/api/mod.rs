//! What JavaScript sees: the wasm exports behind `www/tokenformer.js`.

mod bench;
mod conformance;
mod engine;
mod files;
mod generation;
mod inner;
mod inspect;
pub mod js;
mod loading;
mod packs;
mod several;
mod training;
mod tuning;
