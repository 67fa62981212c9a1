//! What a model has while packs take part.

use super::pack_tables::PackTables;
use super::persistent::Persistent;
use super::plan::LayerStages;

/// Packs that take part.
pub struct Packs {
    /// Their tokens.
    pub(super) tables: PackTables,
    /// What the model's plan has without packs.
    pub(super) layers: LayerStages,
    /// Who made decode steps without packs.
    pub(super) base: Option<Persistent>,
}
