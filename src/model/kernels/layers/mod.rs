//! Many layers of a decode step in one dispatch (`shaders/layers.wgsl`): how its products are shared out (`team`,
//! `share`), the words that workgroups send each other (`mailbox`), workgroup memory (`memory`), constants (`spec`),
//! the differences for several texts (`texts`), and bindings (`bindings`).

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
