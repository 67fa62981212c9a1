//! Pattentions that run together.

use super::tables::Table;
use super::weights::LayerTables;
use crate::pattention::Pattention;

/// Pattentions whose keys get the same input, and whose tables are fused: query, key and value; proj; mlp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    Qkv,
    Proj,
    Mlp,
}

impl Group {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Qkv, Self::Proj, Self::Mlp];

    /// Its Pattentions.
    pub fn kinds(self) -> &'static [Pattention] {
        match self {
            Self::Qkv => &Pattention::ALL[..3],
            Self::Proj => &Pattention::ALL[3..4],
            Self::Mlp => &Pattention::ALL[4..],
        }
    }

    /// The same as indices into [`Pattention::ALL`].
    pub fn range(self) -> std::ops::Range<usize> {
        let first = self.pattention() as usize;
        first..first + self.kinds().len()
    }

    /// The first of them; all have the same number of slots.
    pub fn pattention(self) -> Pattention {
        self.kinds()[0]
    }

    /// Its keys and values.
    pub fn tables(self, layer: &LayerTables) -> [&Table; 2] {
        match self {
            Self::Qkv => [&layer.qkv_keys, &layer.qkv_values],
            Self::Proj => [&layer.proj_keys, &layer.proj_values],
            Self::Mlp => [&layer.mlp_keys, &layer.mlp_values],
        }
    }
}
