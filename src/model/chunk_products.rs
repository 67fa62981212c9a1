//! How the products of a chunk of tokens are made: of f32 or of bytes, and which of them in parts.

use super::kernels::BYTES_TILE_ROWS;
use super::kernels::matmul::{TILE_ROWS, TILE_TOKENS};
use crate::checkpoint::layout::padded_slots;
use crate::config::{GROUP_SIZE, ModelConfig};
use crate::gpu::{Gpu, GpuBuffer};
use crate::pattention::Pattention;

/// Most tokens of one prefill step: enough for the narrow products to fill a large GPU.
pub const MAX_CHUNK: usize = 1024;
/// Tokens of a step and rows of a table that fill a large GPU with workgroups of `matmul.wgsl`.
const ENOUGH_TILES: usize = 512;
const MOST_PARTS: usize = 4;

/// The number of parts that the sums of narrow products are split into.
#[derive(Clone, Copy, Debug)]
pub struct Splits {
    /// Parts of a split sum.
    pub parts: usize,
    /// Products of more rows are not split.
    most_rows: usize,
}

impl Splits {
    /// For products of up to `rows` rows in tiles of `tile_rows`; `None` where splitting would not help.
    fn new(gpu: &Gpu, rows: usize, tile_rows: usize) -> Option<Self> {
        let tiles = rows.div_ceil(tile_rows) * MAX_CHUNK / TILE_TOKENS;
        let parts = (ENOUGH_TILES / tiles).min(MOST_PARTS);
        (parts > 1 && !gpu.is_software).then_some(Self { parts, most_rows: rows })
    }

    /// True for a product of this many rows.
    pub fn applies_to(self, rows: usize) -> bool {
        rows <= self.most_rows && rows.is_multiple_of(4)
    }
}

/// Rows of X as factors of products of bytes (`shaders/rows_in_bytes.wgsl`), for the widest rows.
pub struct ByteRows {
    /// u32 [MAX_CHUNK, groups, 16].
    pub rows: GpuBuffer,
    /// f32 [MAX_CHUNK, groups].
    pub scales: GpuBuffer,
}

/// One way to make them, with its buffers.
pub struct ChunkProducts {
    /// How narrow products are split, and a buffer for their parts, f32 [parts, MAX_CHUNK, d].
    pub splits: Option<Splits>,
    pub parts: GpuBuffer,
    /// What is multiplied, if it is bytes.
    pub bytes: Option<ByteRows>,
}

impl ChunkProducts {
    /// Of bytes if `in_bytes`, which only tables can that share scales.
    pub fn new(gpu: &Gpu, config: &ModelConfig, in_bytes: bool) -> Self {
        let d = config.hidden_size;
        let f32s = |label: &str, n: usize| GpuBuffer::storage(gpu, label, n as u64 * 4);
        let splits = Splits::new(gpu, d, if in_bytes { BYTES_TILE_ROWS } else { TILE_ROWS });
        let most = MAX_CHUNK * widest(config).max(d);
        let bytes = in_bytes.then(|| ByteRows {
            rows: f32s("rows in bytes", most / 2),
            scales: f32s("scales of rows", most / GROUP_SIZE),
        });
        Self { splits, parts: f32s("parts of products", splits.map_or(0, |s| s.parts * MAX_CHUNK * d)), bytes }
    }
}

/// The most scores that a token has at a time.
pub fn widest(config: &ModelConfig) -> usize {
    let slots = |p: Pattention| padded_slots(p.slots(config));
    (3 * slots(Pattention::Query)).max(slots(Pattention::Proj)).max(slots(Pattention::Mlp))
}
