//! Several texts at once on the GPU: what each has besides the KV cache that all share, and a step of all of them.

use super::choosing::{Choosing, Landed};
use super::gpu_model::GpuModel;
use super::kernels::{Step, TextStep};
use super::plan::several::{SeveralPlan, Texts, logits_stride};
use super::sampling_buffers::SamplingBuffers;
use crate::engine::{Chosen, MOST_ROWS, Row, RowInput, read_tails, room_for};
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::{Gpu, GpuBuffer};

/// Fewest tokens that a tail has room for.
const LEAST: usize = 128;

/// Keys and values of the tokens that texts do not share.
#[derive(Default)]
struct Tails {
    /// f16 [places, capacity, d] each, by layer.
    layers: Vec<[GpuBuffer; 2]>,
    places: usize,
    capacity: usize,
}

/// A text that is being written.
struct Text {
    place: usize,
    /// Position of the token that the next step reads.
    past: usize,
    choosing: Choosing,
}

/// Several texts, and what their steps need.
#[derive(Default)]
pub struct Several {
    tails: Tails,
    /// Uniform `TextStep` [MOST_ROWS], and parts of the attention, f32 [MOST_ROWS, parts].
    buffers: Option<[GpuBuffer; 2]>,
    sampling: Vec<SamplingBuffers>,
    /// For so many tokens; made anew where buffers are.
    plan: Option<(usize, SeveralPlan)>,
    texts: Vec<Text>,
    /// Tokens that the texts share.
    common: usize,
}

impl Several {
    /// Tokens that a tail has room for.
    pub fn capacity(&self) -> usize {
        self.tails.capacity
    }

    /// How many steps are well made before the tokens of the first are asked for.
    pub fn ahead(&self) -> usize {
        self.texts.iter().map(|text| text.choosing.steps_ahead()).min().unwrap_or(1)
    }

    /// Forgets tokens that were not asked for.
    pub fn stop(&mut self) {
        self.texts.clear();
    }
}

impl Tails {
    /// The same with room for more; what they hold stays.
    fn grown(&self, model: &GpuModel, places: usize, capacity: usize) -> Self {
        let row = model.config.hidden_size as u64 * 2;
        let bytes = (places * capacity) as u64 * row;
        let buffer = |label| GpuBuffer::storage(&model.gpu, label, bytes);
        let layers = (0..model.config.num_layers).map(|_| [buffer("tail keys"), buffer("tail values")]).collect();
        let grown = Self { layers, places, capacity };
        let mut encoder = model.gpu.device.create_command_encoder(&Default::default());
        let pairs = self.layers.iter().flatten().zip(grown.layers.iter().flatten());
        for (from, to) in pairs {
            for place in 0..self.places as u64 {
                let (start, end) = (place * self.capacity as u64 * row, place * capacity as u64 * row);
                encoder.copy_buffer_to_buffer(&from.buffer, start, &to.buffer, end, self.capacity as u64 * row);
            }
        }
        model.gpu.queue.submit([encoder.finish()]);
        grown
    }
}

impl GpuModel {
    /// See [`Backend::begin_rows`].
    pub(super) async fn begin_several(&mut self, rows: &[Row], real_ids: usize, wants_logits: bool) -> Result<()> {
        self.reserve_several(rows).await?;
        self.plan_several(rows.len()).await?;
        let common = self.len;
        read_tails(self, rows, |model, place| model.keep_tail(place, common)).await?;
        let vocab = self.config.padded_vocab_size;
        let Several { texts, sampling, .. } = &mut self.several;
        texts.clear();
        for (row, buffers) in rows.iter().zip(sampling.iter()) {
            let mut choosing = Choosing::default();
            choosing.begin(&self.gpu, buffers, &row.options, row.text(), (real_ids, vocab), wants_logits);
            texts.push(Text { place: row.place, past: common + row.tail.len() - 1, choosing });
        }
        self.several.common = common;
        let ids: Vec<u32> = rows.iter().map(|row| row.tail.last().copied().unwrap_or_default()).collect();
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::cast_slice(&ids));
        Ok(())
    }

    /// See [`Backend::reserve_tails`].
    pub(super) async fn reserve_several(&mut self, rows: &[Row]) -> Result<()> {
        let ((places, len), tails) = (room_for(rows), &self.several.tails);
        if tails.places < places || tails.capacity < len {
            let capacity = if tails.capacity < len { len.next_power_of_two().max(LEAST) } else { tails.capacity };
            let grown = || Ok(tails.grown(self, places.max(tails.places), capacity));
            let tails = self.gpu.scoped("Making room for several texts", grown).await?;
            (self.several.tails, self.several.plan) = (tails, None);
        }
        Ok(())
    }

    /// Makes the dispatches of steps of `texts` texts.
    async fn plan_several(&mut self, texts: usize) -> Result<()> {
        let mut several = std::mem::take(&mut self.several);
        several.texts.clear();
        let tokens = texts.next_power_of_two().clamp(2, MOST_ROWS);
        if several.plan.as_ref().is_none_or(|(made_for, plan)| *made_for != tokens || plan.choose.len() < texts) {
            let made =
                self.gpu.scoped("Compiling the kernels for several texts", || several.prepare(self, texts, tokens));
            several.plan = Some((tokens, made.await?));
        }
        self.several = several;
        Ok(())
    }

    /// Takes what the KV cache holds from position `common` on for the tail of a place.
    fn keep_tail(&mut self, place: usize, common: usize) {
        let row = self.config.hidden_size as u64 * 2;
        let (from, to) = (common as u64 * row, (place * self.several.tails.capacity) as u64 * row);
        let bytes = (self.len - common) as u64 * row;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for (cache, tail) in self.scratch.cache.iter().zip(&self.several.tails.layers) {
            for (range, tail) in cache.ranges().into_iter().zip(tail) {
                encoder.copy_buffer_to_buffer(range.buffer, range.offset + from, &tail.buffer, to, bytes);
            }
        }
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// See [`Backend::step_rows`].
    pub(super) fn step_several(&mut self) -> Result<()> {
        self.gpu.check()?;
        for (text, buffers) in self.several.texts.iter_mut().zip(&self.several.sampling) {
            text.choosing.prepare(&self.gpu, buffers);
        }
        let of = |text: &Text| {
            let [leaving, xtc] = text.choosing.step_words();
            let step = Step { index: text.choosing.made as u32, leaving, xtc, ..Step::new(text.past, 1) };
            (text.place, step)
        };
        let places: Vec<(usize, Step)> = self.several.texts.iter().map(of).collect();
        let longest = self.write_places(&places)?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let Several { sampling, plan: Some((_, plan)), texts, .. } = &mut self.several else {
            return Err(nothing_begun());
        };
        let count = texts.len();
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.plan.embed.record(&mut pass, 0, count);
            plan.layers.record(&mut pass, longest, count);
            plan.logits.record(&mut pass, longest, count);
            plan.choose.iter().take(count).for_each(|choose| choose.record(&mut pass, longest, 1));
        }
        let copied: Vec<Option<GpuBuffer>> = texts
            .iter_mut()
            .zip(&*sampling)
            .map(|(text, buffers)| text.choosing.copy_out(&self.gpu, (buffers, None), &mut encoder))
            .collect();
        self.gpu.queue.submit([encoder.finish()]);
        for (text, staging) in texts.iter_mut().zip(copied) {
            if let Some(staging) = staging {
                text.choosing.ask(&self.gpu, staging);
            }
            text.past += 1;
        }
        Ok(())
    }

    /// Uploads where the tokens of a step stand, each in a place; gives the position of the last.
    fn write_places(&self, places: &[(usize, Step)]) -> Result<usize> {
        let Several { tails, buffers: Some([steps, _]), common, .. } = &self.several else {
            return Err(nothing_begun());
        };
        let longest = places.iter().map(|(_, step)| step.past as usize).max().unwrap_or(0);
        if places.is_empty() || longest >= self.scratch.context_length.min(common + tails.capacity) {
            let count = places.len();
            return Err(Error::invalid_argument(format!("{count} texts of up to {longest} tokens do not fit.")));
        }
        let own = |(i, (place, step)): (usize, &(usize, Step))| {
            let (in_common, tail) = (*common as u32, (place * tails.capacity) as u32);
            TextStep::from(Step { first_row: i as u32, in_common, tail, ..*step })
        };
        let own: Vec<TextStep> = places.iter().enumerate().map(own).collect();
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
        let mut chosen = Vec::new();
        let Several { sampling, texts, .. } = &mut self.several;
        for (text, buffers) in texts.iter_mut().zip(&*sampling) {
            match text.choosing.next(&self.gpu, (buffers, None)).await? {
                Landed::Token(id) => chosen.push(Chosen { id, logits: None }),
                Landed::Void(_) => return Err(nothing_begun()),
            }
        }
        if self.several.texts.first().is_some_and(|text| text.choosing.wants_logits) {
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

impl Several {
    /// The dispatches of steps of up to `tokens` tokens, `texts` of which are chosen, and the buffers that they name.
    fn prepare(&mut self, model: &GpuModel, texts: usize, tokens: usize) -> Result<SeveralPlan> {
        let (gpu, parts) = (&*model.gpu, model.scratch.attention.stride());
        let [steps, parts] = self.buffers.get_or_insert_with(|| new_buffers(gpu, parts));
        while self.sampling.len() < texts {
            self.sampling.push(SamplingBuffers::new(gpu, &model.config));
        }
        let (sampling, tails) = (&self.sampling, &self.tails.layers);
        SeveralPlan::new(model.parts(), &Texts { steps: &steps.buffer, parts: &parts.buffer, sampling, tails, tokens })
    }
}

fn new_buffers(gpu: &Gpu, parts: usize) -> [GpuBuffer; 2] {
    use wgpu::BufferUsages as U;
    let steps = (MOST_ROWS * size_of::<TextStep>()) as u64;
    let steps = GpuBuffer::new(gpu, "steps of several texts", steps, U::UNIFORM | U::COPY_DST);
    [steps, GpuBuffer::storage(gpu, "parts of several texts", (MOST_ROWS * parts * 4) as u64)]
}

/// A mistake of the caller's.
fn nothing_begun() -> Error {
    Error::new(ErrorCode::InvalidArgument, "No texts were begun.")
}
