//! Token packs that take part in steps.

use super::pack_tables::PackTables;
use super::persistent::Persistent;
use super::plan::LayerStages;
use crate::packs::Merged;

/// Packs that take part.
pub struct Packs {
    /// Their tokens.
    pub tables: PackTables,
    /// What these hold: training goes on beside it.
    pub merged: Merged,
    /// What the model's plan has without packs.
    pub layers: LayerStages,
    /// Who made decode steps without packs.
    pub base: Option<Persistent>,
}
