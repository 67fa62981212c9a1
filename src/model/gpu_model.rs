//! A model that can run: its parts, and how a step is recorded and submitted.

use super::choosing::Choosing;
use super::chunk_products::ChunkProducts;
use super::flights::Flights;
use super::inspecting::Inspecting;
use super::kernels::Step;
use super::kernels::layers::{FAILURE_WORDS, Team};
use super::packs::Packs;
use super::persistent::Persistent;
use super::plan::together::TogetherPlan;
use super::plan::{LayerStages, Parts, Plan};
use super::scratch::Scratch;
use super::several::Several;
use super::several_teams::SeveralTeams;
use super::training::Training;
use super::weights::Weights;
use crate::config::ModelConfig;
use crate::engine::{Backend, Changes};
use crate::error::Result;
use crate::gpu::{Gpu, Warm};
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

/// Layers of a chunk in its first submit, which are recorded while the GPU waits, and in each of the others.
const FIRST_LAYERS: usize = 2;
const LAYERS_AT_ONCE: usize = 4;

/// A model that can run.
pub struct GpuModel {
    pub(super) config: ModelConfig,
    /// Layers that a step runs through: all, except in the self-test.
    pub(super) depth: usize,
    /// Keeps the buffers of the bind groups alive.
    pub(super) weights: Weights,
    pub(super) scratch: Scratch,
    pub(super) plan: Plan,
    /// The layers of a decode step in few dispatches, where that works.
    pub(super) persistent: Option<Persistent>,
    /// Active packs.
    pub(super) packs: Option<Packs>,
    /// Everything that is active besides the base.
    pub(super) changes: Changes,
    /// Buffers and dispatches for inspecting parameter tokens, once needed.
    pub(super) inspecting: Option<Inspecting>,
    /// Faults found while ways of making steps were tried.
    pub(super) dropped: Vec<String>,
    pub(super) choosing: Choosing,
    /// Its tokens on their way to the host.
    pub(super) flights: Flights,
    /// Which team makes steps of several texts, as far as that is known.
    pub(super) several_teams: SeveralTeams,
    /// State of several texts that are generated at once.
    pub(super) several: Several,
    /// Dispatches for scoring several texts in one step, once needed.
    pub(super) together: Option<TogetherPlan>,
    /// A training in progress.
    pub(super) training: Option<Training>,
    /// A team's kernel that began to be compiled while the model was loaded, until it is tried.
    pub(super) begun: Cell<Option<(Team, Warm)>>,
    /// Another way to make the products of chunks, which is yet to be tried.
    pub(super) bytes_to_try: Option<ChunkProducts>,
    pub(super) has_tried_bytes: bool,
    pub(super) weight_bytes: u64,
    pub(super) len: usize,
    /// Last, so that it is dropped after its buffers.
    pub(super) gpu: Rc<Gpu>,
}

impl GpuModel {
    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Bytes of the weights on the GPU, including packs.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes + self.packs.as_ref().map_or(0, |packs| packs.tables.bytes())
    }

    /// Bytes of the KV cache.
    pub fn kv_bytes(&self) -> u64 {
        self.scratch.kv_bytes
    }

    /// Dispatches of one decode step, logits included.
    pub fn dispatches_per_token(&self) -> usize {
        let layers = self.persistent.as_ref().map_or(self.stages().decode.len(), Persistent::len);
        self.plan.embed.len() + layers + self.plan.logits_of_row.len() + self.plan.choose.stages.len()
    }

    pub(super) fn write_step(&self, past: usize, count: usize, row: usize, first_row: usize) {
        self.write_scoring_step([past, count, row, first_row, 0]);
    }

    /// With the number of real ids last.
    pub(super) fn write_scoring_step(&self, numbers: [usize; 5]) {
        let [past, count, ..] = numbers;
        let mut step = Step::new(past, count);
        [_, _, step.row, step.first_row, step.real_ids] = numbers.map(|n| n as u32);
        step.index = self.choosing.made as u32;
        [step.leaving, step.xtc] = self.choosing.step_words();
        self.gpu.queue.write_buffer(&self.scratch.step.buffer, 0, bytemuck::bytes_of(&step));
    }

    /// The parts that its dispatches are made of.
    pub(super) fn parts(&self) -> Parts<'_> {
        let packs = self.packs.as_ref().map(|packs| &packs.tables);
        Parts { gpu: &self.gpu, config: &self.config, weights: &self.weights, scratch: &self.scratch, packs }
    }

    /// The layers of a step, with packs if any are active.
    pub(super) fn stages(&self) -> &LayerStages {
        self.packs.as_ref().map_or(&self.plan.layers, |packs| &packs.layers)
    }

    /// The team that makes the layers of decode steps, unless each product is a dispatch.
    pub fn team(&self) -> Option<Team> {
        self.persistent.as_ref().map(|persistent| persistent.team)
    }

    /// Features that are disabled because they do not work on this GPU: for `info`.
    pub fn notes(&self) -> Vec<String> {
        self.gpu.forgone().into_iter().chain(self.dropped.iter().cloned()).collect()
    }

    /// True if a chunk's products are made of bytes.
    pub(super) fn is_in_bytes(&self) -> bool {
        self.scratch.products.bytes.is_some()
    }

    /// How steps are made: for `info`.
    pub fn variants(&self) -> Vec<String> {
        let decode = match self.team() {
            Some(team) => {
                let (products, sums) = self.ways_of(team);
                format!(
                    "decode: {} persistent workgroups of {} threads, {products}, {sums}",
                    team.workgroups, team.threads
                )
            }
            None => format!("decode: a dispatch per product, f32, {}", self.sums(true)),
        };
        let prefill = if self.is_in_bytes() { "bytes" } else { "f32" };
        vec![format!("prefill: {prefill}"), decode]
    }

    /// How a team makes products and sums, in words.
    pub(super) fn ways_of(&self, team: Team) -> (&'static str, &'static str) {
        (team.arithmetic.with(self.weights.layer_format()).as_str(), self.sums(team.subgroups))
    }

    fn sums(&self, subgroups: bool) -> &'static str {
        if subgroups && self.gpu.has_subgroups() { "subgroups" } else { "trees" }
    }

    /// Makes `team` run the layers of decode steps from now on; true if that is possible.
    ///
    /// # Errors
    /// `out-of-memory`, or `webgpu-unavailable` if the kernel does not compile.
    pub async fn employ(&mut self, team: Team) -> Result<bool> {
        let make = || Persistent::new(self.parts(), team);
        self.persistent = self.gpu.scoped("Compiling the layers' kernel", make).await?;
        Ok(self.persistent.is_some())
    }

    /// Records the embeddings and all layers of `count` tokens, by persistent workgroups if there are any and `may_fail`:
    /// the caller will check whether they timed out. The first `done` layers were submitted by
    /// [`submit_first_layers`](Self::submit_first_layers).
    pub(super) fn layers(&self, pass: &mut wgpu::ComputePass<'_>, (count, done): (usize, usize), may_fail: bool) {
        self.some_layers(pass, (count, done..self.depth), may_fail);
    }

    /// The same for some of the layers; the embeddings come before the first.
    fn some_layers(&self, pass: &mut wgpu::ComputePass<'_>, (count, layers): (usize, Range<usize>), may_fail: bool) {
        let past = self.len;
        if layers.start == 0 {
            self.plan.embed.record(pass, past, count);
        }
        let stages = match &self.persistent {
            Some(persistent) if count == 1 && may_fail => return persistent.record(pass, past),
            _ if count == 1 => &self.stages().decode,
            _ => &self.stages().prefill,
        };
        stages.record_layers(pass, (past, count), (layers, self.config.num_layers));
    }

    /// Submits the first layers of a chunk in pieces, so that the GPU computes while the host records the rest; returns
    /// how many. None of a single token, whose step is short.
    pub(super) fn submit_first_layers(&self, count: usize) -> usize {
        let mut done = 0;
        while count > 1 && done + LAYERS_AT_ONCE < self.depth {
            let next = if done == 0 { FIRST_LAYERS } else { done + LAYERS_AT_ONCE };
            self.submit(0, |pass| self.some_layers(pass, (count, done..next), false));
            done = next;
        }
        done
    }

    /// Records with `work` in one compute pass, then copies out `copy` bytes of logits and the flags of workgroups
    /// that timed out, in one submit.
    pub(super) fn submit(&self, copy: u64, work: impl FnOnce(&mut wgpu::ComputePass<'_>)) {
        self.submit_by(self.persistent.as_ref(), copy, work);
    }

    /// The same with the given persistent workgroups, which may time out.
    pub(super) fn submit_by(
        &self,
        persistent: Option<&Persistent>,
        copy: u64,
        work: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        work(&mut encoder.begin_compute_pass(&Default::default()));
        if copy > 0 {
            match persistent {
                Some(persistent) => persistent.copy_failures(&mut encoder, &self.scratch.staging.buffer, copy),
                None => encoder.clear_buffer(&self.scratch.staging.buffer, copy, Some(FAILURE_WORDS as u64 * 4)),
            }
            encoder.copy_buffer_to_buffer(&self.scratch.logits.buffer, 0, &self.scratch.staging.buffer, 0, copy);
        }
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// A step of `count` tokens, whose ids are on the GPU, that chooses a token.
    pub(super) fn choose(&mut self, count: usize) -> Result<()> {
        self.gpu.check()?;
        self.check_step(count)?;
        let past = self.len;
        self.choosing.prepare(&self.gpu, self.scratch.choose.row(0));
        self.write_step(past, count, count - 1, 0);
        let done = self.submit_first_layers(count);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.layers(&mut pass, (count, done), true);
            self.plan.logits_of_row.record(&mut pass, past, count);
            self.plan.choose.record(&mut pass, 1, self.choosing.compared());
        }
        let staging = self.flights.copy_out(&self.gpu, (&self.scratch.choose, self.persistent.as_ref()), &mut encoder);
        self.gpu.queue.submit([encoder.finish()]);
        if let Some(staging) = staging {
            self.flights.ask(&self.gpu, staging);
        }
        self.choosing.step_made();
        self.len += count;
        Ok(())
    }

    /// Appends the `bytes` bytes that a submit copied out; false if workgroups timed out, which makes them invalid.
    pub(super) async fn read(&self, bytes: u64, out: &mut Vec<f32>) -> Result<bool> {
        let words = self.gpu.read::<f32>(&self.scratch.staging.buffer, bytes + FAILURE_WORDS as u64 * 4).await?;
        let (values, failures) = words.split_at(bytes as usize / 4);
        out.extend(values);
        Ok(failures.iter().all(|word| word.to_bits() == 0))
    }

    /// Repeats the steps on which workgroups timed out, with many dispatches each, as all later steps will be.
    pub(super) fn redo(&mut self, steps: usize) -> Result<()> {
        self.persistent = None;
        self.len -= steps;
        self.flights.rewind();
        let input = self.choosing.rewind(&self.gpu, self.scratch.choose.row(0));
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::bytes_of(&input));
        (0..steps).try_for_each(|_| self.choose(1))
    }
}
