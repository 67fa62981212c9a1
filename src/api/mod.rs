//! What JavaScript sees: the wasm exports behind `www/tokenformer.js`.

mod engine;
pub mod js;
mod stored;
