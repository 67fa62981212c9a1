//! Inspecting parameter tokens of a model on the GPU.

use super::gpu_model::GpuModel;
use super::group::Group;
use super::inspecting::{Asked, Inspecting};
use super::kernels::{Slots, SlotsBuffers};
use super::stage::{Stager, Stages};
use crate::checkpoint::layout::padded_slots;
use crate::engine::{Backend, FiredToken, InspectRequest};
use crate::error::Result;
use crate::gpu::GpuBuffer;
use crate::packs::{Merged, PackTokens, ParameterToken};

/// Tokens of a table that one dispatch reads.
const SLOTS_AT_ONCE: usize = 1024;

impl GpuModel {
    /// See [`Backend::inspect`]. A step with more rows than one readback holds is split.
    pub(super) async fn look(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        self.gpu.check()?;
        self.check_step(ids.len())?;
        let inspecting = match self.inspecting.take() {
            Some(inspecting) => inspecting,
            None => {
                let make = || Inspecting::new(self.parts(), self.merged());
                self.gpu.scoped("Compiling the kernels that look at parameter tokens", make).await?
            }
        };
        let (mut fired, mut start) = (Vec::new(), 0);
        for (end, asked) in inspecting.pieces(ids.len(), request) {
            self.look_at_piece(&inspecting, &ids[start..end], &asked);
            fired.extend(inspecting.read(&self.gpu, &asked, request, self.merged()).await?);
            self.len += end - start;
            start = end;
        }
        self.inspecting = Some(inspecting);
        Ok(fired)
    }

    /// The active tokens besides the base's.
    fn merged(&self) -> Option<&Merged> {
        self.packs.as_ref().map(|packs| &packs.merged)
    }

    /// A step with the kernels of prefill, however few its tokens.
    fn look_at_piece(&self, inspecting: &Inspecting, ids: &[u32], asked: &Asked) {
        let (past, count) = (self.len, ids.len());
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::cast_slice(ids));
        self.write_step(past, count, count - 1, 0);
        inspecting.ask(&self.gpu, asked);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        inspecting.clear(&mut encoder, asked);
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.plan.embed.record(&mut pass, past, count);
            let prefill = &self.stages().prefill;
            prefill.record_looking(&mut pass, (past, count), |pass, mark| inspecting.record(pass, asked, mark));
        }
        inspecting.copy_out(&mut encoder, asked);
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// See [`Backend::base_tokens`].
    pub(super) async fn read_tokens(&self, tokens: &[ParameterToken]) -> Result<Vec<PackTokens>> {
        let mut read = Vec::with_capacity(tokens.len());
        for tokens in tokens.chunks(SLOTS_AT_ONCE) {
            read.extend(self.read_some_tokens(tokens).await?);
        }
        Ok(read)
    }

    async fn read_some_tokens(&self, tokens: &[ParameterToken]) -> Result<Vec<PackTokens>> {
        let (gpu, d) = (&self.gpu, self.config.hidden_size);
        let make = || self.copy_tokens(tokens);
        let (out, _places) = gpu.scoped("Reading parameter tokens", make).await?;
        let floats = self.read_back(&out.buffer, 2 * tokens.len() * d).await?;
        let of = |floats: &[f32]| PackTokens { keys: floats[..d].to_vec(), values: floats[d..].to_vec() };
        Ok(floats.chunks_exact(2 * d).map(of).collect())
    }

    /// Records a copy of tokens' keys and values, f32 [tokens, 2, d]; returns it with the objects that must live until
    /// it is done.
    fn copy_tokens(&self, tokens: &[ParameterToken]) -> Result<(GpuBuffer, Vec<GpuBuffer>)> {
        let (gpu, d) = (&self.gpu, self.config.hidden_size);
        let out = GpuBuffer::storage(gpu, "tokens", (2 * tokens.len() * d * 4) as u64);
        let (mut stager, mut stages, mut buffers) = (Stager::new(gpu), Stages::default(), Vec::new());
        for (layer, tables) in self.weights.layers.iter().enumerate() {
            for group in Group::ALL {
                let (kinds, [keys, values]) = (group.kinds(), group.tables(tables));
                let padded = padded_slots(group.pattention().slots(&self.config));
                let (mut rows, mut columns) = (Vec::new(), Vec::new());
                for (i, token) in tokens.iter().enumerate().filter(|(_, token)| token.layer == layer) {
                    let Some(segment) = kinds.iter().position(|kind| *kind == token.kind) else { continue };
                    let place = |row: usize, column: usize, at: usize| [row, column, at, 0].map(|n| n as u32);
                    rows.push(place(segment * padded + token.slot, 0, 2 * i * d));
                    columns.push(place(segment * d, token.slot, (2 * i + 1) * d));
                }
                if rows.is_empty() {
                    continue;
                }
                for (table, columns, places) in [(keys, false, rows), (values, true, columns)] {
                    let buffer = GpuBuffer::storage(gpu, "places", 16 * places.len() as u64);
                    gpu.queue.write_buffer(&buffer.buffer, 0, bytemuck::cast_slice(&places));
                    let slots = Slots { table, columns, hidden: d, tokens: places.len() };
                    let bound = SlotsBuffers { places: &buffer.buffer, out: &out.buffer };
                    stager.push(&mut stages, &slots.dispatch(&bound))?;
                    buffers.push(buffer);
                }
            }
        }
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        stages.record(&mut encoder.begin_compute_pass(&Default::default()), 0, 1);
        gpu.queue.submit([encoder.finish()]);
        Ok((out, buffers))
    }

    /// See [`Backend::pushes`].
    pub(super) async fn push(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        self.gpu.check()?;
        let weight = self.read_back(&self.weights.norm.buffer, self.config.hidden_size).await?;
        let u: Vec<f32> = value.iter().zip(weight).map(|(v, w)| v * w).collect();
        self.gpu.queue.write_buffer(&self.scratch.u.buffer, 0, bytemuck::cast_slice(&u));
        self.write_step(self.len, 1, 0, 0);
        let vocab = self.config.padded_vocab_size;
        self.submit(0, |pass| self.plan.embedding_product.record(pass, self.len, 1));
        self.read_back(&self.scratch.logits.buffer, vocab).await
    }

    /// The first `floats` numbers of a buffer.
    async fn read_back(&self, buffer: &wgpu::Buffer, floats: usize) -> Result<Vec<f32>> {
        use wgpu::BufferUsages as U;
        let bytes = floats as u64 * 4;
        let staging = GpuBuffer::new(&self.gpu, "read", bytes, U::MAP_READ | U::COPY_DST);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging.buffer, 0, bytes);
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.read(&staging.buffer, bytes).await
    }
}
