//! The self-test: does this GPU compute what it should?
//!
//! The kernels that are about to be used run on the model itself, but only on its first layer, whose tables the CPU can
//! read back and compute with quickly: a chunk of a prompt, single steps, logits of rows from all over the
//! vocabulary, scores, and the choice of a token. It compiles nothing extra, and tests the uploaded weights as well.

use super::gpu_model::GpuModel;
use super::plan::Plan;
use super::tables::Placement;
use super::tune::difference;
use crate::checkpoint::layout::{TensorId, tensors};
use crate::checkpoint::regions::{Region, regions, row_bytes};
use crate::config::ModelConfig;
use crate::cpu::{self, CpuModel};
use crate::engine::{Backend, Logits, Text, TokenScore};
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::GpuBuffer;
use crate::sampling::{LogProbs, Sampler, SamplingOptions};

/// Rows of the vocabulary that are compared: `BLOCKS` blocks of `BLOCK` neighbours.
const BLOCKS: usize = 4;
const BLOCK: usize = 16;
/// Tokens of the chunk: deliberately no round number.
const CHUNK: usize = 21;
/// Single steps after the chunk.
const STEPS: usize = 2;
/// Largest permitted error of the logits (L2, relative). Both sides round; a faulty result is off by more than this.
const TOLERANCE: f64 = 1e-2;

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Right,
    Wrong,
    /// Nothing: the model gives no numbers to compare, for example because its weights are zeros or too large.
    Nothing,
}

/// A model of the first layer and some of the vocabulary, on the CPU.
struct Sample {
    model: CpuModel,
    /// The model's token for each token of the sample.
    tokens: Vec<u32>,
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

impl GpuModel {
    /// Makes sure that the model computes correctly, without packs; if subgroups are at fault, it stops using them.
    /// False if the model's own numbers do not allow a verdict.
    ///
    /// # Errors
    /// `webgpu-unavailable` if it does not compute correctly, `device-lost`.
    pub async fn verify(&mut self) -> Result<bool> {
        self.drop_packs().await?;
        let found = self.finding().await?;
        if found != Finding::Wrong {
            return Ok(found == Finding::Right);
        }
        if self.gpu.forgo_subgroups("gave wrong results") {
            let make = || Plan::new(self.parts());
            self.plan = self.gpu.scoped("Compiling the kernels", make).await?;
            let found = self.finding().await?;
            if found != Finding::Wrong {
                return Ok(found == Finding::Right);
            }
        }
        Err(Error::new(ErrorCode::WebgpuUnavailable, "This GPU, or its driver, computes wrong results.")
            .hint("Update the browser and the graphics driver. Small models run with backend \"cpu\"."))
    }

    /// A part of the model that the CPU can run, and one of its tokens: the first layer and some rows of the
    /// vocabulary.
    ///
    /// # Errors
    /// `device-lost`.
    pub(super) async fn part_on_cpu(&self) -> Result<(CpuModel, u32)> {
        Ok((self.sample().await?.model, 1))
    }

    /// Whether the first layer computes the same on the GPU as on the CPU.
    async fn finding(&mut self) -> Result<Finding> {
        if self.config.padded_vocab_size < BLOCK {
            return Ok(Finding::Nothing); // a toy without rows enough to compare
        }
        let mut sample = self.sample().await?;
        self.depth = 1;
        let result = self.agrees_with(&mut sample).await;
        self.depth = self.config.num_layers;
        self.truncate(0);
        result
    }

    async fn agrees_with(&mut self, Sample { model, tokens }: &mut Sample) -> Result<Finding> {
        let vocab = self.config.padded_vocab_size;
        let picked = |logits: &[f32]| -> Vec<f32> {
            let rows = logits.chunks_exact(vocab);
            rows.flat_map(|row| tokens.iter().map(|id| row[*id as usize])).collect()
        };
        let ids: Vec<u32> = (0..model.context_length() as u32).map(|i| (i * 29 + 5) % tokens.len() as u32).collect();
        let real: Vec<u32> = ids.iter().map(|id| tokens[*id as usize]).collect();
        let chunk = CHUNK.min(ids.len());
        let wanted = model.forward(&ids[..chunk], Logits::Each(chunk)).await?;
        if !are_finite(&wanted) {
            return Ok(Finding::Nothing);
        }
        let is_blank = wanted.iter().all(|x| *x == 0.0);
        let got = self.forward(&real[..chunk], Logits::Each(chunk)).await?;
        if is_off(&picked(&got), &wanted) {
            return Ok(Finding::Wrong);
        }
        if chunk > 1 && !self.scores_follow(&got, &real[..chunk]).await? {
            return Ok(Finding::Wrong);
        }
        for i in chunk..ids.len() {
            let wanted = model.forward(&ids[i..=i], Logits::Last).await?;
            if !are_finite(&wanted) {
                return Ok(Finding::Nothing);
            }
            let got = self.forward(&real[i..=i], Logits::Last).await?;
            if is_off(&picked(&got), &wanted) {
                return Ok(Finding::Wrong);
            }
        }
        for options in [
            SamplingOptions { temperature: 0.0, repetition_penalty: 1.3, ..Default::default() },
            SamplingOptions { temperature: 1.0, top_k: 3, seed: 11, ..Default::default() },
        ] {
            self.truncate(ids.len() - 1);
            self.begin_choosing(&options, Text::after(&real), vocab, true);
            self.choose_after(&real[ids.len() - 1..]).await?;
            let chosen = self.chosen().await?;
            self.stop_choosing();
            let logits = chosen.logits.unwrap_or_default();
            let is_good = match options.is_greedy() {
                true => Sampler::new(options, &real, vocab).next(&logits) == chosen.id,
                // Noise decides which of the three wins, and both sides round it.
                false => logits.iter().filter(|x| **x > logits[chosen.id as usize % vocab]).count() < 3,
            };
            if !is_good {
                return Ok(Finding::Wrong);
            }
        }
        Ok(if is_blank { Finding::Nothing } else { Finding::Right })
    }

    /// True if scores of the later half of `ids`, the KV cache's tokens, match the `logits` after each of them.
    async fn scores_follow(&mut self, logits: &[f32], ids: &[u32]) -> Result<bool> {
        let (vocab, last) = (self.config.padded_vocab_size, ids.len() - 1);
        let targets = &ids[last / 2 + 1..];
        self.truncate(0);
        let scores = self.score(&ids[..last], targets, vocab).await?;
        self.forward(&ids[last..], Logits::None).await?;
        let rows = logits.chunks_exact(vocab).skip(last / 2);
        let is_right = |((row, target), score): ((&[f32], &u32), &TokenScore)| {
            let wanted = LogProbs::new(row).of(*target);
            (score.logprob - wanted).abs() < TOLERANCE * wanted.abs().max(1.0)
        };
        Ok(rows.zip(targets).zip(&scores).all(is_right))
    }

    /// Reads back the first layer and some rows of the embedding.
    async fn sample(&self) -> Result<Sample> {
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
        let staging = GpuBuffer::new(&self.gpu, "sample", staged, usage);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for Copy { from, staged, .. } in &copies {
            let bytes = (from.bytes.len() as u64).next_multiple_of(4);
            encoder.copy_buffer_to_buffer(from.buffer, from.offset, &staging.buffer, *staged, bytes);
        }
        self.gpu.queue.submit([encoder.finish()]);
        let bytes = self.gpu.read::<u8>(&staging.buffer, staged).await?;
        let context = self.context_length().min(CHUNK + STEPS);
        let loading = cpu::Loading::of_any_size(config, quantization, context)?;
        for Copy { from, id, region, to, staged } in copies {
            let source = &bytes[staged as usize..][..from.bytes.len()];
            loading.write(id, region, (to, source.len()), |target| target.copy_from_slice(source))?;
        }
        Ok(Sample { model: loading.finish(), tokens })
    }
}

fn are_finite(logits: &[f32]) -> bool {
    logits.iter().all(|x| x.is_finite())
}

/// True if the logits differ from the expected ones. If these are all zeros, only zeros will do.
fn is_off(got: &[f32], wanted: &[f32]) -> bool {
    if wanted.iter().all(|x| *x == 0.0) {
        return got.iter().any(|x| *x != 0.0);
    }
    difference(got, wanted) > TOLERANCE
}
