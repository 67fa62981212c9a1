//! Token packs that take part in steps.

use super::pack_tables::PackTables;
use super::persistent::Persistent;
use super::plan::LayerStages;

/// Packs that take part.
pub struct Packs {
    /// Their tokens.
    pub tables: PackTables,
    /// What the model's plan has without packs.
    pub layers: LayerStages,
    /// Who made decode steps without packs.
    pub base: Option<Persistent>,
}
