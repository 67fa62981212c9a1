//! Many layers of a decode step in one dispatch (`kernels/layers`): its bindings, and the flags of workgroups that
//! timed out.

use super::kernels::layers::{
    Abilities, FAILURE_WORDS, Layers, LayersBuffers, LayersOfTextsBuffers, PlacedTable, Room, Storage, Team,
};
use super::plan::Parts;
use super::plan::several::Texts;
use super::stage::{Stage, Stager};
use super::tables::{Slab, Table, aligned};
use super::weights::LayerTables;
use crate::error::Result;
use crate::gpu::{Access, GpuBuffer, Warm};
use std::cell::Cell;
use std::num::NonZeroU64;

/// Bytes after the words of a mailbox's layers: the failure word, and padding for alignment.
const FAILURE_BYTES: u64 = 16;

/// All layers of a decode step in as few dispatches as bindings allow.
pub struct Persistent {
    /// How the layers are shared out.
    pub team: Team,
    /// Each for both turns: the next dispatch, which sends by the other set, clears what this one leaves in its set.
    dispatches: Vec<[Stage; 2]>,
    mailbox: GpuBuffer,
    /// Bytes of a set, and of the part before the failure word.
    set: (u64, u64),
    /// Which set comes next.
    turn: Cell<usize>,
    /// Buffers in bind groups other than those of all steps.
    _rooms: Vec<GpuBuffer>,
}

impl Persistent {
    /// Records all dispatches for a step of one token after `past`, or of one token of each of several texts. The
    /// recorded dispatches must be submitted, in order.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, past: usize) {
        for stages in &self.dispatches {
            stages[self.turn.get()].record(pass, past, 1);
            self.turn.set(1 - self.turn.get());
        }
    }

    /// Kernel, flags and constants of the first dispatch.
    pub fn label(&self) -> &str {
        self.dispatches.first().map_or("", |stages| stages[0].label())
    }

    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Copies out the flags of workgroups that timed out, [`FAILURE_WORDS`] words.
    pub fn copy_failures(&self, encoder: &mut wgpu::CommandEncoder, to: &wgpu::Buffer, offset: u64) {
        for set in 0..FAILURE_WORDS as u64 {
            encoder.copy_buffer_to_buffer(&self.mailbox.buffer, set * self.set.0 + self.set.1, to, offset + set * 4, 4);
        }
    }

    /// The dispatches for a team; `None` where this model or GPU does not allow them.
    ///
    /// # Errors
    /// If the shader's files contradict each other.
    pub fn new(parts: Parts<'_>, team: Team) -> Result<Option<Self>> {
        let (s, kernel) = (parts.scratch, kernel(parts, team));
        Self::build(parts, kernel, |stager, kernel, mailbox, (slab, failed)| {
            let packs = parts.packs.and_then(|packs| packs.of_layers(&slab.layers));
            let [keys, values] = s.cache[slab.layers.start].ranges_of(slab.layers.len());
            let buffers = LayersBuffers {
                tables: slab.bindings(),
                step: &s.step.buffer,
                h: s.h.buffer.as_entire_buffer_binding(),
                mailbox: mailbox.range(mailbox.turn),
                old: mailbox.range(1 - mailbox.turn),
                keys,
                values,
                angles: packs.map_or(&s.angles.buffer, |(buffer, _)| buffer),
            };
            stager.stage(&kernel.dispatch(slab.layers.len(), failed, buffers))
        })
    }

    /// The dispatches for a token of each of several texts; also `None` if packs are active.
    ///
    /// # Errors
    /// If the shader's files contradict each other.
    pub fn for_texts(parts: Parts<'_>, team: Team, texts: &Texts<'_>) -> Result<Option<Self>> {
        let (s, tails) = (parts.scratch, texts.tails);
        let together = parts.weights.slabs.iter().all(|slab| tails.of_layers(&slab.layers).is_some());
        let kernel = kernel_of_texts(parts, team, texts.tokens).filter(|_| together);
        let mut rooms = Vec::new();
        let made = Self::build(parts, kernel, |stager, kernel, mailbox, (slab, failed)| {
            let Some(of_layers) = tails.of_layers(&slab.layers) else { return Ok(None) };
            let octets = |bytes: u64| (bytes / 16) as u32;
            let [mine, old] = [mailbox.turn, 1 - mailbox.turn].map(|turn| (turn * mailbox.set.0 / 4) as u32);
            let tail_stride = octets(tails.layer_bytes());
            let room = Room { mine, old, tail_stride, tail_values: tail_stride / 2 };
            let room = GpuBuffer::uniform(parts.gpu, "room of layers", bytemuck::bytes_of(&room));
            let [keys, values] = s.cache[slab.layers.start].ranges_of(slab.layers.len());
            let buffers = LayersOfTextsBuffers {
                tables: slab.bindings(),
                step: &s.step.buffer,
                steps: texts.steps,
                h: s.h.buffer.as_entire_buffer_binding(),
                mailbox: mailbox.buffer,
                tails: of_layers,
                keys,
                values,
                angles: &s.angles.buffer,
                room: &room.buffer,
            };
            let stage = stager.stage(&kernel.dispatch_several(slab.layers.len(), failed, buffers));
            rooms.push(room);
            stage
        });
        Ok(made?.map(|made| Self { _rooms: rooms, ..made }))
    }

    /// The dispatches of `kernel`, each made by `make` for both turns.
    fn build(
        parts: Parts<'_>,
        kernel: Option<Layers>,
        mut make: impl FnMut(&mut Stager<'_>, &Layers, &Mailbox<'_>, (&Slab, usize)) -> Result<Option<Stage>>,
    ) -> Result<Option<Self>> {
        let (Some(kernel), Some(first)) = (kernel, parts.weights.slabs.first()) else { return Ok(None) };
        if parts.scratch.cache[0].shared() < first.layers.len() {
            return Ok(None);
        }
        let failed = kernel.failed_at(first.layers.len());
        let failed_at = failed as u64 * 4;
        let set = (aligned(failed_at + FAILURE_BYTES), failed_at);
        if 2 * set.0 > parts.gpu.device.limits().max_storage_buffer_binding_size {
            return Ok(None);
        }
        let mailbox = GpuBuffer::storage(parts.gpu, "mailbox", set.0 * 2);
        let mut stager = Stager::new(parts.gpu);
        let mut dispatches = Vec::new();
        for slab in &parts.weights.slabs {
            // The last slab may have fewer layers; its mailbox ends at the same offset as the others'.
            let mut of_turn =
                |turn| make(&mut stager, &kernel, &Mailbox { buffer: &mailbox.buffer, set, turn }, (slab, failed));
            let (Some(first), Some(second)) = (of_turn(0)?, of_turn(1)?) else { return Ok(None) };
            dispatches.push([first, second]);
        }
        let team = kernel.team;
        Ok(Some(Self { team, dispatches, mailbox, set, turn: Cell::new(0), _rooms: Vec::new() }))
    }
}

/// Two sets of words that dispatches use alternately.
struct Mailbox<'a> {
    buffer: &'a wgpu::Buffer,
    /// Bytes of a set, and of the part before the failure word.
    set: (u64, u64),
    /// Which set a dispatch sends by.
    turn: u64,
}

impl Mailbox<'_> {
    /// The set of a turn.
    fn range(&self, turn: u64) -> wgpu::BufferBinding<'_> {
        let size = NonZeroU64::new(self.set.1 + FAILURE_BYTES);
        wgpu::BufferBinding { buffer: self.buffer, offset: turn * self.set.0, size }
    }
}

/// What to compile for a team; `None` where this model or GPU does not allow it.
pub fn warm(parts: Parts<'_>, team: Team) -> Option<Warm> {
    let slab = parts.weights.slabs.first()?;
    let kernel = kernel(parts, team)?;
    let others = [Access::Write; 5].into_iter().chain([Access::Read]);
    Some(warm_kernel(&kernel, slab, others.zip(3..).map(|(access, index)| (index, access)).collect()))
}

/// What to compile for up to `texts` texts; also `None` if packs are active.
pub fn warm_for_texts(parts: Parts<'_>, team: Team, texts: usize) -> Option<Warm> {
    let slab = parts.weights.slabs.first()?;
    let kernel = kernel_of_texts(parts, team, texts)?;
    let others = [[Access::Write; 3], [Access::Read; 3]].concat().into_iter().chain([Access::Uniform; 2]);
    Some(warm_kernel(&kernel, slab, others.zip(3..).map(|(access, index)| (index, access)).collect()))
}

fn warm_kernel(kernel: &Layers, slab: &Slab, others: Vec<(u32, Access)>) -> Warm {
    let layers = slab.layers.len();
    let mut accesses: Vec<_> = slab.bindings().iter().map(|b| (b.index, b.access)).collect();
    accesses.push((2, Access::Uniform));
    accesses.extend(others);
    Warm::new(kernel.shader(layers, kernel.failed_at(layers)), accesses)
}

/// The kernel for a team and up to `texts` texts.
fn kernel_of_texts(parts: Parts<'_>, team: Team, texts: usize) -> Option<Layers> {
    if parts.packs.is_some() {
        return None;
    }
    kernel(parts, team)?.for_texts(texts, &parts.gpu.device.limits())
}

/// The kernel for a team.
fn kernel(parts: Parts<'_>, team: Team) -> Option<Layers> {
    let Parts { gpu, config, weights, scratch, packs } = parts;
    let (slab, tables) = (weights.slabs.first()?, weights.layers.first()?);
    let storage = storage(slab, in_order(tables), scratch.cache[0].stride());
    let device = Abilities { subgroups: gpu.has_subgroups(), f16: gpu.has_f16 };
    let packs = match packs {
        Some(packs) => Some(packs.of_layers(&slab.layers)?.1),
        None => None,
    };
    let kernel = Layers::new(config, scratch.context_length, storage, team, device)?.with_packs(packs);
    kernel.fits(&gpu.device.limits()).then_some(kernel)
}

/// Where the tables of a slab's first layer lie, and a cache with `cache_bytes` for each layer.
pub fn storage(slab: &Slab, tables: [&Table; 6], cache_bytes: u64) -> Storage {
    let format = slab.format();
    let tables = tables.map(|table| {
        let (elements, scales) = slab.position(table);
        PlacedTable { shape: table.shape(), elements, scales }
    });
    let (element_stride, scale_stride) = slab.strides();
    Storage { format, tables, element_stride, scale_stride, cache_stride: cache_bytes as usize / 16 }
}

/// The tables in the order of the products.
fn in_order(t: &LayerTables) -> [&Table; 6] {
    [&t.qkv_keys, &t.qkv_values, &t.proj_keys, &t.proj_values, &t.mlp_keys, &t.mlp_values]
}
