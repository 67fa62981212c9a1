//! The GPU below the model: device, shaders, pipelines, buffers, readback.

mod binding;
mod buffers;
mod device;
mod features;
mod kernel;
mod memory;
pub mod shader;
mod warm;

pub use binding::{Access, Binding};
pub use buffers::GpuBuffer;
pub use device::{Gpu, GpuOptions, PendingRead};
pub use kernel::{Kernel, Kernels};
pub use memory::Memory;
pub use warm::Warm;
