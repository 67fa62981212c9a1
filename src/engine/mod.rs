//! What writing needs of an engine, and what every engine shares.
//!
//! [`Backend`] is the trait: a KV cache, logits, and choosing tokens. The GPU's engine is [`crate::model`], the CPU's
//! [`crate::cpu`]. An engine that chooses on the host implements [`OnHost`]. [`Recovering`]
//! wraps one so that it outlives its device.

mod abort;
mod backend;
mod changes;
mod host_rows;
mod inspect;
mod on_host;
mod recover;
mod rows;
mod train;

pub use abort::AbortFlag;
pub use backend::{Backend, Chosen, Logits, ScoredText, Text, TokenScore};
pub use changes::Changes;
pub use host_rows::{HostRows, read_tails};
#[cfg(test)]
pub(crate) use inspect::agreement;
pub use inspect::{Candidate, FiredToken, InspectRequest, MOST_TOP, strongest};
pub use on_host::{HostChoice, OnHost};
pub use recover::{MOST_LOSSES, Recovering, Resume, Revive};
pub use rows::{MOST_ROWS, Row, RowInput, room_for};
pub use train::{AdamW, Train, TrainRoom, TrainState, TrainStep};
