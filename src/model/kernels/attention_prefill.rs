//! Causal attention of a chunk over the KV cache (`shaders/attention_prefill.wgsl`).

use super::dispatch::{Dispatch, Grid, read, read_range, uniform, write};
use crate::gpu::Gpu;
use crate::gpu::shader::ShaderSpec;

/// Queries and keys of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    queries: usize,
    keys: usize,
}

/// From the fastest on a GPU to the one that fits in 16 KiB whatever the head.
pub const TILES: [Tile; 4] = [
    Tile { queries: 64, keys: 32 },
    Tile { queries: 32, keys: 32 },
    Tile { queries: 32, keys: 16 },
    Tile { queries: 16, keys: 16 },
];
/// The first of them that is worth trying on a software GPU, which runs a workgroup's threads one after another.
const FIRST_IN_SOFTWARE: usize = 2;

impl Tile {
    /// The largest that fits, or the smallest.
    fn new(gpu: &Gpu, head: usize) -> Self {
        let bytes = gpu.device.limits().max_compute_workgroup_storage_size as usize;
        let tiles = &TILES[if gpu.is_software { FIRST_IN_SOFTWARE } else { 0 }..];
        tiles.iter().copied().find(|tile| tile.bytes(head) <= bytes).unwrap_or(TILES[TILES.len() - 1])
    }

    /// Padding elements of a row of keys: none where that would not fit in 16 KiB.
    fn padding(self) -> usize {
        usize::from(self.keys > 16)
    }

    /// Bytes of workgroup memory.
    pub fn bytes(self, head: usize) -> usize {
        let Self { queries, keys } = self;
        let vectors = head / 4 * (queries + 1 + keys + self.padding()) + keys / 4 * (queries + 1);
        vectors * 16 + queries * keys / 4 * 4
    }

    /// Source and constants for d = `hidden` columns.
    pub fn shader(self, hidden: usize, head: usize) -> ShaderSpec {
        ShaderSpec::new("attention_prefill")
            .with("D_MODEL", hidden)
            .with("HEAD", head)
            .with("QUERIES", self.queries)
            .with("KEYS", self.keys)
            .with("PADDING", self.padding())
            .with("OWN", head.div_ceil(self.keys))
    }
}

/// softmax(q·kᵀ/√D, causal)·v.
pub struct AttentionPrefill {
    hidden: usize,
    head: usize,
    tile: Tile,
}

/// Bindings.
pub struct AttentionPrefillBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Rotated queries, f32 [T, d].
    pub q: &'a wgpu::Buffer,
    /// Cached keys and values, f16 [context, d].
    pub keys: wgpu::BufferBinding<'a>,
    pub values: wgpu::BufferBinding<'a>,
    /// Output, f32 [T, d].
    pub out: &'a wgpu::Buffer,
}

impl AttentionPrefill {
    /// For d = `hidden` columns and heads of `head` dimensions, a multiple of 8 and at most 112.
    pub fn new(gpu: &Gpu, hidden: usize, head: usize) -> Self {
        Self { hidden, head, tile: Tile::new(gpu, head) }
    }

    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &AttentionPrefillBuffers<'a>) -> Dispatch<'a> {
        let bindings = vec![
            uniform(0, buffers.step),
            read(1, buffers.q),
            read_range(2, &buffers.keys),
            read_range(3, &buffers.values),
            write(4, buffers.out),
        ];
        let grid = Grid::PerTile { x: (self.hidden / self.head) as u32, tile: self.tile.queries as u32, z: 1 };
        Dispatch { shader: self.tile.shader(self.hidden, self.head), grid, bindings }
    }

    /// The same for texts one after another, each of which sees only itself; `starts`: the first token of each one's
    /// text, u32 [T].
    pub fn dispatch_together<'a>(
        &self,
        buffers: &AttentionPrefillBuffers<'a>,
        starts: &'a wgpu::Buffer,
    ) -> Dispatch<'a> {
        let Dispatch { shader, grid, mut bindings } = self.dispatch(buffers);
        bindings.push(read(5, starts));
        Dispatch { shader: shader.flag("TOGETHER"), grid, bindings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_head_fits_in_the_memory_of_every_device() {
        for head in (8..=112).step_by(8) {
            assert!(TILES[3].bytes(head) <= 16 << 10, "{head}");
        }
        // Heads of the published models, in the 48 KiB of many GPUs.
        for head in [64, 80, 96] {
            assert!(TILES[0].bytes(head) <= 48 << 10, "{head}");
        }
    }
}
