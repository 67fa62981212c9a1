//! Log-probabilities of given tokens: of a text after those in the KV cache, or of several texts in one step.

use super::gpu_model::GpuModel;
use super::kernels::score::TargetScore;
use super::plan::together::TogetherPlan;
use super::scratch::LOGIT_ROWS;
use crate::engine::{Backend, ScoredText, TokenScore};
use crate::error::Result;
use crate::gpu::GpuBuffer;
use std::ops::Range;

impl GpuModel {
    /// See [`Backend::score`]. All log-probabilities of a chunk come back at once; the logits stay where they are.
    pub(super) async fn score_text(&mut self, text: ScoredText<'_>, real_ids: usize) -> Result<Vec<TokenScore>> {
        self.gpu.check()?;
        let ScoredText { ids, targets } = text;
        let (past, count) = (self.len, ids.len());
        self.check_step(count)?;
        self.write_words(&self.scratch.ids, 0, ids);
        self.write_words(&self.scratch.targets, count - targets.len(), targets);
        self.write_step(past, count, 0, 0);
        let done = self.submit_first_layers(count);
        self.submit(0, |pass| self.layers(pass, (count, done), false));
        let scored = count - targets.len()..count;
        self.score_rows(past, scored.clone(), real_ids);
        let scores = self.scores_of(scored).await?;
        self.len += count;
        Ok(scores)
    }

    /// See [`Backend::score_together`].
    pub(super) async fn score_texts(
        &mut self,
        texts: &[ScoredText<'_>],
        real_ids: usize,
    ) -> Result<Vec<Vec<TokenScore>>> {
        self.gpu.check()?;
        self.truncate(0);
        let count = texts.iter().map(|text| text.ids.len()).sum();
        self.check_step(count)?;
        if self.together.is_none() {
            let make = || TogetherPlan::new(self.parts());
            self.together = Some(self.gpu.scoped("Compiling the kernels for several texts", make).await?);
        }
        let Some(plan) = &self.together else { return Ok(Vec::new()) };
        let (mut ids, mut starts, mut scored) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::new());
        for text in texts {
            let start = ids.len();
            ids.extend_from_slice(text.ids);
            starts.resize(ids.len(), start as u32);
            let rows = ids.len() - text.targets.len()..ids.len();
            self.write_words(&self.scratch.targets, rows.start, text.targets);
            scored.push(rows);
        }
        self.write_words(&self.scratch.ids, 0, &ids);
        self.write_words(&plan.starts, 0, &starts);
        self.write_step(0, count, 0, 0);
        self.submit(0, |pass| {
            self.plan.embed.record(pass, 0, count);
            plan.layers.record(pass, 0, count);
        });
        // Rows of neighbouring texts are scored at once, with those in between, unless these are too many.
        let mut blocks: Vec<Range<usize>> = Vec::new();
        for rows in scored.iter().filter(|rows| !rows.is_empty()) {
            match blocks.last_mut() {
                Some(last) if rows.end - last.start <= LOGIT_ROWS => last.end = rows.end,
                _ => blocks.push(rows.clone()),
            }
        }
        blocks.into_iter().for_each(|rows| self.score_rows(0, rows, real_ids));
        let scores = self.scores_of(0..count).await?;
        Ok(scored.into_iter().map(|rows| scores[rows].to_vec()).collect())
    }

    fn write_words(&self, buffer: &GpuBuffer, at: usize, words: &[u32]) {
        self.gpu.queue.write_buffer(&buffer.buffer, at as u64 * 4, bytemuck::cast_slice(words));
    }

    /// Submits the scores of these rows of h, by the targets at their places.
    fn score_rows(&self, past: usize, rows: Range<usize>, real_ids: usize) {
        for first in rows.clone().step_by(LOGIT_ROWS) {
            let count = LOGIT_ROWS.min(rows.end - first);
            self.write_scoring_step([past, count, 0, first, real_ids]);
            self.submit(0, |pass| {
                self.plan.logits_of_rows.record(pass, past, count);
                self.plan.score.record(pass, past, count);
            });
        }
    }

    /// Reads the scores of these rows.
    async fn scores_of(&self, rows: Range<usize>) -> Result<Vec<TokenScore>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (source, staging) = (&self.scratch.target_scores.buffer, &self.scratch.staging.buffer);
        let size = size_of::<TargetScore>();
        let (start, bytes) = ((rows.start * size) as u64, (rows.len() * size) as u64);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(source, start, staging, 0, bytes);
        self.gpu.queue.submit([encoder.finish()]);
        let read = self.gpu.read::<TargetScore>(staging, bytes).await?;
        Ok(read.iter().map(|s| TokenScore { logprob: s.logprob.into(), is_best: s.is_best == 1 }).collect())
    }
}
