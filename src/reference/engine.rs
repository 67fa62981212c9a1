//! The oracle as an engine: what the GPU's answers are compared with, also by whole evaluations.

use super::forward::{Cache, Reference};
use crate::config::ModelConfig;
use crate::engine::{HostChoice, HostRows, Logits, OnHost, RowInput};
use crate::error::Result;

/// Most tokens of a forward pass: the logits of all of them are in memory at a time.
const MAX_CHUNK: usize = 256;

/// A [`Reference`] that generates and scores as the other engines do.
pub struct ReferenceEngine {
    reference: Reference,
    context_length: usize,
    choice: Option<HostChoice>,
    rows: Option<HostRows>,
    /// Of several texts, by place: what comes after the common tokens, of each layer.
    tails: Vec<Vec<Cache>>,
}

impl ReferenceEngine {
    /// An engine with room for `context_length` tokens.
    pub fn new(reference: Reference, context_length: usize) -> Self {
        Self { reference, context_length, choice: None, rows: None, tails: Vec::new() }
    }

    /// What the KV cache holds from position `common` on.
    fn tail(&self, common: usize) -> Vec<Cache> {
        let from = common * self.config().hidden_size;
        let tail = |c: &Cache| Cache { keys: c.keys[from..].to_vec(), values: c.values[from..].to_vec() };
        self.reference.caches.iter().map(tail).collect()
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

    fn rows(&mut self) -> &mut Option<HostRows> {
        &mut self.rows
    }

    fn grow_tails(&mut self, places: usize, _: usize) -> Result<()> {
        let layers = self.config().num_layers;
        self.tails.resize(places.max(self.tails.len()), vec![Cache::default(); layers]);
        Ok(())
    }

    fn tail_capacity(&self) -> usize {
        self.context_length
    }

    fn drop_tails(&mut self) {
        self.tails.clear();
    }

    fn keep_tail(&mut self, place: usize, common: usize) {
        self.tails[place] = self.tail(common);
    }

    /// A text after the other: its tail is put into the KV cache and taken out again.
    async fn forward_rows(&mut self, inputs: &[RowInput]) -> Result<Vec<f32>> {
        let common = self.reference.len();
        let mut logits = Vec::new();
        for RowInput { place, held, id } in inputs {
            let len = held * self.config().hidden_size;
            for (cache, tail) in self.reference.caches.iter_mut().zip(&self.tails[*place]) {
                cache.keys.extend_from_slice(&tail.keys[..len]);
                cache.values.extend_from_slice(&tail.values[..len]);
            }
            self.reference.len += held;
            logits.extend(OnHost::forward(self, &[*id], Logits::Last).await?);
            self.tails[*place] = self.tail(common);
            self.reference.truncate(common);
        }
        Ok(logits)
    }
}
