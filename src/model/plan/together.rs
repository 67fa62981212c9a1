//! The layers for several texts one after another in one chunk, each at positions from 0 on, and seeing only itself.

use super::{Builder, Parts};
use crate::error::Result;
use crate::gpu::GpuBuffer;
use crate::model::chunk_products::MAX_CHUNK;
use crate::model::stage::{Stager, Stages};

/// Their dispatches.
pub struct TogetherPlan {
    /// For each token the number of its text's first one, u32 [MAX_CHUNK].
    pub starts: GpuBuffer,
    /// All layers.
    pub layers: Stages,
    /// Buffers in bind groups besides weights, packs and scratch.
    _uniforms: Vec<GpuBuffer>,
}

impl TogetherPlan {
    /// Compiles every pipeline and makes every bind group.
    ///
    /// # Errors
    /// See [`Plan::new`](super::Plan::new).
    pub fn new(parts: Parts<'_>) -> Result<Self> {
        let starts = GpuBuffer::storage(parts.gpu, "starts", (MAX_CHUNK * 4) as u64);
        let mut builder = Builder::new(parts, Stager::new(parts.gpu));
        let mut layers = Stages::default();
        for layer in 0..parts.weights.layers.len() {
            builder.prefill_layer(&mut layers, layer, Some(&starts.buffer))?;
        }
        Ok(Self { starts, layers, _uniforms: builder.uniforms })
    }
}
