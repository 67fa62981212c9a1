//! Training token packs: the base's tables are read as they are, in both directions, and only the tokens change.
//!
//! - `tokens`: what is trained, and what takes part besides; `room`: the other buffers; `shapes`: uniforms;
//! - `plan`, `layers`, `packs`: the dispatches of a step in their order;
//! - `steps`: sequences in groups that there is room for; `times`: how long kernels take;
//! - `engine`: what it is for the loop above.
//!
//! A step has the stream before each layer as all that is kept for certain. What else the way back needs of a layer is kept as
//! far as the memory limit allows; in layers that come later it is computed again.

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
