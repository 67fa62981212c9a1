//! Keys and values of the tokens that several texts do not share, beside the KV cache.

use super::weights::Weights;
use crate::config::ModelConfig;
use crate::gpu::{Gpu, GpuBuffer};
use std::num::NonZeroU64;
use std::ops::Range;

/// Smallest capacity of a tail, in tokens: in tests of this crate so small that a short text outgrows it.
pub const LEAST: usize = if cfg!(test) { 32 } else { 128 };

/// A tail for each of several places: f16 [layers, 2 (keys, values), places, capacity, d], in buffers that neighbouring
/// layers may share.
#[derive(Default)]
pub struct Tails {
    /// With the layers that each is for.
    buffers: Vec<(Range<usize>, GpuBuffer)>,
    places: usize,
    /// Capacity of a tail, in tokens.
    capacity: usize,
    /// Bytes of a token's key, or value.
    row: u64,
}

impl Tails {
    /// Allocates this many places with this many tokens each.
    pub fn new(gpu: &Gpu, config: &ModelConfig, weights: &Weights, places: usize, capacity: usize) -> Self {
        let row = config.hidden_size as u64 * 2;
        // Without several texts, something has to be bound nevertheless.
        let mut tails = Self { buffers: Vec::new(), places: places.max(1), capacity, row };
        let limits = gpu.device.limits();
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) / tails.layer_bytes();
        let slabs = weights.slabs.iter().map(|slab| slab.layers.clone());
        let fit = !weights.slabs.is_empty() && slabs.clone().all(|layers| layers.len() as u64 <= most);
        let runs = if fit { slabs.collect() } else { (0..config.num_layers).map(|i| i..i + 1).collect::<Vec<_>>() };
        let bytes = |layers: &Range<usize>| layers.len() as u64 * tails.layer_bytes();
        let buffer = |layers: Range<usize>| (layers.clone(), GpuBuffer::storage(gpu, "tails", bytes(&layers)));
        tails.buffers = runs.into_iter().map(buffer).collect();
        tails
    }

    /// The same with a larger capacity; the contents are kept.
    pub fn grown(&self, gpu: &Gpu, grown: Self) -> Self {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for layer in self.buffers.iter().flat_map(|(layers, _)| layers.clone()) {
            for (from, to) in self.of_layer(layer).into_iter().zip(grown.of_layer(layer)) {
                for place in 0..self.places as u64 {
                    let (start, end) = (place * self.place_bytes(), place * grown.place_bytes());
                    let (start, end) = (from.offset + start, to.offset + end);
                    encoder.copy_buffer_to_buffer(from.buffer, start, to.buffer, end, self.place_bytes());
                }
            }
        }
        gpu.queue.submit([encoder.finish()]);
        grown
    }

    /// Number of tails.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Capacity of a tail, in tokens.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Keys and values of a layer, f16 [places, capacity, d] each.
    pub fn of_layer(&self, layer: usize) -> [wgpu::BufferBinding<'_>; 2] {
        let found = self.buffers.iter().find(|(layers, _)| layers.contains(&layer));
        let (layers, buffer) = found.unwrap_or(&self.buffers[0]);
        let (start, size) = ((layer - layers.start) as u64 * self.layer_bytes(), self.layer_bytes() / 2);
        let of = |offset| wgpu::BufferBinding { buffer: &buffer.buffer, offset, size: NonZeroU64::new(size) };
        [of(start), of(start + size)]
    }

    /// Keys and values of some layers together, if they share a buffer.
    pub fn of_layers(&self, layers: &Range<usize>) -> Option<wgpu::BufferBinding<'_>> {
        let (_, buffer) = self.buffers.iter().find(|(of, _)| of == layers)?;
        Some(buffer.buffer.as_entire_buffer_binding())
    }

    /// Bytes of a layer's keys and values.
    pub fn layer_bytes(&self) -> u64 {
        2 * self.places as u64 * self.place_bytes()
    }

    fn place_bytes(&self) -> u64 {
        self.capacity as u64 * self.row
    }
}
