//! Token packs against float64 (tests/fixtures/growth): gradients, thirty steps of AdamW, and logits with packs.

use crate::common::growth::{Growth, NAMES, Options};
use crate::common::{fixture, relative_error};
use pollster::block_on;
use std::rc::Rc;
use tokenformer_web::checkpoint::files::PytorchFile;
use tokenformer_web::config::PartialConfig;
use tokenformer_web::engine::{Backend, Logits, Train, TrainRoom, TrainState, TrainStep};
use tokenformer_web::packs::{ActivePack, Pack};
use tokenformer_web::reference::{Reference, ReferenceEngine};

/// Permitted error of each tensor's gradient, in f32.
const GRADIENT: f64 = 1e-3;
/// Permitted error of a loss, as a share of it, and the smallest value that the share is taken of.
const LOSS: (f64, f64) = (0.01, 0.05);
/// Permitted error of the norm of all gradients, at every step.
const NORM: f64 = 0.02;
/// Permitted error of logits, over one position.
const LOGITS: f64 = 2e-3;

struct Case {
    name: &'static str,
    growth: Growth,
    reference: Reference,
}

impl Case {
    fn open(name: &'static str) -> Self {
        let config = std::fs::read(fixture(name).join("config.json")).expect("config.json");
        let config = PartialConfig::from_json(&config).expect("config");
        let mut source = PytorchFile::open(&fixture(name).join("pytorch_model.bin"), Some(config)).expect(name);
        let reference = Reference::load(&mut source, false).expect(name);
        Self { name, growth: Growth::open(name), reference }
    }

    fn pack(&self, set: &str) -> Pack {
        self.growth.pack(set, self.reference.config().num_layers)
    }
}

#[test]
fn gradients_agree_with_float64() {
    for case in NAMES.map(Case::open) {
        let ids = case.growth.ids();
        for (set, want_loss) in [("zero", case.growth.told.loss_base), ("some", case.growth.told.loss_some)] {
            let tokens = case.pack(&format!("{set}.tokens"));
            let (loss, got) = case.reference.gradients(&tokens, &ids).expect("gradients");
            assert!((loss - want_loss).abs() < 1e-4, "{}, {set}: {loss} and {want_loss}", case.name);
            let want = case.pack(&format!("{set}.grad"));
            for (i, (got, want)) in got.slices().zip(want.slices()).enumerate() {
                // With zero keys and nonzero values, some gradients are zero.
                if want.iter().all(|x| *x == 0.0) {
                    assert!(got.iter().all(|x| *x == 0.0), "{}, {set}, {i}", case.name);
                    continue;
                }
                let error = relative_error(got, want);
                assert!(error < GRADIENT, "{}, {set}, tensor {i}: {error:.1e}", case.name);
            }
        }
    }
}

#[test]
fn thirty_steps_agree_with_float64() {
    // Seconds each: in the short tier only the one whose number of slots differs from the hidden size.
    let first = if std::env::var("TOKENFORMER_FULL").is_ok() { 0 } else { 2 };
    for case in NAMES[first..].iter().map(|name| Case::open(name)) {
        let ids = case.growth.ids();
        let (name, growth, tokens) = (case.name, &case.growth.told, case.pack("zero.tokens"));
        let (Options { lr, steps, .. }, adamw) = (growth.adamw, growth.adamw.adamw());
        let trained = case.pack("trained.tokens");
        let mut engine = ReferenceEngine::new(case.reference, 64);
        let state = TrainState::new(tokens);
        let room = TrainRoom { length: ids.len(), batch: 1 };
        block_on(engine.begin_training(&state, &adamw, room)).expect("begun");
        let step = TrainStep { batch: vec![ids.clone()], learning_rate: lr };
        let mut losses = Vec::new();
        for want in &growth.gradient_norms[..steps] {
            let now = block_on(engine.learnt()).expect("learnt").tokens;
            let (_, gradients) = engine.reference().gradients(&now, &ids).expect("gradients");
            let norm = gradients.slices().flatten().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            assert!((norm / want - 1.0).abs() < NORM, "{name}, step {}: {norm} and {want}", losses.len());
            losses.extend(block_on(engine.train(std::slice::from_ref(&step))).expect("a step"));
        }
        for (i, (got, want)) in losses.iter().zip(&growth.losses).enumerate() {
            let error = (f64::from(*got) - want).abs();
            assert!(error < LOSS.0 * want.max(LOSS.1), "{name}, step {i}: {got} and {want}");
        }
        let (last, want) = (block_on(engine.loss(&[ids])).expect("loss"), growth.losses[steps]);
        assert!((last - want).abs() < LOSS.0 * want.max(LOSS.1), "{name}, at the end: {last} and {want}");
        let learnt = block_on(engine.learnt()).expect("learnt");
        assert_eq!(learnt.steps as usize, steps);
        // Where second moments are almost zero, rounding moves tokens: overall they are the same.
        let [got, want] = [&learnt.tokens, &trained].map(|pack| pack.slices().flatten().copied().collect::<Vec<_>>());
        let error = relative_error(&got, &want);
        assert!(error < 0.02, "{name}: {error:.1e}");
        engine.end_training();
        assert!(block_on(engine.learnt()).is_err());
    }
}

#[test]
fn logits_with_packs_agree_with_float64() {
    for case in NAMES.map(Case::open) {
        let ids = case.growth.ids();
        let vocab = case.reference.config().padded_vocab_size;
        let trained = Rc::new(case.pack("trained.tokens"));
        let mut some = case.pack("some.tokens");
        for layer in &mut some.layers {
            (layer[0], layer[1], layer[2]) = (None, None, None);
        }
        let pack =
            |name: &str, strength, pack: &Rc<Pack>| ActivePack { name: name.into(), strength, pack: pack.clone() };
        let trained = pack("trained", 1.0, &trained);
        let some = pack("some", 0.5, &Rc::new(some));
        let [want_one, want_stack] = ["trained.logits", "stack.logits"].map(|name| case.growth.floats(name));
        let mut engine = ReferenceEngine::new(case.reference, 64);
        let mut logits = |packs: &[ActivePack]| {
            block_on(engine.set_packs(packs)).expect("packs");
            assert_eq!(engine.len(), 0, "the KV cache is forgotten");
            block_on(engine.forward(&ids, Logits::Each(ids.len()))).expect("logits")
        };
        let base = logits(&[]);
        let stack = logits(&[trained.clone(), some.clone()]);
        for (got, want) in [(logits(std::slice::from_ref(&trained)), want_one), (stack.clone(), want_stack)] {
            for (t, (got, want)) in got.chunks(vocab).zip(want.chunks(vocab)).enumerate() {
                let error = relative_error(got, want);
                assert!(error < LOGITS, "{} at {t}: {error:.1e}", case.name);
            }
        }
        assert_eq!(logits(&[some.clone(), trained.clone()]), stack, "{}: the order of adding shows", case.name);
        assert_ne!(base, stack);
        let off = ActivePack { strength: 0.0, ..trained };
        assert_eq!(logits(&[off]), base, "{}: off is the base", case.name);
        assert_eq!(logits(&[]), base, "{}", case.name);
    }
}
