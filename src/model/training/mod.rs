//! Training token packs: the base's tables are read as they are, in both directions, and only the tokens change.
//!
//! - `tokens`: the trained tokens, and the frozen ones that are active; `room`: the other buffers; `shapes`: uniforms;
//! - `plan`, `layers`, `packs`: the dispatches of a step in their order;
//! - `steps`: sequences in groups that fit the buffers; `times`: how long kernels take;
//! - `engine`: the interface for the training loop.
//!
//! The only state that a step always keeps is the stream before each layer. Other activations that the backward pass
//! needs are kept as far as the memory limit allows; those of later layers are computed again.

mod engine;
mod layers;
mod packs;
mod plan;
mod room;
mod shapes;
mod steps;
mod times;
mod tokens;

pub use steps::Training;
