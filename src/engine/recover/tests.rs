//! Losses at any call, over fake engines.

use super::*;
use crate::engine::AbortFlag;
use crate::generate::tests::FakeBackend;
use crate::generate::{
    FinishReason, GenerateOptions, Generation, InspectOptions, Model, Overflow, Prompt, ScoreItem, Several,
};
use crate::packs::{Ablation, ActivePack, Pack, ParameterToken};
use crate::pattention::Pattention;
use pollster::block_on;
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

mod training;

type Losses = Rc<RefCell<VecDeque<usize>>>;

/// Engines whose devices are lost after these numbers of calls; then one that is not lost.
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
    /// A completion of ids below 4, of which this many tokens are taken before it is aborted.
    Complete {
        prompt: Vec<u32>,
        take: usize,
        temperature: f32,
        seed: u64,
        logprobs: usize,
        /// The first token is an even id.
        first: bool,
        /// The text continues past the end of the context, as far as it is taken.
        slides: bool,
    },
    /// Several completions at once, of which the first is aborted after this many chunks.
    Several {
        prompts: Vec<Vec<u32>>,
        take: usize,
        logprobs: usize,
    },
    Logits(Vec<u32>),
    Score(Vec<u32>),
    /// From now on steps are made in this way.
    Way(u32),
    /// From now on packs of these strengths are active.
    Packs(Vec<u8>),
    /// From now on these parameter tokens are ablated.
    Ablate(Vec<u8>),
    /// Every second position is looked at, and what this one pushes.
    Inspect(Vec<u32>, u8),
}

fn any_use() -> impl Strategy<Value = Use> {
    let prompt = || prop::collection::vec(0..3u32, 1..20);
    let (take, temperature) = (prop_oneof![3 => 0..30usize, 1 => 0..120usize], prop_oneof![Just(0.0f32), Just(1.0)]);
    let options = (take, temperature, 0..99u64, 0..2usize, any::<bool>(), any::<bool>());
    let complete = (prompt(), options).prop_map(|(prompt, (take, temperature, seed, logprobs, first, slides))| {
        Use::Complete { prompt, take, temperature, seed, logprobs, first, slides }
    });
    let several = (prop::collection::vec(prompt(), 1..12), 0..60usize, 0..2usize)
        .prop_map(|(prompts, take, logprobs)| Use::Several { prompts, take, logprobs });
    prop_oneof![3 => complete, 3 => several, 1 => prompt().prop_map(Use::Logits), 1 => prompt().prop_map(Use::Score), 1 => (0..3u32).prop_map(Use::Way),
        1 => prop::collection::vec(1..5u8, 0..3).prop_map(Use::Packs), 1 => prop::collection::vec(0..5u8, 0..3).prop_map(Use::Ablate),
        1 => (prompt(), 0..5u8).prop_map(|(prompt, slot)| Use::Inspect(prompt, slot))]
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
            Use::Packs(strengths) => {
                let pack = |strength: &u8| ActivePack {
                    name: format!("{strength}"),
                    strength: f32::from(*strength),
                    pack: Rc::new(Pack::default()),
                };
                let packs: Vec<ActivePack> = strengths.iter().map(pack).collect();
                model.reset();
                block_on(model.backend_mut().set_packs(&packs))?;
                format!("{} packs, {} tokens; ", packs.len(), model.backend().len())
            }
            Use::Ablate(slots) => {
                let token =
                    |slot: &u8| ParameterToken { layer: 0, kind: Pattention::Mlp, slot: (*slot).into(), pack: None };
                let ablation = |slot: &u8| Ablation { token: token(slot), scale: 0.5 * f32::from(*slot) };
                let ablations: Vec<Ablation> = slots.iter().map(ablation).collect();
                block_on(model.ablate(&ablations))?;
                format!("{} ablations, {} tokens; ", ablations.len(), model.backend().len())
            }
            Use::Inspect(ids, slot) => {
                let positions = Some((0..ids.len()).step_by(2).collect());
                let options = InspectOptions { positions, top: 3, ..Default::default() };
                let told = block_on(model.inspect(&Prompt::Ids(ids.clone()), &options, &abort))?;
                let token = ParameterToken { layer: 0, kind: Pattention::Proj, slot: (*slot).into(), pack: None };
                format!("{told:?} {:?}", block_on(model.promotes(&token, &[], 2))?)
            }
            Use::Logits(ids) => format!("{:?}", block_on(model.logits(ids, &abort))?),
            Use::Score(ids) => {
                let item = ScoreItem { text: Prompt::Ids(ids.clone()), context: Prompt::Ids(vec![1]) };
                format!("{:?}", block_on(model.score(&[item], &abort))?)
            }
            Use::Several { prompts, take, logprobs } => {
                let sampling = SamplingOptions { frequency_penalty: 0.5, ..Default::default() };
                let options = GenerateOptions { max_tokens: 25, sampling, logprobs: *logprobs, ..Default::default() };
                let prompts: Vec<_> = prompts.iter().map(|ids| Prompt::Ids(ids.clone())).zip(5..).collect();
                let mut several = Several::start(model, &prompts, &options, abort.clone())?;
                let mut chunks = Vec::new();
                while let Some(chunk) = block_on(several.next(model))? {
                    chunks.push(chunk);
                    if chunks.len() == *take {
                        several.aborts()[0].set();
                    }
                }
                format!("{chunks:?} {:?}", model.context())
            }
            Use::Complete { prompt, take, temperature, seed, logprobs, first, slides } => {
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
                let (max_tokens, overflow) = if *slides { (150, Overflow::Slide) } else { (25, Overflow::Stop) };
                let options = GenerateOptions {
                    max_tokens,
                    sampling,
                    logprobs: *logprobs,
                    overflow,
                    keep: 3,
                    ..Default::default()
                };
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
                let usage = result.usage;
                let seen = model.context();
                format!("{:?} {} {} {seen:?} ", result.token_ids, usage.cached_prompt_tokens, usage.slides)
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
    let uses = [Use::Complete {
        prompt: vec![1, 2, 1],
        take: 20,
        temperature: 1.0,
        seed: 1,
        logprobs: 0,
        first: false,
        slides: false,
    }];
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
    // While the abort is set, nothing is rebuilt.
    abort.clear();
    model.backend().source().1.clear();
    let later = block_on(model.logits(&longer, &AbortFlag::default()));
    assert_eq!(later.map_err(|e| e.code).err(), Some(ErrorCode::Aborted), "this one aborts whenever it is asked");
}
