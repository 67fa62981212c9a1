//! An engine that outlives its device.
//!
//! Devices are lost when a driver is updated or hangs, when a laptop sleeps or changes its GPU, and at the browser's
//! pleasure. Weights can be had again; what is lost for good is the KV cache. So every step is noted, and on a new
//! device the same steps are made by the same kernels: a prompt in its chunks, what was written a token at a time. The
//! numbers are then the same, and so is the text.

use super::backend::{Backend, Chosen, Logits, TokenScore};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::sampling::SamplingOptions;
use std::collections::VecDeque;
use web_time::{Duration, Instant};

/// So many losses …
pub const MOST_LOSSES: usize = 3;
/// … within this time, and nothing more is tried.
pub const WITHIN: Duration = Duration::from_secs(60);

/// An engine that can go on where another one was.
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
pub trait Resume: Backend {
    /// In what way single steps are made, where there are several whose numbers differ.
    type Way: Clone + PartialEq;

    /// The way of now.
    fn way(&self) -> Self::Way;

    /// Makes single steps in this way from now on.
    ///
    /// # Errors
    /// The engine's.
    async fn go(&mut self, way: &Self::Way) -> Result<()>;

    /// After [`begin_choosing`](Backend::begin_choosing), with a KV cache that holds all but the last of `told`: as if
    /// these tokens had been chosen and asked for.
    fn resume_choosing(&mut self, told: &[u32]);
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
    /// `aborted` once the call that waits for the engine is.
    fn check(&self) -> Result<()>;
}

/// A step that filled the KV cache.
struct Step<W> {
    /// Its tokens.
    ids: Vec<u32>,
    /// How many of them are still there, from the first on.
    kept: usize,
    /// What was asked for, and in what way steps were made: that decides which kernels worked.
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

/// A completion that runs.
struct Running {
    options: SamplingOptions,
    prompt: Vec<u32>,
    real_ids: usize,
    wants_logits: bool,
    /// The last tokens of the prompt: those of the step that chose the first token.
    first: Vec<u32>,
    /// Steps made that choose.
    made: usize,
    /// Tokens that were asked for.
    told: Vec<u32>,
}

impl Running {
    /// Tokens of the step after the last that was told.
    fn input(&self) -> Vec<u32> {
        self.told.last().map_or_else(|| self.first.clone(), |last| vec![*last])
    }
}

/// An engine, and what it takes to have another one that is in the same state.
pub struct Recovering<B: Resume, R> {
    engine: B,
    revive: R,
    /// What the KV cache holds, but for tokens that nobody knows, and for the last one known, which it may not hold yet.
    steps: Vec<Step<B::Way>>,
    running: Option<Running>,
    /// When devices were lost lately.
    losses: VecDeque<Instant>,
    /// How many were, in all.
    lost: usize,
    /// The engine's device is among them.
    is_counted: bool,
}

impl<B: Resume, R: Revive<B>> Recovering<B, R> {
    /// `engine`'s KV cache is empty.
    pub fn new(engine: B, revive: R) -> Self {
        Self { engine, revive, steps: Vec::new(), running: None, losses: VecDeque::new(), lost: 0, is_counted: false }
    }

    /// The engine of now.
    pub fn engine(&self) -> &B {
        &self.engine
    }

    /// The engine of now, for what leaves its KV cache as it is.
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

    /// After `error`: goes on on another device, if that was the matter.
    ///
    /// # Errors
    /// `error` itself if it is another, or there were too many; those of [`Revive::revive`].
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
                    // Then it was another device that was lost.
                    self.is_counted &= e.code != ErrorCode::DeviceLost;
                    error = e;
                }
            }
        }
        Err(error)
    }

    /// Makes another engine and brings it to where the lost one was.
    async fn rebuild(&mut self) -> Result<()> {
        let mut engine = self.revive.revive(&self.engine).await?;
        for Step { ids, kept, logits, way } in &self.steps {
            self.revive.check()?;
            engine.go(way).await?;
            engine.forward(ids, *logits).await?;
            engine.truncate(engine.len() - (ids.len() - kept));
        }
        engine.go(&self.engine.way()).await?;
        if let Some(Running { options, prompt, real_ids, wants_logits, first, made, told }) = &self.running {
            engine.begin_choosing(options, prompt, *real_ids, *wants_logits);
            let mut done = told.len();
            if done > 0 {
                engine.resume_choosing(told);
            } else if *made > 0 {
                engine.choose_after(first).await?;
                done = 1;
            }
            for _ in done..*made {
                engine.choose_next().await?;
            }
        }
        self.engine = engine;
        self.is_counted = false;
        Ok(())
    }

    /// Takes note of a step that was made.
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

    fn begin_choosing(&mut self, options: &SamplingOptions, prompt: &[u32], real_ids: usize, wants_logits: bool) {
        self.engine.begin_choosing(options, prompt, real_ids, wants_logits);
        let (options, prompt) = (options.clone(), prompt.to_vec());
        let (first, told) = (Vec::new(), Vec::new());
        self.running = Some(Running { options, prompt, real_ids, wants_logits, first, made: 0, told });
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
            running.told.push(chosen.id);
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
        // Of the steps that were made ahead, the tokens of the first are known.
        if running.made > running.told.len() {
            self.note(&running.input(), Logits::Last);
        }
        self.cut(self.engine.len());
        let known = self.steps.iter().map(|step| step.kept).sum();
        self.engine.truncate(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::tests::FakeBackend;
    use crate::generate::{AbortFlag, FinishReason, GenerateOptions, Generation, Model, Prompt, ScoreItem};
    use pollster::block_on;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    type Losses = Rc<RefCell<VecDeque<usize>>>;

    /// Engines whose devices are lost after so many calls each; then one that is not.
    struct Fakes(Losses, usize);

    impl Revive<FakeBackend> for Fakes {
        async fn revive(&self, lost: &FakeBackend) -> Result<FakeBackend> {
            assert!(lost.is_lost);
            Ok(fake(&self.0, self.1))
        }

        fn check(&self) -> Result<()> {
            Ok(())
        }
    }

    fn fake(losses: &Losses, ahead: usize) -> FakeBackend {
        let mut fake = FakeBackend::new(64, 60);
        (fake.ahead, fake.is_exact, fake.until_lost) = (ahead, true, losses.clone());
        fake
    }

    fn model(losses: &[usize], ahead: usize) -> Model<Recovering<FakeBackend, Fakes>> {
        let losses = Rc::new(RefCell::new(losses.iter().copied().collect()));
        let engine = Recovering::new(fake(&losses, ahead), Fakes(losses, ahead));
        Model::new(engine, None).expect("model")
    }

    /// A use of a model.
    #[derive(Clone, Debug)]
    enum Use {
        /// A completion of ids below 4, of which so many tokens are taken before it is aborted.
        Complete {
            prompt: Vec<u32>,
            take: usize,
            temperature: f32,
            seed: u64,
            logprobs: usize,
            /// The first token is an even id.
            first: bool,
        },
        Logits(Vec<u32>),
        Score(Vec<u32>),
        /// From now on steps are made in this way.
        Way(u32),
    }

    fn any_use() -> impl Strategy<Value = Use> {
        let prompt = || prop::collection::vec(0..3u32, 1..20);
        let options = (0..30usize, prop_oneof![Just(0.0f32), Just(1.0)], 0..99u64, 0..2usize, any::<bool>());
        let complete = (prompt(), options).prop_map(|(prompt, (take, temperature, seed, logprobs, first))| {
            Use::Complete { prompt, take, temperature, seed, logprobs, first }
        });
        prop_oneof![3 => complete, 1 => prompt().prop_map(Use::Logits), 1 => prompt().prop_map(Use::Score), 1 => (0..3u32).prop_map(Use::Way)]
    }

    fn run(model: &mut Model<Recovering<FakeBackend, Fakes>>, uses: &[Use]) -> Result<String> {
        let mut log = String::new();
        let abort = AbortFlag::default();
        for one in uses {
            abort.clear();
            log += &match one {
                Use::Way(way) => {
                    model.backend_mut().engine_mut().way = *way;
                    String::new()
                }
                Use::Logits(ids) => format!("{:?}", block_on(model.logits(ids, &abort))?),
                Use::Score(ids) => {
                    let item = ScoreItem { text: Prompt::Ids(ids.clone()), context: Prompt::Ids(vec![1]) };
                    format!("{:?}", block_on(model.score(&[item], &abort))?)
                }
                Use::Complete { prompt, take, temperature, seed, logprobs, first } => {
                    let bias = vec![(0, -1e3)]; // no end of text
                    let (temperature, seed, frequency_penalty) = (*temperature, *seed, 0.5);
                    let sampling = SamplingOptions {
                        temperature,
                        seed,
                        frequency_penalty,
                        logit_bias: bias,
                        first: first.then(|| (0..64).map(|id| id % 2 == 0).collect()),
                        ..Default::default()
                    };
                    let options =
                        GenerateOptions { max_tokens: 25, sampling, logprobs: *logprobs, ..Default::default() };
                    let prompt = Prompt::Ids(prompt.clone());
                    let mut generation = Generation::start(model, &prompt, options, abort.clone())?;
                    let mut taken = 0;
                    while taken < *take && block_on(generation.next(model))?.is_some() {
                        taken += 1;
                    }
                    abort.set();
                    while block_on(generation.next(model))?.is_some() {}
                    let result = generation.result();
                    assert!(result.finish_reason != FinishReason::Stop);
                    assert!(!first || result.token_ids.first().is_none_or(|id| id % 2 == 0));
                    format!("{:?} {} ", result.token_ids, result.usage.cached_prompt_tokens)
                }
            };
        }
        Ok(log)
    }

    proptest! {
        #[test]
        fn nobody_notices_that_devices_were_lost(
            uses in prop::collection::vec(any_use(), 1..5),
            losses in prop::collection::vec(0..60usize, 0..MOST_LOSSES),
            ahead in 1..6usize,
        ) {
            let mut whole = model(&[], ahead);
            let mut broken = model(&losses, ahead);
            prop_assert_eq!(run(&mut broken, &uses)?, run(&mut whole, &uses)?);
            prop_assert_eq!(broken.backend().len(), whole.backend().len());
        }
    }

    #[test]
    fn three_losses_within_a_minute_are_too_many() {
        let uses =
            [Use::Complete { prompt: vec![1, 2, 1], take: 20, temperature: 1.0, seed: 1, logprobs: 0, first: false }];
        let mut lucky = model(&[5, 4], 1);
        run(&mut lucky, &uses).expect("text");
        assert_eq!(lucky.backend().losses(), 2);
        let mut unlucky = model(&[5, 4, 3], 1);
        let e = run(&mut unlucky, &uses).expect_err("lost");
        assert_eq!((e.code, unlucky.backend().losses()), (ErrorCode::DeviceLost, 3));
        assert!(e.to_string().contains("three times"), "{e}");
        // It has stopped, and does not count the same loss again.
        let e = run(&mut unlucky, &uses).expect_err("lost");
        assert_eq!((e.code, unlucky.backend().losses()), (ErrorCode::DeviceLost, 3));
    }

    #[test]
    fn what_cannot_be_had_again_is_told_and_is_one_loss_however_often_it_is_tried() {
        struct Nowhere;
        impl Revive<FakeBackend> for Nowhere {
            async fn revive(&self, _: &FakeBackend) -> Result<FakeBackend> {
                Err(Error::new(ErrorCode::Network, "no network"))
            }

            fn check(&self) -> Result<()> {
                Ok(())
            }
        }
        let losses = Rc::new(RefCell::new(VecDeque::from([2])));
        let mut model = Model::new(Recovering::new(fake(&losses, 1), Nowhere), None).expect("model");
        let abort = AbortFlag::default();
        let ids: Vec<u32> = (0..20).collect();
        for _ in 0..5 {
            let e = block_on(model.logits(&ids, &abort)).expect_err("no network");
            assert_eq!((e.code, model.backend().losses()), (ErrorCode::Network, 1));
        }
    }

    #[test]
    fn an_abort_ends_the_steps_that_are_made_again() {
        struct Aborted(Fakes, AbortFlag);
        impl Revive<FakeBackend> for Aborted {
            async fn revive(&self, lost: &FakeBackend) -> Result<FakeBackend> {
                self.1.set();
                self.0.revive(lost).await
            }

            fn check(&self) -> Result<()> {
                self.1.check()
            }
        }
        let (losses, abort) = (Rc::new(RefCell::new(VecDeque::from([7]))), AbortFlag::default());
        let revive = Aborted(Fakes(losses.clone(), 1), abort.clone());
        let mut model = Model::new(Recovering::new(fake(&losses, 1), revive), None).expect("model");
        let ids: Vec<u32> = (0..20).collect();
        block_on(model.logits(&ids, &abort)).expect("logits");
        let longer: Vec<u32> = (0..40).collect();
        let e = block_on(model.logits(&longer, &abort)).expect_err("aborted");
        assert_eq!(e.code, ErrorCode::Aborted);
        // As long as the abort stands, nothing is made again.
        abort.clear();
        model.backend().source().1.clear();
        let later = block_on(model.logits(&longer, &AbortFlag::default()));
        assert_eq!(later.map_err(|e| e.code).err(), Some(ErrorCode::Aborted), "this one aborts whenever it is asked");
    }
}
