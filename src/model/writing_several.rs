//! A step of several texts on the GPU: their tokens, how they are chosen, and the results.

use super::choosing::Choosing;
use super::flights::Landed;
use super::gpu_model::GpuModel;
use super::kernels::{Step, TextStep};
use super::plan::several::logits_stride;
use super::several::{self, Several, record_layers};
use super::tails::{LEAST, Tails};
use crate::engine::{Chosen, MOST_ROWS, Row, RowInput, Text, read_tails, room_for};
use crate::error::{Error, ErrorCode, Result};

impl GpuModel {
    /// See [`Backend::begin_rows`].
    pub(super) async fn begin_several(&mut self, rows: &[Row], real_ids: usize, wants_logits: bool) -> Result<()> {
        self.reserve_several(rows).await?;
        self.plan_several(rows.len()).await?;
        let common = self.len;
        read_tails(self, rows, |model, place| model.keep_tail(place, common)).await?;
        let vocab = self.config.padded_vocab_size;
        let Several { texts, sampling: Some(sampling), flights, .. } = &mut self.several else {
            return Err(nothing_begun());
        };
        texts.clear();
        flights.begin(rows.iter().map(|row| row.written.len()).collect(), wants_logits);
        for (i, row) in rows.iter().enumerate() {
            let mut choosing = Choosing::default();
            let text = Text { prompt: &row.prompt, written: &row.written };
            choosing.begin(&self.gpu, sampling.row(i), &row.options, text, (real_ids, vocab));
            texts.push(several::Text { place: row.place, past: common + row.tail.len() - 1, choosing });
        }
        self.several.common = common;
        let ids: Vec<u32> = rows.iter().map(|row| row.tail.last().copied().unwrap_or_default()).collect();
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::cast_slice(&ids));
        self.choose_several_team(tokens_of(rows.len())).await
    }

    /// See [`Backend::reserve_tails`].
    pub(super) async fn reserve_several(&mut self, rows: &[Row]) -> Result<()> {
        let ((places, len), tails) = (room_for(rows), &self.several.tails);
        if tails.places() < places || tails.capacity() < len {
            let capacity = if tails.capacity() < len { len.next_power_of_two().max(LEAST) } else { tails.capacity() };
            let places = places.max(tails.places());
            let grown =
                || Ok(tails.grown(&self.gpu, Tails::new(&self.gpu, &self.config, &self.weights, places, capacity)));
            let tails = self.gpu.scoped("Making room for several texts", grown).await?;
            (self.several.tails, self.several.plan, self.several.persistent) = (tails, None, None);
        }
        Ok(())
    }

    /// Makes the dispatches of steps of `texts` texts.
    async fn plan_several(&mut self, texts: usize) -> Result<()> {
        let mut several = std::mem::take(&mut self.several);
        several.texts.clear();
        let tokens = tokens_of(texts);
        if several.plan.as_ref().is_none_or(|(made_for, _)| *made_for != tokens) {
            let made =
                self.gpu.scoped("Compiling the kernels for several texts", || several.prepare(self.parts(), tokens));
            (several.plan, several.persistent) = (Some((tokens, made.await?)), None);
        }
        self.several = several;
        Ok(())
    }

    /// Moves what the KV cache holds from position `common` on to the tail of a place.
    fn keep_tail(&mut self, place: usize, common: usize) {
        let row = self.config.hidden_size as u64 * 2;
        let (from, to) = (common as u64 * row, (place * self.several.tails.capacity()) as u64 * row);
        let bytes = (self.len - common) as u64 * row;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for (layer, cache) in self.scratch.cache.iter().enumerate() {
            for (range, tail) in cache.ranges().into_iter().zip(self.several.tails.of_layer(layer)) {
                encoder.copy_buffer_to_buffer(range.buffer, range.offset + from, tail.buffer, tail.offset + to, bytes);
            }
        }
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// See [`Backend::step_rows`].
    pub(super) fn step_several(&mut self) -> Result<()> {
        self.gpu.check()?;
        let Several { texts, sampling: Some(sampling), .. } = &mut self.several else { return Err(nothing_begun()) };
        for (i, text) in texts.iter_mut().enumerate() {
            text.choosing.prepare(&self.gpu, sampling.row(i));
        }
        let of = |text: &several::Text| {
            let [leaving, xtc] = text.choosing.step_words();
            let step = Step { index: text.choosing.made as u32, leaving, xtc, ..Step::new(text.past, 1) };
            (text.place, step)
        };
        let places: Vec<(usize, Step)> = self.several.texts.iter().map(of).collect();
        let longest = self.write_places(&places)?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let Several { sampling: Some(sampling), plan: Some((_, plan)), persistent, texts, flights, .. } =
            &mut self.several
        else {
            return Err(nothing_begun());
        };
        let count = texts.len();
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.plan.embed.record(&mut pass, 0, count);
            record_layers(&mut pass, (plan, persistent.as_ref()), longest, count);
            plan.logits.record(&mut pass, longest, count);
            let compared = texts.iter().map(|text| text.choosing.compared()).max();
            plan.choose.record(&mut pass, count, compared.unwrap_or(0));
        }
        let staging = flights.copy_out(&self.gpu, (sampling, persistent.as_ref()), &mut encoder);
        self.gpu.queue.submit([encoder.finish()]);
        if let Some(staging) = staging {
            flights.ask(&self.gpu, staging);
        }
        for text in texts {
            text.choosing.step_made();
            text.past += 1;
        }
        Ok(())
    }

    /// Uploads the positions of a step's tokens, each in a place; returns the last position.
    pub(super) fn write_places(&self, places: &[(usize, Step)]) -> Result<usize> {
        let Several { tails, buffers: Some([steps, _]), common, .. } = &self.several else {
            return Err(nothing_begun());
        };
        let longest = places.iter().map(|(_, step)| step.past as usize).max().unwrap_or(0);
        if places.is_empty() || longest >= self.scratch.context_length.min(common + tails.capacity()) {
            let count = places.len();
            return Err(Error::invalid_argument(format!("{count} texts of up to {longest} tokens do not fit.")));
        }
        let own = |(i, (place, step)): (usize, &(usize, Step))| {
            let (in_common, tail) = (*common as u32, (place * tails.capacity()) as u32);
            TextStep::from(Step { first_row: i as u32, in_common, tail, ..*step })
        };
        let mut own: Vec<TextStep> = places.iter().enumerate().map(own).collect();
        own.resize(MOST_ROWS, Step::default().into()); // of no token
        self.gpu.queue.write_buffer(&steps.buffer, 0, bytemuck::cast_slice(&own));
        let all = Step::new(0, places.len());
        self.gpu.queue.write_buffer(&self.scratch.step.buffer, 0, bytemuck::bytes_of(&all));
        Ok(longest)
    }

    /// See [`Backend::feed_rows`].
    pub(super) async fn feed_several(&mut self, inputs: &[RowInput]) -> Result<()> {
        self.gpu.check()?;
        let common = self.several.common;
        let places: Vec<_> = inputs.iter().map(|input| (input.place, Step::new(common + input.held, 1))).collect();
        let longest = self.write_places(&places)?;
        let ids: Vec<u32> = inputs.iter().map(|input| input.id).collect();
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::cast_slice(&ids));
        let Some((_, plan)) = &self.several.plan else { return Err(nothing_begun()) };
        self.submit(0, |pass| {
            self.plan.embed.record(pass, 0, inputs.len());
            plan.layers.record(pass, longest, inputs.len());
        });
        Ok(())
    }

    /// See [`Backend::chosen_rows`].
    pub(super) async fn chosen_several(&mut self) -> Result<Vec<Chosen>> {
        let tokens = loop {
            let Several { sampling: Some(sampling), persistent, texts, flights, .. } = &mut self.several else {
                return Err(nothing_begun());
            };
            let note = |text: usize, token| texts[text].choosing.note(token);
            match flights.next(&self.gpu, (sampling, persistent.as_ref()), note).await? {
                Landed::Tokens(tokens) => break tokens,
                Landed::Void(steps) => self.redo_several(steps)?,
            }
        };
        let mut chosen: Vec<Chosen> = tokens.into_iter().map(|id| Chosen { id, logits: None }).collect();
        if self.several.flights.wants_logits {
            let vocab = self.config.padded_vocab_size;
            let (stride, mut values) = (logits_stride(vocab), Vec::new());
            let bytes = (chosen.len() * stride * 4) as u64;
            self.submit(bytes, |_| ());
            self.read(bytes, &mut values).await?;
            for (chosen, logits) in chosen.iter_mut().zip(values.chunks_exact(stride)) {
                chosen.logits = Some(logits[..vocab].to_vec());
            }
        }
        Ok(chosen)
    }
}

/// The number of texts to compile kernels for, given the number in a step.
fn tokens_of(texts: usize) -> usize {
    texts.next_power_of_two().clamp(2, MOST_ROWS)
}

/// The error for a caller's mistake.
fn nothing_begun() -> Error {
    Error::new(ErrorCode::InvalidArgument, "No texts were begun.")
}
