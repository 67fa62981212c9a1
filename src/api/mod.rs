//! What JavaScript sees: the wasm exports behind `www/tokenformer.js`.

mod download;
mod engine;
mod js;
mod load;
