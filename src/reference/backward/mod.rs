//! The backward pass, a plain function for each part of the forward pass: the oracle trains token packs with it, and
//! the GPU's backward kernels are compared with it.
//!
//! Given a function y = f(x) and the gradient of a loss with respect to y, each returns the gradient with respect to x.
//! All values are f32, sums are f64, and whatever the forward pass has computed is recomputed from its input.
//! `tests.rs` compares each with finite differences of its definition.

mod adamw;
mod attention;
mod loss;
mod norm;
mod pattention;
pub(crate) mod products;

#[cfg(test)]
mod tests;

pub use adamw::{adamw, clip_scale, norm};
pub use attention::{attention, rotate};
pub use loss::cross_entropy;
pub use norm::{final_norm, layer_norm};
pub use pattention::{PattentionGradients, TableView, TokenGradients, gelu_derivative, pattention};
