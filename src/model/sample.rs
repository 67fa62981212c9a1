//! A part of a model that the CPU can run: its first layer and some rows of the vocabulary, read back from the GPU. What
//! the CPU computes with it is what the self-test (`check.rs`) expects of the GPU, and how long it takes is what
//! `pace.rs` compares with. All that the CPU has to do is done while the GPU's kernels are being compiled.

use super::tables::Placement;
use super::weights::Weights;
use crate::checkpoint::layout::{Quantization, TensorId, tensors};
use crate::checkpoint::regions::{Region, regions, row_bytes};
use crate::config::ModelConfig;
use crate::cpu::{self, CpuModel};
use crate::engine::{Backend, Logits};
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer};
use web_time::Instant;

/// Rows of the vocabulary that are compared: `BLOCKS` blocks of `BLOCK` neighbours.
const BLOCKS: usize = 4;
const BLOCK: usize = 16;
/// Tokens of the chunk: deliberately no round number.
const CHUNK: usize = 21;
/// Single steps after the chunk.
const STEPS: usize = 2;
/// Steps on the CPU are repeated for this many seconds, since browsers' clocks may be coarse.
const TRIAL: f64 = 0.005;
/// Limit of the repetitions, for a clock that does not advance.
const MOST_STEPS: usize = 10_000;

/// The part, and what the CPU computed with it.
pub struct Sample {
    model: CpuModel,
    /// The model's token for each token of the sample.
    pub(super) tokens: Vec<u32>,
    /// The text: the model's tokens.
    pub(super) text: Vec<u32>,
    /// Tokens of the text that make the chunk; each of the others is a step.
    pub(super) chunk: usize,
    /// Logits of the sample's tokens, after each token of the text.
    pub(super) logits: Vec<f32>,
    /// Seconds that a step of the whole model takes on the CPU, as far as that was measured.
    pub(super) seconds: Option<f64>,
    /// The part's share of all weights that a step multiplies by.
    share: f64,
}

/// A piece of a buffer on its way to the sample.
struct Copy<'a> {
    from: Placement<'a>,
    id: TensorId,
    region: Region,
    /// Its offset in the sample's region, and in the staging buffer.
    to: usize,
    staged: u64,
}

/// The model that a sample is a part of.
pub struct Whole<'a> {
    pub gpu: &'a Gpu,
    pub config: &'a ModelConfig,
    pub quantization: Quantization,
    pub weights: &'a Weights,
    pub context_length: usize,
}

impl Sample {
    /// Reads back the first layer and some rows of the embedding, and computes with them; `None` for a toy without rows
    /// enough to compare.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn of(whole: &Whole<'_>, is_timed: bool) -> Result<Option<Self>> {
        let config = whole.config;
        if config.padded_vocab_size < BLOCK {
            return Ok(None);
        }
        let (mut model, tokens) = whole.read_back().await?;
        let ids: Vec<u32> = (0..model.context_length() as u32).map(|i| (i * 29 + 5) % tokens.len() as u32).collect();
        let chunk = CHUNK.min(ids.len());
        let mut logits = model.forward(&ids[..chunk], Logits::Each(chunk)).await?;
        for id in &ids[chunk..] {
            logits.extend(model.forward(&[*id], Logits::Last).await?);
        }
        let text = ids.iter().map(|id| tokens[*id as usize]).collect();
        let share = weights(model.config()) as f64 / weights(config) as f64;
        let mut sample = Self { model, tokens, text, chunk, logits, seconds: None, share };
        if is_timed {
            sample.time().await?;
        }
        Ok(Some(sample))
    }

    /// Measures a step on the CPU once more, and returns the seconds that it takes at least.
    pub(super) async fn time(&mut self) -> Result<f64> {
        let model = &mut self.model;
        model.truncate(0);
        model.forward(&[1], Logits::Last).await?;
        model.truncate(0);
        let from = Instant::now();
        let mut steps = 0;
        while steps < MOST_STEPS && from.elapsed().as_secs_f64() < TRIAL {
            model.forward(&[1], Logits::Last).await?;
            model.truncate(0);
            steps += 1;
        }
        let seconds = from.elapsed().as_secs_f64() / steps.max(1) as f64 / self.share;
        Ok(*self.seconds.insert(self.seconds.map_or(seconds, |least| least.min(seconds))))
    }
}

/// Weights that a step multiplies by.
fn weights(config: &ModelConfig) -> u64 {
    tensors(config).map(|id| id.shape(config)).map(|shape| shape.rows as u64 * shape.cols as u64).sum()
}

impl Whole<'_> {
    /// The first layer and some rows of the embedding, and the model's token for each of these rows.
    async fn read_back(&self) -> Result<(CpuModel, Vec<u32>)> {
        let vocab = self.config.padded_vocab_size;
        // Blocks begin at a multiple of their size, so that every copy begins and ends at a word.
        let starts: Vec<usize> = (0..BLOCKS).map(|i| (vocab / BLOCK - 1) * i / (BLOCKS - 1) * BLOCK).collect();
        let tokens = starts.iter().flat_map(|start| (*start..start + BLOCK).map(|id| id as u32)).collect();
        let config = ModelConfig { num_layers: 1, padded_vocab_size: BLOCKS * BLOCK, ..self.config.clone() };
        let quantization = self.quantization;
        let mut copies = Vec::new();
        let mut staged = 0;
        for id in tensors(&config) {
            for (region, bytes) in regions(id, &config, quantization) {
                // Offset in the model's region and in the sample's, and bytes.
                let runs = match (id, id.format(quantization)) {
                    (TensorId::Embedding, Some(format)) => {
                        let row = row_bytes(format, config.hidden_size, region) as usize;
                        let run = |(i, start): (usize, &usize)| (start * row, i * BLOCK * row, BLOCK * row);
                        starts.iter().enumerate().map(run).collect()
                    }
                    _ => vec![(0, 0, bytes as usize)],
                };
                for (offset, to, len) in runs {
                    for from in self.weights.place(id, region, offset, len)? {
                        let (to, bytes) = (to + from.bytes.start, from.bytes.len() as u64);
                        copies.push(Copy { from, id, region, to, staged });
                        staged += bytes.next_multiple_of(4);
                    }
                }
            }
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = GpuBuffer::new(self.gpu, "sample", staged, usage);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for Copy { from, staged, .. } in &copies {
            let bytes = (from.bytes.len() as u64).next_multiple_of(4);
            encoder.copy_buffer_to_buffer(from.buffer, from.offset, &staging.buffer, *staged, bytes);
        }
        self.gpu.queue.submit([encoder.finish()]);
        let bytes = self.gpu.read::<u8>(&staging.buffer, staged).await?;
        let context = self.context_length.min(CHUNK + STEPS);
        let loading = cpu::Loading::of_any_size(config, quantization, context)?;
        for Copy { from, id, region, to, staged } in copies {
            let source = &bytes[staged as usize..][..from.bytes.len()];
            loading.write(id, region, (to, source.len()), |target| target.copy_from_slice(source))?;
        }
        Ok((loading.finish(), tokens))
    }
}
