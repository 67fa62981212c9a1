//! Steps of a training: as many sequences at a time as fit.

use super::plan::{LayerPlan, Parts, Plan};
use super::room::{Buffers, LOSSES, Sizes};
use super::tokens::{LayerTokens, upload};
use crate::config::ModelConfig;
use crate::engine::{AdamW, TrainRoom, TrainState, TrainStep};
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::{Gpu, GpuBuffer};
use crate::model::kernels::{Batch, Step, Update};
use crate::model::scratch::{LOGIT_ROWS, Scratch};
use crate::model::stage::Stages;
use crate::model::weights::Weights;
use crate::packs::{Merged, Pack, check_activation};

/// Layers per submit, forward and backward: short submits let the page draw in between.
const LAYERS_PER_SUBMIT: usize = 4;
/// Most bytes that are read back at a time.
const MOST_STAGED: u64 = 64 << 20;

/// A training in progress.
pub struct Training {
    adamw: AdamW,
    room: TrainRoom,
    /// Number of steps made.
    steps: u32,
    /// Layers of the pack that is trained.
    layers: usize,
    vocab: usize,
    hidden: usize,
    plan: Plan,
    sizes: Sizes,
    buffers: Buffers,
    tokens: Vec<LayerTokens>,
}

/// The parts of a model that a training uses.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    pub gpu: &'a Gpu,
    pub config: &'a ModelConfig,
    pub weights: &'a Weights,
    pub scratch: &'a Scratch,
    /// Active packs that are not trained.
    pub frozen: &'a Merged,
}

/// What to compute for sequences.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aim {
    Loss,
    Gradients,
}

impl Training {
    /// Allocates a training that resumes from `state`.
    ///
    /// # Errors
    /// `unsupported-checkpoint` for other activations than l2_norm_gelu, `invalid-argument` for impossible tokens or
    /// sequences, `out-of-memory`.
    pub async fn new(base: Base<'_>, state: &TrainState, adamw: &AdamW, room: TrainRoom) -> Result<Self> {
        let Base { gpu, config, .. } = base;
        check_activation(config)?;
        let before = gpu.memory.bytes();
        let make = |before| Self::make(base, state, adamw, room, before);
        match gpu.scoped("Making room for the training", || make(Some(before))).await {
            // Retries without kept activations, which can be computed again.
            Err(e) if e.code == ErrorCode::OutOfMemory => {
                gpu.scoped("Making room for the training", || make(None)).await.map_err(|e| {
                    if e.code == ErrorCode::OutOfMemory {
                        e.hint("Train shorter sequences or smaller batches, or close other tabs that use the GPU.")
                    } else {
                        e
                    }
                })
            }
            result => result,
        }
    }

    fn make(
        Base { gpu, config, weights, scratch, frozen }: Base<'_>,
        state: &TrainState,
        adamw: &AdamW,
        room: TrainRoom,
        before: Option<u64>,
    ) -> Result<Self> {
        let tokens = upload(gpu, config, state, frozen)?;
        let sizes = Sizes::new(gpu, config, room, &tokens)?;
        let buffers = Buffers::new(gpu, config, &sizes, &tokens, before);
        let logits = &scratch.logits.buffer;
        let parts = Parts { gpu, config, weights, logits, sizes: &sizes, buffers: &buffers, tokens: &tokens };
        let plan = Plan::new(parts)?;
        Ok(Self {
            adamw: adamw.clone(),
            room,
            steps: state.steps,
            layers: state.tokens.layers.len(),
            vocab: config.padded_vocab_size,
            hidden: config.hidden_size,
            plan,
            sizes,
            buffers,
            tokens,
        })
    }

    /// Makes steps, and returns their losses.
    ///
    /// # Errors
    /// `invalid-argument` for batches that do not fit, `device-lost`.
    pub async fn train(&mut self, gpu: &Gpu, steps: &[TrainStep]) -> Result<Vec<f32>> {
        for step in steps {
            let length = step.batch.first().map_or(0, Vec::len);
            if step.batch.len() > self.room.batch || step.batch.iter().any(|ids| ids.len() != length) {
                return Err(Error::invalid_argument("A batch has too many sequences, or such of different lengths."));
            }
            self.check(&step.batch)?;
        }
        let mut losses = Vec::with_capacity(steps.len());
        for steps in steps.chunks(LOSSES) {
            for (number, step) in steps.iter().enumerate() {
                self.step(gpu, step, number);
            }
            losses.extend(self.read_sums(gpu, steps.len()).await?);
        }
        Ok(losses)
    }

    /// The mean loss of sequences.
    ///
    /// # Errors
    /// `invalid-argument` for sequences that do not fit, `device-lost`.
    pub async fn loss(&mut self, gpu: &Gpu, sequences: &[Vec<u32>]) -> Result<f64> {
        self.check(sequences)?;
        let groups = self.groups(sequences);
        let (mut sum, mut predictions) = (0.0, 0);
        for groups in groups.chunks(LOSSES) {
            for (number, group) in groups.iter().enumerate() {
                let batch = Batch { is_first: 1, step: number as u32, share: 1.0, length: 0 };
                self.run(gpu, group, batch, Aim::Loss);
                predictions += group.iter().map(|ids| ids.len() - 1).sum::<usize>();
            }
            sum += self.read_sums(gpu, groups.len()).await?.into_iter().map(f64::from).sum::<f64>();
        }
        Ok(sum / predictions as f64)
    }

    /// Tokens and moments as they are now.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn learnt(&self, gpu: &Gpu) -> Result<TrainState> {
        let d = self.hidden;
        let mut packs: [Pack; 3] = Default::default();
        let mut rest = &self.tokens[..self.layers];
        while !rest.is_empty() {
            // As many layers at a time as the limit allows, but at least one.
            let bytes = |layers: &[LayerTokens]| layers.iter().map(|layer| 12 * layer.len(d) as u64).sum::<u64>();
            let fits = (1..=rest.len()).take_while(|n| *n == 1 || bytes(&rest[..*n]) <= MOST_STAGED);
            let (layers, next) = rest.split_at(fits.count());
            let sources =
                |layer: &'_ LayerTokens| [(layer.values.buffer.clone(), 1), (layer.moments.buffer.clone(), 2)];
            let read = self.read_tokens(gpu, layers, &sources).await?;
            let mut read = &read[..];
            for layer in layers {
                for pack in &mut packs {
                    let (own, other) = read.split_at(layer.len(d));
                    pack.layers.push(layer.trained_of(d, own));
                    read = other;
                }
            }
            rest = next;
        }
        let [tokens, first, second] = packs;
        Ok(TrainState { tokens, moments: [first, second], steps: self.steps })
    }

    /// Gradients of the last step, before they were clipped.
    #[cfg(all(test, feature = "native-gpu"))]
    pub async fn gradients(&self, gpu: &Gpu) -> Result<Pack> {
        let layers = &self.tokens[..self.layers];
        let read = self.read_tokens(gpu, layers, &|layer| [(layer.grads.buffer.clone(), 1)]).await?;
        let mut pack = Pack::default();
        let mut read = &read[..];
        for layer in layers {
            let (own, other) = read.split_at(layer.len(self.hidden));
            pack.layers.push(layer.trained_of(self.hidden, own));
            read = other;
        }
        Ok(pack)
    }

    /// The contents of some layers' buffers in order, each with a given multiple of its tokens' values.
    async fn read_tokens<const N: usize>(
        &self,
        gpu: &Gpu,
        layers: &[LayerTokens],
        sources: &dyn Fn(&LayerTokens) -> [(wgpu::Buffer, u64); N],
    ) -> Result<Vec<f32>> {
        use wgpu::BufferUsages as U;
        let mut copies = Vec::new();
        let mut bytes = 0;
        for layer in layers.iter().filter(|layer| layer.counts.total() > 0) {
            for (source, times) in sources(layer) {
                let own = layer.len(self.hidden) as u64 * 4 * times;
                copies.push((source, bytes, own));
                bytes += own;
            }
        }
        if copies.is_empty() {
            return Ok(Vec::new());
        }
        let staging = GpuBuffer::new(gpu, "learnt", bytes, U::MAP_READ | U::COPY_DST);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for (source, at, own) in &copies {
            encoder.copy_buffer_to_buffer(source, 0, &staging.buffer, *at, *own);
        }
        gpu.queue.submit([encoder.finish()]);
        gpu.read(&staging.buffer, bytes).await
    }

    /// One step, whose loss gets index `number` among those that are read together.
    fn step(&mut self, gpu: &Gpu, step: &TrainStep, number: usize) {
        let predictions: usize = step.batch.iter().map(|ids| ids.len() - 1).sum();
        let share = 1.0 / predictions as f32;
        for (i, group) in self.groups(&step.batch).into_iter().enumerate() {
            let batch = Batch { is_first: u32::from(i == 0), step: number as u32, share, length: 0 };
            self.run(gpu, group, batch, Aim::Gradients);
        }
        self.steps += 1;
        let update = Update::new(&self.adamw, step.learning_rate, self.steps);
        gpu.queue.write_buffer(&self.buffers.update.buffer, 0, bytemuck::bytes_of(&update));
        submit(gpu, |pass| self.plan.layers.iter().for_each(|layer| layer.update.record(pass, 1, 1)));
    }

    /// Runs of sequences of the same length, as many as fit.
    fn groups<'s>(&self, sequences: &'s [Vec<u32>]) -> Vec<&'s [Vec<u32>]> {
        let runs = sequences.chunk_by(|a, b| a.len() == b.len());
        runs.flat_map(|run| run.chunks(self.sizes.rows / (run[0].len() - 1))).collect()
    }

    /// Sequences of the same length through all layers, to their losses, and backward.
    fn run(&mut self, gpu: &Gpu, group: &[Vec<u32>], batch: Batch, aim: Aim) {
        let length = group[0].len() - 1;
        let rows = group.len() * length;
        let ids: Vec<u32> = group.iter().flat_map(|ids| &ids[..length]).copied().collect();
        let targets: Vec<u32> = group.iter().flat_map(|ids| &ids[1..]).copied().collect();
        self.plan.shapes.write(gpu, rows, length);
        let (b, plan) = (&self.buffers, &self.plan);
        let write = |to: &GpuBuffer, bytes: &[u8]| gpu.queue.write_buffer(&to.buffer, 0, bytes);
        write(&b.ids, bytemuck::cast_slice(&ids));
        write(&b.targets, bytemuck::cast_slice(&targets));
        write(&b.step, bytemuck::bytes_of(&Step::new(0, rows)));
        write(&b.batch, bytemuck::bytes_of(&Batch { length: length as u32, ..batch }));
        // The length takes the place of `past` in grids.
        let record = |pass: &mut wgpu::ComputePass<'_>, stages: &Stages| stages.record(pass, length, rows);
        submit(gpu, |pass| record(pass, &plan.embed));
        for layers in plan.layers.chunks(LAYERS_PER_SUBMIT) {
            submit(gpu, |pass| {
                for LayerPlan { activations, output, .. } in layers {
                    record(pass, activations);
                    record(pass, output);
                }
            });
        }
        let logits = if aim == Aim::Gradients { &plan.logits } else { &plan.losses };
        for first in (0..rows).step_by(LOGIT_ROWS) {
            let count = LOGIT_ROWS.min(rows - first);
            write(&b.chunk, bytemuck::bytes_of(&Step { first_row: first as u32, ..Step::new(0, count) }));
            submit(gpu, |pass| logits.record(pass, length, count));
        }
        submit(gpu, |pass| record(pass, &plan.sum));
        if aim == Aim::Gradients {
            let layers: Vec<_> = plan.layers.iter().enumerate().rev().collect();
            for layers in layers.chunks(LAYERS_PER_SUBMIT / 2) {
                submit(gpu, |pass| {
                    for (layer, LayerPlan { activations, backward, .. }) in layers {
                        if !b.are_kept(*layer) && !backward.stages().is_empty() {
                            record(pass, activations);
                        }
                        record(pass, backward);
                    }
                });
            }
        }
    }

    /// All dispatches of a step of the largest size: with rows, length, and how often each is made.
    pub(super) fn stages_of_step(&mut self, gpu: &Gpu) -> Vec<(&Stages, usize, usize, usize)> {
        let (rows, length) = (self.sizes.rows, self.sizes.length);
        self.plan.shapes.write(gpu, rows, length);
        let (b, plan, layers) = (&self.buffers, &self.plan, self.plan.layers.len());
        let write = |to: &GpuBuffer, bytes: &[u8]| gpu.queue.write_buffer(&to.buffer, 0, bytes);
        let chunk = LOGIT_ROWS.min(rows);
        write(&b.step, bytemuck::bytes_of(&Step::new(0, rows)));
        write(&b.chunk, bytemuck::bytes_of(&Step::new(0, chunk)));
        write(&b.batch, bytemuck::bytes_of(&Batch { length: length as u32, is_first: 1, ..Default::default() }));
        // Layers are alike except the first, whose input needs no gradient.
        let layer = &plan.layers[layers - 1];
        let again = (0..layers).filter(|layer| !b.are_kept(*layer)).count();
        vec![
            (&plan.embed, rows, length, 1),
            (&layer.activations, rows, length, layers + again),
            (&layer.output, rows, length, layers),
            (&plan.logits, chunk, length, rows.div_ceil(LOGIT_ROWS)),
            (&plan.sum, rows, length, 1),
            (&layer.backward, rows, length, layers),
        ]
    }

    /// The first `n` of the losses that are read together.
    async fn read_sums(&self, gpu: &Gpu, n: usize) -> Result<Vec<f32>> {
        let (sums, staging) = (&self.buffers.sums.buffer, &self.buffers.staging.buffer);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(sums, 0, staging, 0, n as u64 * 4);
        gpu.queue.submit([encoder.finish()]);
        gpu.read(staging, n as u64 * 4).await
    }

    /// # Errors
    /// `invalid-argument`.
    fn check(&self, sequences: &[Vec<u32>]) -> Result<()> {
        let longest = self.sizes.length + 1;
        if sequences.is_empty() || sequences.iter().any(|ids| !(2..=longest).contains(&ids.len())) {
            return Err(Error::invalid_argument(format!("This training is of sequences of 2 to {longest} ids.")));
        }
        match sequences.iter().flatten().find(|id| **id as usize >= self.vocab) {
            Some(id) => Err(Error::invalid_argument(format!("Token id {id} is out of range."))),
            None => Ok(()),
        }
    }
}

/// Submits what `work` records in one compute pass.
fn submit(gpu: &Gpu, work: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    work(&mut encoder.begin_compute_pass(&Default::default()));
    gpu.queue.submit([encoder.finish()]);
}
