//! Token packs: parameter tokens that join those of a model's Pattentions, and can be switched off again.
//!
//! A Pattention with base tokens K[n, d_in], P[n, d_out] and packs p of strength c_p, each with tokens Kp, Pp, makes of u
//!
//! ```text
//! s = u·Kᵀ     y = gelu( s/‖s‖₂·√n )·P  +  Σ_p c_p · gelu( u·Kpᵀ/‖s‖₂·√n )·Pp
//! ```
//!
//! The norm is that of the base's scores alone, and √n is of the base's true n: so packs know nothing of one another, strength
//! is a factor, and without packs everything is as it was, bit by bit. Where ‖s‖ = 0, packs add 0 as well. They are
//! summed in the order of their names, so that the order in which they were added never shows.

mod merged;

pub use merged::{Merged, MergedTokens};

use std::rc::Rc;

/// Most tokens that a pack has for one Pattention.
pub const MOST_TOKENS: usize = 256;
/// Most packs that a model has at a time.
pub const MOST_PACKS: usize = 16;
/// Largest magnitude of a strength.
pub const MOST_STRENGTH: f32 = 4.0;

/// Tokens for one Pattention of one layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PackTokens {
    /// Keys, [m, d_in].
    pub keys: Vec<f32>,
    /// Values, [m, d_out].
    pub values: Vec<f32>,
}

/// A layer's tokens, in the order of [`Pattention::ALL`](crate::pattention::Pattention::ALL); where a kind has none, `None`.
pub type LayerTokens = [Option<PackTokens>; 5];

/// The tokens of a pack: of every layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pack {
    /// Layers in order.
    pub layers: Vec<LayerTokens>,
}

/// A pack that takes part, as much as its strength says.
#[derive(Clone, Debug)]
pub struct ActivePack {
    /// What it goes by: the order of names is that in which packs are summed.
    pub name: String,
    /// In [−4, 4].
    pub strength: f32,
    /// Its tokens.
    pub pack: Rc<Pack>,
}
