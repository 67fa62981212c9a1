//! What changes from step to step (`shaders/step.wgsl`).

/// `Step` of the shaders.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Step {
    /// Tokens in the KV cache before this step.
    pub past: u32,
    /// Tokens of this step.
    pub count: u32,
    /// Row of h whose logits are wanted.
    pub row: u32,
    /// First row of h whose logits or scores are wanted.
    pub first_row: u32,
    /// Number of the token that is chosen after this step, from 0.
    pub index: u32,
    /// Ids below this stand for something.
    pub real_ids: u32,
    /// Makes it a multiple of 16 bytes, as uniforms are.
    pub padding: [u32; 2],
}

impl Step {
    /// A step of `count` tokens after `past`.
    pub fn new(past: usize, count: usize) -> Self {
        Self { past: past as u32, count: count as u32, ..Self::default() }
    }
}
