//! What JavaScript sees: the wasm exports behind `www/tokenformer.js`.

mod bench;
mod engine;
mod generation;
pub mod js;
mod stored;
mod tuning;
