//! A TokenFormer on the GPU: weights, KV cache, and the steps that run over them.

mod backend;
mod check;
mod choose;
mod matvec;
mod plan;
mod profile;
mod room;
mod scratch;
mod tables;
#[cfg(all(test, feature = "native-gpu"))]
mod tests;
mod tune;
mod workers;

pub use profile::KernelTime;
pub use tables::{Placement, Weights};
pub use tune::{Choice, Preparation, Prepared};
pub use workers::{Arithmetic, Team};

use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::error::{ErrorCode, Result};
use crate::generate::Backend;
use crate::gpu::{Gpu, Warm};
use choose::Choosing;
use plan::{Builder, Plan};
use scratch::Scratch;
use std::cmp::Reverse;
use std::rc::Rc;
use workers::{FAILURE_WORDS, Workers};

/// A model that is being loaded: room on the GPU that is filled tensor by tensor, while its kernels are compiled.
pub struct Loading {
    /// Where the bytes go.
    pub weights: Weights,
    config: ModelConfig,
    quantization: Quantization,
    weight_bytes: u64,
    scratch: Scratch,
    /// Kernels that are being compiled.
    kernels: Vec<Warm>,
    /// The device. Last, so that it goes after its buffers.
    pub gpu: Rc<Gpu>,
}

/// A model that can run.
pub struct GpuModel {
    config: ModelConfig,
    quantization: Quantization,
    /// Layers that a step goes through: all, but for the self-test.
    depth: usize,
    /// Keeps the buffers alive that the bind groups name.
    weights: Weights,
    scratch: Scratch,
    plan: Plan,
    /// A decode step's layers in few dispatches, where that works.
    workers: Option<Workers>,
    /// What was found to be wrong while ways of making steps were tried out.
    dropped: Vec<String>,
    choosing: Choosing,
    weight_bytes: u64,
    len: usize,
    /// Last, so that it goes after its buffers.
    gpu: Rc<Gpu>,
}

/// `Step` of `shaders/step.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Step {
    past: u32,
    count: u32,
    row: u32,
    first_row: u32,
    index: u32,
    real_ids: u32,
    padding: [u32; 2],
}

impl Loading {
    /// Allocates everything, and begins to compile: what takes longest here then goes on beside the download.
    ///
    /// # Errors
    /// `out-of-memory` if it does not fit, `invalid-argument` for an impossible context length.
    pub async fn new(
        gpu: Rc<Gpu>,
        config: ModelConfig,
        quantization: Quantization,
        context_length: Option<usize>,
    ) -> Result<Self> {
        config.checked_context_length(context_length)?;
        let weights = room::for_weights(&gpu, &config, quantization).await?;
        let weight_bytes = gpu.memory.bytes();
        let scratch = room::for_context(&gpu, &config, &weights, context_length).await?;
        let mut kernels = Plan::kernels(&gpu, &config, &weights, &scratch)?;
        // The longest take longest, and should not be what is waited for at the end.
        kernels.sort_by_cached_key(|kernel| Reverse(kernel.source_len()));
        kernels.iter_mut().for_each(|kernel| kernel.begin(&gpu));
        Ok(Self { weights, config, quantization, weight_bytes, scratch, kernels, gpu })
    }

    /// Positions of the KV cache.
    pub fn context_length(&self) -> usize {
        self.scratch.context_length
    }

    /// A model that can run, once all bytes are written.
    ///
    /// # Errors
    /// `webgpu-unavailable` if a kernel does not compile.
    pub async fn finish(self) -> Result<GpuModel> {
        let Self { weights, config, quantization, weight_bytes, scratch, mut kernels, gpu } = self;
        for kernel in &mut kernels {
            // What fails here fails below with a message.
            kernel.is_compiled().await;
        }
        let make = || Plan::new(&gpu, &config, &weights, &scratch);
        let plan = match gpu.scoped("Compiling the kernels", make).await {
            Err(e) if e.code == ErrorCode::WebgpuUnavailable && gpu.forgo_subgroups("did not compile") => {
                gpu.scoped("Compiling the kernels", make).await?
            }
            result => result?,
        };
        let (choosing, depth, dropped) = (Choosing::default(), config.num_layers, Vec::new());
        let (workers, len) = (None, 0);
        Ok(GpuModel {
            config,
            quantization,
            depth,
            weights,
            scratch,
            plan,
            workers,
            dropped,
            choosing,
            weight_bytes,
            len,
            gpu,
        })
    }
}

impl GpuModel {
    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Bytes of the weights on the GPU.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Bytes of the KV cache.
    pub fn kv_bytes(&self) -> u64 {
        self.scratch.kv_bytes
    }

    /// Dispatches of one decode step, logits included.
    pub fn dispatches_per_token(&self) -> usize {
        let layers = self.workers.as_ref().map_or(self.plan.decode.len(), Workers::len);
        self.plan.embed.len() + layers + self.plan.logits_of_row.len() + self.plan.choose.len()
    }

    fn write_step(&self, past: usize, count: usize, row: usize, first_row: usize) {
        self.write_scoring_step([past, count, row, first_row, 0]);
    }

    /// With the number of real ids last.
    fn write_scoring_step(&self, numbers: [usize; 5]) {
        let [past, count, row, first_row, real_ids] = numbers.map(|n| n as u32);
        let index = self.choosing.made as u32;
        let step = Step { past, count, row, first_row, index, real_ids, padding: [0; 2] };
        self.gpu.queue.write_buffer(&self.scratch.step.buffer, 0, bytemuck::bytes_of(&step));
    }

    /// Who makes the layers of decode steps, if it is not a dispatch per product.
    pub fn team(&self) -> Option<Team> {
        self.workers.as_ref().map(|workers| workers.team)
    }

    /// What is not used since it does not work here: for `info`.
    pub fn notes(&self) -> Vec<String> {
        self.gpu.forgone().into_iter().chain(self.dropped.iter().cloned()).collect()
    }

    /// In what ways steps are made: for `info`.
    pub fn variants(&self) -> Vec<String> {
        let decode = match self.team() {
            Some(team) => {
                let (products, sums) = self.ways_of(team);
                format!("decode: {} workers of {} threads, {products}, {sums}", team.workers, team.threads)
            }
            None => format!("decode: a dispatch per product, f32, {}", self.sums(true)),
        };
        vec!["prefill: f32".to_owned(), decode]
    }

    /// How a team makes products and sums, in words.
    fn ways_of(&self, team: Team) -> (&'static str, &'static str) {
        (team.arithmetic.with(self.weights.layer_format()).as_str(), self.sums(team.subgroups))
    }

    fn sums(&self, subgroups: bool) -> &'static str {
        if subgroups && self.gpu.has_subgroups() { "subgroups" } else { "trees" }
    }

    /// Has `team` make the layers of decode steps from now on; true if that can be done.
    ///
    /// # Errors
    /// `out-of-memory`, or `webgpu-unavailable` if the kernel does not compile.
    pub async fn employ(&mut self, team: Team) -> Result<bool> {
        let (config, weights, scratch) = (&self.config, &self.weights, &self.scratch);
        let make = || Builder::new(&self.gpu, config, weights, scratch).workers(team);
        self.workers = self.gpu.scoped("Compiling the layers' kernel", make).await?;
        Ok(self.workers.is_some())
    }

    /// Records all layers for `count` tokens, by workers if there are any and `may_fail`: if the caller will look
    /// whether they gave up.
    fn layers(&self, pass: &mut wgpu::ComputePass<'_>, count: usize, may_fail: bool) {
        let part = (self.depth, self.config.num_layers);
        match &self.workers {
            Some(workers) if count == 1 && may_fail => workers.record(pass, self.len),
            _ if count == 1 => self.plan.decode.record_part(pass, self.len, count, part),
            _ => self.plan.prefill.record_part(pass, self.len, count, part),
        }
    }

    /// Records with `work` in one compute pass, then copies `copy` bytes of logits out, with what tells of workers
    /// that gave up, in one submit.
    fn submit(&self, copy: u64, work: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        work(&mut encoder.begin_compute_pass(&Default::default()));
        if copy > 0 {
            match &self.workers {
                Some(workers) => workers.copy_failures(&mut encoder, &self.scratch.staging.buffer, copy),
                None => encoder.clear_buffer(&self.scratch.staging.buffer, copy, Some(FAILURE_WORDS as u64 * 4)),
            }
            encoder.copy_buffer_to_buffer(&self.scratch.logits.buffer, 0, &self.scratch.staging.buffer, 0, copy);
        }
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// A step of `count` tokens, whose ids are on the GPU, that chooses a token.
    fn choose(&mut self, count: usize) -> Result<()> {
        self.gpu.check()?;
        self.check_step(count)?;
        let past = self.len;
        self.write_step(past, count, count - 1, 0);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.plan.embed.record(&mut pass, past, count);
            self.layers(&mut pass, count, true);
            self.plan.logits_of_row.record(&mut pass, past, count);
            self.plan.choose.record(&mut pass, past, count);
        }
        let staging = self.choosing.copy_out(&self.gpu, (&self.scratch.choose, self.workers.as_ref()), &mut encoder);
        self.gpu.queue.submit([encoder.finish()]);
        if let Some(staging) = staging {
            self.choosing.ask(&self.gpu, staging);
        }
        self.len += count;
        Ok(())
    }

    /// Appends the `bytes` bytes that a submit copied out; false if workers gave up, which makes them void.
    async fn read(&self, bytes: u64, out: &mut Vec<f32>) -> Result<bool> {
        let words = self.gpu.read::<f32>(&self.scratch.staging.buffer, bytes + FAILURE_WORDS as u64 * 4).await?;
        let (values, failures) = words.split_at(bytes as usize / 4);
        out.extend(values);
        Ok(failures.iter().all(|word| word.to_bits() == 0))
    }

    /// Makes the steps again that workers gave up on, in many dispatches, as all that follow.
    fn redo(&mut self, steps: usize) -> Result<()> {
        self.workers = None;
        self.len -= steps;
        let input = self.choosing.rewind(&self.gpu, &self.scratch.choose);
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::bytes_of(&input));
        (0..steps).try_for_each(|_| self.choose(1))
    }
}
