//! Gradients of packs' tokens, and AdamW (`shaders/gradients.wgsl`, `shaders/adamw_step.wgsl`).

use super::dispatch::{Dispatch, Grid, THREADS, read, uniform, write};
use super::matmul::Shape;
use crate::engine::AdamW;
use crate::gpu::shader::ShaderSpec;

/// Workgroups that add up the squares of a layer's gradients (SUMS of the shaders).
pub const SUMS: usize = 64;

/// `Update` of the shaders: the numbers of a step.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Update {
    /// Learning rate.
    pub rate: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
    /// Largest norm of all gradients together; 0: no limit.
    pub clip_norm: f32,
    /// 1 / (1 − β₁ᵗ) and 1 / (1 − β₂ᵗ).
    pub correction1: f32,
    pub correction2: f32,
}

impl Update {
    /// Step number `step`, from 1.
    pub fn new(options: &AdamW, rate: f32, step: u32) -> Self {
        let [beta1, beta2] = options.betas;
        // In late steps the correction is too small for f32.
        let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(f64::from(step)))) as f32;
        Self {
            rate,
            beta1,
            beta2,
            epsilon: options.epsilon,
            weight_decay: options.weight_decay,
            clip_norm: options.clip_norm,
            correction1: correction(beta1),
            correction2: correction(beta2),
        }
    }
}

/// A layer's tokens: each has a key and a value.
#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    /// Number of tokens.
    pub tokens: usize,
    /// Columns of a key or value, d.
    pub cols: usize,
}

impl Tokens {
    /// Contents of the uniform `Shape`, for gradients in this many parts.
    pub fn shape(self, parts: usize) -> Shape {
        let (segment_rows, y_stride) = (self.tokens as u32, self.cols as u32);
        Shape { groups: 0, segments: 1, segment_rows, y_stride, y_start: 0, parts: parts as u32 }
    }
}

/// Starts a layer's gradients or adds to them.
pub struct Gradients {
    /// The layer's number.
    pub layer: usize,
}

/// Bindings.
pub struct GradientsBuffers<'a> {
    /// Uniform `Batch`.
    pub batch: &'a wgpu::Buffer,
    /// Uniform `Shape`, as [`Tokens::shape`] says.
    pub shape: &'a wgpu::Buffer,
    /// Input, f32 [parts, 2, tokens, d].
    pub parts: &'a wgpu::Buffer,
    /// 1 for tokens that are trained, 0 for others, u32 \[tokens\].
    pub trained: &'a wgpu::Buffer,
    /// Output, f32 [2, tokens, d].
    pub grads: &'a wgpu::Buffer,
    /// Sums of squares, f32 [layers, SUMS].
    pub squares: &'a wgpu::Buffer,
}

impl Gradients {
    /// A dispatch.
    pub fn dispatch<'a>(&self, buffers: &GradientsBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("gradients").with("WG", THREADS).with("LAYER", self.layer);
        let bindings = vec![
            uniform(0, buffers.batch),
            uniform(1, buffers.shape),
            read(2, buffers.parts),
            read(3, buffers.trained),
            write(4, buffers.grads),
            write(5, buffers.squares),
        ];
        Dispatch { shader, grid: Grid::Fixed([SUMS as u32, 1, 1]), bindings }
    }
}

/// A step of AdamW on a layer's tokens.
pub struct AdamwStep {
    /// Number of layers.
    pub layers: usize,
    /// The tokens of the layer.
    pub tokens: Tokens,
}

/// Bindings.
pub struct AdamwStepBuffers<'a> {
    /// Uniform [`Update`].
    pub update: &'a wgpu::Buffer,
    /// Uniform `Shape`, as [`Tokens::shape`] says.
    pub shape: &'a wgpu::Buffer,
    /// Sums of squares, f32 [layers, SUMS].
    pub squares: &'a wgpu::Buffer,
    /// 1 for tokens that are trained, 0 for others, u32 \[tokens\].
    pub trained: &'a wgpu::Buffer,
    /// Gradients, f32 [2, tokens, d].
    pub grads: &'a wgpu::Buffer,
    /// First and second moments, f32 [2, 2, tokens, d].
    pub moments: &'a wgpu::Buffer,
    /// Keys and values, f32 [2, tokens, d].
    pub values: &'a wgpu::Buffer,
}

impl AdamwStep {
    /// A dispatch.
    pub fn dispatch<'a>(&self, buffers: &AdamwStepBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("adamw_step").with("WG", THREADS).with("LAYERS", self.layers);
        let bindings = vec![
            uniform(0, buffers.update),
            uniform(1, buffers.shape),
            read(2, buffers.squares),
            read(3, buffers.trained),
            read(4, buffers.grads),
            write(5, buffers.moments),
            write(6, buffers.values),
        ];
        let n = 2 * self.tokens.tokens * self.tokens.cols;
        Dispatch { shader, grid: Grid::folded(n.div_ceil(THREADS)), bindings }
    }
}
