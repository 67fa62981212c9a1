//! Token packs: parameter tokens that join those of a model's Pattentions, and can be switched off again.
//!
//! A Pattention with base tokens K[n, d_in], P[n, d_out] and packs p of strength c_p, each with tokens Kp, Pp, maps u
//! to
//!
//! ```text
//! s = u·Kᵀ     y = gelu( s/‖s‖₂·√n )·P  +  Σ_p c_p · gelu( u·Kpᵀ/‖s‖₂·√n )·Pp
//! ```
//!
//! The norm is that of the base's scores alone, and √n uses the base's true n: so packs do not affect one another,
//! strength is a factor, and without packs everything is as it was, bit by bit. Where ‖s‖ = 0, packs add 0 as well.
//! They are summed in the order of their names, so that the order in which they were added never matters.

mod ablation;
mod file;
mod fresh;
mod merged;

pub use ablation::{Ablation, MOST_ABLATIONS, MOST_SCALE, ParameterToken, ablated_base, check_ablations};
pub use file::{PackAbout, PackBase, PackFile};
pub use merged::{Merged, MergedTokens};

use crate::config::{ModelConfig, NormActivation};
use crate::error::{Error, Result};
use crate::pattention::Pattention;
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

/// A layer's tokens, in the order of [`Pattention::ALL`](crate::pattention::Pattention::ALL); `None` where a kind has
/// none.
pub type LayerTokens = [Option<PackTokens>; 5];

/// The tokens of a pack: of every layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pack {
    /// Layers in order.
    pub layers: Vec<LayerTokens>,
}

impl Pack {
    /// Zeros where this has tokens.
    pub fn zeros(&self) -> Self {
        let mut zeros = self.clone();
        zeros.slices_mut().for_each(|values| values.fill(0.0));
        zeros
    }

    /// All keys and values: by layer and kind, keys before values.
    pub fn slices(&self) -> impl Iterator<Item = &[f32]> {
        self.layers.iter().flatten().flatten().flat_map(|tokens| [&tokens.keys[..], &tokens.values[..]])
    }

    /// The same, to be changed.
    pub fn slices_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let tokens = self.layers.iter_mut().flatten().flatten();
        tokens.flat_map(|tokens| [&mut tokens.keys[..], &mut tokens.values[..]])
    }

    /// Bytes of all keys and values, in f32.
    pub fn bytes(&self) -> usize {
        self.slices().map(size_of_val).sum()
    }

    /// Most tokens that it has for one Pattention, for rows of `hidden` values.
    pub fn most_tokens(&self, hidden: usize) -> usize {
        self.layers.iter().flatten().flatten().map(|tokens| tokens.keys.len() / hidden).max().unwrap_or(0)
    }

    /// The Pattentions that have tokens, in some layer.
    pub fn kinds(&self) -> Vec<Pattention> {
        let has = |kind: &Pattention| self.layers.iter().any(|layer| layer[*kind as usize].is_some());
        Pattention::ALL.into_iter().filter(has).collect()
    }

    /// Does it fit a model of this shape?
    ///
    /// # Errors
    /// `invalid-config` that says what is expected and what was found.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        let (layers, d) = (config.num_layers, config.hidden_size);
        if self.layers.len() > layers {
            let message = format!("The token pack has {} layers, but the model has {layers}.", self.layers.len());
            return Err(another_model(message));
        }
        for (layer, kinds) in self.layers.iter().enumerate() {
            for (kind, PackTokens { keys, values }) in
                Pattention::ALL.into_iter().zip(kinds).filter_map(|(kind, tokens)| Some((kind, tokens.as_ref()?)))
            {
                let place = format!("layers.{layer}.{}", kind.name());
                let tokens = keys.len() / d;
                if keys.len() != values.len() || keys.len() != tokens * d {
                    return Err(another_model(format!(
                        "The token pack has {} values of keys and {} of values at {place}, where the model has {d} for each token.",
                        keys.len(),
                        values.len()
                    )));
                }
                if !(1..=MOST_TOKENS).contains(&tokens) {
                    let message = format!("The token pack has {tokens} tokens at {place}; 1 to {MOST_TOKENS} can be.");
                    return Err(Error::invalid_config(message));
                }
            }
        }
        Ok(())
    }
}

/// The error of a pack that was made for another model.
fn another_model(message: String) -> Error {
    Error::invalid_config(message).hint("Load the model that the pack was made for.")
}

/// # Errors
/// `unsupported-checkpoint` for a model with another Pattention than packs are defined for.
pub fn check_activation(config: &ModelConfig) -> Result<()> {
    let name = match config.norm_activation_type {
        NormActivation::L2NormGelu => return Ok(()),
        NormActivation::GeluL2Norm => "gelu_l2_norm",
        NormActivation::Softmax => "softmax",
    };
    Err(Error::unsupported(format!("Token packs need the activation l2_norm_gelu; this model has {name}."))
        .hint("Every published model has l2_norm_gelu."))
}

/// An active pack, weighted by its strength.
#[derive(Clone, Debug)]
pub struct ActivePack {
    /// Its name: packs are summed in the order of their names.
    pub name: String,
    /// In [−4, 4].
    pub strength: f32,
    /// Its tokens.
    pub pack: Rc<Pack>,
}

/// The same tokens, not just equal ones: comparing them would take long.
impl PartialEq for ActivePack {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.strength == other.strength && Rc::ptr_eq(&self.pack, &other.pack)
    }
}
