//! The batch of sequences that the kernels of training work on (`shaders/batch.wgsl`).

/// `Batch` of the shaders.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Batch {
    /// Rows of a sequence.
    pub length: u32,
    /// 1: these are the first sequences of a step.
    pub is_first: u32,
    /// Index of the loss among those that are computed together.
    pub step: u32,
    /// 1 / predictions of the step.
    pub share: f32,
}
