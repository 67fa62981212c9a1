//! How many bytes a tensor has as it is stored, and in which regions: for everything that cuts, places or counts them.

use super::layout::{Quantization, TableFormat, TableShape, TensorId, tensors};
use crate::config::{GROUP_SIZE, ModelConfig};

/// The two byte streams that a quantized table consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Region {
    /// `weight_packed`, or `weight` of an f16 table, or a vector of the final LayerNorm.
    Elements,
    /// `weight_scale`.
    Scales,
}

/// Bytes of one row of a table in a region.
pub fn row_bytes(format: TableFormat, cols: usize, region: Region) -> u64 {
    match (region, format.is_quantized()) {
        (Region::Elements, _) => (cols * format.bits() / 8) as u64,
        (Region::Scales, true) => (cols / GROUP_SIZE * 2) as u64,
        (Region::Scales, false) => 0,
    }
}

/// Bytes of a region of a whole table.
pub fn region_bytes(format: TableFormat, shape: TableShape, region: Region) -> u64 {
    shape.rows as u64 * row_bytes(format, shape.cols, region)
}

/// The regions of a tensor with their bytes.
pub fn regions(
    id: TensorId,
    config: &ModelConfig,
    quantization: Quantization,
) -> impl Iterator<Item = (Region, u64)> + use<> {
    let shape = id.shape(config);
    let bytes = move |region| match id.format(quantization) {
        Some(format) => region_bytes(format, shape, region),
        None if region == Region::Elements => shape.cols as u64 * 4,
        None => 0,
    };
    [Region::Elements, Region::Scales].into_iter().map(move |r| (r, bytes(r))).filter(|(_, bytes)| *bytes > 0)
}

/// Bytes of a model's weights.
pub fn weight_bytes(config: &ModelConfig, quantization: Quantization) -> u64 {
    tensors(config).flat_map(|id| regions(id, config, quantization)).map(|(_, bytes)| bytes).sum()
}
