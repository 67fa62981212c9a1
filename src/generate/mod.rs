//! Text generation over a [`Backend`](crate::engine::Backend): prompts, prefix reuse, the loop, and what is returned.

mod completion;
#[cfg(test)]
pub(crate) mod healing;
mod model;
mod options;
mod score;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub use completion::{Chunk, Completion, END_OF_TEXT, FinishReason, Generation, Logprob, Usage};
pub use model::Model;
pub use options::{GenerateOptions, Prompt};
pub use score::{Score, ScoreItem};
