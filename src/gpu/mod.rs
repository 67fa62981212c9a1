//! The GPU below the model: device, shaders, pipelines, buffers, readback.

mod buffers;
mod device;
mod features;
mod kernel;
pub mod shader;
mod warm;

pub use buffers::{GpuBuffer, Memory};
pub use device::{Gpu, GpuOptions, PendingRead};
pub use kernel::{Access, Binding, Kernel, Kernels};
pub use warm::Warm;
