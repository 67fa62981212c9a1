//! Teaching a model a text: the loop around an engine's [`Train`](crate::engine::Train).

mod options;

pub use options::{Length, Schedule, TrainOptions};
