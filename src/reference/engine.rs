//! The oracle as an engine: what the GPU's answers are compared with, also by whole evaluations.

use super::forward::Reference;
use crate::config::ModelConfig;
use crate::engine::{HostChoice, Logits, OnHost};
use crate::error::Result;

/// Most tokens of a forward pass: the logits of all of them are in memory at a time.
const MAX_CHUNK: usize = 256;

/// A [`Reference`] that generates and scores as the other engines do.
pub struct ReferenceEngine {
    reference: Reference,
    context_length: usize,
    choice: Option<HostChoice>,
}

impl ReferenceEngine {
    /// An engine with room for `context_length` tokens.
    pub fn new(reference: Reference, context_length: usize) -> Self {
        Self { reference, context_length, choice: None }
    }
}

impl OnHost for ReferenceEngine {
    fn config(&self) -> &ModelConfig {
        self.reference.config()
    }

    fn context_length(&self) -> usize {
        self.context_length
    }

    fn max_chunk(&self) -> usize {
        MAX_CHUNK
    }

    fn len(&self) -> usize {
        self.reference.len()
    }

    fn truncate(&mut self, len: usize) {
        self.reference.truncate(len);
    }

    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        let h = self.reference.forward(ids, false)?.last;
        let rows = match logits {
            Logits::None => return Ok(Vec::new()),
            Logits::Last => 1,
            Logits::Each(n) => n,
        };
        Ok(self.reference.logits(&h[h.len() - rows * self.config().hidden_size..]))
    }

    fn choice(&mut self) -> &mut Option<HostChoice> {
        &mut self.choice
    }
}
