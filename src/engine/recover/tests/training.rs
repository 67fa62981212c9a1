//! Devices that are lost while a token pack is trained.

use super::*;
use crate::engine::{AdamW, Train, TrainRoom, TrainState, TrainStep};
use crate::packs::PackTokens;

/// Steps and losses that depend on all that came before: tokens, both moments, the number of steps.
impl Train for FakeBackend {
    async fn begin_training(&mut self, state: &TrainState, _: &AdamW, _: TrainRoom) -> Result<()> {
        self.check()?;
        self.training = Some(state.clone());
        Ok(())
    }

    async fn train(&mut self, steps: &[TrainStep]) -> Result<Vec<f32>> {
        let mut losses = Vec::new();
        for step in steps {
            self.check()?; // the device may be lost between two steps of a call
            let TrainState { tokens, moments: [first, second], steps } = self.training.as_mut().expect("begun");
            *steps += 1;
            let ids = step.batch.iter().flatten().sum::<u32>() as f32;
            let values = tokens.slices_mut().zip(first.slices_mut()).zip(second.slices_mut());
            for ((x, m), v) in values.flat_map(|((x, m), v)| x.iter_mut().zip(m).zip(v)) {
                *m = 0.9 * *m + (*x * 3.0 + ids + *steps as f32).sin();
                *v = 0.95 * *v + m.abs();
                *x -= step.learning_rate * *m / (1.0 + *v);
            }
            losses.push(tokens.slices().flatten().sum());
        }
        Ok(losses)
    }

    async fn loss(&mut self, sequences: &[Vec<u32>]) -> Result<f64> {
        self.check()?;
        let tokens = &self.training.as_ref().expect("begun").tokens;
        Ok(f64::from(tokens.slices().flatten().sum::<f32>()) + sequences.len() as f64)
    }

    async fn learnt(&mut self) -> Result<TrainState> {
        self.check()?;
        Ok(self.training.clone().expect("begun"))
    }

    fn end_training(&mut self) {
        self.training = None;
    }
}

/// What is done while a training runs.
#[derive(Clone, Debug)]
enum Deed {
    /// This many steps in one call.
    Train(usize),
    Loss,
    Learnt,
    /// The model is used for something else meanwhile.
    Logits,
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        5 => (1..14usize).prop_map(Deed::Train), 2 => Just(Deed::Loss), 1 => Just(Deed::Learnt), 1 => Just(Deed::Logits)
    ]
}

fn start() -> TrainState {
    let tokens = PackTokens { keys: vec![0.0, 0.5], values: vec![-0.25, 1.0] };
    TrainState::new(Pack { layers: vec![[None, None, None, Some(tokens.clone()), Some(tokens)]] })
}

fn engine(losses: &[usize]) -> Recovering<FakeBackend, Fakes> {
    let losses = Rc::new(RefCell::new(losses.iter().copied().collect()));
    Recovering::new(fake(&losses, 1), Fakes(losses, 1))
}

fn begin(engine: &mut Recovering<FakeBackend, Fakes>) -> Result<()> {
    let adamw = AdamW { betas: [0.9, 0.95], epsilon: 1e-8, weight_decay: 0.0, clip_norm: 0.0 };
    block_on(engine.begin_training(&start(), &adamw, TrainRoom { length: 4, batch: 2 }))
}

fn learn(engine: &mut Recovering<FakeBackend, Fakes>, deeds: &[Deed]) -> Result<(String, TrainState)> {
    begin(engine)?;
    let (mut log, mut made) = (String::new(), 0);
    for deed in deeds {
        log += &match deed {
            Deed::Train(count) => {
                let steps = made..made + *count as u32;
                made = steps.end;
                let step =
                    |i: u32| TrainStep { batch: vec![vec![i, 2 * i], vec![3, i]], learning_rate: 0.1 / (1 + i) as f32 };
                format!("{:?}", block_on(engine.train(&steps.map(step).collect::<Vec<_>>()))?)
            }
            Deed::Loss => format!("{}", block_on(engine.loss(&[vec![1, 2]]))?),
            Deed::Learnt => format!("{:?}", block_on(engine.learnt())?),
            Deed::Logits => {
                engine.truncate(0);
                format!("{:?}", block_on(engine.forward(&[1, 2, 3], Logits::Last))?)
            }
        };
    }
    let learnt = block_on(engine.learnt())?;
    assert_eq!(learnt.steps, made);
    Ok((log, learnt))
}

proptest! {
    #[test]
    fn a_training_goes_on_as_if_no_device_had_been_lost(
        deeds in prop::collection::vec(any_deed(), 1..12),
        losses in prop::collection::vec(0..90usize, 0..MOST_LOSSES),
    ) {
        let (mut whole, mut broken) = (engine(&[]), engine(&losses));
        let want = learn(&mut whole, &deeds)?;
        let got = learn(&mut broken, &deeds)?;
        prop_assert_eq!(got, want, "after {} losses", broken.losses());
        broken.end_training();
        prop_assert_eq!(block_on(broken.learnt()).map_err(|e| e.code), Err(ErrorCode::InvalidArgument));
    }
}

#[test]
fn steps_of_long_ago_are_not_made_again() {
    // 101 calls: one begins, ten steps and one reading back, nine times; the next step finds the device lost.
    let mut engine = engine(&[1 + 9 * 11 + 3]);
    begin(&mut engine).expect("begun");
    let step = TrainStep { batch: vec![vec![1, 2]], learning_rate: 0.1 };
    for _ in 0..95 {
        block_on(engine.train(std::slice::from_ref(&step))).expect("a step");
    }
    assert_eq!((engine.losses(), engine.learning.as_ref().map(|l| l.since.len())), (1, Some(5)));
    assert_eq!(engine.engine.training.as_ref().map(|state| state.steps), Some(95));
    assert_eq!(engine.learning.as_ref().map(|l| l.state.steps), Some(90));
}
