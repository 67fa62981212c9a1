//! The tokens of packs on the GPU, those of all packs side by side, and the intermediate results of steps with them.
//!
//! Query, key and value run together, and a kernel runs for many layers: so the three, and all layers, are padded to
//! the largest number of tokens among them, with zeros, which change nothing. Strengths are included in the values.

use super::chunk_products::MAX_CHUNK;
use super::group::Group;
use super::kernels::layers::PlacedPacks;
use super::kernels::matmul::{TILE_ROWS, TILE_TOKENS};
use super::scratch::Scratch;
use super::tables::{Table, aligned};
use super::weights::Weights;
use crate::checkpoint::layout::{TableShape, padded_slots};
use crate::checkpoint::regions::Region;
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::{Gpu, GpuBuffer};
use crate::packs::{Merged, MergedTokens};
use std::ops::Range;
use std::rc::Rc;

/// Workgroups that fill a large GPU, and the most parts that the sum of a score is split into to reach that number.
const ENOUGH_TILES: usize = 512;
const MOST_PARTS: usize = 8;

/// Tokens for one product of keys and one of values of a layer.
#[derive(Debug)]
pub struct PackTable {
    /// Keys, f32 [segments · tokens, d].
    pub keys: Table,
    /// Values times their pack's strength, transposed, f32 [segments · d, padded tokens].
    pub values: Table,
    /// Tokens for each Pattention, a multiple of 4.
    pub tokens: usize,
    /// Pattentions side by side.
    pub segments: usize,
    /// Parts into which the sums of a chunk's scores are split.
    pub parts: usize,
}

/// The tables of query, key and value, of the output projection, of the feed-forward part; `None` if a layer has none.
pub type LayerPacks = [Option<PackTable>; 3];

/// Packs of some neighbouring layers.
#[derive(Debug)]
struct Run {
    layers: Range<usize>,
    /// The rotary angles, since `layers.wgsl` has no binding to spare, followed by the tables of each layer.
    buffer: Rc<GpuBuffer>,
}

/// Where the tables of a layer lie, in bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Offset of the first layer, after the angles.
    first: u64,
    /// Stride from layer to layer.
    stride: u64,
    keys: [u64; 3],
    values: [u64; 3],
    /// Tokens for each Pattention; 0 if no layer has any.
    tokens: [usize; 3],
}

/// The tokens of all active packs.
#[derive(Debug)]
pub struct PackTables {
    hidden: usize,
    layout: Layout,
    runs: Vec<Run>,
    layers: Vec<LayerPacks>,
    /// Scores of a chunk, f32 [parts, MAX_CHUNK, segments · tokens].
    pub scores: GpuBuffer,
    /// √n / ‖s‖₂ of a chunk's scores of the base, f32 [MAX_CHUNK, segments].
    pub scales: GpuBuffer,
    /// Weights of a chunk, f32 [MAX_CHUNK, segments, padded tokens].
    pub weights: GpuBuffer,
}

impl Layout {
    fn new(counts: &[[usize; 5]], hidden: usize, angles: u64) -> Self {
        let most = |kinds: Range<usize>| counts.iter().flat_map(|layer| &layer[kinds.clone()]).copied().max();
        let tokens = Group::ALL.map(|group| most(group.range()).unwrap_or(0).next_multiple_of(4));
        let mut stride = 0;
        let mut take = |floats: usize| {
            let start = stride;
            stride += aligned(floats as u64 * 4);
            start
        };
        let mut place = |group: Group| {
            let (segments, tokens) = (group.kinds().len(), tokens[group as usize]);
            (take(segments * tokens * hidden), take(segments * hidden * padded_slots(tokens)))
        };
        let places = Group::ALL.map(&mut place);
        let (keys, values) = (places.map(|(keys, _)| keys), places.map(|(_, values)| values));
        Self { first: aligned(angles), stride, keys, values, tokens }
    }

    fn bytes(&self, layers: usize) -> u64 {
        self.first + layers as u64 * self.stride
    }

    /// Tables of layer `at` of a run.
    fn tables(&self, gpu: &Gpu, buffer: &Rc<GpuBuffer>, at: usize, hidden: usize, group: Group) -> PackTable {
        let (tokens, segments) = (self.tokens[group as usize], group.kinds().len());
        let layer = self.first + at as u64 * self.stride;
        let keys = TableShape { rows: segments * tokens, cols: hidden };
        let values = TableShape { rows: segments * hidden, cols: padded_slots(tokens) };
        let parts = self.parts(gpu, group);
        PackTable {
            keys: Table::of_f32(keys, buffer.clone(), layer + self.keys[group as usize]),
            values: Table::of_f32(values, buffer.clone(), layer + self.values[group as usize]),
            tokens,
            segments,
            parts,
        }
    }

    /// Few rows make few workgroups: enough parts per tile to fill a large GPU.
    fn parts(&self, gpu: &Gpu, group: Group) -> usize {
        let rows = group.kinds().len() * self.tokens[group as usize];
        let tiles = rows.div_ceil(TILE_ROWS).max(1) * MAX_CHUNK / TILE_TOKENS;
        if gpu.is_software { 1 } else { (ENOUGH_TILES / tiles).clamp(1, MOST_PARTS) }
    }
}

impl PackTables {
    /// Allocates tables for these numbers of tokens, filled with zeros.
    ///
    /// # Errors
    /// `out-of-memory` if one binding cannot hold them.
    pub fn new(
        gpu: &Gpu,
        config: &ModelConfig,
        (weights, scratch): (&Weights, &Scratch),
        counts: Vec<[usize; 5]>,
    ) -> Result<Self> {
        let (hidden, angles) = (config.hidden_size, &scratch.angles.buffer);
        let layout = Layout::new(&counts, hidden, angles.size());
        let widest = |of: &dyn Fn(Group) -> usize| Group::ALL.into_iter().map(of).max().unwrap_or(0) * MAX_CHUNK;
        let scores = widest(&|group| group.kinds().len() * layout.tokens[group as usize] * layout.parts(gpu, group));
        let padded = widest(&|group| group.kinds().len() * padded_slots(layout.tokens[group as usize]));
        let limits = gpu.device.limits();
        let limit = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let largest = [scores as u64 * 4, padded as u64 * 4, layout.bytes(1)].into_iter().fold(0, u64::max);
        if largest > limit {
            return Err(too_large(largest));
        }
        // Laid out like the weights, so that a dispatch of many layers finds its packs in one binding; otherwise layer
        // by layer.
        let mut ranges: Vec<Range<usize>> = weights.slabs.iter().map(|slab| slab.layers.clone()).collect();
        if ranges.is_empty() || ranges.iter().any(|layers| layout.bytes(layers.len()) > limit) {
            ranges = (0..config.num_layers).map(|layer| layer..layer + 1).collect();
        }
        let run = |layers: Range<usize>| {
            let buffer = Rc::new(GpuBuffer::storage(gpu, "packs", layout.bytes(layers.len())));
            Run { layers, buffer }
        };
        let runs: Vec<Run> = ranges.into_iter().map(run).collect();
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for run in &runs {
            encoder.copy_buffer_to_buffer(angles, 0, &run.buffer.buffer, 0, angles.size());
        }
        gpu.queue.submit([encoder.finish()]);
        let places =
            runs.iter().flat_map(|run| run.layers.clone().enumerate().map(|(at, layer)| (&run.buffer, at, layer)));
        let of_layer = |(buffer, at, layer): (&Rc<GpuBuffer>, usize, usize)| {
            Group::ALL.map(|group| {
                let has_any = counts[layer][group.range()].iter().any(|count| *count > 0);
                has_any.then(|| layout.tables(gpu, buffer, at, hidden, group))
            })
        };
        let layers = places.map(of_layer).collect();
        let f32s = |label, n: usize| GpuBuffer::storage(gpu, label, n as u64 * 4);
        Ok(Self {
            hidden,
            layout,
            layers,
            runs,
            scores: f32s("scores of packs", scores),
            scales: f32s("scales of packs", 3 * MAX_CHUNK),
            weights: f32s("weights of packs", padded),
        })
    }

    /// True if these numbers of tokens fit these tables exactly: then nothing has to be compiled.
    pub fn are_for(&self, counts: &[[usize; 5]]) -> bool {
        let has_any = |tables: &LayerPacks, counts: &[usize; 5]| {
            tables
                .iter()
                .zip(Group::ALL)
                .all(|(table, group)| table.is_some() == counts[group.range()].iter().any(|count| *count > 0))
        };
        Layout::new(counts, self.hidden, 0).tokens == self.layout.tokens
            && self.layers.iter().zip(counts).all(|(tables, counts)| has_any(tables, counts))
    }

    /// Writes as many tokens as the tables were made for. Old keys after them remain, which is harmless: their values
    /// are zeros.
    pub fn write(&self, gpu: &Gpu, merged: &Merged) {
        let d = self.hidden;
        for (tables, layer) in self.layers.iter().zip(&merged.layers) {
            for (table, group) in tables.iter().zip(Group::ALL) {
                let Some(PackTable { keys, values, tokens, .. }) = table else { continue };
                let cols = values.shape().cols;
                for (segment, MergedTokens { keys: k, values: v, strengths, .. }) in
                    layer[group.range()].iter().enumerate()
                {
                    write(gpu, keys, segment * tokens, k);
                    let mut transposed = vec![0.0; d * cols];
                    for (j, (row, strength)) in v.chunks_exact(d).zip(strengths).enumerate() {
                        row.iter().enumerate().for_each(|(c, x)| transposed[c * cols + j] = x * strength);
                    }
                    write(gpu, values, segment * d, &transposed);
                }
            }
        }
    }

    /// Tokens of a layer.
    pub fn layer(&self, layer: usize) -> &LayerPacks {
        &self.layers[layer]
    }

    /// Where a dispatch of these layers finds its packs, in a buffer that begins with the rotary angles; `None` if
    /// they are not in one buffer.
    pub fn of_layers(&self, layers: &Range<usize>) -> Option<(&wgpu::Buffer, PlacedPacks)> {
        let run = self.runs.iter().find(|run| run.layers == *layers)?;
        let vectors = |bytes: u64| (bytes / 16) as usize;
        let Layout { first, stride, keys, values, tokens } = self.layout;
        let placed = PlacedPacks {
            tokens,
            stride: vectors(stride),
            keys: keys.map(|at| vectors(first + at)),
            values: values.map(|at| vectors(first + at)),
        };
        Some((&run.buffer.buffer, placed))
    }

    /// Bytes of the tokens.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.buffer.buffer.size()).sum()
    }
}

fn write(gpu: &Gpu, table: &Table, first_row: usize, values: &[f32]) {
    let bytes: &[u8] = bytemuck::cast_slice(values);
    for piece in table.place(first_row, Region::Elements, 0, bytes.len()) {
        gpu.queue.write_buffer(piece.buffer, piece.offset, &bytes[piece.bytes]);
    }
}

/// The error for packs that do not fit this GPU.
pub fn too_large(bytes: u64) -> Error {
    let message =
        format!("The tokens of the packs take {} MB, for which this GPU has no room.", bytes.div_ceil(1_000_000));
    Error::new(ErrorCode::OutOfMemory, message).hint("Remove a pack, or use packs of fewer tokens.")
}
