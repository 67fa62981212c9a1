//! Products of f32 matrices (`shaders/gemm.wgsl`): those of the attention in training, and those with packs' tokens.

use super::dispatch::{Dispatch, Grid, read, uniform, write};
use crate::gpu::shader::ShaderSpec;

/// Rows and columns of a tile (TILE of the shader).
pub const TILE: usize = 64;

/// Regions that are known to be zero or not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Causal {
    /// No such region.
    #[default]
    No,
    /// Results above C's diagonal are not needed.
    C,
    /// A is zero above its diagonal.
    A,
}

/// C = scale · A·B, and how it is compiled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gemm {
    /// A is stored as [k, m].
    pub a_transposed: bool,
    /// B is stored as [n, k].
    pub b_transposed: bool,
    /// C += instead of C =.
    pub adds: bool,
    /// Regions that are known to be zero or not needed.
    pub causal: Causal,
}

/// `GemmShape` of the shader. For each operand: its first element, and the strides from row to row, from sequence to
/// sequence, and from a product to the one beside it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct GemmShape {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// Products side by side.
    pub inner: u32,
    /// Parts of the sum over k, and the stride of a part of C.
    pub parts: u32,
    pub part_stride: u32,
    pub scale: f32,
    /// Aligns the vectors as WGSL does.
    pub padding: u32,
    pub a: [u32; 4],
    pub b: [u32; 4],
    pub c: [u32; 4],
}

/// Bindings.
pub struct GemmBuffers<'a> {
    /// Uniform [`GemmShape`].
    pub shape: &'a wgpu::Buffer,
    /// Operands, f32.
    pub a: &'a wgpu::Buffer,
    pub b: &'a wgpu::Buffer,
    /// Result, f32.
    pub c: &'a wgpu::Buffer,
}

impl Gemm {
    /// A dispatch with a grid of (⌈n / TILE⌉, ⌈m / TILE⌉, products · parts).
    pub fn dispatch<'a>(&self, grid: Grid, buffers: &GemmBuffers<'a>) -> Dispatch<'a> {
        let shader = ShaderSpec::new("gemm")
            .flag_if("A_TRANSPOSED", self.a_transposed)
            .flag_if("B_TRANSPOSED", self.b_transposed)
            .flag_if("ADD", self.adds)
            .flag_if("CAUSAL_C", self.causal == Causal::C)
            .flag_if("CAUSAL_A", self.causal == Causal::A);
        let bindings = vec![uniform(0, buffers.shape), read(1, buffers.a), read(2, buffers.b), write(3, buffers.c)];
        Dispatch { shader, grid, bindings }
    }
}
