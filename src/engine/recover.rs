//! An engine that outlives its device.
//!
//! Devices are lost when a driver is updated or hangs, when a laptop sleeps or switches GPUs, and whenever the browser
//! decides. Weights can be reloaded; what is lost for good is the KV cache. So every step is recorded, and on a new
//! device the same kernels repeat the same steps: a prompt in its chunks, the text that was written one token at a
//! time. The numbers are then the same, and so is the text.

use super::backend::{Backend, Chosen, Logits, ScoredText, Text, TokenScore};
use super::changes::Changes;
use super::inspect::{FiredToken, InspectRequest};
use super::rows::{MOST_ROWS, Row, RowInput};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::packs::{Ablation, ActivePack, PackTokens, ParameterToken};
use crate::sampling::SamplingOptions;
use std::collections::VecDeque;
use web_time::{Duration, Instant};

#[cfg(test)]
mod tests;
mod training;

use training::Learning;

/// After this many losses …
pub const MOST_LOSSES: usize = 3;
/// … within this time, nothing more is tried.
pub const WITHIN: Duration = Duration::from_secs(60);

/// An engine that can resume where another one was.
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
pub trait Resume: Backend {
    /// How single steps are made, where there are several ways whose numbers differ.
    type Way: Clone + PartialEq;

    /// The current way.
    fn way(&self) -> Self::Way;

    /// Makes single steps in this way from now on.
    ///
    /// # Errors
    /// The engine's.
    async fn go(&mut self, way: &Self::Way) -> Result<()>;

    /// After [`begin_choosing`](Backend::begin_choosing), with a KV cache that holds all but the last of `emitted`:
    /// acts as if these tokens had been chosen and asked for.
    fn resume_choosing(&mut self, emitted: &[u32]);
}

/// Where engines come from.
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
pub trait Revive<B> {
    /// An engine like `lost`, on another device, with an empty KV cache.
    ///
    /// # Errors
    /// `device-lost` if that device is lost as well, `aborted`, and those of loading.
    async fn revive(&self, lost: &B) -> Result<B>;

    /// # Errors
    /// `aborted` once the call that waits for the engine is aborted.
    fn check(&self) -> Result<()>;
}

/// A step that filled the KV cache.
struct Step<W> {
    /// Its tokens.
    ids: Vec<u32>,
    /// How many of them are still there, from the first on.
    kept: usize,
    /// Which logits were requested, and how steps were made: that decides which kernels ran.
    logits: Logits,
    way: W,
}

impl<W> Step<W> {
    fn of(ids: &[u32], logits: Logits, way: W) -> Self {
        // A single token with logits is a decode step; all else goes through the layers in one and the same way.
        let logits = if ids.len() == 1 && logits == Logits::Last { logits } else { Logits::None };
        Self { ids: ids.to_vec(), kept: ids.len(), logits, way }
    }
}

/// A running completion.
struct Running {
    options: SamplingOptions,
    prompt: Vec<u32>,
    /// Tokens that the completion already had when it began, or was resumed.
    written: Vec<u32>,
    real_ids: usize,
    wants_logits: bool,
    /// The last tokens that were there: those of the step that chose the first one.
    first: Vec<u32>,
    /// Steps made that choose.
    made: usize,
    /// Tokens that were asked for.
    emitted: Vec<u32>,
}

impl Running {
    /// Tokens of the step after the last that was emitted.
    fn input(&self) -> Vec<u32> {
        self.emitted.last().map_or_else(|| self.first.clone(), |last| vec![*last])
    }
}

/// Several texts that are being written.
struct RunningRows {
    /// As they were when they were begun, or resumed.
    rows: Vec<Row>,
    real_ids: usize,
    wants_logits: bool,
    /// Steps made, and the tokens of each text that were asked for.
    made: usize,
    emitted: Vec<Vec<u32>>,
}

/// How the tail of a place was made: what was read like a prompt, and what was appended by steps.
#[derive(Default)]
struct Tail {
    read: Vec<u32>,
    fed: Vec<u32>,
}

impl Tail {
    fn truncate(&mut self, len: usize) {
        self.fed.truncate(len.saturating_sub(self.read.len()));
        self.read.truncate(len);
    }
}

/// Restores the tails of an engine that holds none of them, by the same steps, and begins `rows`.
async fn rebuild_rows<B: Backend>(
    engine: &mut B,
    RunningRows { rows, real_ids, wants_logits, made, emitted }: &RunningRows,
    tails: &[Tail],
) -> Result<()> {
    let now: Vec<Row> = rows.iter().zip(emitted).map(|(row, emitted)| row.after(emitted)).collect();
    engine.reserve_tails(&now).await?;
    let mut first = rows.clone();
    for row in &mut first {
        let Tail { read, fed } = &tails[row.place];
        row.is_held = false;
        row.tail = read.iter().chain(fed.first().or(row.tail.last())).copied().collect();
    }
    engine.begin_rows(&first, *real_ids, *wants_logits).await?;
    for step in 0..rows.iter().map(|row| tails[row.place].fed.len()).max().unwrap_or(0) {
        let input = |row: &Row| {
            let Tail { read, fed } = &tails[row.place];
            Some(RowInput { place: row.place, held: read.len() + step, id: *fed.get(step)? })
        };
        let inputs: Vec<RowInput> = rows.iter().filter_map(input).collect();
        engine.feed_rows(&inputs).await?;
    }
    engine.begin_rows(&now, *real_ids, *wants_logits).await?;
    for _ in emitted.first().map_or(0, Vec::len)..*made {
        engine.step_rows().await?;
    }
    Ok(())
}

/// An engine, and what is needed to get another one in the same state.
pub struct Recovering<B: Resume, R> {
    engine: B,
    revive: R,
    /// What the KV cache holds, except for tokens that were never read back, and for the last known one, which it may
    /// not hold yet.
    steps: Vec<Step<B::Way>>,
    running: Option<Running>,
    rows: Option<RunningRows>,
    /// For each place.
    tails: [Tail; MOST_ROWS],
    /// Active token packs, and parameter tokens whose activations are multiplied.
    changes: Changes,
    /// A running training.
    learning: Option<Learning>,
    /// When devices were lost recently.
    losses: VecDeque<Instant>,
    /// How many were lost in total.
    lost: usize,
    /// The loss of the engine's device is already counted.
    is_counted: bool,
}

impl<B: Resume, R: Revive<B>> Recovering<B, R> {
    /// `engine`'s KV cache is empty.
    pub fn new(engine: B, revive: R) -> Self {
        let (steps, losses) = (Vec::new(), VecDeque::new());
        let (tails, changes) = Default::default();
        let (running, rows, learning) = (None, None, None);
        Self { engine, revive, steps, running, rows, tails, changes, learning, losses, lost: 0, is_counted: false }
    }

    /// The current engine.
    pub fn engine(&self) -> &B {
        &self.engine
    }

    /// The current engine, for uses that leave its KV cache unchanged.
    pub fn engine_mut(&mut self) -> &mut B {
        &mut self.engine
    }

    /// Where engines come from.
    pub fn source(&self) -> &R {
        &self.revive
    }

    /// How many devices were lost so far.
    pub fn losses(&self) -> usize {
        self.lost
    }

    /// After `error`: resumes on another device, if a lost device is the cause.
    ///
    /// # Errors
    /// `error` itself if it has another cause, or there were too many losses; those of [`Revive::revive`].
    async fn recover(&mut self, mut error: Error) -> Result<()> {
        while error.code == ErrorCode::DeviceLost {
            let now = Instant::now();
            self.losses.retain(|then| now - *then < WITHIN);
            if self.losses.len() >= MOST_LOSSES {
                return Err(error); // stopped already: this is no further loss
            }
            if !std::mem::replace(&mut self.is_counted, true) {
                self.losses.push_back(now);
                self.lost += 1;
            }
            if self.losses.len() >= MOST_LOSSES {
                return Err(Error::new(ErrorCode::DeviceLost, "The GPU device was lost three times within a minute.")
                    .hint("Close other tabs that use the GPU, use a smaller model, or try again later.")
                    .caused_by(error.to_string()));
            }
            match self.rebuild().await {
                Ok(()) => return Ok(()),
                Err(e) => {
                    // In that case another device was lost.
                    self.is_counted &= e.code != ErrorCode::DeviceLost;
                    error = e;
                }
            }
        }
        Err(error)
    }

    /// Makes another engine and brings it to the state of the lost one.
    async fn rebuild(&mut self) -> Result<()> {
        let mut engine = self.revive.revive(&self.engine).await?;
        let Changes { packs, ablations } = &self.changes;
        if !packs.is_empty() {
            engine.set_packs(packs).await?;
        }
        if !ablations.is_empty() {
            engine.ablate(ablations).await?;
        }
        for Step { ids, kept, logits, way } in &self.steps {
            self.revive.check()?;
            engine.go(way).await?;
            engine.forward(ids, *logits).await?;
            engine.truncate(engine.len() - (ids.len() - kept));
        }
        engine.go(&self.engine.way()).await?;
        if let Some(Running { options, prompt, written, real_ids, wants_logits, first, made, emitted }) = &self.running
        {
            engine.begin_choosing(options, Text { prompt, written }, *real_ids, *wants_logits);
            let mut done = emitted.len();
            if done > 0 {
                engine.resume_choosing(emitted);
            } else if *made > 0 {
                engine.choose_after(first).await?;
                done = 1;
            }
            for _ in done..*made {
                engine.choose_next().await?;
            }
        }
        if let Some(running) = &self.rows {
            rebuild_rows(&mut engine, running, &self.tails).await?;
        }
        self.engine = engine;
        self.is_counted = false;
        if let Some(learning) = &mut self.learning {
            learning.is_behind = true;
        }
        Ok(())
    }

    /// Runs `work`, which changes packs and ablations. Whatever comes of it, the context is forgotten: a new engine
    /// need not replay it first, and has `left` meanwhile.
    async fn change(
        &mut self,
        left: Changes,
        changes: Changes,
        work: impl AsyncFn(&mut B) -> Result<()>,
    ) -> Result<()> {
        self.steps.clear();
        (self.running, self.rows) = (None, None);
        self.tails = Default::default();
        self.changes = left;
        while let Err(e) = work(&mut self.engine).await {
            if let Err(e) = self.recover(e).await {
                self.changes = Changes::default();
                return Err(e);
            }
        }
        self.changes = changes;
        Ok(())
    }

    /// Records a step that was made.
    fn note(&mut self, ids: &[u32], logits: Logits) {
        self.steps.push(Step::of(ids, logits, self.engine.way()));
    }

    /// Forgets all steps but those of the first `len` tokens.
    fn cut(&mut self, len: usize) {
        let mut left = len;
        self.steps.retain_mut(|step| {
            step.kept = step.kept.min(left);
            left -= step.kept;
            step.kept > 0
        });
    }
}

/// Repeats `$call` until it succeeds or fails for another reason than a lost device.
macro_rules! recovering {
    ($self:ident, $call:expr) => {
        loop {
            match $call.await {
                Ok(value) => break value,
                Err(e) => $self.recover(e).await?,
            }
        }
    };
}

impl<B: Resume, R: Revive<B>> Backend for Recovering<B, R> {
    fn config(&self) -> &ModelConfig {
        self.engine.config()
    }

    fn context_length(&self) -> usize {
        self.engine.context_length()
    }

    fn max_chunk(&self) -> usize {
        self.engine.max_chunk()
    }

    fn len(&self) -> usize {
        self.engine.len()
    }

    fn truncate(&mut self, len: usize) {
        self.engine.truncate(len);
        self.cut(len);
    }

    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        let values = recovering!(self, self.engine.forward(ids, logits));
        self.note(ids, logits);
        Ok(values)
    }

    async fn score(&mut self, ids: &[u32], targets: &[u32], real_ids: usize) -> Result<Vec<TokenScore>> {
        let scores = recovering!(self, self.engine.score(ids, targets, real_ids));
        self.note(ids, Logits::None);
        Ok(scores)
    }

    fn most_together(&self) -> usize {
        self.engine.most_together()
    }

    async fn score_together(&mut self, texts: &[ScoredText<'_>], real_ids: usize) -> Result<Vec<Vec<TokenScore>>> {
        self.cut(0);
        Ok(recovering!(self, self.engine.score_together(texts, real_ids)))
    }

    fn begin_choosing(&mut self, options: &SamplingOptions, text: Text<'_>, real_ids: usize, wants_logits: bool) {
        self.engine.begin_choosing(options, text, real_ids, wants_logits);
        let (options, prompt, written) = (options.clone(), text.prompt.to_vec(), text.written.to_vec());
        let (first, emitted) = (Vec::new(), Vec::new());
        self.running = Some(Running { options, prompt, written, real_ids, wants_logits, first, made: 0, emitted });
    }

    async fn choose_after(&mut self, ids: &[u32]) -> Result<()> {
        recovering!(self, self.engine.choose_after(ids));
        if let Some(running) = &mut self.running {
            (running.first, running.made) = (ids.to_vec(), 1);
        }
        Ok(())
    }

    async fn choose_next(&mut self) -> Result<()> {
        recovering!(self, self.engine.choose_next());
        if let Some(running) = &mut self.running {
            running.made += 1;
        }
        Ok(())
    }

    async fn chosen(&mut self) -> Result<Chosen> {
        let chosen = recovering!(self, self.engine.chosen());
        if let Some(running) = &mut self.running {
            let input = running.input();
            running.emitted.push(chosen.id);
            self.note(&input, Logits::Last);
        }
        Ok(chosen)
    }

    fn steps_ahead(&self) -> usize {
        self.engine.steps_ahead()
    }

    fn stop_choosing(&mut self) {
        self.engine.stop_choosing();
        let Some(running) = self.running.take() else { return };
        // Of the steps that were made ahead, the input tokens of the first are known.
        if running.made > running.emitted.len() {
            self.note(&running.input(), Logits::Last);
        }
        self.cut(self.engine.len());
        let known = self.steps.iter().map(|step| step.kept).sum();
        self.engine.truncate(known);
    }

    async fn begin_rows(&mut self, rows: &[Row], real_ids: usize, wants_logits: bool) -> Result<()> {
        for row in rows {
            let (tail, held) = (&mut self.tails[row.place], row.tail.len() - 1);
            match row.is_held {
                true => tail.truncate(held),
                false => *tail = Tail { read: row.tail[..held].to_vec(), fed: Vec::new() },
            }
        }
        let emitted = vec![Vec::new(); rows.len()];
        self.rows = Some(RunningRows { rows: rows.to_vec(), real_ids, wants_logits, made: 0, emitted });
        let begun = match self.engine.begin_rows(rows, real_ids, wants_logits).await {
            Err(e) => self.recover(e).await, // another engine has begun them
            Ok(()) => Ok(()),
        };
        if begun.is_err() {
            self.rows = None;
        }
        begun
    }

    async fn step_rows(&mut self) -> Result<()> {
        recovering!(self, self.engine.step_rows());
        if let Some(rows) = &mut self.rows {
            rows.made += 1;
        }
        Ok(())
    }

    async fn reserve_tails(&mut self, rows: &[Row]) -> Result<()> {
        self.engine.reserve_tails(rows).await
    }

    async fn feed_rows(&mut self, inputs: &[RowInput]) -> Result<()> {
        self.engine.feed_rows(inputs).await
    }

    async fn chosen_rows(&mut self) -> Result<Vec<Chosen>> {
        let chosen = recovering!(self, self.engine.chosen_rows());
        if let Some(RunningRows { rows, emitted, .. }) = &mut self.rows {
            for ((row, emitted), chosen) in rows.iter().zip(emitted).zip(&chosen) {
                self.tails[row.place].fed.extend(emitted.last().or(row.tail.last()));
                emitted.push(chosen.id);
            }
        }
        Ok(chosen)
    }

    fn rows_ahead(&self) -> usize {
        self.engine.rows_ahead()
    }

    fn tail_capacity(&self) -> usize {
        self.engine.tail_capacity()
    }

    fn stop_rows(&mut self) {
        self.engine.stop_rows();
        self.rows = None;
    }

    fn drop_tails(&mut self) {
        self.engine.drop_tails();
    }

    async fn set_packs(&mut self, packs: &[ActivePack]) -> Result<()> {
        let (left, changes) = (self.changes.with_packs(&[]), self.changes.with_packs(packs));
        self.change(left, changes, async |engine: &mut B| engine.set_packs(packs).await).await
    }

    async fn ablate(&mut self, ablations: &[Ablation]) -> Result<()> {
        let (left, changes) = (self.changes.with_ablations(&[]), self.changes.with_ablations(ablations));
        self.change(left, changes, async |engine: &mut B| engine.ablate(ablations).await).await
    }

    async fn base_tokens(&mut self, tokens: &[ParameterToken]) -> Result<Vec<PackTokens>> {
        Ok(recovering!(self, self.engine.base_tokens(tokens)))
    }

    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        let fired = recovering!(self, self.engine.inspect(ids, request));
        self.note(ids, Logits::None);
        Ok(fired)
    }

    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        Ok(recovering!(self, self.engine.pushes(value)))
    }
}
