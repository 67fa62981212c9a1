//! The model as an engine for training.

use super::steps::{Base, Training};
use crate::engine::{AdamW, Train, TrainRoom, TrainState, TrainStep};
use crate::error::{Error, Result};
use crate::model::{GpuModel, KernelTime};

impl Train for GpuModel {
    async fn begin_training(&mut self, state: &TrainState, adamw: &AdamW, room: TrainRoom) -> Result<()> {
        self.gpu.check()?;
        // The memory of an earlier training is freed before this one is measured.
        self.training = None;
        let frozen = self.packs.as_ref().map(|packs| packs.merged.clone()).unwrap_or_default();
        let Self { gpu, config, weights, scratch, .. } = self;
        let base = Base { gpu, config, weights, scratch, frozen: &frozen };
        let training = Training::new(base, state, adamw, room).await?;
        self.training = Some(training);
        Ok(())
    }

    async fn train(&mut self, steps: &[TrainStep]) -> Result<Vec<f32>> {
        self.gpu.check()?;
        self.training.as_mut().ok_or_else(no_training)?.train(&self.gpu, steps).await
    }

    async fn loss(&mut self, sequences: &[Vec<u32>]) -> Result<f64> {
        self.gpu.check()?;
        self.training.as_mut().ok_or_else(no_training)?.loss(&self.gpu, sequences).await
    }

    async fn learnt(&mut self) -> Result<TrainState> {
        self.gpu.check()?;
        self.training.as_ref().ok_or_else(no_training)?.learnt(&self.gpu).await
    }

    fn end_training(&mut self) {
        self.training = None;
    }
}

impl GpuModel {
    /// Times every kernel of a step of the current training; see [`KernelTime`]. `None` without timestamps.
    ///
    /// # Errors
    /// `invalid-argument` if there is none, `device-lost`.
    pub async fn training_times(&mut self) -> Result<Option<Vec<KernelTime>>> {
        self.training.as_mut().ok_or_else(no_training)?.kernel_times(&self.gpu).await
    }
}

fn no_training() -> Error {
    Error::invalid_argument("No training has begun.").hint("Call begin_training first.")
}
