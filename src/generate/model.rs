//! A backend with its tokenizer and the tokens that its KV cache holds.

use super::options::Prompt;
use crate::engine::{
    AbortFlag, Backend, Chosen, FiredToken, InspectRequest, Logits, Row, ScoredText, Text, TokenScore,
};
use crate::error::{Error, Result};
use crate::packs::ActivePack;
use crate::sampling::{Dry, SamplingOptions};
use crate::tokenizer::Tokenizer;
use std::cell::OnceCell;
use std::sync::Arc;

/// A model that writes.
pub struct Model<B> {
    pub(super) backend: B,
    tokenizer: Option<Tokenizer>,
    /// Tokens of the KV cache.
    cached: Vec<u32>,
    /// Tokens that the KV cache has besides these: they were chosen and not asked for yet.
    unknown: usize,
    /// Which ids begin with a space; `None` if none does. Determined when it is first needed.
    spaced: OnceCell<Option<Arc<[bool]>>>,
}

/// How many tokens both begin with.
pub(super) fn in_common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl<B: Backend> Model<B> {
    /// Joins an engine with a tokenizer, if there is one.
    ///
    /// # Errors
    /// `invalid-config` if the tokenizer has ids that the model does not know.
    pub fn new(backend: B, tokenizer: Option<Tokenizer>) -> Result<Self> {
        let vocab = backend.config().padded_vocab_size;
        if let Some(t) = &tokenizer
            && t.size() > vocab
        {
            let size = t.size();
            return Err(Error::invalid_config(format!("The tokenizer has {size} ids, but the model only {vocab}."))
                .hint("Use the tokenizer.json that the model was trained with."));
        }
        Ok(Self { backend, tokenizer, cached: Vec::new(), unknown: 0, spaced: OnceCell::new() })
    }

    /// The engine.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The engine, for uses that leave its KV cache unchanged.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// `invalid-config` without one.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| {
            Error::invalid_config("This model has no tokenizer.json, so it takes and gives token ids only.")
                .hint("Put the tokenizer.json of its training into its folder.")
        })
    }

    /// Ids below this are those of tokens: the tokenizer's, or all V without one.
    pub fn real_ids(&self) -> usize {
        self.tokenizer.as_ref().map_or(self.backend.config().padded_vocab_size, Tokenizer::size)
    }

    /// Bytes of a token; none without a tokenizer.
    pub(super) fn token_bytes(&self, id: u32) -> Vec<u8> {
        self.tokenizer.as_ref().map_or_else(Vec::new, |t| t.token_bytes(id))
    }

    /// Text of token ids; rows of the embedding that no token uses are empty.
    ///
    /// # Errors
    /// `invalid-argument` for ids that the model does not have, `invalid-config` without a tokenizer.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let tokenizer = self.tokenizer()?;
        self.check_range(ids)?;
        Ok(tokenizer.decode(ids))
    }

    /// Token ids of a prompt.
    ///
    /// # Errors
    /// `invalid-argument` for no ids or ids out of range, `invalid-config` for text without a tokenizer.
    pub fn prompt_ids(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        let ids = match prompt {
            Prompt::Text(text) if text.is_empty() => vec![0],
            Prompt::Text(text) => self.tokenizer()?.encode(text)?,
            Prompt::Ids(ids) => ids.clone(),
        };
        self.check_ids(&ids)?;
        Ok(ids)
    }

    /// A text prompt that ends in a space, without that space, and which ids the first token may then have: those that
    /// begin with a space. Vocabularies of this kind have the space at the beginning of words, so training hardly ever
    /// showed a separate space at the end.
    pub(super) fn healed(&self, prompt: &Prompt) -> Option<(Prompt, Arc<[bool]>)> {
        let Prompt::Text(text) = prompt else { return None };
        let text = text.strip_suffix(' ')?;
        let first = self.spaced.get_or_init(|| self.begin_with_a_space()).clone()?;
        Some((Prompt::Text(text.to_owned()), first))
    }

    fn begin_with_a_space(&self) -> Option<Arc<[bool]>> {
        let ids: Arc<[bool]> =
            (0..self.real_ids() as u32).map(|id| self.token_bytes(id).first() == Some(&b' ')).collect();
        ids.contains(&true).then_some(ids)
    }

    /// Which ids end a match of DRY: those whose text contains a breaker. `None` where DRY is off.
    pub(super) fn breakers(&self, dry: &Dry) -> Option<Arc<[bool]>> {
        let holds = |bytes: &[u8], breaker: &String| bytes.windows(breaker.len()).any(|w| w == breaker.as_bytes());
        let breaks = |id| {
            let bytes = self.token_bytes(id);
            dry.breakers.iter().any(|breaker| holds(&bytes, breaker))
        };
        (dry.multiplier > 0.0).then(|| (0..self.real_ids() as u32).map(breaks).collect())
    }

    /// # Errors
    /// `invalid-argument` for no ids or ids out of range.
    pub(super) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            return Err(Error::invalid_argument("There are no token ids."));
        }
        self.check_range(ids)
    }

    fn check_range(&self, ids: &[u32]) -> Result<()> {
        let vocab = self.backend.config().padded_vocab_size;
        match ids.iter().find(|id| **id as usize >= vocab) {
            None => Ok(()),
            Some(id) => Err(Error::invalid_argument(format!("Token id {id} is out of range: the model has {vocab}."))),
        }
    }

    /// Keeps what `ids` and the KV cache both begin with, but at most `most` tokens; returns their number.
    pub(super) fn reuse(&mut self, ids: &[u32], most: usize) -> usize {
        let common = in_common(&self.cached, ids).min(most);
        self.backend.truncate(common);
        self.cached.truncate(common);
        common
    }

    /// Forgets all but the first `most` tokens of the KV cache.
    pub(super) fn keep(&mut self, most: usize) {
        self.cached.truncate(most);
        self.reuse_nothing_unsure();
    }

    /// What the model saw last: the ids in the KV cache, in order. The token chosen last may be missing.
    pub fn context(&self) -> &[u32] {
        &self.cached
    }

    /// Forgets the context.
    pub fn reset(&mut self) {
        self.reuse(&[], 0);
    }

    /// Makes these the active token packs, and no others; ablations stay. The context is forgotten.
    ///
    /// # Errors
    /// The engine's; then no pack is active, and nothing is ablated.
    pub async fn set_packs(&mut self, packs: &[ActivePack]) -> Result<()> {
        self.reset();
        self.backend.set_packs(packs).await
    }

    /// One step of the engine, at most [`Backend::max_chunk`] tokens.
    pub(super) async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        let result = self.backend.forward(ids, logits).await;
        self.note(ids, result)
    }

    /// One step of the engine that scores `targets`, at most [`Backend::max_chunk`] tokens.
    pub(super) async fn score_step(&mut self, ids: &[u32], targets: &[u32]) -> Result<Vec<TokenScore>> {
        let real_ids = self.real_ids();
        let result = self.backend.score(ids, targets, real_ids).await;
        self.note(ids, result)
    }

    /// One step of the engine that scores several texts, at most [`Backend::most_together`] tokens. Forgets the context.
    pub(super) async fn score_texts(&mut self, texts: &[ScoredText<'_>]) -> Result<Vec<Vec<TokenScore>>> {
        self.reset();
        let real_ids = self.real_ids();
        self.backend.score_together(texts, real_ids).await
    }

    /// One step of the engine that reports which parameter tokens fired, at most [`Backend::max_chunk`] tokens.
    pub(super) async fn inspect_step(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        let result = self.backend.inspect(ids, request).await;
        self.note(ids, result)
    }

    /// Records what a step of `ids` left in the KV cache.
    fn note<T>(&mut self, ids: &[u32], result: Result<T>) -> Result<T> {
        match &result {
            Ok(_) => self.cached.extend_from_slice(ids),
            // Whatever happened: the cache holds what the engine says that it holds.
            Err(_) => self.reuse_nothing_unsure(),
        }
        result
    }

    fn reuse_nothing_unsure(&mut self) {
        let len = self.backend.len().min(self.cached.len());
        self.cached.truncate(len);
        self.backend.truncate(len);
    }

    /// Appends `ids` in steps; logits (as asked for) only of the last step.
    pub(super) async fn extend(&mut self, ids: &[u32], logits: Logits, abort: &AbortFlag) -> Result<Vec<f32>> {
        let chunk = self.backend.max_chunk();
        let mut rest = ids;
        while rest.len() > chunk {
            abort.check()?;
            self.forward(&rest[..chunk], Logits::None).await?;
            rest = &rest[chunk..];
        }
        abort.check()?;
        self.forward(rest, logits).await
    }

    /// Continues a text of which the context is to hold `ids`, and already has the first `from`. The last step chooses
    /// a token.
    pub(super) async fn begin(
        &mut self,
        (ids, from): (&[u32], usize),
        text: Text<'_>,
        sampling: &SamplingOptions,
        wants_logits: bool,
        abort: &AbortFlag,
    ) -> Result<()> {
        let real_ids = self.real_ids();
        self.backend.begin_choosing(sampling, text, real_ids, wants_logits);
        self.unknown = 0;
        let chunk = self.backend.max_chunk();
        let mut rest = &ids[from..];
        while rest.len() > chunk {
            abort.check()?;
            self.forward(&rest[..chunk], Logits::None).await?;
            rest = &rest[chunk..];
        }
        abort.check()?;
        self.backend.choose_after(rest).await?;
        self.cached.extend_from_slice(rest);
        Ok(())
    }

    /// One more step of a completion. `pending` is its input, if that is known already.
    pub(super) async fn choose_next(&mut self, pending: Option<u32>) -> Result<()> {
        self.backend.choose_next().await?;
        match pending {
            Some(id) => self.cached.push(id),
            None => self.unknown += 1,
        }
        Ok(())
    }

    /// The oldest chosen token that was not asked for yet; true if the KV cache has it.
    pub(super) async fn chosen(&mut self) -> Result<(Chosen, bool)> {
        let chosen = self.backend.chosen().await?;
        let is_cached = self.unknown > 0;
        if is_cached {
            self.unknown -= 1;
            self.cached.push(chosen.id);
        }
        Ok((chosen, is_cached))
    }

    /// Ends a completion: what was made ahead is removed from the KV cache.
    pub(super) fn end_choosing(&mut self) {
        self.backend.stop_choosing();
        self.unknown = 0;
        self.reuse_nothing_unsure();
    }

    /// Makes the KV cache hold `ids` and nothing else; returns how many it already had.
    pub(super) async fn hold(&mut self, ids: &[u32], abort: &AbortFlag) -> Result<usize> {
        let reused = self.reuse(ids, ids.len());
        if reused < ids.len() {
            self.extend(&ids[reused..], Logits::None, abort).await?;
        }
        Ok(reused)
    }

    /// Continues several texts that all begin with what the KV cache holds.
    pub(super) async fn begin_rows(&mut self, rows: &[Row], wants_logits: bool) -> Result<()> {
        let real_ids = self.real_ids();
        self.backend.begin_rows(rows, real_ids, wants_logits).await
    }

    /// Logits after the last of `ids`, V long.
    ///
    /// # Errors
    /// `invalid-argument` for ids that are out of range or do not fit the context; the engine's.
    pub async fn logits(&mut self, ids: &[u32], abort: &AbortFlag) -> Result<Vec<f32>> {
        self.check_ids(ids)?;
        let most = self.backend.context_length();
        if ids.len() > most {
            return Err(Error::invalid_argument(format!("{} tokens do not fit the context of {most}.", ids.len())));
        }
        let reused = self.reuse(ids, ids.len() - 1);
        self.extend(&ids[reused..], Logits::Last, abort).await
    }
}
