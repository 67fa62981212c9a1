//! Many layers of a decode step in one dispatch (`shaders/layers.wgsl`): who shares its products (`team`, `share`), what
//! they send each other (`mailbox`), how much memory that takes (`memory`), what is compiled (`spec`), what is different for
//! several texts (`texts`), and what it is bound to (`bindings`).

mod bindings;
mod mailbox;
mod memory;
mod share;
mod spec;
mod team;
mod texts;

pub use bindings::{LayersBuffers, LayersOfTextsBuffers, Room};
pub use mailbox::FAILURE_WORDS;
#[cfg(all(test, feature = "native-gpu"))]
pub use spec::STRETCH;
pub use spec::{Abilities, Layers, PlacedPacks, PlacedTable, Storage};
pub use team::{Arithmetic, Team};
