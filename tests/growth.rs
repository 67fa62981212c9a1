//! Token packs against float64 (tests/fixtures/growth): gradients, thirty steps of AdamW, and logits with packs.

mod common;

use common::{fixture, floats, ids, relative_error};
use pollster::block_on;
use safetensors::SafeTensors;
use serde::Deserialize;
use std::rc::Rc;
use tokenformer_web::checkpoint::files::PytorchFile;
use tokenformer_web::config::PartialConfig;
use tokenformer_web::engine::{AdamW, Backend, Logits, Train, TrainRoom, TrainState, TrainStep};
use tokenformer_web::packs::{ActivePack, Pack, PackTokens};
use tokenformer_web::pattention::Pattention;
use tokenformer_web::reference::{Reference, ReferenceEngine};

/// Of each tensor's gradient, in f32.
const GRADIENT: f64 = 1e-3;
/// Of a loss, of which at least this much.
const LOSS: (f64, f64) = (0.01, 0.05);
/// Of the norm of all gradients, at every step.
const NORM: f64 = 0.02;
/// Of logits, over one position.
const LOGITS: f64 = 2e-3;

#[derive(Deserialize)]
struct Growth {
    loss_base: f64,
    loss_some: f64,
    adamw: Options,
    losses: Vec<f64>,
    gradient_norms: Vec<f64>,
}

#[derive(Deserialize)]
struct Options {
    lr: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
    clip_norm: f32,
    steps: usize,
}

struct Case {
    name: &'static str,
    file: Vec<u8>,
    growth: Growth,
    reference: Reference,
}

impl Case {
    fn open(name: &'static str) -> Self {
        let config = std::fs::read(fixture(name).join("config.json")).expect("config.json");
        let config = PartialConfig::from_json(&config).expect("config");
        let mut source = PytorchFile::open(&fixture(name).join("pytorch_model.bin"), Some(config)).expect(name);
        let reference = Reference::load(&mut source, false).expect(name);
        let folder = fixture("growth").join(name);
        let growth = std::fs::read(folder.join("growth.json")).expect("growth.json");
        let file = std::fs::read(folder.join("growth.safetensors")).expect("growth.safetensors");
        Self { name, file, growth: serde_json::from_slice(&growth).expect("growth"), reference }
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.file).expect("growth")
    }

    /// The tensors `{set}.{layer}.{kind}.{key|value}`.
    fn pack(&self, set: &str) -> Pack {
        let file = self.file();
        let tokens = |layer: usize, kind: Pattention| {
            let side = |side: &str| floats(&file, &format!("{set}.{layer}.{}.{side}", kind.name()));
            Some(PackTokens { keys: side("key"), values: side("value") })
        };
        let layers = 0..self.reference.config().num_layers;
        Pack { layers: layers.map(|layer| Pattention::ALL.map(|kind| tokens(layer, kind))).collect() }
    }
}

const NAMES: [&str; 3] = ["head64", "head80", "uneven-slots"];

#[test]
fn gradients_agree_with_float64() {
    for case in NAMES.map(Case::open) {
        let ids = ids(&case.file());
        for (set, want_loss) in [("zero", case.growth.loss_base), ("some", case.growth.loss_some)] {
            let tokens = case.pack(&format!("{set}.tokens"));
            let (loss, got) = case.reference.gradients(&tokens, &ids).expect("gradients");
            assert!((loss - want_loss).abs() < 1e-4, "{}, {set}: {loss} and {want_loss}", case.name);
            let want = case.pack(&format!("{set}.grad"));
            for (i, (got, want)) in got.slices().zip(want.slices()).enumerate() {
                // Of zero keys and values that are not, some gradients are nothing.
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
    // Seconds each: in the short tier the one whose slots are not the hidden size.
    let first = if std::env::var("TOKENFORMER_FULL").is_ok() { 0 } else { 2 };
    for case in NAMES[first..].iter().map(|name| Case::open(name)) {
        let ids = ids(&case.file());
        let (name, growth, tokens) = (case.name, &case.growth, case.pack("zero.tokens"));
        let Options { lr, beta1, beta2, eps, weight_decay, clip_norm, steps } = growth.adamw;
        let adamw = AdamW { betas: [beta1, beta2], epsilon: eps, weight_decay, clip_norm };
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
        // Where second moments are next to nothing, rounding moves tokens: on the whole they are the same.
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
        let ids = ids(&case.file());
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
        let [want_one, want_stack] = ["trained.logits", "stack.logits"].map(|name| floats(&case.file(), name));
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
