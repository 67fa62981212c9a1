//! Text generation over a [`Backend`]: prompts, prefix reuse, the loop, and what is returned.

mod backend;
mod choice;
mod completion;
#[cfg(test)]
pub(crate) mod healing;
mod model;
mod options;
mod recover;
mod score;
#[cfg(test)]
mod tests;
mod text;

pub use backend::{Backend, Chosen, Logits, TokenScore};
pub use choice::HostChoice;
pub(crate) use choice::{choosing_on_host, nothing_chosen};
pub use completion::{Chunk, Completion, END_OF_TEXT, FinishReason, Generation, Logprob, Usage};
pub use model::{AbortFlag, Model};
pub use options::{GenerateOptions, Prompt};
pub use recover::{MOST_LOSSES, Recovering, Resume, Revive};
pub use score::{Score, ScoreItem};
