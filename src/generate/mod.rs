//! Text generation over a [`Backend`].

mod backend;

pub use backend::{Backend, Logits};
