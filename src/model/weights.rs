//! All weights of a model on the GPU: where each tensor of the checkpoint lies, and how its bytes get there.

use super::tables::{Placement, Slab, Table};
use crate::checkpoint::layout::{Quantization, Side, TableFormat, TableShape, TensorId, padded_slots};
use crate::checkpoint::regions::{self, Region};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::{Gpu, GpuBuffer};
use crate::pattention::Pattention;

/// Fused tables of one layer.
#[derive(Debug)]
pub struct LayerTables {
    /// Key tables of query, key and value: [3·slots, d].
    pub qkv_keys: Table,
    /// Their value tables, transposed: [3·d, slots].
    pub qkv_values: Table,
    /// [slots, d].
    pub proj_keys: Table,
    /// [d, slots].
    pub proj_values: Table,
    /// [slots, d].
    pub mlp_keys: Table,
    /// [d, slots].
    pub mlp_values: Table,
}

/// Shapes of a layer's tables, in the order of [`LayerTables`].
pub fn layer_shapes(config: &ModelConfig) -> [TableShape; 6] {
    let (d, slots) = (config.hidden_size, |p: Pattention| padded_slots(p.slots(config)));
    let (qkv, proj, mlp) = (slots(Pattention::Query), slots(Pattention::Proj), slots(Pattention::Mlp));
    let shapes = [(3 * qkv, d), (3 * d, qkv), (proj, d), (d, proj), (mlp, d), (d, mlp)];
    shapes.map(|(rows, cols)| TableShape { rows, cols })
}

/// All weights of a model on the GPU.
#[derive(Debug)]
pub struct Weights {
    config: ModelConfig,
    quantization: Quantization,
    /// E[V, d].
    pub embedding: Table,
    /// One entry per layer.
    pub layers: Vec<LayerTables>,
    /// Buffers that hold several layers each; none if a layer is too large for one.
    pub slabs: Vec<Slab>,
    /// [`TensorId::VECTORS`]: weight and bias of the final LayerNorm, f32 [2, d].
    pub norm: GpuBuffer,
}

impl Weights {
    /// Allocates every tensor; all of them start as zeros.
    ///
    /// # Errors
    /// `out-of-memory` for tables of parameter tokens that one binding cannot hold: only the embedding is split.
    pub fn new(gpu: &Gpu, config: &ModelConfig, quantization: Quantization) -> Result<Self> {
        let d = config.hidden_size;
        let largest = [Pattention::Query, Pattention::Proj, Pattention::Mlp]
            .map(|p| padded_slots(p.slots(config)) * if p == Pattention::Query { 3 } else { 1 });
        let format = quantization.tokens();
        for slots in largest {
            let shape = TableShape { rows: slots, cols: d };
            if shape.rows > Table::rows_per_part(gpu, format, d) || d > Table::rows_per_part(gpu, format, slots) {
                let bytes = regions::region_bytes(format, shape, Region::Elements);
                return Err(Error::new(
                    ErrorCode::OutOfMemory,
                    format!("A table of {} MB is larger than this GPU can bind.", bytes.div_ceil(1_000_000)),
                )
                .hint("Use quantization \"q4\" or a smaller model."));
            }
        }
        let embedding = Table::new(gpu, "embedding", quantization.embedding(), TensorId::Embedding.shape(config));
        let shapes = layer_shapes(config);
        let count = config.num_layers;
        let capacity = Slab::capacity(gpu, format, shapes);
        let (mut slabs, mut tables) = (Vec::new(), Vec::new());
        if capacity > 0 {
            let each = count.div_ceil(count.div_ceil(capacity));
            for first in (0..count).step_by(each) {
                let (slab, of_layers) = Slab::new(gpu, format, shapes, first..count.min(first + each));
                slabs.push(slab);
                tables.extend(of_layers);
            }
        } else {
            tables.extend((0..count).map(|_| shapes.map(|shape| Table::new(gpu, "table", format, shape))));
        }
        let layers = tables.into_iter().map(|tables| {
            let [qkv_keys, qkv_values, proj_keys, proj_values, mlp_keys, mlp_values] = tables;
            LayerTables { qkv_keys, qkv_values, proj_keys, proj_values, mlp_keys, mlp_values }
        });
        let norm = GpuBuffer::storage(gpu, "final norm", (TensorId::VECTORS.len() * d * 4) as u64);
        Ok(Self { config: config.clone(), quantization, embedding, layers: layers.collect(), slabs, norm })
    }

    /// Format of the layers' tables.
    pub fn layer_format(&self) -> TableFormat {
        self.quantization.tokens()
    }

    /// Bytes of a tensor's region.
    pub fn region_bytes(&self, id: TensorId, region: Region) -> u64 {
        let mut regions = regions::regions(id, &self.config, self.quantization);
        regions.find(|(of, _)| *of == region).map_or(0, |(_, bytes)| bytes)
    }

    /// Where `len` bytes at `offset` of one of a tensor's regions belong. Offset and length are
    /// multiples of 4, except that the last piece of a region may end anywhere.
    ///
    /// `invalid-config` for a tensor that the model does not have, or bytes past its end.
    pub fn place(&self, id: TensorId, region: Region, offset: usize, len: usize) -> Result<Vec<Placement<'_>>> {
        let outside = || Error::invalid_config(format!("{} has no bytes {offset} to {}.", id.name(), offset + len));
        if (offset + len) as u64 > self.region_bytes(id, region) {
            return Err(outside());
        }
        let shape = id.shape(&self.config);
        let (table, first_row) = match id {
            TensorId::Embedding => (&self.embedding, 0),
            TensorId::Tokens { layer, pattention, side } => {
                let l = self.layers.get(layer).ok_or_else(outside)?;
                let fused = match pattention {
                    Pattention::Query => 0,
                    Pattention::Key => shape.rows,
                    Pattention::Value => 2 * shape.rows,
                    _ => 0,
                };
                let table = match (pattention, side) {
                    (Pattention::Proj, Side::Keys) => &l.proj_keys,
                    (Pattention::Proj, Side::Values) => &l.proj_values,
                    (Pattention::Mlp, Side::Keys) => &l.mlp_keys,
                    (Pattention::Mlp, Side::Values) => &l.mlp_values,
                    (_, Side::Keys) => &l.qkv_keys,
                    (_, Side::Values) => &l.qkv_values,
                };
                (table, fused)
            }
            vector => {
                let index = vector.vector().ok_or_else(outside)?;
                let bytes = self.region_bytes(vector, region);
                let buffer = &self.norm.buffer;
                return Ok(vec![Placement { buffer, offset: index as u64 * bytes + offset as u64, bytes: 0..len }]);
            }
        };
        Ok(table.place(first_row, region, offset, len))
    }

    /// Writes bytes from this module's memory; see [`place`](Self::place).
    ///
    /// # Errors
    /// See [`place`](Self::place).
    pub fn write(&self, gpu: &Gpu, id: TensorId, region: Region, offset: usize, data: &[u8]) -> Result<()> {
        for piece in self.place(id, region, offset, data.len())? {
            let bytes = &data[piece.bytes];
            let whole = bytes.len() / 4 * 4;
            gpu.queue.write_buffer(piece.buffer, piece.offset, &bytes[..whole]);
            if whole < bytes.len() {
                let mut last = [0; 4];
                last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
                gpu.queue.write_buffer(piece.buffer, piece.offset + whole as u64, &last);
            }
        }
        Ok(())
    }
}
