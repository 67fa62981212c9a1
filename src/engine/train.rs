//! What training a token pack needs of an engine.

use crate::error::Result;
use crate::packs::Pack;

/// AdamW (Loshchilov and Hutter 2019), with bias correction; weight decay is decoupled.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// β₁ and β₂.
    pub betas: [f32; 2],
    /// ε.
    pub epsilon: f32,
    /// λ.
    pub weight_decay: f32,
    /// Gradients are scaled so that the norm of all of them together is at most this; 0: they are left as they are.
    pub clip_norm: f32,
}

/// One step of training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainStep {
    /// Sequences of the same length; of each, all ids but the first are predicted.
    pub batch: Vec<Vec<u32>>,
    /// Learning rate.
    pub learning_rate: f32,
}

/// The state of a training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainState {
    /// Tokens.
    pub tokens: Pack,
    /// AdamW's first and second moments of them; those of a new pack are zero.
    pub moments: [Pack; 2],
    /// Steps made.
    pub steps: u32,
}

impl TrainState {
    /// Before the first step.
    pub fn new(tokens: Pack) -> Self {
        Self { moments: [tokens.zeros(), tokens.zeros()], tokens, steps: 0 }
    }
}

/// An engine that can train a token pack. The base, and other active packs, stay as they are.
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
pub trait Train {
    /// Allocates what it needs, and continues from `state`. Sequences have up to `length` ids, a batch up to `batch`
    /// sequences.
    ///
    /// # Errors
    /// `out-of-memory`, `unsupported-checkpoint` where Pattention has another activation than `l2_norm_gelu`.
    async fn begin_training(&mut self, state: &TrainState, adamw: &AdamW, room: TrainRoom) -> Result<()>;

    /// Makes steps, and returns of each the mean loss of its batch, in nats, before its update.
    ///
    /// # Errors
    /// `device-lost`.
    async fn train(&mut self, steps: &[TrainStep]) -> Result<Vec<f32>>;

    /// The mean loss of sequences with the current tokens, in nats.
    ///
    /// # Errors
    /// `device-lost`.
    async fn loss(&mut self, sequences: &[Vec<u32>]) -> Result<f64>;

    /// What was learnt so far.
    ///
    /// # Errors
    /// `device-lost`.
    async fn learnt(&mut self) -> Result<TrainState>;

    /// Frees what training held.
    fn end_training(&mut self);
}

/// How large the steps of a training are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainRoom {
    /// Ids of a sequence.
    pub length: usize,
    /// Sequences of a batch.
    pub batch: usize,
}
