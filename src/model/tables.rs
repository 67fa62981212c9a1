//! A weight table on the GPU, and a run of layers' tables in one buffer.

use crate::checkpoint::layout::{TableFormat, TableShape};
use crate::checkpoint::regions::{Region, region_bytes, row_bytes};
use crate::config::GROUP_SIZE;
use crate::gpu::shader::ShaderSpec;
use crate::gpu::{Access, Binding, Gpu, GpuBuffer};
use std::ops::Range;
use std::rc::Rc;

/// A run of rows of a table: where its elements and its scales lie.
#[derive(Debug)]
pub struct TablePart {
    /// First row of the table in this run.
    pub first_row: usize,
    /// Number of rows in this run.
    pub rows: usize,
    buffer: Rc<GpuBuffer>,
    elements_offset: u64,
    scales_offset: u64,
}

/// 256 is the largest alignment that a storage binding's offset may need.
pub(super) fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(256)
}

/// How elements are stored on the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// As in the checkpoint.
    Stored(TableFormat),
    /// Single precision: tokens of packs, which may be in training.
    F32,
}

/// A table W[rows, cols] on the GPU; several tables of the checkpoint may be fused in one.
#[derive(Debug)]
pub struct Table {
    elements: Elements,
    shape: TableShape,
    /// One part, unless the table is larger than one binding may be.
    pub parts: Vec<TablePart>,
}

/// Destination of a piece of a tensor's bytes.
#[derive(Debug)]
pub struct Placement<'a> {
    /// The buffer to write to.
    pub buffer: &'a wgpu::Buffer,
    /// Offset in it, in bytes.
    pub offset: u64,
    /// The range of the piece's bytes.
    pub bytes: Range<usize>,
}

impl Elements {
    /// Bytes of a row's elements, or scales.
    fn row_bytes(self, cols: usize, region: Region) -> u64 {
        match (self, region) {
            (Self::Stored(format), region) => row_bytes(format, cols, region),
            (Self::F32, Region::Elements) => cols as u64 * 4,
            (Self::F32, Region::Scales) => 0,
        }
    }
}

/// The flag by which a shader knows how a table's elements are stored.
pub fn format_flag(format: TableFormat) -> &'static str {
    match format {
        TableFormat::Q4 => "Q4",
        TableFormat::Q8 => "Q8",
        TableFormat::F16 => "F16",
    }
}

impl Table {
    /// In as few parts as bindings allow.
    pub fn new(gpu: &Gpu, label: &str, format: TableFormat, shape: TableShape) -> Self {
        Self::in_parts(gpu, label, format, shape, Self::rows_per_part(gpu, format, shape.cols))
    }

    /// A table that is cut after every `rows_per_part` rows: an even number, so that scales begin at whole words.
    pub fn in_parts(gpu: &Gpu, label: &str, format: TableFormat, shape: TableShape, rows_per_part: usize) -> Self {
        let parts = (0..shape.rows)
            .step_by(rows_per_part)
            .map(|first_row| {
                let rows = rows_per_part.min(shape.rows - first_row);
                let bytes = |region| region_bytes(format, TableShape { rows, ..shape }, region);
                let (scales_offset, scales) = (aligned(bytes(Region::Elements)), bytes(Region::Scales));
                let buffer = Rc::new(GpuBuffer::storage(gpu, label, scales_offset + scales));
                TablePart { first_row, rows, buffer, elements_offset: 0, scales_offset }
            })
            .collect();
        Self { elements: Elements::Stored(format), shape, parts }
    }

    /// A table of single precision at some offset of a buffer.
    pub fn of_f32(shape: TableShape, buffer: Rc<GpuBuffer>, elements_offset: u64) -> Self {
        let part = TablePart { first_row: 0, rows: shape.rows, buffer, elements_offset, scales_offset: 0 };
        Self { elements: Elements::F32, shape, parts: vec![part] }
    }

    /// Rows that one binding can hold, in whole blocks, so that scales stay word-aligned where a table is cut.
    pub fn rows_per_part(gpu: &Gpu, format: TableFormat, cols: usize) -> usize {
        let limits = gpu.device.limits();
        let limit = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size / 2);
        ((limit / row_bytes(format, cols, Region::Elements)) as usize / 256 * 256).max(256)
    }

    /// Rows and columns.
    pub fn shape(&self) -> TableShape {
        self.shape
    }

    /// How its elements are stored.
    pub fn elements(&self) -> Elements {
        self.elements
    }

    /// Groups of a row's elements.
    pub fn groups(&self) -> usize {
        self.shape.cols / GROUP_SIZE
    }

    /// The shader constants that describe this table.
    pub fn constants(&self, spec: ShaderSpec) -> ShaderSpec {
        self.format_flag(spec.with("GROUPS", self.groups()))
    }

    /// The flag of the table's format alone, for kernels that take the shape at run time.
    pub fn format_flag(&self, spec: ShaderSpec) -> ShaderSpec {
        spec.flag(match self.elements {
            Elements::Stored(format) => format_flag(format),
            Elements::F32 => "F32",
        })
    }

    /// The format of elements that share scales; `None` for others.
    pub fn quantized(&self) -> Option<TableFormat> {
        match self.elements {
            Elements::Stored(format) if format.is_quantized() => Some(format),
            _ => None,
        }
    }

    /// Bindings 0 and 1 of `shaders/table.wgsl`.
    pub fn bindings<'a>(&self, part: &'a TablePart) -> Vec<Binding<'a>> {
        let range = |offset, bytes: u64| wgpu::BufferBinding {
            buffer: &part.buffer.buffer,
            offset,
            size: std::num::NonZeroU64::new(bytes.next_multiple_of(16)),
        };
        let bytes = |region| part.rows as u64 * self.elements.row_bytes(self.shape.cols, region);
        let elements = range(part.elements_offset, bytes(Region::Elements));
        let elements = Binding { index: 0, access: Access::Read, range: elements };
        match bytes(Region::Scales) {
            0 => vec![elements],
            scales => {
                let scales = range(part.scales_offset, scales);
                vec![elements, Binding { index: 1, access: Access::Read, range: scales }]
            }
        }
    }

    /// The elements of its only part as a binding with another number.
    pub fn elements_binding(&self, index: u32) -> Binding<'_> {
        let mut bindings = self.bindings(&self.parts[0]);
        Binding { index, ..bindings.swap_remove(0) }
    }

    /// Where `len` bytes at `offset` of the region that starts at row `first_row` belong.
    pub fn place(&self, first_row: usize, region: Region, offset: usize, len: usize) -> Vec<Placement<'_>> {
        let row_bytes = self.elements.row_bytes(self.shape.cols, region) as usize;
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

/// Largest buffer for several layers, in bytes: larger ones are harder to allocate.
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
    /// How many layers with tables of these shapes one binding holds.
    pub fn capacity(gpu: &Gpu, format: TableFormat, shapes: [TableShape; 6]) -> usize {
        let limits = gpu.device.limits();
        let bytes = |region| shapes.iter().map(|s| aligned(region_bytes(format, *s, region))).sum::<u64>();
        let (elements, scales) = (bytes(Region::Elements), bytes(Region::Scales));
        let most = (limits.max_buffer_size.min(MOST_SLAB_BYTES)) / (elements + scales);
        (limits.max_storage_buffer_binding_size / elements).min(most) as usize
    }

    /// Allocates layers whose tables have these shapes, and returns their tables.
    pub fn new(
        gpu: &Gpu,
        format: TableFormat,
        shapes: [TableShape; 6],
        layers: Range<usize>,
    ) -> (Self, Vec<[Table; 6]>) {
        let offsets = |region| {
            let mut end = 0;
            let starts = shapes.map(|shape| {
                let start = end;
                end += aligned(region_bytes(format, shape, region));
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
                Table { elements: Elements::Stored(format), shape, parts: vec![part] }
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

    /// Groups of elements and words of scales from one layer to the next.
    pub fn strides(&self) -> (usize, usize) {
        ((self.strides.0 / self.group_bytes()) as usize, (self.strides.1 / 4) as usize)
    }

    /// How elements are stored.
    pub fn format(&self) -> TableFormat {
        self.format
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
