//! What kernels for one token of each of several texts have in common.

use crate::engine::MOST_ROWS;
use crate::gpu::shader::ShaderSpec;

/// Where the texts stand, and what each has after the tokens that all have in common.
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
