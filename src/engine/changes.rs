//! What is active in a model besides its own parameter tokens.

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::packs::{Ablation, ActivePack, Merged, PackTokens, check_activation};

/// Active packs, and ablated tokens.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Packs, in any order.
    pub packs: Vec<ActivePack>,
    /// Parameter tokens whose activations are multiplied.
    pub ablations: Vec<Ablation>,
}

impl Changes {
    /// The same ablations with other packs.
    pub fn with_packs(&self, packs: &[ActivePack]) -> Self {
        Self { packs: packs.to_vec(), ablations: self.ablations.clone() }
    }

    /// The same packs with other ablations.
    pub fn with_ablations(&self, ablations: &[Ablation]) -> Self {
        Self { packs: self.packs.clone(), ablations: ablations.to_vec() }
    }

    /// Can these be used with a model of this shape?
    ///
    /// # Errors
    /// `unsupported-checkpoint` for another activation than packs are defined for, `invalid-config` for packs of
    /// another shape.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        check_activation(config)?;
        self.packs.iter().try_for_each(|ActivePack { name, pack, .. }| {
            pack.check(config).map_err(|e| Error { message: format!("Pack {name:?}: {}", e.message), ..e })
        })
    }

    /// All of it side by side, for rows of `hidden` values. `base` has key and value of each of
    /// [`ablated_base`](crate::packs::ablated_base).
    pub fn merged(&self, hidden: usize, base: &[PackTokens]) -> Merged {
        Merged::new(&self.packs, hidden).ablated(&self.ablations, base)
    }

    /// True for the base alone.
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.ablations.is_empty()
    }
}
