//! Text generation over a [`Backend`](crate::engine::Backend): prompts, prefix reuse, the loop, and what is returned.

mod completion;
#[cfg(test)]
pub(crate) mod healing;
mod inspect;
mod model;
mod options;
mod phrases;
mod result;
mod score;
mod sentence;
mod several;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod window;

pub use crate::sampling::END_OF_TEXT;
pub use completion::Generation;
pub use inspect::{Fired, InspectOptions, Inspected, Promotes, Pushed};
pub use model::Model;
pub use options::{GenerateOptions, Overflow, Prompt};
pub use result::{Chunk, Completion, FinishReason, Logprob, Usage};
pub use score::{Score, ScoreItem};
pub use several::Several;
