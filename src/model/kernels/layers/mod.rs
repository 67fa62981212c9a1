//! Many layers of a decode step in one dispatch (`shaders/layers.wgsl`): who shares its products (`team`, `share`), what
//! they send each other (`mailbox`), how much memory that takes (`memory`), and what is compiled (`spec`).

mod mailbox;
mod memory;
mod share;
mod spec;
mod team;

pub use mailbox::FAILURE_WORDS;
#[cfg(all(test, feature = "native-gpu"))]
pub use spec::STRETCH;
pub use spec::{Abilities, Layers, PlacedTable, Storage};
pub use team::{Arithmetic, Team};
