//! Training against float64 (tests/fixtures/growth), and against the reference on the same quantized tables.

use super::*;
use crate::checkpoint::TableSource;
use crate::checkpoint::files::PytorchFile;
use crate::checkpoint::layout::tensors;
use crate::checkpoint::regions::Region;
use crate::engine::{AdamW, Train, TrainRoom, TrainState, TrainStep};
use crate::error::ErrorCode;
use crate::model::KernelTime;
use crate::packs::{ActivePack, LayerTokens, Merged, Pack, PackTokens};
use growth::{Growth, NAMES, Options};
use half::f16;
use pollster::block_on;
use std::path::PathBuf;

#[path = "../../../tests/common/growth.rs"]
#[allow(dead_code)] // other tests use more of it
mod growth;

/// Tolerance of each tensor's gradient, relative.
const GRADIENT: f64 = 1e-3;
/// Tolerance of a loss, relative, and the smallest loss that it is relative to.
const LOSS: (f64, f64) = (0.01, 0.05);

const ADAMW: AdamW = AdamW { betas: [0.9, 0.95], epsilon: 1e-8, weight_decay: 0.0, clip_norm: 1.0 };

/// A fixture at f16 precision, and the reference results of growing packs on it.
struct Case {
    model: GpuModel,
    growth: Growth,
    layers: usize,
}

impl Case {
    fn open(gpu: &Rc<Gpu>, name: &str) -> Self {
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let read = |path: &str| std::fs::read(fixtures.join(path)).expect("a fixture");
        let config = PartialConfig::from_json(&read(&format!("{name}/config.json"))).expect("config");
        let path = fixtures.join(name).join("pytorch_model.bin");
        let mut source = PytorchFile::open(&path, Some(config)).expect("checkpoint");
        let config = source.config().clone();
        let loading = block_on(Loading::new(gpu.clone(), config.clone(), Quantization::F16, Some(64))).expect("room");
        for id in tensors(&config) {
            let table = source.table(id).expect("table");
            let bytes: Vec<u8> = match id.format(Quantization::F16) {
                Some(_) => table.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
                None => table.iter().flat_map(|x| x.to_le_bytes()).collect(),
            };
            loading.weights.write(gpu, id, Region::Elements, 0, &bytes).expect("written");
        }
        let model = block_on(loading.finish()).expect("model");
        Self { model, growth: Growth::open(name), layers: config.num_layers }
    }

    fn pack(&self, set: &str) -> Pack {
        self.growth.pack(set, self.layers)
    }
}

/// Gradients and loss of a step that changes no token.
fn gradients(model: &mut GpuModel, tokens: &Pack, batch: &[Vec<u32>]) -> (f32, Pack) {
    let length = batch[0].len();
    let state = TrainState { tokens: tokens.clone(), ..TrainState::default() };
    let room = TrainRoom { length, batch: batch.len() };
    block_on(model.begin_training(&state, &ADAMW, room)).expect("room");
    let step = TrainStep { batch: batch.to_vec(), learning_rate: 0.0 };
    let losses = block_on(model.train(&[step])).expect("a step");
    assert_eq!(block_on(model.learnt()).expect("learnt").tokens, *tokens, "a rate of 0 moves nothing");
    let training = model.training.as_ref().expect("a training");
    let gradients = block_on(training.gradients(model.gpu())).expect("gradients");
    model.end_training();
    (losses[0], gradients)
}

#[track_caller]
fn assert_gradients(what: &str, got: &Pack, want: &Pack) {
    assert_eq!(got.slices().count(), want.slices().count());
    for (i, (got, want)) in got.slices().zip(want.slices()).enumerate() {
        // With zero keys and nonzero values, some gradients are exactly zero.
        if want.iter().all(|x| *x == 0.0) {
            assert!(got.iter().all(|x| *x == 0.0), "{what}, tensor {i}");
            continue;
        }
        let error = relative_error(got, want);
        assert!(error < GRADIENT, "{what}, tensor {i}: {error:.1e}");
    }
}

#[test]
fn training_gradients_agree_with_float64() {
    for software in [false, true] {
        let gpu = gpu_that_is(software, &GpuOptions { no_subgroups: true, default_limits: true, ..Default::default() });
        // What is shared out otherwise on a software GPU does not depend on the model.
        for name in if software && !is_full() { &NAMES[..1] } else { &NAMES[..] } {
            let mut case = Case::open(&gpu, name);
            let ids = case.growth.ids();
            for (set, want) in [("zero", case.growth.told.losses[0]), ("some", case.growth.told.loss_some)] {
                let tokens = case.pack(&format!("{set}.tokens"));
                let (loss, got) = gradients(&mut case.model, &tokens, std::slice::from_ref(&ids));
                assert!((f64::from(loss) - want).abs() < 1e-3, "{name}, {set}: {loss} and {want}");
                assert_gradients(&format!("{name}, {set}"), &got, &case.pack(&format!("{set}.grad")));
            }
        }
    }
}

#[test]
fn thirty_steps_of_training_agree_with_float64() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    // The gradients of all fixtures are compared above.
    let names = if is_full() { &NAMES[..] } else { &["uneven-slots"] };
    for name in names {
        let mut case = Case::open(&gpu, name);
        let ids = case.growth.ids();
        let (Options { lr, steps, .. }, adamw) = (case.growth.told.adamw, case.growth.told.adamw.adamw());
        let state = TrainState { tokens: case.pack("zero.tokens"), ..TrainState::default() };
        let room = TrainRoom { length: ids.len(), batch: 1 };
        let step = TrainStep { batch: vec![ids.clone()], learning_rate: lr };
        block_on(case.model.begin_training(&state, &adamw, room)).expect("begun");
        let mut losses = block_on(case.model.train(&vec![step.clone(); 10])).expect("steps");
        // The tokens trained so far, with their moments, determine all further steps.
        let state = block_on(case.model.learnt()).expect("learnt");
        assert_eq!(state.steps, 10);
        block_on(case.model.begin_training(&state, &adamw, room)).expect("begun again");
        losses.extend(block_on(case.model.train(&vec![step; steps - 10])).expect("steps"));
        losses.push(block_on(case.model.loss(&[ids])).expect("loss") as f32);
        for (i, (got, want)) in losses.iter().zip(&case.growth.told.losses).enumerate() {
            let error = (f64::from(*got) - want).abs();
            assert!(error < LOSS.0 * want.max(LOSS.1), "{name}, step {i}: {got} and {want}");
        }
        assert_eq!(losses.len(), case.growth.told.losses.len());
        let learnt = block_on(case.model.learnt()).expect("learnt");
        let [got, want] = [&learnt.tokens, &case.pack("trained.tokens")]
            .map(|pack| pack.slices().flatten().copied().collect::<Vec<_>>());
        // Where second moments are almost zero, rounding changes tokens: as a whole they still agree.
        let error = relative_error(&got, &want);
        assert!(error < 0.02, "{name}: {error:.1e}");
    }
}

/// Tokens for a layer's Pattentions, with these counts; 0: none.
fn layer_tokens(random: &mut Random, counts: [usize; 5], d: usize) -> LayerTokens {
    counts.map(|m| {
        let mut side = || (0..m * d).map(|_| 0.3 * random.uniform()).collect::<Vec<f32>>();
        let tokens = PackTokens { keys: side(), values: side() };
        (m > 0).then_some(tokens)
    })
}

#[test]
fn batches_on_quantized_tables_agree_with_the_reference() {
    let c = config(UNEVEN);
    let (d, vocab) = (c.hidden_size, c.padded_vocab_size);
    let mut random = Random(5);
    // Different numbers of tokens, kinds and layers without any, packs that stay unchanged.
    let shapes: [[&[[usize; 5]]; 2]; 5] = [
        [&[[3; 5], [2, 5, 5, 1, 70]], &[]],
        [&[[0; 5], [0, 0, 0, 0, 4]], &[]],
        [&[[0, 0, 0, 0, 4], [0; 5]], &[]],
        [&[[0, 0, 0, 2, 0], [0, 2, 0, 0, 0]], &[]],
        [&[[2; 5], [0, 2, 0, 1, 0]], &[[1, 0, 3, 2, 2], [1, 1, 0, 0, 2]]],
    ];
    for (i, [counts, others]) in shapes.into_iter().enumerate() {
        let gpu = gpu_that_is(i == 1, &GpuOptions { no_subgroups: true, ..Default::default() });
        let q = Quantization::ALL[i % 3];
        let (mut model, mut reference) = block_on(build(&gpu, &c, q, 8));
        let tokens = Pack { layers: counts.iter().map(|counts| layer_tokens(&mut random, *counts, d)).collect() };
        let pack =
            Rc::new(Pack { layers: others.iter().map(|counts| layer_tokens(&mut random, *counts, d)).collect() });
        let packs: Vec<_> = [("a", 0.5), ("b", -1.5)]
            .map(|(name, strength)| ActivePack { name: name.into(), strength, pack: pack.clone() })
            .into();
        block_on(model.set_packs(&packs)).expect("packs");
        // The first has more rows than fit at a time.
        let (sequences, length) = if i == 0 { (4, 290) } else { (3, 21) };
        let batch: Vec<Vec<u32>> = (0..sequences).map(|_| random.ids(length, vocab)).collect();
        let (loss, got) = gradients(&mut model, &tokens, &batch);
        reference.packs = Merged::new(&packs, d);
        let (mut want_loss, mut want) = (0.0, tokens.zeros());
        for ids in &batch {
            let (loss, gradients) = reference.gradients(&tokens, ids).expect("gradients");
            want_loss += loss / batch.len() as f64;
            for (sum, g) in want.slices_mut().zip(gradients.slices()) {
                sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += g / batch.len() as f32);
            }
        }
        assert!((f64::from(loss) - want_loss).abs() < 1e-3, "{q:?}: {loss} and {want_loss}");
        assert_gradients(&format!("{q:?}, {counts:?} beside {others:?}"), &got, &want);
    }
}

#[test]
fn heads_take_turns_on_long_sequences() {
    let mut c = config(UNEVEN);
    // 1,023 rows: the probabilities of eight heads exceed the limit on what is held at a time.
    (c.num_attention_heads, c.max_position_embeddings, c.num_layers) = (20, 1024, 1);
    let (d, length) = (c.hidden_size, 1024);
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let (mut model, reference) = block_on(build(&gpu, &c, Quantization::Q4, 8));
    let mut random = Random(6);
    let tokens = Pack { layers: vec![layer_tokens(&mut random, [2; 5], d)] };
    let ids = random.ids(length, c.padded_vocab_size);
    let (loss, got) = gradients(&mut model, &tokens, std::slice::from_ref(&ids));
    let (want_loss, want) = reference.gradients(&tokens, &ids).expect("gradients");
    assert!((f64::from(loss) - want_loss).abs() < 1e-3, "{loss} and {want_loss}");
    assert_gradients("20 heads", &got, &want);
}

#[test]
fn losses_are_means_over_predictions_and_training_leaves_the_context_alone() {
    let c = config(UNEVEN);
    let gpu = gpu(&GpuOptions::default());
    let (mut model, reference) = block_on(build(&gpu, &c, Quantization::Q8, 20));
    let mut random = Random(7);
    let tokens = Pack { layers: vec![layer_tokens(&mut random, [1, 0, 0, 0, 2], c.hidden_size)] };
    let ids = random.ids(12, c.padded_vocab_size);
    block_on(model.forward(&ids[..11], Logits::None)).expect("prompt");
    let before = block_on(model.forward(&ids[11..], Logits::Last)).expect("logits");
    model.truncate(11);
    let room = TrainRoom { length: 30, batch: 2 };
    let state = TrainState { tokens: tokens.clone(), ..TrainState::default() };
    let bytes = gpu.memory.bytes();
    block_on(model.begin_training(&state, &ADAMW, room)).expect("begun");
    // Sequences of several lengths, and more than fit at a time.
    let sequences: Vec<Vec<u32>> =
        [30, 30, 30, 2, 17].iter().map(|length| random.ids(*length, c.padded_vocab_size)).collect();
    let got = block_on(model.loss(&sequences)).expect("loss");
    let of = |ids: &Vec<u32>| reference.gradients(&tokens, ids).expect("loss").0 * (ids.len() - 1) as f64;
    let want = sequences.iter().map(of).sum::<f64>() / (29.0 * 3.0 + 1.0 + 16.0);
    assert!((got - want).abs() < 1e-4, "{got} and {want}");
    // More steps than the number of losses that are read at a time.
    let step = TrainStep { batch: sequences[3..4].to_vec(), learning_rate: 0.01 };
    let losses = block_on(model.train(&vec![step; 66])).expect("steps");
    assert!(losses.len() == 66 && losses.is_sorted_by(|a, b| a > b), "{losses:?}");
    let learnt = block_on(model.learnt()).expect("learnt");
    assert_eq!((learnt.tokens.layers.len(), learnt.steps), (1, 66));
    let after = block_on(model.forward(&ids[11..], Logits::Last)).expect("logits");
    assert_eq!(after, before, "the context and the base are as they were");
    model.end_training();
    assert_eq!(gpu.memory.bytes(), bytes, "all of it is free again");
}

#[test]
fn what_cannot_be_trained_is_an_error() {
    let gpu = gpu(&GpuOptions::default());
    let mut c = config(UNEVEN);
    c.num_layers = 1;
    let (mut model, _) = block_on(build(&gpu, &c, Quantization::Q4, 8));
    let code = |result: crate::error::Result<()>| result.expect_err("an error").code;
    let mut random = Random(8);
    let tokens = Pack { layers: vec![layer_tokens(&mut random, [1; 5], c.hidden_size)] };
    let state = TrainState { tokens: tokens.clone(), ..TrainState::default() };
    let begin = |model: &mut GpuModel, state: &TrainState, length, batch| {
        block_on(model.begin_training(state, &ADAMW, TrainRoom { length, batch }))
    };
    assert_eq!(code(block_on(model.learnt()).map(drop)), ErrorCode::InvalidArgument);
    for (length, batch) in [(1, 1), (302, 1), (8, 0)] {
        assert_eq!(code(begin(&mut model, &state, length, batch)), ErrorCode::InvalidArgument, "{length}, {batch}");
    }
    let other = Pack { layers: vec![layer_tokens(&mut random, [1; 5], 32)] };
    let moments = [Pack { layers: vec![layer_tokens(&mut random, [2; 5], c.hidden_size)] }, tokens.clone()];
    let wrong = TrainState { tokens: other, ..TrainState::default() };
    assert_eq!(code(begin(&mut model, &wrong, 8, 1)), ErrorCode::InvalidConfig);
    let wrong = TrainState { moments, ..state.clone() };
    assert_eq!(code(begin(&mut model, &wrong, 8, 1)), ErrorCode::InvalidArgument);
    begin(&mut model, &state, 8, 2).expect("begun");
    let ids = |n: usize| vec![1; n];
    for batch in [vec![], vec![ids(9)], vec![ids(1)], vec![ids(8); 3], vec![ids(8), ids(7)], vec![vec![333; 8]]] {
        let step = TrainStep { batch: batch.clone(), learning_rate: 0.1 };
        assert_eq!(code(block_on(model.train(&[step])).map(drop)), ErrorCode::InvalidArgument, "{batch:?}");
    }
    assert_eq!(code(block_on(model.loss(&[])).map(drop)), ErrorCode::InvalidArgument);
    assert_eq!(block_on(model.learnt()).expect("learnt").tokens, tokens, "no step was made");
    c.norm_activation_type = crate::config::NormActivation::Softmax;
    let (mut model, _) = block_on(build(&gpu, &c, Quantization::Q4, 8));
    assert_eq!(code(begin(&mut model, &state, 8, 1)), ErrorCode::UnsupportedCheckpoint);
}

/// Not a test but a measurement: `TOKENFORMER_TRAIN_RATE=TokenFormer-450M cargo test … -- training_rate --nocapture`
/// prints how many tokens are trained in a second, what that takes besides the weights, and how long each kernel takes.
#[test]
fn training_rate() {
    let Ok(name) = std::env::var("TOKENFORMER_TRAIN_RATE") else { return };
    let config = ModelConfig::preset(&name).unwrap_or_else(|| config(&name)); // or the text of a config.json
    let gpu = gpu_that_is(false, &GpuOptions { timestamps: true, ..Default::default() });
    let loading = block_on(Loading::new(gpu.clone(), config.clone(), Quantization::Q4, Some(64))).expect("room");
    let mut random = Random(9);
    for id in tensors(&config) {
        for region in [Region::Elements, Region::Scales] {
            let bytes = loading.weights.region_bytes(id, region) as usize;
            let scale = f16::from_f32(0.05).to_le_bytes();
            let data: Vec<u8> = match (region, id.format(Quantization::Q4)) {
                (Region::Elements, Some(_)) => (0..bytes).map(|_| random.word() as u8).collect(),
                (Region::Elements, None) => [1.0f32.to_le_bytes()].concat().repeat(bytes / 4),
                _ => scale.repeat(bytes / 2),
            };
            loading.weights.write(&gpu, id, region, 0, &data).expect("written");
        }
    }
    let mut model = block_on(loading.finish()).expect("model");
    let (d, length, batch) = (config.hidden_size, 256, 4);
    let layers = (0..config.num_layers).map(|_| layer_tokens(&mut random, [16; 5], d)).collect();
    let state = TrainState { tokens: Pack { layers }, ..TrainState::default() };
    let before = gpu.memory.bytes();
    block_on(model.begin_training(&state, &ADAMW, TrainRoom { length, batch })).expect("begun");
    println!("{} MB beside {} MB", (gpu.memory.bytes() - before) / 1_000_000, before / 1_000_000);
    let ids = (0..batch).map(|_| random.ids(length, config.padded_vocab_size)).collect();
    let step = TrainStep { batch: ids, learning_rate: 1e-3 };
    for steps in [2, 10, 10] {
        let start = std::time::Instant::now();
        let losses = block_on(model.train(&vec![step.clone(); steps])).expect("steps");
        let rate = (steps * length * batch) as f64 / start.elapsed().as_secs_f64();
        println!("{steps} steps: {rate:.0} tokens/s, losses {:.3} … {:.3}", losses[0], losses[steps - 1]);
    }
    for KernelTime { kernel, dispatches, microseconds } in
        block_on(model.training_times()).expect("times").unwrap_or_default()
    {
        println!(
            "{:8.2} ms = {dispatches:5} × {microseconds:8.1} µs  {kernel}",
            microseconds * dispatches as f64 / 1e3
        );
    }
}
