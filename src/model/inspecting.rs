//! Inspecting parameter tokens on the GPU: lengths of value tokens, and dispatches in between those of a prompt.

use super::chunk_products::MAX_CHUNK;
use super::group::Group;
use super::kernels::inspect::{Fired, NOT_ASKED, RequestHead, Source, Which};
use super::kernels::{Inspect, InspectBuffers, ValueNorms};
use super::pack_tables::PackTable;
use super::plan::Parts;
use super::stage::{Mark, Stage, Stager, Stages};
use super::tables::{Table, aligned};
use crate::checkpoint::layout::padded_slots;
use crate::engine::{Candidate, FiredToken, InspectRequest, strongest};
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer};
use crate::packs::{Merged, MergedTokens};
use crate::pattention::Pattention;
use std::collections::HashMap;

/// Most bytes of one readback: more rows are inspected in more steps.
const READ_BYTES: usize = 4 << 20;

/// Everything needed to inspect rows of a chunk.
pub struct Inspecting {
    /// Stages that find what fires, in the base and in packs.
    stages: HashMap<(usize, Group, bool), Stage>,
    layers: usize,
    /// 2 if packs are active, otherwise 1.
    sources: usize,
    request: GpuBuffer,
    fired: GpuBuffer,
    staging: GpuBuffer,
    /// Further buffers of the bind groups.
    _buffers: Vec<GpuBuffer>,
}

/// A request in the shader's form.
pub struct Asked {
    /// Each place once, and its number.
    places: HashMap<(usize, Pattention), usize>,
    rows: Vec<usize>,
    top: usize,
    sources: usize,
}

impl Asked {
    /// Entries that come back for a row.
    fn fired_per_row(&self) -> usize {
        self.places.len() * self.sources * self.top
    }

    /// Bytes that come back.
    fn bytes(&self) -> u64 {
        (self.rows.len() * self.fired_per_row() * size_of::<Fired>()) as u64
    }
}

/// Lays out a buffer in parts, 256 bytes being the largest alignment that a binding may need.
struct Room {
    end: u64,
}

impl Room {
    fn take(&mut self, floats: usize) -> (u64, u64) {
        let (start, bytes) = (self.end, floats as u64 * 4);
        self.end = aligned(start + bytes);
        (start, bytes)
    }
}

impl Inspecting {
    /// Allocates buffers, measures value tokens, and compiles. `merged` is what is active besides the base.
    ///
    /// # Errors
    /// If a shader's files contradict each other; validation errors go to the caller's error scope.
    pub fn new(parts: Parts<'_>, merged: Option<&Merged>) -> Result<Self> {
        use wgpu::BufferUsages as U;
        let Parts { gpu, config, weights, .. } = parts;
        let layers = config.num_layers;
        let words = 4 + layers * Pattention::ALL.len() + MAX_CHUNK;
        let most = READ_BYTES.max(layers * Pattention::ALL.len() * 2 * crate::engine::MOST_TOP * size_of::<Fired>());
        let request = GpuBuffer::storage(gpu, "what is looked at", words as u64 * 4);
        let fired = GpuBuffer::storage(gpu, "what fires", most as u64);
        let staging = GpuBuffer::new(gpu, "what fires, read", most as u64, U::MAP_READ | U::COPY_DST);
        // Every table's tokens in one buffer.
        let mut room = Room { end: 0 };
        let mut tables: Vec<(Mark, &Table, Source, (u64, u64))> = Vec::new();
        for (layer, of_layer) in weights.layers.iter().enumerate() {
            for group in Group::ALL {
                let (kinds, [_, values]) = (group.kinds(), group.tables(of_layer));
                let slots = group.pattention().slots(config);
                let mark = |of_packs| Mark { layer, group, of_packs };
                let place = room.take(2 * kinds.len() * padded_slots(slots));
                tables.push((mark(false), values, Source::Base { slots }, place));
                let packs = parts.packs.and_then(|packs| packs.layer(layer)[group as usize].as_ref());
                if let Some(PackTable { values, tokens, parts, .. }) = packs {
                    let place = room.take(2 * kinds.len() * padded_slots(*tokens));
                    tables.push((mark(true), values, Source::Packs { tokens: *tokens, parts: *parts }, place));
                }
            }
        }
        let tokens = GpuBuffer::storage(gpu, "lengths of values", room.end);
        let range = |(offset, bytes): (u64, u64)| wgpu::BufferBinding {
            buffer: &tokens.buffer,
            offset,
            size: std::num::NonZeroU64::new(bytes),
        };
        let (mut stager, mut norms, mut stages) = (Stager::new(gpu), Stages::default(), HashMap::new());
        let mut buffers = Vec::new();
        for (mark, values, source, place) in &tables {
            let Mark { layer, group, of_packs } = *mark;
            let kinds = group.kinds();
            stager.push(&mut norms, &ValueNorms { table: values, segments: kinds.len() }.dispatch(range(*place)))?;
            let which = which(*mark, *source, kinds, merged);
            let which = GpuBuffer::uniform(gpu, "what is looked at", bytemuck::bytes_of(&which));
            let inspect = Inspect { activation: config.norm_activation_type, segments: kinds.len(), source: *source };
            let scratch = parts.scratch;
            let packs = parts.packs.filter(|_| of_packs);
            let inspected = inspect.dispatch(&InspectBuffers {
                step: &scratch.step.buffer,
                scores: packs.map_or(&scratch.scores.buffer, |packs| &packs.scores.buffer),
                tokens: range(*place),
                which: &which.buffer,
                request: &request.buffer,
                fired: &fired.buffer,
                scales: packs.map(|packs| &packs.scales.buffer),
            });
            stages.extend(stager.stage(&inspected)?.map(|stage| ((layer, group, of_packs), stage)));
            buffers.push(which);
        }
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        norms.record(&mut encoder.begin_compute_pass(&Default::default()), 0, 1);
        gpu.queue.submit([encoder.finish()]);
        for (mark, _, source, (offset, _)) in &tables {
            let Source::Base { slots } = source else { continue };
            for (segment, kind) in mark.group.kinds().iter().enumerate() {
                let scales = beside(merged, mark.layer, *kind).map(|tokens| &tokens.base_scales);
                for (slot, scale) in scales.into_iter().flatten() {
                    let at = 8 * (segment * padded_slots(*slots) + slot) as u64 + 4;
                    gpu.queue.write_buffer(&tokens.buffer, offset + at, bytemuck::bytes_of(scale));
                }
            }
        }
        buffers.push(tokens);
        let sources = if parts.packs.is_some() { 2 } else { 1 };
        Ok(Self { stages, layers, sources, request, fired, staging, _buffers: buffers })
    }

    /// Cuts a step into pieces whose results fit the buffer: the end of each, and its part of the request.
    pub fn pieces(&self, count: usize, request: &InspectRequest) -> Vec<(usize, Asked)> {
        let mut places = HashMap::new();
        for place in request.places() {
            let next = places.len();
            places.entry(place).or_insert(next);
        }
        let asked = |rows| Asked { places: places.clone(), rows, top: request.top, sources: self.sources };
        let most = (self.fired.buffer.size() as usize
            / (asked(Vec::new()).fired_per_row() * size_of::<Fired>()).max(1))
        .max(1);
        let (mut pieces, mut start) = (Vec::new(), 0);
        for rows in request.rows.chunks(most) {
            let end = rows.last().map_or(count, |row| row + 1);
            pieces.push((end, asked(rows.iter().map(|row| row - start).collect())));
            start = end;
        }
        match pieces.last_mut() {
            Some((end, _)) => *end = count,
            None => pieces.push((count, asked(Vec::new()))),
        }
        pieces
    }

    /// Uploads the request for the next submit.
    pub fn ask(&self, gpu: &Gpu, asked: &Asked) {
        let kinds = Pattention::ALL.len();
        let mut words = vec![NOT_ASKED; self.layers * kinds];
        for ((layer, kind), place) in &asked.places {
            words[layer * kinds + *kind as usize] = *place as u32;
        }
        let head = RequestHead {
            top: asked.top as u32,
            count: asked.places.len() as u32,
            sources: asked.sources as u32,
            rows_at: words.len() as u32,
        };
        words.extend(asked.rows.iter().map(|row| *row as u32));
        gpu.queue.write_buffer(&self.request.buffer, 0, bytemuck::bytes_of(&head));
        gpu.queue.write_buffer(&self.request.buffer, size_of::<RequestHead>() as u64, bytemuck::cast_slice(&words));
    }

    /// Records the inspection of scores, if it was requested.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, asked: &Asked, Mark { layer, group, of_packs }: Mark) {
        let is_asked = group.kinds().iter().any(|kind| asked.places.contains_key(&(layer, *kind)));
        if is_asked
            && !asked.rows.is_empty()
            && let Some(stage) = self.stages.get(&(layer, group, of_packs))
        {
            stage.record(pass, 0, asked.rows.len());
        }
    }

    /// Clears the results: entries that nothing writes are empty.
    pub fn clear(&self, encoder: &mut wgpu::CommandEncoder, asked: &Asked) {
        if asked.bytes() > 0 {
            encoder.clear_buffer(&self.fired.buffer, 0, Some(asked.bytes()));
        }
    }

    /// Copies out the results.
    pub fn copy_out(&self, encoder: &mut wgpu::CommandEncoder, asked: &Asked) {
        if asked.bytes() > 0 {
            encoder.copy_buffer_to_buffer(&self.fired.buffer, 0, &self.staging.buffer, 0, asked.bytes());
        }
    }

    /// Reads the results: for each row, each place of the request.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn read(
        &self,
        gpu: &Gpu,
        asked: &Asked,
        request: &InspectRequest,
        merged: Option<&Merged>,
    ) -> Result<Vec<Vec<FiredToken>>> {
        if asked.bytes() == 0 {
            return Ok(vec![Vec::new(); asked.rows.len() * request.places().count()]);
        }
        let fired: Vec<Fired> = gpu.read(&self.staging.buffer, asked.bytes()).await?;
        let of_place = |of_row: &[Fired], place: (usize, Pattention)| {
            let each = asked.sources * asked.top;
            let of_place = &of_row[asked.places[&place] * each..][..each];
            let candidates = of_place.chunks(asked.top).enumerate().flat_map(|(source, fired)| {
                fired.iter().filter(|fired| fired.number > 0).map(move |fired| candidate(source == 1, fired))
            });
            strongest(candidates.collect(), asked.top, beside(merged, place.0, place.1))
        };
        let of_row = |of_row| request.places().map(move |place| of_place(of_row, place));
        Ok(fired.chunks_exact(asked.fired_per_row()).flat_map(of_row).collect())
    }
}

fn candidate(is_of_packs: bool, fired: &Fired) -> Candidate {
    let Fired { number, score, activation, contribution } = *fired;
    Candidate { is_of_packs, index: number as usize - 1, score, activation, contribution }
}

/// The active packs' tokens for a Pattention.
fn beside(merged: Option<&Merged>, layer: usize, kind: Pattention) -> Option<&MergedTokens> {
    merged?.layers.get(layer).map(|kinds| &kinds[kind as usize])
}

fn which(mark: Mark, source: Source, kinds: &[Pattention], merged: Option<&Merged>) -> Which {
    let mut tokens = [0; 3];
    for (count, kind) in tokens.iter_mut().zip(kinds) {
        let packs = beside(merged, mark.layer, *kind);
        *count = match source {
            Source::Base { slots } => slots as u32,
            Source::Packs { .. } => packs.map_or(0, MergedTokens::of_packs) as u32,
        };
    }
    let place = mark.layer * Pattention::ALL.len() + mark.group.range().start;
    Which { place: place as u32, tokens }
}
