//! Shared parts of the kernels for one token of each of several texts.

use crate::engine::MOST_ROWS;
use crate::gpu::shader::ShaderSpec;

/// The positions of the texts, and the keys and values of each after the shared prefix.
pub struct TailRanges<'a> {
    /// Uniform `TextStep` [T].
    pub steps: &'a wgpu::Buffer,
    /// Keys and values, f16 [rows of all tails, d].
    pub keys: wgpu::BufferBinding<'a>,
    pub values: wgpu::BufferBinding<'a>,
}

/// A kernel for several texts.
pub(super) fn several(spec: ShaderSpec) -> ShaderSpec {
    spec.flag("SEVERAL").with("MOST_TEXTS", MOST_ROWS)
}
