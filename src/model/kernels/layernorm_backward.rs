//! The backward pass of LayerNorm (`shaders/layernorm_backward.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use crate::gpu::shader::ShaderSpec;

/// g += ∂L/∂h of u = LN(h), or with weight and bias g = the gradient of the final LayerNorm, for the step's rows from
/// `first_row` on.
pub struct LayerNormBackward {
    /// Columns, d.
    pub cols: usize,
    /// ε.
    pub epsilon: f64,
}

/// Bindings.
pub struct LayerNormBackwardBuffers<'a> {
    /// Uniform `Step`.
    pub step: &'a wgpu::Buffer,
    /// Input of the LayerNorm, f32 [rows, d].
    pub h: &'a wgpu::Buffer,
    /// Gradient w.r.t. the result, f32 [T, d].
    pub du: &'a wgpu::Buffer,
    /// Gradient w.r.t. h, f32 [rows, d].
    pub g: &'a wgpu::Buffer,
    /// Weight and bias of the final LayerNorm, f32 [2, d].
    pub norm: Option<&'a wgpu::Buffer>,
}

impl LayerNormBackward {
    /// A dispatch for all tokens of a step.
    pub fn dispatch<'a>(&self, buffers: &LayerNormBackwardBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("layernorm_backward")
            .with("WG", THREADS)
            .with("COLS", self.cols)
            .with_f32("EPSILON", self.epsilon)
            .flag_if("FINAL_NORM", buffers.norm.is_some());
        let mut bindings = vec![uniform(0, buffers.step), read(1, buffers.h), read(2, buffers.du), write(3, buffers.g)];
        bindings.extend(buffers.norm.map(|norm| read(4, norm)));
        Dispatch { shader, grid: Grid::PerToken { x: 1, z: 1 }, bindings }
    }
}
