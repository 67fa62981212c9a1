//! Active token packs.

use super::pack_tables::PackTables;
use super::persistent::Persistent;
use super::plan::LayerStages;
use crate::packs::Merged;

/// Active packs.
pub struct Packs {
    /// Their tokens.
    pub tables: PackTables,
    /// The contents of the tables, kept because training continues next to them.
    pub merged: Merged,
    /// The layers of the model's plan without packs.
    pub layers: LayerStages,
    /// The persistent workgroups of decode steps without packs.
    pub base: Option<Persistent>,
}
