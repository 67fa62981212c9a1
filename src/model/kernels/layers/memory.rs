//! How much workgroup memory the kernel takes, which decides whether a device can run it. A test compares this with the
//! arrays that the shader declares (`src/model/tests/shared.rs`).

use super::team::Arithmetic;

/// WebGPU rounds the size of each array up to a multiple of this many bytes.
const ALIGNMENT: usize = 16;

/// Parameters that determine the sizes of the arrays.
#[derive(Clone, Copy, Debug)]
pub struct WorkgroupMemory {
    pub threads: usize,
    pub arithmetic: Arithmetic,
    pub subgroups: bool,
    /// Slots of the rows of activations that are in workgroup memory at a time (XS of the shader).
    pub slots: usize,
    /// Most rows that threads share (MOST_LROWS), and most sums that they compute from them for a chunk of texts
    /// (MOST_SUMS).
    pub most_rows: usize,
    pub most_sums: usize,
    /// Most texts whose activations are processed at a time (MOST_CHUNK), the same for the attention's output, and
    /// whether their sums share barriers (ALL_AT_ONCE).
    pub most_chunk: usize,
    pub attention_chunk: usize,
    pub all_at_once: bool,
    /// Dimensions of a head.
    pub head: usize,
    /// Positions of a part of the context (SCAN).
    pub scan: usize,
    /// Parts of all heads.
    pub parts: usize,
    /// True if packs are active.
    pub packs: bool,
}

impl WorkgroupMemory {
    /// Bytes.
    pub fn bytes(self) -> usize {
        let Self { threads, slots, head, scan, .. } = self;
        let (activations, scales) = match self.arithmetic {
            Arithmetic::F32 => (slots * 16, 0),
            Arithmetic::F16 => (slots * 8, 0),
            // Two bytes for each of four columns, and a scale for every four slots.
            Arithmetic::Int8 => (slots * 8, slots / 4 * 4),
        };
        let magnitudes = if self.subgroups || self.arithmetic != Arithmetic::Int8 { 0 } else { threads * 4 };
        let lane_sums = if self.subgroups { threads * self.most_sums } else { threads * self.most_rows * 4 };
        let row_sums = if self.all_at_once { threads / 4 * self.most_chunk * 8 } else { 0 };
        let sharers = (threads / 128).max(1);
        let (sums, input, query, own_key, own_value) = (threads * 32, head * 12, head * 4, head * 2, head * 2);
        let (shares, position_weights, stats) = (scan * sharers * 4, scan * 4, self.attention_chunk * self.parts * 8);
        let (tree, pivots) = (threads * 4, self.most_chunk * 4);
        let tree2 = if self.all_at_once { 0 } else { threads * 8 };
        let pack_weights = if self.packs { threads * 4 } else { 0 };
        let products = [activations, scales, magnitudes, lane_sums];
        let attention = [sums, input, query, own_key, own_value, shares, position_weights, stats];
        let all = products.into_iter().chain(attention).chain([tree, tree2, pivots, row_sums, pack_weights]);
        all.map(|bytes| bytes.next_multiple_of(ALIGNMENT)).sum()
    }
}
