//! Buffers that are counted, and freed when they are dropped.

use super::device::Gpu;
use super::memory::Memory;
use std::rc::Rc;

/// A buffer that `destroy`s itself: on the web, dropping a `wgpu::Buffer` alone frees nothing until
/// the garbage collector finds it.
#[derive(Debug)]
pub struct GpuBuffer {
    /// The buffer.
    pub buffer: wgpu::Buffer,
    memory: Rc<Memory>,
}

impl GpuBuffer {
    /// A buffer of at least `bytes` bytes (WebGPU wants multiples of 4, and at least one).
    pub fn new(gpu: &Gpu, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Self {
        let size = bytes.max(16).next_multiple_of(16);
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        });
        gpu.memory.add(size);
        Self { buffer, memory: gpu.memory.clone() }
    }

    /// A storage buffer that can be written and copied from.
    pub fn storage(gpu: &Gpu, label: &str, bytes: u64) -> Self {
        use wgpu::BufferUsages as U;
        Self::new(gpu, label, bytes, U::STORAGE | U::COPY_DST | U::COPY_SRC)
    }

    /// A uniform buffer that holds these bytes.
    pub fn uniform(gpu: &Gpu, label: &str, bytes: &[u8]) -> Self {
        use wgpu::BufferUsages as U;
        let uniform = Self::new(gpu, label, bytes.len() as u64, U::UNIFORM | U::COPY_DST);
        gpu.queue.write_buffer(&uniform.buffer, 0, bytes);
        uniform
    }
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        self.memory.remove(self.buffer.size());
        self.buffer.destroy();
    }
}
