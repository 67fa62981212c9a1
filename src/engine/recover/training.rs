//! A training that outlives its device: what was learnt is read back from time to time, and a new device repeats the
//! steps since.

use super::{Recovering, Resume, Revive};
use crate::engine::train::{AdamW, Train, TrainRoom, TrainState, TrainStep};
use crate::error::{Error, Result};

/// Steps after which what was learnt is read back.
const STEPS: usize = 10;

/// A training, and what is needed to restore it.
pub(super) struct Learning {
    adamw: AdamW,
    room: TrainRoom,
    /// What was read back last, and the steps since.
    pub(super) state: TrainState,
    pub(super) since: Vec<TrainStep>,
    /// The engine is not the one that the steps were made on.
    pub(super) is_behind: bool,
}

impl<B: Resume + Train, R: Revive<B>> Recovering<B, R> {
    /// What `work` makes of an engine that has caught up with the training; it is repeated on another one, as often as
    /// devices are lost.
    async fn while_learning<T>(&mut self, work: impl AsyncFn(&mut B) -> Result<T>) -> Result<T> {
        loop {
            let done = match self.catch_up().await {
                Ok(()) => work(&mut self.engine).await,
                Err(e) => Err(e),
            };
            match done {
                Ok(value) => return Ok(value),
                Err(e) => self.recover(e).await?,
            }
        }
    }

    /// Brings a new engine to the state of the training.
    async fn catch_up(&mut self) -> Result<()> {
        let Some(learning) = &mut self.learning else {
            return Err(Error::invalid_argument("No training was begun."));
        };
        if learning.is_behind {
            self.engine.begin_training(&learning.state, &learning.adamw, learning.room).await?;
            for steps in learning.since.chunks(STEPS) {
                self.revive.check()?;
                self.engine.train(steps).await?;
            }
            learning.is_behind = false;
        }
        Ok(())
    }

    /// Reads back what was learnt.
    async fn keep(&mut self) -> Result<()> {
        let state = self.while_learning(async |engine: &mut B| engine.learnt().await).await?;
        if let Some(learning) = &mut self.learning {
            learning.state = state;
            learning.since.clear();
        }
        Ok(())
    }
}

impl<B: Resume + Train, R: Revive<B>> Train for Recovering<B, R> {
    async fn begin_training(&mut self, state: &TrainState, adamw: &AdamW, room: TrainRoom) -> Result<()> {
        let (state, adamw) = (state.clone(), adamw.clone());
        self.learning = Some(Learning { adamw, room, state, since: Vec::new(), is_behind: true });
        let begun = self.while_learning(async |_: &mut B| Ok(())).await;
        if begun.is_err() {
            self.learning = None;
        }
        begun
    }

    async fn train(&mut self, steps: &[TrainStep]) -> Result<Vec<f32>> {
        let losses = self.while_learning(async |engine: &mut B| engine.train(steps).await).await?;
        let Some(learning) = &mut self.learning else { return Ok(losses) };
        learning.since.extend_from_slice(steps);
        if learning.since.len() >= STEPS {
            self.keep().await?;
        }
        Ok(losses)
    }

    async fn loss(&mut self, sequences: &[Vec<u32>]) -> Result<f64> {
        self.while_learning(async |engine: &mut B| engine.loss(sequences).await).await
    }

    async fn learnt(&mut self) -> Result<TrainState> {
        if self.learning.as_ref().is_none_or(|learning| !learning.since.is_empty()) {
            self.keep().await?;
        }
        Ok(self.learning.as_ref().map(|learning| learning.state.clone()).unwrap_or_default())
    }

    fn end_training(&mut self) {
        self.learning = None;
        self.engine.end_training();
    }
}
