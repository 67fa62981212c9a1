//! The model as an engine: prompts, single steps, scores, and tokens chosen on the GPU.

use super::chunk_products::MAX_CHUNK;
use super::flights::Landed;
use super::gpu_model::GpuModel;
use super::kernels::layers::Team;
use super::scratch::STAGED_ROWS;
use super::several::Several;
use crate::config::ModelConfig;
use crate::engine::{
    Backend, Chosen, FiredToken, InspectRequest, Logits, Resume, Row, RowInput, ScoredText, Text, TokenScore,
};
use crate::error::Result;
use crate::packs::{Ablation, ActivePack, PackTokens, ParameterToken};
use crate::sampling::SamplingOptions;

impl Backend for GpuModel {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn context_length(&self) -> usize {
        self.scratch.context_length
    }

    fn max_chunk(&self) -> usize {
        MAX_CHUNK
    }

    fn len(&self) -> usize {
        self.len
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        self.gpu.check()?;
        let (past, count) = (self.len, ids.len());
        self.check_step(count)?;
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::cast_slice(ids));
        self.write_step(past, count, count - 1, 0);
        let row_bytes = self.config.padded_vocab_size as u64 * 4;
        let last = logits == Logits::Last;
        let done = self.submit_first_layers(count);
        self.submit(if last { row_bytes } else { 0 }, |pass| {
            self.layers(pass, (count, done), last); // whether workgroups timed out is told with the logits
            if last {
                self.plan.logits_of_row.record(pass, past, count);
            }
        });
        let mut out = Vec::new();
        if last && !self.read(row_bytes, &mut out).await? {
            self.persistent = None;
            return Box::pin(self.forward(ids, logits)).await;
        }
        if let Logits::Each(n) = logits {
            for first in (count - n..count).step_by(STAGED_ROWS) {
                let rows = STAGED_ROWS.min(count - first);
                self.write_step(past, rows, 0, first);
                self.submit(rows as u64 * row_bytes, |pass| self.plan.logits_of_rows.record(pass, past, rows));
                self.read(rows as u64 * row_bytes, &mut out).await?;
            }
        }
        self.len += count;
        Ok(out)
    }

    async fn score(&mut self, ids: &[u32], targets: &[u32], real_ids: usize) -> Result<Vec<TokenScore>> {
        self.score_text(ScoredText { ids, targets }, real_ids).await
    }

    fn most_together(&self) -> usize {
        MAX_CHUNK.min(self.context_length())
    }

    async fn score_together(&mut self, texts: &[ScoredText<'_>], real_ids: usize) -> Result<Vec<Vec<TokenScore>>> {
        self.score_texts(texts, real_ids).await
    }

    fn begin_choosing(&mut self, options: &SamplingOptions, text: Text<'_>, real_ids: usize, wants_logits: bool) {
        let vocab = self.config.padded_vocab_size;
        self.flights.begin(vec![text.written.len()], wants_logits);
        self.choosing.begin(&self.gpu, self.scratch.choose.row(0), options, text, (real_ids, vocab));
    }

    async fn choose_after(&mut self, ids: &[u32]) -> Result<()> {
        if ids.len() <= MAX_CHUNK {
            self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::cast_slice(ids));
        }
        self.choose(ids.len())
    }

    async fn choose_next(&mut self) -> Result<()> {
        self.choose(1)
    }

    async fn chosen(&mut self) -> Result<Chosen> {
        let id = loop {
            let sources = (&self.scratch.choose, self.persistent.as_ref());
            match self.flights.next(&self.gpu, sources, |_, token| self.choosing.note(token)).await? {
                Landed::Tokens(ids) => break ids[0],
                Landed::Void(steps) => self.redo(steps)?,
            }
        };
        let mut logits = None;
        if self.flights.wants_logits {
            let row_bytes = self.config.padded_vocab_size as u64 * 4;
            self.submit(row_bytes, |_| ());
            let mut values = Vec::new();
            self.read(row_bytes, &mut values).await?;
            logits = Some(values);
        }
        Ok(Chosen { id, logits })
    }

    fn steps_ahead(&self) -> usize {
        if self.choosing.compares_here() { 1 } else { self.flights.steps_ahead() }
    }

    fn stop_choosing(&mut self) {
        if self.persistent.is_some() {
            // No readback will report whether workgroups timed out on these steps, so the cache must not keep them.
            self.len -= self.flights.unverified().min(self.len);
        }
        self.flights.stop();
        self.choosing.stop();
    }

    async fn begin_rows(&mut self, rows: &[Row], real_ids: usize, wants_logits: bool) -> Result<()> {
        self.begin_several(rows, real_ids, wants_logits).await
    }

    async fn step_rows(&mut self) -> Result<()> {
        self.step_several()
    }

    async fn reserve_tails(&mut self, rows: &[Row]) -> Result<()> {
        self.reserve_several(rows).await
    }

    async fn feed_rows(&mut self, inputs: &[RowInput]) -> Result<()> {
        self.feed_several(inputs).await
    }

    async fn chosen_rows(&mut self) -> Result<Vec<Chosen>> {
        self.chosen_several().await
    }

    fn rows_ahead(&self) -> usize {
        self.several.ahead()
    }

    fn tail_capacity(&self) -> usize {
        self.several.capacity()
    }

    fn stop_rows(&mut self) {
        self.several.stop();
    }

    fn drop_tails(&mut self) {
        self.several = Several::default();
    }

    async fn set_packs(&mut self, packs: &[ActivePack]) -> Result<()> {
        self.change(self.changes.with_packs(packs)).await
    }

    async fn ablate(&mut self, ablations: &[Ablation]) -> Result<()> {
        self.change(self.changes.with_ablations(ablations)).await
    }

    async fn base_tokens(&mut self, tokens: &[ParameterToken]) -> Result<Vec<PackTokens>> {
        self.gpu.check()?;
        self.read_tokens(tokens).await
    }

    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        self.look(ids, request).await
    }

    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        self.push(value).await
    }
}

impl Resume for GpuModel {
    type Way = Option<Team>;

    fn way(&self) -> Option<Team> {
        self.team()
    }

    async fn go(&mut self, way: &Option<Team>) -> Result<()> {
        match way {
            _ if *way == self.team() => {}
            None => self.persistent = None,
            Some(team) => drop(self.employ(*team).await?),
        }
        Ok(())
    }

    fn resume_choosing(&mut self, emitted: &[u32]) {
        let input = self.choosing.resume(&self.gpu, self.scratch.choose.row(0), emitted);
        self.flights.begin(vec![self.choosing.made], self.flights.wants_logits);
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::bytes_of(&input));
    }
}
