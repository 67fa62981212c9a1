//! What takes part in a model besides its own parameter tokens.

use crate::packs::{Ablation, ActivePack};

/// Packs that take part, and tokens that are ablated.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Packs, in whatever order.
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

    /// True for the base alone.
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.ablations.is_empty()
    }
}
