//! What a kernel is given: ranges of buffers, by number.

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<uniform>`.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
}

/// A buffer range and how the kernel uses it; bindings are numbered in order.
#[derive(Clone, Debug)]
pub struct Binding<'a> {
    /// Binding number in the shader.
    pub index: u32,
    /// How the kernel uses it.
    pub access: Access,
    /// What is bound.
    pub range: wgpu::BufferBinding<'a>,
}

impl<'a> Binding<'a> {
    /// A whole buffer.
    pub fn new(index: u32, access: Access, buffer: &'a wgpu::Buffer) -> Self {
        Self { index, access, range: buffer.as_entire_buffer_binding() }
    }
}
