//! Where a model goes: onto the GPU, or, where there is none and the model is small, into this module's memory.

use crate::any_model::AnyModel;
use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::cpu::{self, Reason};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::model::{self, Known};
use std::rc::Rc;

/// What computes.
#[derive(Clone)]
pub enum Device {
    /// This GPU.
    Gpu(Rc<Gpu>),
    /// The CPU, for this reason.
    Cpu(Reason),
}

/// A model that is being loaded.
pub enum Target {
    /// Onto a GPU.
    Gpu(Box<model::Loading>),
    /// Into this module's memory.
    Cpu(Box<cpu::Loading>),
}

impl Device {
    /// # Errors
    /// `webgpu-unavailable` for a model that is too large for this device, whatever its precision.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        match self {
            Self::Gpu(_) => Ok(()),
            Self::Cpu(reason) => cpu::check_parameters(config, reason),
        }
    }

    /// Room for a model; what is `known` matters to a GPU only.
    ///
    /// # Errors
    /// Those of the two `Loading::new`.
    pub async fn room(
        self,
        config: ModelConfig,
        quantization: Quantization,
        context_length: Option<usize>,
        known: Known,
    ) -> Result<Target> {
        Ok(match self {
            Self::Gpu(gpu) => {
                let loading = model::Loading::with(gpu, config, quantization, context_length, known);
                Target::Gpu(Box::new(loading.await?))
            }
            Self::Cpu(reason) => {
                Target::Cpu(Box::new(cpu::Loading::new(config, quantization, context_length, &reason)?))
            }
        })
    }
}

impl Target {
    /// Says so if the context is shorter than `usual` because no more fits.
    pub fn shortened(&self, usual: usize) -> Option<String> {
        let Self::Gpu(loading) = self else { return None };
        let length = loading.context_length();
        let note = || format!("The GPU has no room for a context of {usual} tokens: this one holds {length}.");
        (length < usual).then(note)
    }

    /// A model that can run, once all bytes are written.
    ///
    /// # Errors
    /// `webgpu-unavailable` if a kernel does not compile.
    pub async fn finish(self) -> Result<AnyModel> {
        Ok(match self {
            Self::Gpu(loading) => AnyModel::Gpu(Box::new(loading.finish().await?)),
            Self::Cpu(loading) => AnyModel::Cpu(Box::new(loading.finish())),
        })
    }
}
