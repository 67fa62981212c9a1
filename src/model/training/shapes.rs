//! Uniforms of a training: constant ones, and shapes of products that depend on the number of rows.

use crate::gpu::{Gpu, GpuBuffer};
use crate::model::kernels::{AttentionProduct, AttentionShapes, GemmShape};
use std::collections::HashMap;

/// The shape of a product with a size that depends on the sequences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// One of the attention's, for sequences of any length.
    Attention(AttentionProduct, AttentionShapes),
    /// One with packs' tokens. Each row is a row of C with this many columns, in parts.
    Rows { shape: GemmShape, part_columns: usize },
    /// One with packs' tokens, summed over the rows.
    SumOfRows(GemmShape),
}

impl Form {
    /// Shape for `rows` rows, in sequences of `length` rows.
    fn of(self, rows: usize, length: usize) -> GemmShape {
        match self {
            Self::Attention(product, shapes) => product.shape(AttentionShapes { length, ..shapes }),
            Self::Rows { shape, part_columns } => {
                GemmShape { m: rows as u32, part_stride: (rows * part_columns) as u32, ..shape }
            }
            Self::SumOfRows(shape) => GemmShape { k: rows as u32, ..shape },
        }
    }
}

/// Creates uniforms, each once.
pub struct Uniforms<'a> {
    gpu: &'a Gpu,
    fixed: HashMap<Vec<u8>, GpuBuffer>,
    forms: Vec<(Form, GpuBuffer)>,
}

/// The uniforms that were created.
pub struct Shapes {
    /// Keeps the buffers of bind groups alive.
    _fixed: Vec<GpuBuffer>,
    forms: Vec<(Form, GpuBuffer)>,
    /// Number of rows and length that they currently hold.
    now: (usize, usize),
}

impl<'a> Uniforms<'a> {
    pub fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, fixed: HashMap::new(), forms: Vec::new() }
    }

    /// A uniform that never changes.
    pub fn fixed<T: bytemuck::NoUninit>(&mut self, value: &T) -> wgpu::Buffer {
        let bytes = bytemuck::bytes_of(value);
        let gpu = self.gpu;
        let made = self.fixed.entry(bytes.to_vec()).or_insert_with(|| GpuBuffer::uniform(gpu, "uniform", bytes));
        made.buffer.clone()
    }

    /// A uniform `GemmShape` that depends on the sequences.
    pub fn form(&mut self, form: Form) -> wgpu::Buffer {
        if let Some((_, made)) = self.forms.iter().find(|(of, _)| *of == form) {
            return made.buffer.clone();
        }
        let made = uniform(self.gpu, size_of::<GemmShape>());
        let buffer = made.buffer.clone();
        self.forms.push((form, made));
        buffer
    }

    pub fn into_shapes(self) -> Shapes {
        Shapes { _fixed: self.fixed.into_values().collect(), forms: self.forms, now: (0, 0) }
    }
}

impl Shapes {
    /// Writes all shapes for `rows` rows, in sequences of `length` rows.
    pub fn write(&mut self, gpu: &Gpu, rows: usize, length: usize) {
        if self.now == (rows, length) {
            return;
        }
        self.now = (rows, length);
        for (form, uniform) in &self.forms {
            gpu.queue.write_buffer(&uniform.buffer, 0, bytemuck::bytes_of(&form.of(rows, length)));
        }
    }
}

/// A buffer for a uniform.
pub fn uniform(gpu: &Gpu, bytes: usize) -> GpuBuffer {
    use wgpu::BufferUsages as U;
    GpuBuffer::new(gpu, "uniform", bytes as u64, U::UNIFORM | U::COPY_DST)
}
