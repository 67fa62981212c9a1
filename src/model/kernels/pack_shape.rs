//! The tokens that packs add to the Pattentions of a product (`shaders/pack_shape.wgsl`).

/// `PackShape` of the shaders.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct PackShape {
    /// The first token of each segment, and at the end the number of all tokens.
    pub starts: [u32; 4],
    /// Number of all tokens.
    pub tokens: u32,
    /// Number of parts in products with them.
    pub parts: u32,
    /// Padding: WGSL rounds the size of structs with vectors up to whole vectors.
    pub padding: [u32; 2],
}

/// Buffers of the packs of a product.
#[derive(Clone, Copy)]
pub struct PackBuffers<'a> {
    /// Uniform [`PackShape`].
    pub shape: &'a wgpu::Buffer,
    /// Strengths, f32 \[tokens\].
    pub strengths: &'a wgpu::Buffer,
    /// Products with them, unsummed, f32 [parts, T, tokens]: scores in the forward pass, gradients w.r.t. weights in
    /// the backward pass.
    pub parts: &'a wgpu::Buffer,
    /// Scores u·k, f32 [T, tokens].
    pub q: &'a wgpu::Buffer,
    /// Weights, f32 [T, tokens].
    pub weights: &'a wgpu::Buffer,
}
