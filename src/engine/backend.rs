//! What generation needs of an engine that computes logits: the GPU, or the CPU reference in tests.

use super::inspect::{FiredToken, InspectRequest};
use super::rows::{Row, RowInput};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::packs::{Ablation, ActivePack, PackTokens, ParameterToken};
use crate::sampling::{LogProbs, SamplingOptions, best};

/// Which logits a forward pass is to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// None: the tokens only fill the KV cache.
    None,
    /// Those after the last token: V values.
    Last,
    /// Those after each of the last n tokens: V values each, in order.
    Each(usize),
}

/// An engine with a KV cache.
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
pub trait Backend {
    /// Shape of the model.
    fn config(&self) -> &ModelConfig;

    /// Positions that the KV cache holds, in tokens.
    fn context_length(&self) -> usize;

    /// Most tokens that one call of [`forward`](Self::forward) takes.
    fn max_chunk(&self) -> usize;

    /// Tokens in the KV cache.
    fn len(&self) -> usize;

    /// True while the KV cache holds nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Errors
    /// `invalid-argument` if a step of `count` tokens does not fit.
    fn check_step(&self, count: usize) -> Result<()> {
        let past = self.len();
        if count == 0 || count > self.max_chunk() || past + count > self.context_length() {
            return Err(Error::invalid_argument(format!("{count} tokens after {past} do not fit.")));
        }
        Ok(())
    }

    /// Forgets all but the first `len` tokens of the KV cache.
    fn truncate(&mut self, len: usize);

    /// Appends `ids` (1 to `max_chunk`, all below V, fitting into the context) to the KV cache and
    /// returns the logits asked for.
    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>>;

    /// Appends `ids` as [`forward`](Self::forward) does, and says how likely each of `targets` is: the last after all
    /// of `ids`, the one before it after all but the last, and so on.
    async fn score(&mut self, ids: &[u32], targets: &[u32], real_ids: usize) -> Result<Vec<TokenScore>> {
        let vocab = self.config().padded_vocab_size;
        let logits = self.forward(ids, Logits::Each(targets.len())).await?;
        let scores = logits.chunks_exact(vocab).zip(targets).map(|(row, target)| TokenScore {
            logprob: LogProbs::new(row).of(*target),
            is_best: best(row[..real_ids].iter().copied()) == *target,
        });
        Ok(scores.collect())
    }

    /// Most tokens of one [`score_together`](Self::score_together); 0 if nothing is gained by it.
    fn most_together(&self) -> usize {
        0
    }

    /// What [`score`](Self::score) says of each of `texts` after an empty KV cache, in one step; leaves it empty.
    async fn score_together(&mut self, texts: &[ScoredText<'_>], real_ids: usize) -> Result<Vec<Vec<TokenScore>>> {
        let mut scores = Vec::with_capacity(texts.len());
        for text in texts {
            self.truncate(0);
            scores.push(self.score(text.ids, text.targets, real_ids).await?);
        }
        self.truncate(0);
        Ok(scores)
    }

    /// Continues a text whose further tokens the engine chooses, below `real_ids`. With `wants_logits`, every
    /// [`Chosen`] has its logits. What the KV cache holds of the text is up to the caller.
    fn begin_choosing(&mut self, options: &SamplingOptions, text: Text<'_>, real_ids: usize, wants_logits: bool);

    /// Appends `ids` as [`forward`](Self::forward) does, and chooses the token after them.
    async fn choose_after(&mut self, ids: &[u32]) -> Result<()>;

    /// Appends the token that was chosen last, which need not have been read back yet, and chooses the next.
    async fn choose_next(&mut self) -> Result<()>;

    /// The oldest chosen token that was not asked for yet.
    async fn chosen(&mut self) -> Result<Chosen>;

    /// How many tokens it pays to choose before the first is asked for.
    fn steps_ahead(&self) -> usize;

    /// Ends the completion: tokens that were not asked for are forgotten, but not removed from the KV cache.
    fn stop_choosing(&mut self);

    /// Continues several texts at once, at most [`MOST_ROWS`](super::MOST_ROWS), which all begin with what the KV cache
    /// holds; it stays as it is until [`stop_rows`](Self::stop_rows). Places keep their tails beyond that, until the KV
    /// cache is written to.
    async fn begin_rows(&mut self, rows: &[Row], real_ids: usize, wants_logits: bool) -> Result<()>;

    /// Appends to each of the texts the token that was chosen last, and chooses the next one.
    async fn step_rows(&mut self) -> Result<()>;

    /// Appends known tokens to tails, as [`step_rows`](Self::step_rows) does, and chooses none.
    async fn feed_rows(&mut self, inputs: &[RowInput]) -> Result<()>;

    /// The oldest chosen tokens that were not asked for yet, one of each text.
    async fn chosen_rows(&mut self) -> Result<Vec<Chosen>>;

    /// How many steps it pays to make before the tokens of the first are asked for.
    fn rows_ahead(&self) -> usize;

    /// Tokens that a tail may have for now; [`begin_rows`](Self::begin_rows) makes sure that some more fit.
    fn tail_capacity(&self) -> usize;

    /// Makes room for the tails of `rows`, and some more tokens; what they hold stays.
    async fn reserve_tails(&mut self, rows: &[Row]) -> Result<()>;

    /// Ends the texts, or pauses them: tokens that were not asked for are forgotten.
    fn stop_rows(&mut self);

    /// Forgets all tails, and frees what they took.
    fn drop_tails(&mut self);

    /// Makes these the active packs, and no others; ablations stay. Forgets the KV cache.
    ///
    /// # Errors
    /// `out-of-memory`; then no pack is active, and nothing is ablated.
    async fn set_packs(&mut self, packs: &[ActivePack]) -> Result<()> {
        let _ = packs;
        Err(Error::unsupported("This engine takes no token packs."))
    }

    /// Multiplies the activations of these parameter tokens from now on, and of no others; packs stay. Forgets the KV cache.
    /// Tokens of inactive packs are skipped. The base's own product is not changed, and what is subtracted from it is
    /// computed separately, in f32: where the base is multiplied in integers, a factor of 0 leaves a thousandth.
    ///
    /// # Errors
    /// `unsupported-checkpoint` for another activation than `l2_norm_gelu`, `out-of-memory`; then no pack is active,
    /// and nothing is ablated.
    async fn ablate(&mut self, ablations: &[Ablation]) -> Result<()> {
        let _ = ablations;
        Err(cannot_look_inside())
    }

    /// Key and value of some of the base's parameter tokens, as the engine computes with them.
    ///
    /// # Errors
    /// `device-lost`.
    async fn base_tokens(&mut self, tokens: &[ParameterToken]) -> Result<Vec<PackTokens>> {
        let _ = tokens;
        Err(cannot_look_inside())
    }

    /// Appends `ids` as [`forward`](Self::forward) does, and reports for each requested row, layer and kind which
    /// parameter tokens contributed most: row by row, and within a row in the order of [`InspectRequest::places`].
    ///
    /// # Errors
    /// `out-of-memory`, `device-lost`.
    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        let _ = (ids, request);
        Err(cannot_look_inside())
    }

    /// (v ∘ w)·Eᵀ for a `value` v\[d\], w being the weight of the final LayerNorm: V values.
    ///
    /// # Errors
    /// `device-lost`.
    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        let _ = value;
        Err(cannot_look_inside())
    }
}

fn cannot_look_inside() -> Error {
    Error::unsupported("This engine does not show its parameter tokens.")
}

/// A text that is written: what penalties count, and how many draws came before the next one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text<'a> {
    /// What the completion began with.
    pub prompt: &'a [u32],
    /// The completion's tokens so far.
    pub written: &'a [u32],
}

impl<'a> Text<'a> {
    /// A prompt that nothing was written after yet.
    pub fn after(prompt: &'a [u32]) -> Self {
        Self { prompt, written: &[] }
    }
}

/// A token that the engine chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The token.
    pub id: u32,
    /// The logits that it was chosen from, if they are wanted.
    pub logits: Option<Vec<f32>>,
}

/// A text to be scored, as [`Backend::score`] takes it.
#[derive(Clone, Copy, Debug)]
pub struct ScoredText<'a> {
    /// Its tokens, at least one.
    pub ids: &'a [u32],
    /// Tokens after the last of them.
    pub targets: &'a [u32],
}

/// How likely a given token was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenScore {
    /// Natural logarithm of its probability over all V logits.
    pub logprob: f64,
    /// Was it the most probable of the real ids?
    pub is_best: bool,
}
