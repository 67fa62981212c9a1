//! The loop, over the reference and over fake engines.

use super::*;
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::random::RandomModel;
use crate::config::{ModelConfig, NormActivation};
use crate::engine::{AbortFlag, Backend, Train};
use crate::error::{Error, ErrorCode};
use crate::generate::tests::FakeBackend;
use crate::packs::Pack;
use crate::pattention::Pattention;
use crate::reference::{Reference, ReferenceEngine};
use pollster::block_on;

const CONFIG: &str = r#"{"num_layers":2,"hidden_size":32,"num_attention_heads":2,"qkv_slot_num":40,"proj_slot_num":32,
    "ffn_slot_num":64,"padded_vocab_size":23,"max_position_embeddings":64}"#;

fn config() -> ModelConfig {
    ModelConfig::from_json(CONFIG.as_bytes()).expect("config")
}

fn engine_of(config: &ModelConfig) -> ReferenceEngine {
    let mut source = RandomModel::new(config, Quantization::Q8, 3);
    ReferenceEngine::new(Reference::load(&mut source, false).expect("reference"), 64)
}

fn engine() -> ReferenceEngine {
    engine_of(&config())
}

/// A text that can be learnt: it counts, over and over.
fn text(len: u32) -> Vec<u32> {
    (0..len).map(|i| 1 + i % 7).collect()
}

fn options() -> TrainOptions {
    TrainOptions { tokens: 4, sequence_length: 8, batch: 3, learning_rate: 0.02, seed: 1, ..TrainOptions::default() }
}

fn start<B: Backend>(model: &B, options: &TrainOptions) -> Training {
    Training::start(model, &[text(200)], options.clone(), None, AbortFlag::default()).expect("start")
}

/// A whole training, with what was reported meanwhile.
fn run<B: Backend + Train>(model: &mut B, options: &TrainOptions) -> (TrainedPack, Vec<Progress>) {
    let mut training = start(model, options);
    let mut told = Vec::new();
    while let Some(progress) = block_on(training.next(model)).expect("next") {
        told.push(progress);
    }
    assert_eq!(block_on(training.next(model)).expect("the end"), None, "and it stays the end");
    (block_on(training.finish(model)).expect("finish"), told)
}

#[test]
fn a_text_is_learnt_and_the_best_epoch_is_the_result() {
    let mut model = engine();
    let (trained, told) = run(&mut model, &options());
    // 200 tokens: 20 for validation, two sequences; of 180, 22 sequences, eight steps an epoch.
    assert_eq!((trained.losses.len(), told[0].steps, told.len()), (32, 32, 5));
    assert_eq!(trained.tokens_seen, 4 * 22 * 8);
    let validation = trained.validation.expect("validation");
    assert!(validation.after < 0.8 * validation.before, "{validation:?}");
    assert!(trained.losses[31] < 0.8 * trained.losses[0], "{:?}", trained.losses);
    assert_eq!(trained.message, None);
    let measured: Vec<f64> = told.iter().filter_map(|progress| progress.validation).collect();
    assert_eq!((measured.len(), measured[0]), (5, validation.before), "before, and after each epoch");
    let best = measured[1..].iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(best, validation.after);
    assert_eq!(trained.best_epoch.map(|epoch| measured[epoch]), Some(best));
    let steps: Vec<_> = told.iter().map(|p| (p.step, p.epoch, p.losses.len())).collect();
    assert_eq!(steps, [(0, 0, 0), (8, 1, 8), (16, 2, 8), (24, 3, 8), (32, 4, 8)]);
    assert_eq!(told.iter().flat_map(|p| &p.losses).copied().collect::<Vec<_>>(), trained.losses);
    assert_eq!((told[0].seconds_left, told[4].seconds_left), (None, Some(0.0)));
    // The loss on the kept part with these tokens is the one that was reported.
    let again = TrainOptions { steps: 1, ..options() };
    let mut training =
        Training::start(&model, &[text(200)], again, Some(trained.pack.clone()), AbortFlag::default()).expect("start");
    let progress = block_on(training.next(&mut model)).expect("next").expect("validation");
    assert_eq!(progress.validation, Some(validation.after));
    drop(training);
    // It is freed, and the base is what it was.
    assert!(block_on(model.set_packs(&[])).is_ok());
    assert_eq!(run(&mut model, &options()).0.pack, trained.pack, "the same seed, the same pack");
    let other = run(&mut model, &TrainOptions { seed: 2, ..options() }).0;
    assert_ne!(other.pack, trained.pack);
}

#[test]
fn steps_and_kinds_are_counted_and_validation_can_be_off() {
    let mut model = engine();
    let kinds = vec!["mlp".to_owned(), "query".to_owned()];
    let (trained, told) = run(&mut model, &TrainOptions { steps: 13, validation: 0.0, kinds, ..options() });
    // 25 sequences, nine steps an epoch.
    assert_eq!(told.iter().map(|p| p.step).collect::<Vec<_>>(), [9, 13]);
    assert_eq!((trained.losses.len(), trained.validation, trained.best_epoch), (13, None, None));
    assert_eq!(trained.pack.kinds(), [Pattention::Query, Pattention::Mlp]);
    assert_eq!(trained.tokens_seen, (25 + 4 * 3) * 8);
    assert!(told.iter().all(|progress| progress.validation.is_none()));
    // An epoch of many steps is reported every ten.
    let (_, told) = run(&mut model, &TrainOptions { epochs: 1, batch: 1, validation: 0.0, ..options() });
    assert_eq!(told.iter().map(|p| p.losses.len()).collect::<Vec<_>>(), [10, 10, 5]);
}

#[test]
fn it_ends_at_any_moment_with_what_was_learnt() {
    let mut model = engine();
    let whole = run(&mut model, &options());
    for calls in 0..6usize {
        let abort = AbortFlag::default();
        let mut training = Training::start(&model, &[text(200)], options(), None, abort.clone()).expect("start");
        for _ in 0..calls {
            block_on(training.next(&mut model)).expect("next");
        }
        abort.set();
        assert_eq!(block_on(training.next(&mut model)).expect("aborted"), None);
        let trained = block_on(training.finish(&mut model)).expect("finish");
        let steps = 8 * calls.saturating_sub(1).min(4);
        assert_eq!(trained.losses[..], whole.0.losses[..steps], "{calls} calls");
        assert_eq!(trained.validation.is_some(), calls > 0);
        if calls == 0 {
            assert_eq!(trained.pack, Pack::fresh(&config(), &Pattention::ALL, 4, 1));
        }
        assert!(block_on(model.learnt()).is_err(), "it is freed");
    }
}

#[test]
fn an_abort_in_the_first_epoch_is_measured() {
    let (mut model, abort) = (engine(), AbortFlag::default());
    let options = TrainOptions { batch: 1, ..options() };
    let mut training = Training::start(&model, &[text(200)], options, None, abort.clone()).expect("start");
    for _ in 0..3 {
        block_on(training.next(&mut model)).expect("next");
    }
    abort.set();
    let trained = block_on(training.finish(&mut model)).expect("finish");
    let Validation { before, after } = trained.validation.expect("validation");
    assert_eq!((trained.losses.len(), trained.best_epoch), (20, None));
    assert!(after < before, "{before} and {after}");
}

#[test]
fn what_goes_wrong_stops_with_a_message_and_good_tokens() {
    // Steps so large that tokens become infinite at once.
    let mut model = FakeBackend::new(23, 64);
    let wild = TrainOptions { learning_rate: 3e38, warmup: 0, schedule: Schedule::Constant, ..options() };
    for validation in [0.0, 0.1] {
        let (trained, told) = run(&mut model, &TrainOptions { validation, ..wild.clone() });
        let message = trained.message.expect("a message");
        assert!(message.contains("no longer a number") && message.contains("learningRate"), "{message}");
        assert_eq!(told.last().and_then(|p| p.message.clone()), Some(message));
        assert!(trained.losses.len() < 32);
        assert!(trained.pack.slices().flatten().all(|x| x.is_finite()));
        assert_eq!(trained.validation.is_some(), validation > 0.0);
    }
}

#[test]
fn what_cannot_be_learnt_is_refused() {
    let model = engine();
    let refused = |documents: &[Vec<u32>], options: TrainOptions, pack: Option<Pack>, code: ErrorCode, says: &str| {
        let e: Error = Training::start(&model, documents, options, pack, AbortFlag::default()).err().expect(says);
        assert_eq!(e.code, code, "{e}");
        assert!(e.to_string().contains(says), "{e}");
    };
    use ErrorCode::{InvalidArgument, InvalidConfig};
    refused(&[], options(), None, InvalidArgument, "empty");
    refused(&[text(15)], options(), None, InvalidArgument, "two sequences");
    refused(&[vec![23; 30]], options(), None, InvalidArgument, "23 is out of range");
    let long = TrainOptions { sequence_length: 65, ..options() };
    refused(&[text(200)], long, None, InvalidArgument, "context has 64 tokens");
    let both = TrainOptions { steps: 1, epochs: 1, ..options() };
    refused(&[text(200)], both, None, InvalidArgument, "epochs and steps");
    let deep = ModelConfig { num_layers: 3, ..config() };
    let pack = Pack::fresh(&deep, &Pattention::ALL, 2, 0);
    refused(&[text(200)], options(), Some(pack), InvalidConfig, "3 layers, but the model has 2");
    let softmax = engine_of(&ModelConfig { norm_activation_type: NormActivation::Softmax, ..config() });
    let e = Training::start(&softmax, &[text(200)], options(), None, AbortFlag::default()).err().expect("softmax");
    assert_eq!(e.code, ErrorCode::UnsupportedCheckpoint);
}

#[test]
fn a_pause_gives_what_was_learnt_so_far_and_changes_nothing() {
    let mut model = engine();
    let (whole, told) = run(&mut model, &options());
    let mut training = start(&model, &options());
    let so_far = block_on(training.pause(&mut model)).expect("before the first step");
    assert!(so_far.pack.slices().step_by(2).flatten().all(|key| *key == 0.0), "keys begin at zero");
    let mut ends = Vec::new();
    for want in told {
        let got = block_on(training.next(&mut model)).expect("next").expect("progress");
        assert_eq!((got.losses, got.validation), (want.losses, want.validation));
        ends.push(training.is_epoch_end());
        for _ in 0..2 {
            let so_far = block_on(training.pause(&mut model)).expect("pause");
            assert_eq!((so_far.losses.len(), so_far.validation), (got.step, None));
            // Others use the engine meanwhile, with that pack.
            let pack = std::rc::Rc::new(so_far.pack);
            let active = crate::packs::ActivePack { name: "so far".into(), strength: 1.0, pack };
            block_on(model.set_packs(&[active])).expect("a pack");
            block_on(model.set_packs(&[])).expect("no pack");
        }
    }
    assert_eq!(ends, [false, true, true, true, true]);
    assert_eq!(block_on(training.next(&mut model)).expect("the end"), None);
    let trained = block_on(training.finish(&mut model)).expect("finish");
    assert_eq!((trained.pack, trained.validation), (whole.pack, whole.validation));
}
