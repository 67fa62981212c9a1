//! Choosing tokens on the host, for engines whose logits are there anyway.

use super::backend::{Backend, Chosen, Logits, Text};
use super::changes::Changes;
use super::host_rows::{HostRows, nothing_chosen, read_tails};
use super::inspect::{FiredToken, InspectRequest};
use super::rows::{Row, RowInput, room_for};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::packs::{Ablation, ActivePack, Merged, PackTokens, ParameterToken, ablated_base};
use crate::sampling::{Sampler, SamplingOptions};
use std::collections::VecDeque;

/// A completion whose tokens are chosen here.
pub struct HostChoice {
    sampler: Sampler,
    wants_logits: bool,
    /// Tokens that were not asked for yet, and the last of all.
    pending: VecDeque<Chosen>,
    last: Option<u32>,
}

impl HostChoice {
    /// Continues a text; see [`Backend::begin_choosing`].
    pub fn new(options: &SamplingOptions, text: Text<'_>, real_ids: usize, wants_logits: bool) -> Self {
        let mut sampler = Sampler::new(options.clone(), text.prompt, real_ids);
        text.written.iter().for_each(|id| sampler.note(*id));
        Self { sampler, wants_logits, pending: VecDeque::new(), last: None }
    }

    /// Chooses a token from `logits[V]`.
    pub fn choose(&mut self, logits: Vec<f32>) {
        let id = self.sampler.next(&logits);
        self.last = Some(id);
        self.pending.push_back(Chosen { id, logits: self.wants_logits.then_some(logits) });
    }

    /// The token that was chosen last.
    ///
    /// # Errors
    /// `invalid-argument` if none was.
    pub fn last(&self) -> Result<u32> {
        self.last.ok_or_else(nothing_chosen)
    }

    /// The oldest token that was not asked for yet.
    ///
    /// # Errors
    /// `invalid-argument` if there is none.
    pub fn take(&mut self) -> Result<Chosen> {
        self.pending.pop_front().ok_or_else(nothing_chosen)
    }

    /// Acts as if `emitted` had been chosen and asked for.
    pub fn resume(&mut self, emitted: &[u32]) {
        emitted.iter().for_each(|id| self.sampler.note(*id));
        self.last = emitted.last().copied();
    }
}

/// An engine that computes logits; tokens are chosen from them here. The methods are those of [`Backend`].
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
#[allow(missing_docs)] // `Backend` has them
#[allow(clippy::len_without_is_empty)] // the same
pub trait OnHost {
    fn config(&self) -> &ModelConfig;
    fn context_length(&self) -> usize;
    fn max_chunk(&self) -> usize;
    fn len(&self) -> usize;
    fn truncate(&mut self, len: usize);
    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>>;
    /// Where the engine keeps the completion that is being written.
    fn choice(&mut self) -> &mut Option<HostChoice>;
    /// Where it keeps several texts that are being written.
    fn rows(&mut self) -> &mut Option<HostRows>;
    /// Makes room for `len` tokens in the tails of the first `places` places; what they hold stays.
    fn grow_tails(&mut self, places: usize, len: usize) -> Result<()>;
    fn tail_capacity(&self) -> usize;
    fn drop_tails(&mut self);
    /// Takes what the KV cache holds from position `common` on for the tail of a place.
    fn keep_tail(&mut self, place: usize, common: usize);
    /// Where the engine keeps its active packs and ablations.
    fn changes(&mut self) -> &mut Changes;
    /// Makes these the active packs; the KV cache and the tails are empty.
    fn set_packs(&mut self, packs: Merged) -> Result<()>;
    fn base_token(&self, token: &ParameterToken) -> PackTokens;
    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>>;
    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>>;
    /// Appends a token to each of several tails; logits after each, [R, V].
    async fn forward_rows(&mut self, inputs: &[RowInput]) -> Result<Vec<f32>>;
}

impl<E: OnHost> Backend for E {
    fn config(&self) -> &ModelConfig {
        OnHost::config(self)
    }

    fn context_length(&self) -> usize {
        OnHost::context_length(self)
    }

    fn max_chunk(&self) -> usize {
        OnHost::max_chunk(self)
    }

    fn len(&self) -> usize {
        OnHost::len(self)
    }

    fn truncate(&mut self, len: usize) {
        OnHost::truncate(self, len);
    }

    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        self.check_step(ids.len())?;
        OnHost::forward(self, ids, logits).await
    }

    fn begin_choosing(&mut self, options: &SamplingOptions, text: Text<'_>, real_ids: usize, wants_logits: bool) {
        *self.choice() = Some(HostChoice::new(options, text, real_ids, wants_logits));
    }

    async fn choose_after(&mut self, ids: &[u32]) -> Result<()> {
        let logits = Backend::forward(self, ids, Logits::Last).await?;
        self.choice().as_mut().ok_or_else(nothing_chosen)?.choose(logits);
        Ok(())
    }

    async fn choose_next(&mut self) -> Result<()> {
        let last = self.choice().as_ref().ok_or_else(nothing_chosen)?.last()?;
        self.choose_after(&[last]).await
    }

    async fn chosen(&mut self) -> Result<Chosen> {
        self.choice().as_mut().ok_or_else(nothing_chosen)?.take()
    }

    fn steps_ahead(&self) -> usize {
        1 // nothing is waited for meanwhile
    }

    fn stop_choosing(&mut self) {
        *self.choice() = None;
    }

    async fn begin_rows(&mut self, rows: &[Row], real_ids: usize, wants_logits: bool) -> Result<()> {
        self.reserve_tails(rows).await?;
        let common = Backend::len(self);
        read_tails(self, rows, |engine, place| engine.keep_tail(place, common)).await?;
        *OnHost::rows(self) = Some(HostRows::new(rows, real_ids, wants_logits));
        Ok(())
    }

    async fn step_rows(&mut self) -> Result<()> {
        let inputs = OnHost::rows(self).as_ref().ok_or_else(nothing_chosen)?.inputs();
        let logits = self.forward_rows(&inputs).await?;
        OnHost::rows(self).as_mut().ok_or_else(nothing_chosen)?.choose(&logits);
        Ok(())
    }

    async fn reserve_tails(&mut self, rows: &[Row]) -> Result<()> {
        let (places, len) = room_for(rows);
        self.grow_tails(places, len)
    }

    async fn feed_rows(&mut self, inputs: &[RowInput]) -> Result<()> {
        self.forward_rows(inputs).await.map(drop)
    }

    async fn chosen_rows(&mut self) -> Result<Vec<Chosen>> {
        OnHost::rows(self).as_mut().ok_or_else(nothing_chosen)?.take()
    }

    fn rows_ahead(&self) -> usize {
        1
    }

    fn tail_capacity(&self) -> usize {
        OnHost::tail_capacity(self)
    }

    fn stop_rows(&mut self) {
        *OnHost::rows(self) = None;
    }

    fn drop_tails(&mut self) {
        OnHost::drop_tails(self);
    }

    async fn set_packs(&mut self, packs: &[ActivePack]) -> Result<()> {
        let changes = self.changes().with_packs(packs);
        change(self, changes)
    }

    async fn ablate(&mut self, ablations: &[Ablation]) -> Result<()> {
        let changes = self.changes().with_ablations(ablations);
        change(self, changes)
    }

    async fn base_tokens(&mut self, tokens: &[ParameterToken]) -> Result<Vec<PackTokens>> {
        Ok(tokens.iter().map(|token| self.base_token(token)).collect())
    }

    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        self.check_step(ids.len())?;
        OnHost::inspect(self, ids, request).await
    }

    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        OnHost::pushes(self, value).await
    }
}

/// Makes these packs and ablations the active ones, and no others.
fn change<E: OnHost>(engine: &mut E, changes: Changes) -> Result<()> {
    OnHost::truncate(engine, 0);
    OnHost::drop_tails(engine);
    (*engine.choice(), *OnHost::rows(engine)) = (None, None);
    *engine.changes() = Changes::default();
    OnHost::set_packs(engine, Merged::default())?;
    if changes.is_empty() {
        return Ok(());
    }
    let config = OnHost::config(engine);
    changes.check(config)?;
    let base = ablated_base(&changes.ablations);
    let base: Vec<PackTokens> = base.iter().map(|token| engine.base_token(token)).collect();
    let merged = changes.merged(config.hidden_size, &base);
    OnHost::set_packs(engine, merged)?;
    *engine.changes() = changes;
    Ok(())
}
