//! What the kernels of training are told of the sequences that they work on (`shaders/batch.wgsl`).

/// `Batch` of the shaders.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Batch {
    /// Rows of a sequence.
    pub length: u32,
    /// 1: these are the first sequences of a step.
    pub is_first: u32,
    /// Which loss of those that are made together.
    pub step: u32,
    /// 1 / predictions of the step.
    pub share: f32,
}
