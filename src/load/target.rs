//! Where a model goes: onto the GPU, or, where there is none and the model is small, into this module's memory.

use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::cpu::{self, CpuModel, Reason};
use crate::error::Result;
use crate::generate::{Backend, Chosen, Logits, Resume, TokenScore};
use crate::gpu::Gpu;
use crate::model::{self, GpuModel, Team};
use crate::sampling::SamplingOptions;
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

/// A model that can run.
pub enum AnyModel {
    /// On a GPU.
    Gpu(Box<GpuModel>),
    /// On the CPU.
    Cpu(Box<CpuModel>),
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

    /// Room for a model.
    ///
    /// # Errors
    /// Those of the two `Loading::new`.
    pub async fn room(
        self,
        config: ModelConfig,
        quantization: Quantization,
        context_length: Option<usize>,
    ) -> Result<Target> {
        Ok(match self {
            Self::Gpu(gpu) => {
                Target::Gpu(Box::new(model::Loading::new(gpu, config, quantization, context_length).await?))
            }
            Self::Cpu(reason) => {
                Target::Cpu(Box::new(cpu::Loading::new(config, quantization, context_length, &reason)?))
            }
        })
    }
}

impl Target {
    /// Says so if the context is shorter than `usual`: there was no room for more.
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

/// The same of either.
macro_rules! either {
    ($self:expr, $model:ident => $work:expr) => {
        match $self {
            AnyModel::Gpu($model) => $work,
            AnyModel::Cpu($model) => $work,
        }
    };
}

impl AnyModel {
    /// As the public interface names it.
    pub fn backend(&self) -> &'static str {
        match self {
            Self::Gpu(_) => "webgpu",
            Self::Cpu(_) => "cpu",
        }
    }

    /// The model, if it is on a GPU.
    pub fn on_gpu(&self) -> Option<&GpuModel> {
        match self {
            Self::Gpu(model) => Some(model),
            Self::Cpu(_) => None,
        }
    }

    /// The model, if it is on a GPU.
    pub fn on_gpu_mut(&mut self) -> Option<&mut GpuModel> {
        match self {
            Self::Gpu(model) => Some(model),
            Self::Cpu(_) => None,
        }
    }

    /// Bytes of the weights.
    pub fn weight_bytes(&self) -> u64 {
        either!(self, m => m.weight_bytes())
    }

    /// Bytes of the KV cache.
    pub fn kv_bytes(&self) -> u64 {
        either!(self, m => m.kv_bytes())
    }

    /// What is not used since it does not work here: for `info`.
    pub fn notes(&self) -> Vec<String> {
        self.on_gpu().map(GpuModel::notes).unwrap_or_default()
    }

    /// In what ways steps are made: for `info`.
    pub fn variants(&self) -> Vec<String> {
        either!(self, m => m.variants())
    }
}

impl Backend for AnyModel {
    fn config(&self) -> &ModelConfig {
        either!(self, m => m.config())
    }

    fn context_length(&self) -> usize {
        either!(self, m => m.context_length())
    }

    fn max_chunk(&self) -> usize {
        either!(self, m => m.max_chunk())
    }

    fn len(&self) -> usize {
        either!(self, m => m.len())
    }

    fn truncate(&mut self, len: usize) {
        either!(self, m => m.truncate(len));
    }

    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        either!(self, m => m.forward(ids, logits).await)
    }

    async fn score(&mut self, ids: &[u32], targets: &[u32], real_ids: usize) -> Result<Vec<TokenScore>> {
        either!(self, m => m.score(ids, targets, real_ids).await)
    }

    fn begin_choosing(&mut self, options: &SamplingOptions, prompt: &[u32], real_ids: usize, wants_logits: bool) {
        either!(self, m => m.begin_choosing(options, prompt, real_ids, wants_logits));
    }

    async fn choose_after(&mut self, ids: &[u32]) -> Result<()> {
        either!(self, m => m.choose_after(ids).await)
    }

    async fn choose_next(&mut self) -> Result<()> {
        either!(self, m => m.choose_next().await)
    }

    async fn chosen(&mut self) -> Result<Chosen> {
        either!(self, m => m.chosen().await)
    }

    fn steps_ahead(&self) -> usize {
        either!(self, m => m.steps_ahead())
    }

    fn stop_choosing(&mut self) {
        either!(self, m => m.stop_choosing());
    }
}

impl Resume for AnyModel {
    type Way = Option<Team>;

    fn way(&self) -> Option<Team> {
        self.on_gpu().and_then(GpuModel::team)
    }

    async fn go(&mut self, way: &Option<Team>) -> Result<()> {
        match self.on_gpu_mut() {
            Some(model) => model.go(way).await,
            None => Ok(()),
        }
    }

    fn resume_choosing(&mut self, told: &[u32]) {
        either!(self, m => m.resume_choosing(told));
    }
}
