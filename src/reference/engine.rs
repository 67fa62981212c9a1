//! The oracle as an engine: the GPU's answers are compared with it, in whole evaluations, too.

use super::forward::{Cache, Reference};
use super::training::Training;
use crate::config::ModelConfig;
use crate::engine::{AdamW, Changes, FiredToken, HostChoice, HostRows, InspectRequest, Logits, OnHost, RowInput};
use crate::engine::{Train, TrainRoom, TrainState, TrainStep};
use crate::error::{Error, Result};
use crate::packs::{Merged, PackTokens, ParameterToken};

/// Most tokens of a forward pass: the logits of all of them are in memory at a time.
const MAX_CHUNK: usize = 256;

/// A [`Reference`] that generates and scores as the other engines do.
pub struct ReferenceEngine {
    reference: Reference,
    context_length: usize,
    choice: Option<HostChoice>,
    rows: Option<HostRows>,
    /// For several texts, by place: what comes after the common tokens, for each layer.
    tails: Vec<Vec<Cache>>,
    training: Option<Training>,
    changes: Changes,
}

impl ReferenceEngine {
    /// An engine with room for `context_length` tokens.
    pub fn new(reference: Reference, context_length: usize) -> Self {
        let (tails, changes) = Default::default();
        Self { reference, context_length, choice: None, rows: None, tails, training: None, changes }
    }

    /// The model itself.
    pub fn reference(&self) -> &Reference {
        &self.reference
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

    fn set_packs(&mut self, packs: Merged) -> Result<()> {
        self.reference.packs = packs;
        Ok(())
    }

    fn changes(&mut self) -> &mut Changes {
        &mut self.changes
    }

    fn base_token(&self, token: &ParameterToken) -> PackTokens {
        self.reference.token(token.layer, token.kind, token.slot)
    }

    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        self.reference.inspect(ids, request)
    }

    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        Ok(self.reference.pushes(value))
    }

    /// One text after the other: its tail is put into the KV cache and taken out again.
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

impl ReferenceEngine {
    fn training(&self) -> Result<&Training> {
        self.training.as_ref().ok_or_else(no_training)
    }
}

fn no_training() -> Error {
    Error::invalid_argument("No training was begun.")
}

impl Train for ReferenceEngine {
    async fn begin_training(&mut self, state: &TrainState, adamw: &AdamW, room: TrainRoom) -> Result<()> {
        self.training = Some(Training::new(&self.reference, state, adamw, room)?);
        Ok(())
    }

    async fn train(&mut self, steps: &[TrainStep]) -> Result<Vec<f32>> {
        let training = self.training.as_mut().ok_or_else(no_training)?;
        steps.iter().map(|step| training.step(&self.reference, step)).collect()
    }

    async fn loss(&mut self, sequences: &[Vec<u32>]) -> Result<f64> {
        self.training()?.loss(&self.reference, sequences)
    }

    async fn learnt(&mut self) -> Result<TrainState> {
        Ok(self.training()?.state.clone())
    }

    fn end_training(&mut self) {
        self.training = None;
    }
}
