//! Weight tables on the GPU: where each tensor of the checkpoint lies, and how its bytes get there.

use crate::checkpoint::folder::{Region, row_bytes};
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::layout::{Pattention, Side, TableFormat, TableShape, TensorId, padded_slots};
use crate::config::{GROUP_SIZE, ModelConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::shader::ShaderSpec;
use crate::gpu::{Access, Binding, Gpu, GpuBuffer};
use std::ops::Range;
use std::rc::Rc;

/// A run of rows of a table: where its elements and its scales lie.
#[derive(Debug)]
pub struct TablePart {
    /// First row of the table that lies here.
    pub first_row: usize,
    /// Rows that lie here.
    pub rows: usize,
    buffer: Rc<GpuBuffer>,
    elements_offset: u64,
    scales_offset: u64,
}

/// 256 is the largest alignment that a storage binding's offset may need.
pub(super) fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(256)
}

/// A table W[rows, cols] on the GPU; several tables of the checkpoint may be fused in one.
#[derive(Debug)]
pub struct Table {
    format: TableFormat,
    shape: TableShape,
    /// One part, unless the table is larger than one binding may be.
    pub parts: Vec<TablePart>,
}

/// Where a piece of a tensor's bytes goes.
#[derive(Debug)]
pub struct Placement<'a> {
    /// The buffer to write to.
    pub buffer: &'a wgpu::Buffer,
    /// Offset in it, in bytes.
    pub offset: u64,
    /// Which of the piece's bytes.
    pub bytes: Range<usize>,
}

impl Table {
    fn new(gpu: &Gpu, label: &str, format: TableFormat, shape: TableShape) -> Self {
        let element_bytes = row_bytes(format, shape.cols, Region::Elements);
        let rows_per_part = Self::rows_per_part(gpu, format, shape.cols);
        let parts = (0..shape.rows)
            .step_by(rows_per_part)
            .map(|first_row| {
                let rows = rows_per_part.min(shape.rows - first_row);
                let scales_offset = aligned(rows as u64 * element_bytes);
                let scales = rows as u64 * row_bytes(format, shape.cols, Region::Scales);
                let buffer = Rc::new(GpuBuffer::storage(gpu, label, scales_offset + scales));
                TablePart { first_row, rows, buffer, elements_offset: 0, scales_offset }
            })
            .collect();
        Self { format, shape, parts }
    }

    /// Bytes of a region of the whole table.
    fn bytes(format: TableFormat, shape: TableShape, region: Region) -> u64 {
        shape.rows as u64 * row_bytes(format, shape.cols, region)
    }

    /// Rows that one binding can hold, in whole blocks, so that scales stay aligned to words where a table is cut.
    fn rows_per_part(gpu: &Gpu, format: TableFormat, cols: usize) -> usize {
        let limits = gpu.device.limits();
        let limit = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size / 2);
        ((limit / row_bytes(format, cols, Region::Elements)) as usize / 256 * 256).max(256)
    }

    /// Rows and columns.
    pub fn shape(&self) -> TableShape {
        self.shape
    }

    /// How its elements are stored.
    pub fn format(&self) -> TableFormat {
        self.format
    }

    /// The shader constants that describe this table.
    pub fn constants(&self, spec: ShaderSpec) -> ShaderSpec {
        self.format_flag(spec.with("GROUPS", self.shape.cols / GROUP_SIZE))
    }

    /// The flag of the table's format alone, for kernels that take the shape at run time.
    pub fn format_flag(&self, spec: ShaderSpec) -> ShaderSpec {
        spec.flag(match self.format {
            TableFormat::Q4 => "Q4",
            TableFormat::Q8 => "Q8",
            TableFormat::F16 => "F16",
        })
    }

    /// Bindings 0 and 1 of `shaders/table.wgsl`.
    pub fn bindings<'a>(&self, part: &'a TablePart) -> Vec<Binding<'a>> {
        let range = |offset, bytes: u64| wgpu::BufferBinding {
            buffer: &part.buffer.buffer,
            offset,
            size: std::num::NonZeroU64::new(bytes.next_multiple_of(16)),
        };
        let bytes = |region| part.rows as u64 * row_bytes(self.format, self.shape.cols, region);
        let elements = range(part.elements_offset, bytes(Region::Elements));
        let elements = Binding { index: 0, access: Access::Read, range: elements };
        if !self.format.is_quantized() {
            return vec![elements];
        }
        let scales = range(part.scales_offset, bytes(Region::Scales));
        vec![elements, Binding { index: 1, access: Access::Read, range: scales }]
    }

    /// Where `len` bytes at `offset` of the region of the rows from `first_row` on belong.
    fn place(&self, first_row: usize, region: Region, offset: usize, len: usize) -> Vec<Placement<'_>> {
        let row_bytes = row_bytes(self.format, self.shape.cols, region) as usize;
        let start = first_row * row_bytes + offset;
        let pieces = self.parts.iter().filter_map(|part| {
            let part_start = part.first_row * row_bytes;
            let from = start.max(part_start);
            let to = (start + len).min(part_start + part.rows * row_bytes);
            let base = if region == Region::Scales { part.scales_offset } else { part.elements_offset };
            (from < to).then(|| Placement {
                buffer: &part.buffer.buffer,
                offset: base + (from - part_start) as u64,
                bytes: from - start..to - start,
            })
        });
        pieces.collect()
    }
}

/// Most bytes of a buffer for several layers: larger ones are harder to get.
const MOST_SLAB_BYTES: u64 = 512 << 20;

/// The tables of some neighbouring layers as one: the elements of all, then the scales of all.
#[derive(Debug)]
pub struct Slab {
    buffer: Rc<GpuBuffer>,
    /// Its layers.
    pub layers: Range<usize>,
    /// Bytes of a layer's elements and of its scales.
    strides: (u64, u64),
    /// Where the scales begin; the elements begin at 0.
    scales: u64,
    format: TableFormat,
}

impl Slab {
    /// How many layers, of tables with these shapes, one binding holds.
    fn capacity(gpu: &Gpu, format: TableFormat, shapes: [TableShape; 6]) -> usize {
        let limits = gpu.device.limits();
        let bytes = |region| shapes.iter().map(|s| aligned(Table::bytes(format, *s, region))).sum::<u64>();
        let (elements, scales) = (bytes(Region::Elements), bytes(Region::Scales));
        let most = (limits.max_buffer_size.min(MOST_SLAB_BYTES)) / (elements + scales);
        (limits.max_storage_buffer_binding_size / elements).min(most) as usize
    }

    /// Room for layers whose tables have these shapes, and their tables.
    fn new(gpu: &Gpu, format: TableFormat, shapes: [TableShape; 6], layers: Range<usize>) -> (Self, Vec<[Table; 6]>) {
        let offsets = |region| {
            let mut end = 0;
            let starts = shapes.map(|shape| {
                let start = end;
                end += aligned(Table::bytes(format, shape, region));
                start
            });
            (starts, end)
        };
        let (elements, element_stride) = offsets(Region::Elements);
        let (scales, scale_stride) = offsets(Region::Scales);
        let scales_start = layers.len() as u64 * element_stride;
        let bytes = scales_start + layers.len() as u64 * scale_stride;
        let buffer = Rc::new(GpuBuffer::storage(gpu, "layers", bytes));
        let tables = (0..layers.len() as u64).map(|layer| {
            let mut at = elements.into_iter().zip(scales);
            shapes.map(|shape| {
                let (elements, scales) = at.next().unwrap_or_default();
                let part = TablePart {
                    first_row: 0,
                    rows: shape.rows,
                    buffer: buffer.clone(),
                    elements_offset: layer * element_stride + elements,
                    scales_offset: scales_start + layer * scale_stride + scales,
                };
                Table { format, shape, parts: vec![part] }
            })
        });
        let tables = tables.collect();
        (Self { buffer, layers, strides: (element_stride, scale_stride), scales: scales_start, format }, tables)
    }

    /// Bindings 0 and 1 of `shaders/table.wgsl`, for all layers at once.
    pub fn bindings(&self) -> Vec<Binding<'_>> {
        let range = |from: u64, to: u64| wgpu::BufferBinding {
            buffer: &self.buffer.buffer,
            offset: from,
            size: std::num::NonZeroU64::new(to - from),
        };
        let elements = Binding { index: 0, access: Access::Read, range: range(0, self.scales) };
        let end = self.scales + self.layers.len() as u64 * self.strides.1;
        let scales = || Binding { index: 1, access: Access::Read, range: range(self.scales, end) };
        if self.format.is_quantized() { vec![elements, scales()] } else { vec![elements] }
    }

    /// Groups of elements and words of scales from layer to layer.
    pub fn strides(&self) -> (usize, usize) {
        ((self.strides.0 / self.group_bytes()) as usize, (self.strides.1 / 4) as usize)
    }

    /// Where a table of the first layer lies: its first group and its first word of scales, as `group.wgsl` counts.
    pub fn position(&self, table: &Table) -> (usize, usize) {
        let part = &table.parts[0];
        ((part.elements_offset / self.group_bytes()) as usize, ((part.scales_offset - self.scales) / 4) as usize)
    }

    fn group_bytes(&self) -> u64 {
        row_bytes(self.format, GROUP_SIZE, Region::Elements)
    }
}

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

/// All weights of a model on the GPU.
#[derive(Debug)]
pub struct Weights {
    config: ModelConfig,
    /// E[V, d].
    pub embedding: Table,
    /// One entry per layer.
    pub layers: Vec<LayerTables>,
    /// Buffers that hold several layers each; none if a layer is too large for one.
    pub slabs: Vec<Slab>,
    /// Weight and bias of the final LayerNorm, f32 [2, d].
    pub norm: GpuBuffer,
}

impl Weights {
    /// Allocates room for every tensor; all of it starts as zeros.
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
                let bytes = slots as u64 * row_bytes(format, d, Region::Elements);
                return Err(Error::new(
                    ErrorCode::OutOfMemory,
                    format!("A table of {} MB is larger than this GPU can bind.", bytes.div_ceil(1_000_000)),
                )
                .hint("Use quantization \"q4\" or a smaller model."));
            }
        }
        let slots = |p: Pattention| padded_slots(p.slots(config));
        let (qkv, proj, mlp) = (slots(Pattention::Query), slots(Pattention::Proj), slots(Pattention::Mlp));
        let embedding = Table::new(gpu, "embedding", quantization.embedding(), TensorId::Embedding.shape(config));
        let shapes = [(3 * qkv, d), (3 * d, qkv), (proj, d), (d, proj), (mlp, d), (d, mlp)]
            .map(|(rows, cols)| TableShape { rows, cols });
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
        let norm = GpuBuffer::storage(gpu, "final norm", 2 * d as u64 * 4);
        Ok(Self { config: config.clone(), embedding, layers: layers.collect(), slabs, norm })
    }

    /// Format of the layers' tables.
    pub fn layer_format(&self) -> TableFormat {
        self.layers.first().map_or(TableFormat::F16, |layer| layer.qkv_keys.format)
    }

    /// Bytes of a tensor's region.
    pub fn region_bytes(&self, id: TensorId, region: Region) -> u64 {
        let shape = id.shape(&self.config);
        let format = match id {
            TensorId::Embedding => self.embedding.format,
            TensorId::Tokens { layer, .. } => self.layers.get(layer).map_or(TableFormat::F16, |l| l.qkv_keys.format),
            TensorId::NormWeight | TensorId::NormBias => return shape.cols as u64 * 4,
        };
        shape.rows as u64 * row_bytes(format, shape.cols, region)
    }

    /// Where `len` bytes at `offset` of one of a tensor's regions belong. Offset and length are
    /// multiples of 4, except that the last piece of a region may end anywhere.
    ///
    /// # Errors
    /// `invalid-config` for a tensor that the model does not have, or bytes past its end.
    pub fn place(&self, id: TensorId, region: Region, offset: usize, len: usize) -> Result<Vec<Placement<'_>>> {
        let outside = || Error::invalid_config(format!("{} has no bytes {offset} to {}.", id.name(), offset + len));
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
            TensorId::NormWeight | TensorId::NormBias => {
                let bytes = self.config.hidden_size * 4;
                if offset + len > bytes {
                    return Err(outside());
                }
                let base = if id == TensorId::NormBias { bytes } else { 0 };
                let buffer = &self.norm.buffer;
                return Ok(vec![Placement { buffer, offset: (base + offset) as u64, bytes: 0..len }]);
            }
        };
        if offset + len > shape.rows * row_bytes(table.format, shape.cols, region) as usize {
            return Err(outside());
        }
        Ok(table.place(first_row, region, offset, len))
    }

    /// Writes bytes from this module's memory; see [`place`](Self::place).
    ///
    /// # Errors
    /// Those of [`place`](Self::place).
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
