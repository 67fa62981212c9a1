//! Teaching a model a text: the loop around an engine's [`Train`](crate::engine::Train).
//!
//! `options` are those of the public interface, `sequences` cuts texts, `watch` checks that the loss develops as it
//! should, and `course` is the loop.

mod course;
mod options;
mod sequences;
#[cfg(test)]
mod tests;
mod watch;

pub use course::{Progress, TrainedPack, Training, Validation};
pub use options::{Length, Schedule, TrainOptions};
