//! A training from its beginning to its end.

use super::options::{Length, TrainOptions};
use super::sequences::Sequences;
use super::watch::{Trouble, Watch};
use crate::engine::{AbortFlag, Backend, Train, TrainRoom, TrainState, TrainStep};
use crate::error::{Error, ErrorCode, Result};
use crate::packs::{Pack, check_activation};
use serde::Serialize;
use web_time::Instant;

/// Most steps before other work gets a chance.
const STEPS: usize = 10;

/// Teaches a model a text. The model stays as it is; the result is a token pack.
///
/// ```no_run
/// # use tokenformer_web::engine::{AbortFlag, Backend, Train};
/// # use tokenformer_web::training::{TrainOptions, TrainedPack, Training};
/// # async fn teach(model: &mut (impl Backend + Train), ids: Vec<u32>) -> tokenformer_web::error::Result<TrainedPack> {
/// let mut training = Training::start(model, &[ids], TrainOptions::default(), None, AbortFlag::default())?;
/// while let Some(progress) = training.next(model).await? {
///     let share = progress.step as f64 / progress.steps as f64;
///     # let _ = share;
/// }
/// training.finish(model).await
/// # }
/// ```
pub struct Training {
    options: TrainOptions,
    sequences: Sequences,
    /// Steps of an epoch, and of all.
    per_epoch: usize,
    steps: usize,
    start: Pack,
    has_begun: bool,
    /// Its state, while it holds nothing of the engine.
    paused: Option<TrainState>,
    watch: Watch,
    trouble: Option<Trouble>,
    /// Sequences of this epoch, in their order.
    order: Vec<usize>,
    /// The validation loss before the first step.
    before: Option<f64>,
    best: Option<Best>,
    tokens_seen: usize,
    /// Seconds that steps took, and all of it.
    learning_seconds: f64,
    seconds: f64,
    abort: AbortFlag,
}

/// What was best on validation.
struct Best {
    loss: f64,
    epoch: usize,
    tokens: Pack,
}

/// The progress of a training.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Steps made.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The epoch of the last step, from 1; 0 before the first.
    pub epoch: usize,
    /// Losses of the steps since the last progress, in nats: each the mean over its batch, before its update.
    pub losses: Vec<f32>,
    /// The validation loss, where it was measured just now, in nats.
    pub validation: Option<f64>,
    /// Ids of all sequences so far.
    pub tokens_seen: usize,
    /// Ids in a second of training; 0 before the first step.
    pub tokens_per_second: f64,
    /// Seconds that the rest will take; `None` before the first step.
    pub seconds_left: Option<f64>,
    /// Why it was stopped early, if it was.
    pub message: Option<String>,
}

/// Validation losses, in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Before the first step.
    pub before: f64,
    /// With the tokens that are the result.
    pub after: f64,
}

/// The result of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedPack {
    /// The tokens: of the epoch that did best on validation, or else the last ones.
    pub pack: Pack,
    /// The loss of every step.
    pub losses: Vec<f32>,
    /// Validation losses; `None` if nothing was kept for validation.
    pub validation: Option<Validation>,
    /// The epoch, from 1, that the tokens come from, if validation chose it.
    pub best_epoch: Option<usize>,
    /// Ids of all sequences.
    pub tokens_seen: usize,
    /// Ids in a second of training.
    pub tokens_per_second: f64,
    /// Seconds that all of it took.
    pub seconds: f64,
    /// Why it was stopped early, if it was.
    pub message: Option<String>,
}

impl Training {
    /// Checks everything, and prepares the initial tokens: `pack`, or new ones. `documents` are lists of ids.
    ///
    /// # Errors
    /// `invalid-argument` for options out of range, ids that the model does not have, and texts that are too short;
    /// `invalid-config` for a pack of another shape; `unsupported-checkpoint` for a model that takes no packs.
    pub fn start<B: Backend>(
        model: &B,
        documents: &[Vec<u32>],
        options: TrainOptions,
        pack: Option<Pack>,
        abort: AbortFlag,
    ) -> Result<Self> {
        options.validate()?;
        let (config, context) = (model.config(), model.context_length());
        check_activation(config)?;
        if options.sequence_length > context {
            let message =
                format!("sequenceLength is {}; the model's context has {context} tokens.", options.sequence_length);
            return Err(
                Error::invalid_argument(message).hint("Give a smaller one, or load with a larger contextLength.")
            );
        }
        if let Some(id) = documents.iter().flatten().find(|id| **id as usize >= config.padded_vocab_size) {
            return Err(Error::invalid_argument(format!("Token id {id} is out of range.")));
        }
        let sequences = Sequences::cut(documents, &options)?;
        let mut start = match pack {
            Some(pack) => pack,
            None => Pack::fresh(config, &options.pattentions()?, options.tokens, options.seed),
        };
        start.check(config)?;
        start.layers.resize(config.num_layers, Default::default());
        let per_epoch = sequences.learnt.len().div_ceil(options.batch);
        let steps = match options.length()? {
            Length::Epochs(epochs) => per_epoch.saturating_mul(epochs),
            Length::Steps(steps) => steps,
        };
        Ok(Self {
            watch: Watch::new(start.clone()),
            options,
            sequences,
            per_epoch,
            steps: steps.min(u32::MAX as usize),
            start,
            has_begun: false,
            paused: None,
            trouble: None,
            order: Vec::new(),
            before: None,
            best: None,
            tokens_seen: 0,
            learning_seconds: 0.0,
            seconds: 0.0,
            abort,
        })
    }

    /// Continues for at most ten steps or to the end of an epoch; `None` at the end, and once it is aborted.
    ///
    /// # Errors
    /// The engine's; then the training has ended.
    pub async fn next<B: Backend + Train>(&mut self, model: &mut B) -> Result<Option<Progress>> {
        let is_done = self.watch.losses.len() >= self.steps || self.trouble.is_some();
        if is_done || self.abort.is_set() {
            return Ok(None);
        }
        let now = Instant::now();
        let result = self.go_on(model).await;
        self.seconds += now.elapsed().as_secs_f64();
        match result {
            Ok((losses, validation)) => Ok(Some(self.progress(losses, validation))),
            // It was aborted while another device was being brought to the state of the lost one.
            Err(e) if e.code == ErrorCode::Aborted && self.abort.is_set() => Ok(None),
            Err(e) => {
                model.end_training();
                Err(e)
            }
        }
    }

    async fn begin<B: Train>(&self, model: &mut B, tokens: Pack) -> Result<()> {
        let room = TrainRoom { length: self.options.sequence_length, batch: self.options.batch };
        model.begin_training(&TrainState::new(tokens), &self.options.adamw(), room).await
    }

    /// The number of new losses, and the validation loss where it was measured.
    async fn go_on<B: Backend + Train>(&mut self, model: &mut B) -> Result<(usize, Option<f64>)> {
        if !self.has_begun {
            self.begin(model, self.start.clone()).await?;
            self.has_begun = true;
            if !self.sequences.kept.is_empty() {
                self.before = self.validate(model, true).await?;
                return Ok((0, self.before));
            }
        }
        self.resume(model).await?;
        let made = self.watch.losses.len();
        let end_of_epoch = (made / self.per_epoch + 1).saturating_mul(self.per_epoch).min(self.steps);
        if made.is_multiple_of(self.per_epoch) {
            self.order = self.sequences.order(made / self.per_epoch, self.options.seed);
        }
        let steps: Vec<TrainStep> = (made..end_of_epoch.min(made + STEPS)).map(|step| self.step(step)).collect();
        let now = Instant::now();
        let losses = model.train(&steps).await?;
        self.learning_seconds += now.elapsed().as_secs_f64();
        self.tokens_seen += steps.iter().flat_map(|step| &step.batch).map(Vec::len).sum::<usize>();
        let is_epoch = made + losses.len() == end_of_epoch;
        let mut noted = self.watch.note(&losses);
        if noted.is_ok() && (is_epoch || self.watch.wants_tokens()) {
            noted = self.watch.keep(model.learnt().await?.tokens);
        }
        self.trouble = noted.err();
        let validation = if is_epoch && self.trouble.is_none() { self.end_epoch(model).await? } else { None };
        Ok((losses.len(), validation))
    }

    /// A step's sequences and learning rate.
    fn step(&self, step: usize) -> TrainStep {
        let first = step % self.per_epoch * self.options.batch;
        let batch = self.order.iter().skip(first).take(self.options.batch);
        TrainStep {
            batch: batch.map(|number| self.sequences.learnt[*number].clone()).collect(),
            learning_rate: self.options.rate_at(step, self.steps),
        }
    }

    /// Measures the validation loss, and keeps the best tokens.
    async fn end_epoch<B: Train>(&mut self, model: &mut B) -> Result<Option<f64>> {
        if self.sequences.kept.is_empty() {
            return Ok(None);
        }
        let Some(loss) = self.validate(model, true).await? else { return Ok(None) };
        if !loss.is_finite() {
            self.trouble = Some(Trouble::NotFinite);
        } else if self.best.as_ref().is_none_or(|best| loss < best.loss) {
            let epoch = self.watch.losses.len().div_ceil(self.per_epoch);
            self.best = Some(Best { loss, epoch, tokens: self.watch.last().clone() });
        }
        Ok(Some(loss))
    }

    /// The validation loss; `None` if it `may_end` early and was aborted meanwhile.
    async fn validate<B: Train>(&self, model: &mut B, may_end: bool) -> Result<Option<f64>> {
        let mut sum = 0.0;
        for sequences in self.sequences.kept.chunks(self.options.batch) {
            if may_end && self.abort.is_set() {
                return Ok(None);
            }
            sum += model.loss(sequences).await? * sequences.len() as f64;
        }
        Ok(Some(sum / self.sequences.kept.len() as f64))
    }

    fn progress(&self, losses: usize, validation: Option<f64>) -> Progress {
        let all = &self.watch.losses;
        let left = |step: usize| self.seconds / step as f64 * (self.steps - step) as f64;
        Progress {
            step: all.len(),
            steps: self.steps,
            epoch: all.len().div_ceil(self.per_epoch),
            losses: all[all.len() - losses..].to_vec(),
            validation,
            tokens_seen: self.tokens_seen,
            tokens_per_second: self.tokens_per_second(),
            seconds_left: (!all.is_empty()).then(|| left(all.len())),
            message: self.trouble.map(|trouble| trouble.message(all.len())),
        }
    }

    fn tokens_per_second(&self) -> f64 {
        if self.learning_seconds > 0.0 { self.tokens_seen as f64 / self.learning_seconds } else { 0.0 }
    }

    /// Whether the last step was the last of an epoch, or of all.
    pub fn is_epoch_end(&self) -> bool {
        let made = self.watch.losses.len();
        made > 0 && (made.is_multiple_of(self.per_epoch) || made >= self.steps)
    }

    /// What was learnt so far, without measuring it. Frees what the training holds until the next step, so that the
    /// engine can do something else meanwhile, even with other packs.
    ///
    /// # Errors
    /// The engine's; then the training has ended.
    pub async fn pause<B: Train>(&mut self, model: &mut B) -> Result<TrainedPack> {
        let state = match self.paused.take() {
            Some(state) => state,
            None if self.has_begun => model.learnt().await?,
            None => TrainState::new(self.start.clone()),
        };
        model.end_training();
        let pack = state.tokens.clone();
        self.paused = self.has_begun.then_some(state);
        Ok(TrainedPack {
            pack,
            losses: self.watch.losses.clone(),
            validation: None,
            best_epoch: None,
            tokens_seen: self.tokens_seen,
            tokens_per_second: self.tokens_per_second(),
            seconds: self.seconds,
            message: None,
        })
    }

    /// Resumes a paused training.
    async fn resume<B: Train>(&mut self, model: &mut B) -> Result<()> {
        if let Some(state) = self.paused.take() {
            let room = TrainRoom { length: self.options.sequence_length, batch: self.options.batch };
            model.begin_training(&state, &self.options.adamw(), room).await?;
        }
        Ok(())
    }

    /// Ends it at any point, and frees what it held; returns what was learnt so far.
    ///
    /// # Errors
    /// The engine's, where nothing that was read back before can stand in.
    pub async fn finish<B: Backend + Train>(mut self, model: &mut B) -> Result<TrainedPack> {
        let now = Instant::now();
        let result = self.outcome(model).await;
        model.end_training();
        let (pack, after, best_epoch) = result?;
        Ok(TrainedPack {
            pack,
            validation: self.before.zip(after).map(|(before, after)| Validation { before, after }),
            best_epoch,
            tokens_seen: self.tokens_seen,
            tokens_per_second: self.tokens_per_second(),
            seconds: self.seconds + now.elapsed().as_secs_f64(),
            message: self.trouble.map(|trouble| trouble.message(self.watch.losses.len())),
            losses: self.watch.losses,
        })
    }

    /// The resulting tokens, their validation loss, and the epoch that validation chose.
    async fn outcome<B: Backend + Train>(&mut self, model: &mut B) -> Result<(Pack, Option<f64>, Option<usize>)> {
        if let Some(Best { loss, epoch, tokens }) = self.best.take() {
            return Ok((tokens, Some(loss), Some(epoch)));
        }
        self.resume(model).await?;
        let tokens = match self.trouble {
            _ if !self.has_begun => self.start.clone(),
            Some(trouble) => self.watch.good(trouble).clone(),
            None => match model.learnt().await {
                Ok(state) => state.tokens,
                Err(_) if self.abort.is_set() => self.watch.last().clone(),
                Err(e) => return Err(e),
            },
        };
        // Nothing was measured since the first step: the first epoch did not complete.
        if self.before.is_none() || self.watch.losses.is_empty() {
            return Ok((tokens, self.before, None));
        }
        if self.trouble.is_some() {
            self.begin(model, tokens.clone()).await?;
        }
        match self.validate(model, false).await {
            Err(e) if !self.abort.is_set() => Err(e),
            after => Ok((tokens, after.ok().flatten(), None)),
        }
    }
}
