//! Keys and values of the tokens of a context, by layer.

use super::tables::aligned;
use super::weights::Weights;
use crate::config::ModelConfig;
use crate::gpu::{Gpu, GpuBuffer};
use std::num::NonZeroU64;
use std::ops::Range;
use std::rc::Rc;

/// Keys and values of a layer, f16 [context, d] each, in buffers that neighbouring layers may share.
pub struct LayerCache {
    keys: Rc<GpuBuffer>,
    values: Rc<GpuBuffer>,
    offset: u64,
    bytes: u64,
    /// Layers that share the buffers.
    shared: usize,
}

impl LayerCache {
    /// Its keys and its values.
    pub fn ranges(&self) -> [wgpu::BufferBinding<'_>; 2] {
        self.ranges_of(1)
    }

    /// The same together with those of the `layers − 1` following layers in the same buffers.
    pub fn ranges_of(&self, layers: usize) -> [wgpu::BufferBinding<'_>; 2] {
        let size = NonZeroU64::new(self.bytes * layers as u64);
        [&self.keys, &self.values].map(|buffer| wgpu::BufferBinding {
            buffer: &buffer.buffer,
            offset: self.offset,
            size,
        })
    }

    /// How many layers share its buffers.
    pub fn shared(&self) -> usize {
        self.shared
    }

    /// Bytes of keys, or values, from one layer to the next.
    pub fn stride(&self) -> u64 {
        self.bytes
    }
}

/// Bytes of a layer's keys, or values.
pub fn cache_bytes(config: &ModelConfig, context_length: usize) -> u64 {
    aligned((context_length * config.hidden_size * 2) as u64)
}

/// The caches of all layers, in buffers of their own or shared as the layers' tables are.
pub fn new(gpu: &Gpu, config: &ModelConfig, weights: &Weights, context_length: usize) -> Vec<LayerCache> {
    let bytes = cache_bytes(config, context_length);
    let most = (gpu.device.limits().max_storage_buffer_binding_size / bytes).max(1) as usize;
    let caches = runs(weights, config.num_layers, most).flat_map(|layers| {
        let buffer = |label| Rc::new(GpuBuffer::storage(gpu, label, bytes * layers.len() as u64));
        let (keys, values) = (buffer("key cache"), buffer("value cache"));
        let shared = layers.len();
        let of = move |i| LayerCache { keys: keys.clone(), values: values.clone(), offset: i * bytes, bytes, shared };
        (0..layers.len() as u64).map(of)
    });
    caches.collect()
}

/// Layers whose caches share buffers: those whose tables do, if one binding can hold that many.
fn runs(weights: &Weights, layers: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let fit = !weights.slabs.is_empty() && weights.slabs.iter().all(|slab| slab.layers.len() <= most);
    let slabs: Vec<_> = weights.slabs.iter().map(|slab| slab.layers.clone()).collect();
    let single = (0..layers).map(|layer| layer..layer + 1).collect();
    (if fit { slabs } else { single }).into_iter()
}
