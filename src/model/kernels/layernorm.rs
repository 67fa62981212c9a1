//! LayerNorm of the rows of a chunk (`shaders/layernorm.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::rows_in_bytes::InBytes;
use crate::gpu::shader::ShaderSpec;

/// u = LN(h), or with weight and bias the final LayerNorm, for the step's rows from `first_row` on.
pub struct LayerNorm {
    /// Columns, d.
    pub cols: usize,
    /// ε.
    pub epsilon: f64,
}

/// Bindings.
pub struct LayerNormBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Input, f32 [T, d].
    pub h: &'a wgpu::Buffer,
    /// Output, f32 [T, d].
    pub u: &'a wgpu::Buffer,
    /// Weight and bias of the final LayerNorm, f32 [2, d].
    pub norm: Option<&'a wgpu::Buffer>,
    /// Output besides `u`, for products of bytes.
    pub in_bytes: Option<InBytes<'a>>,
}

impl LayerNorm {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &LayerNormBuffers<'a>) -> Dispatch<'a> {
        let mut shader = ShaderSpec::new("layernorm")
            .with("WG", THREADS)
            .with("COLS", self.cols)
            .with_f32("EPSILON", self.epsilon)
            .flag_if("FINAL_NORM", buffers.norm.is_some());
        let mut bindings = vec![uniform(0, buffers.step), read(1, buffers.h), write(2, buffers.u)];
        bindings.extend(buffers.norm.map(|norm| read(3, norm)));
        if let Some(in_bytes) = &buffers.in_bytes {
            shader = in_bytes.add_to(shader, 4, &mut bindings);
        }
        Dispatch { shader, grid: Grid::PerToken { x: 1, z: 1 }, bindings }
    }
}
