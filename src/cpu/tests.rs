//! The whole model against the reference, on shapes that are not round numbers.

mod inspect;
mod packs;

use super::tails::LEAST;
use super::{CpuModel, Loading, Reason, check_parameters};
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::random::{Random, RandomModel};
use crate::config::{ModelConfig, NormActivation, PartialConfig};
use crate::engine::{AbortFlag, Backend, Logits};
use crate::error::ErrorCode;
use crate::generate::tests::{long, several};
use crate::generate::{GenerateOptions, Generation, Model, Prompt, healing};
use crate::reference::{Reference, ReferenceEngine};
use crate::sampling::SamplingOptions;
use pollster::block_on;
use proptest::prelude::*;

/// Relative error (L2 over one position's logits) against the reference on the same tables: integers of 16 bits for
/// activations (1e-4 on average with these weights, f16 tables have a tenth of it), keys and values rounded to f16 by
/// both after sums in another order.
const TOLERANCE: f64 = 1e-3;

const UNEVEN: &str = r#"{"num_layers":2,"hidden_size":160,"num_attention_heads":2,"qkv_slot_num":100,
    "proj_slot_num":70,"ffn_slot_num":330,"padded_vocab_size":333,"max_position_embeddings":300}"#;

fn config() -> ModelConfig {
    PartialConfig::from_json(UNEVEN.as_bytes()).and_then(PartialConfig::finish).expect("config")
}

/// Loads a random model in pieces of odd lengths.
fn load(source: &RandomModel, config: &ModelConfig, q: Quantization, context: usize) -> CpuModel {
    let loading = Loading::new(config.clone(), q, Some(context), &Reason::Asked).expect("room");
    for (id, region, bytes) in &source.regions {
        for (i, piece) in bytes.chunks(1001).enumerate() {
            let place = (i * 1001, piece.len());
            loading.write(*id, *region, place, |to| to.copy_from_slice(piece)).expect("a place");
        }
        let past = (bytes.len(), 1);
        assert_eq!(loading.write(*id, *region, past, |_| ()).expect_err("past the end").code, ErrorCode::InvalidConfig);
    }
    loading.finish()
}

fn build(config: &ModelConfig, q: Quantization, context: usize) -> (CpuModel, Reference) {
    let mut source = RandomModel::new(config, q, 7);
    let model = load(&source, config, q, context);
    (model, Reference::load(&mut source, true).expect("reference"))
}

fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |it: &mut dyn Iterator<Item = f64>| it.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(want).map(|(g, w)| f64::from(*g) - f64::from(*w)));
    difference / norm(&mut want.iter().map(|w| f64::from(*w)))
}

/// Prefill in uneven chunks and decode steps, each compared with the reference's logits.
fn compare(config: &ModelConfig, q: Quantization, tokens: usize, chunks: &[usize]) {
    compare_within(TOLERANCE, config, q, tokens, chunks);
}

fn compare_within(tolerance: f64, config: &ModelConfig, q: Quantization, tokens: usize, chunks: &[usize]) {
    let vocab = config.padded_vocab_size;
    let (mut model, mut reference) = build(config, q, tokens);
    let ids = Random(3).ids(tokens, vocab);
    let h = reference.forward(&ids, false).expect("reference").last;
    let want = reference.logits(&h);
    let check = |position: usize, got: &[f32]| {
        let error = relative_error(got, &want[position * vocab..][..vocab]);
        assert!(error < tolerance, "position {position}: error {error:.2e} ({q:?}, {config:?})");
    };
    for &chunk in chunks {
        let at = model.len();
        let all = block_on(model.forward(&ids[at..at + chunk], Logits::Each(chunk))).expect("prefill");
        assert_eq!(all.len(), chunk * vocab);
        all.chunks_exact(vocab).enumerate().for_each(|(i, got)| check(at + i, got));
    }
    for position in model.len()..tokens {
        check(position, &block_on(model.forward(&ids[position..=position], Logits::Last)).expect("step"));
    }
    let e = block_on(model.forward(&ids[..1], Logits::Last)).expect_err("the context is full");
    assert_eq!((e.code, model.len()), (ErrorCode::InvalidArgument, tokens));
    // Again from the middle, over what the steps left in the cache.
    model.truncate(1);
    check(chunks[0] - 1, &block_on(model.forward(&ids[1..chunks[0]], Logits::Last)).expect("after truncation"));
}

#[test]
fn every_precision_agrees_with_the_reference() {
    for q in Quantization::ALL {
        compare(&config(), q, 80, &[32, 3, 17]);
    }
}

#[test]
fn the_fixtures_shapes_agree_with_the_reference() {
    for name in ["head64", "head80", "head96", "uneven-slots"] {
        let path = format!("{}/tests/fixtures/{name}/config.json", env!("CARGO_MANIFEST_DIR"));
        let c = ModelConfig::from_json(&std::fs::read(path).expect("fixture")).expect("config");
        for q in Quantization::ALL {
            compare(&c, q, 24, &[20]);
        }
    }
}

#[test]
fn head_sizes_and_activations_agree_with_the_reference() {
    for (hidden, heads) in [(64, 1), (192, 2), (96, 3), (224, 2), (64, 8)] {
        let mut c = config();
        (c.hidden_size, c.num_attention_heads) = (hidden, heads);
        for activation in [NormActivation::L2NormGelu, NormActivation::GeluL2Norm, NormActivation::Softmax] {
            c.norm_activation_type = activation;
            compare(&c, Quantization::Q4, 21, &[18]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..Default::default() })]
    #[test]
    fn any_shape_agrees_with_the_reference(
        // The scores of a few slots may all be close to 0, and Θ amplifies their errors.
        (heads, head, slots) in (1usize..5, 1usize..8, (12usize..70, 12usize..70, 12usize..200)),
        (q, tokens, chunk, rotary) in (0usize..3, 2usize..12, 2usize..9, 0usize..3),
    ) {
        let mut c = config();
        // Groups are of 32.
        c.hidden_size = heads * head * 32;
        c.num_attention_heads = c.hidden_size / (head * 8).min(112);
        prop_assume!(c.hidden_size.is_multiple_of(c.num_attention_heads));
        (c.qkv_slot_num, c.proj_slot_num, c.ffn_slot_num) = slots;
        (c.padded_vocab_size, c.rotary_pct) = (67, [0.0, 0.25, 1.0][rotary]);
        compare_within(5.0 * TOLERANCE, &c, Quantization::ALL[q], tokens.max(chunk), &[chunk]);
    }
}

fn write<B: Backend>(model: &mut Model<B>, prompt: &[u32], options: &GenerateOptions) -> Vec<u32> {
    let prompt = Prompt::Ids(prompt.to_vec());
    let mut generation = Generation::start(model, &prompt, options.clone(), AbortFlag::default()).expect("start");
    while block_on(generation.next(model)).expect("next").is_some() {}
    generation.result().token_ids
}

#[test]
fn tokens_are_chosen_as_the_reference_would() {
    let config = config();
    for q in Quantization::ALL {
        let (model, reference) = build(&config, q, 80);
        let mut model = Model::new(model, None).expect("model");
        let mut reference = Model::new(ReferenceEngine::new(reference, 80), None).expect("model");
        let prompt = Random(5).ids(41, config.padded_vocab_size);
        for (seed, temperature, logprobs) in [(0, 0.0, 0), (1, 0.8, 0), (2, 1.0, 3), (3, 1.3, 0)] {
            let sampling = SamplingOptions {
                temperature,
                seed,
                logit_bias: vec![(0, -1e4)],
                frequency_penalty: 0.5,
                repetition_penalty: 1.1,
                top_k: if seed == 3 { 40 } else { 0 },
                min_p: if seed == 2 { 0.01 } else { 0.0 },
                ..Default::default()
            };
            let options = GenerateOptions { max_tokens: 30, sampling, logprobs, ..Default::default() };
            let got = write(&mut model, &prompt, &options);
            assert_eq!((got.len(), &got), (30, &write(&mut reference, &prompt, &options)), "{q:?}, seed {seed}");
            // From a cache that holds part of it.
            assert_eq!(got, write(&mut model, &prompt, &options));
        }
    }
}

#[test]
fn large_models_are_refused_and_the_error_says_what_to_do() {
    let preset = |size: &str| ModelConfig::preset(&format!("TokenFormer-{size}")).expect("preset");
    assert!(check_parameters(&preset("150M"), &Reason::Asked).is_ok());
    for (reason, hint) in
        [(Reason::Asked, "Leave backend out"), (Reason::NoGpu("No GPU.".into()), "hardware acceleration")]
    {
        let e = check_parameters(&preset("450M"), &reason).expect_err("too large");
        assert_eq!(e.code, ErrorCode::WebgpuUnavailable);
        assert!(e.message.contains("450M needs") || e.message.contains("million"), "{e}");
        assert!(e.hint.contains(hint) && e.hint.contains("TokenFormer-150M"), "{e}");
    }
    let long = ModelConfig { max_position_embeddings: 1 << 20, ..preset("150M") };
    let new = |context| Loading::new(long.clone(), Quantization::Q4, Some(context), &Reason::Asked);
    let code = |context| new(context).err().expect("refused").code;
    assert_eq!([code(1 << 20), code(0)], [ErrorCode::OutOfMemory, ErrorCode::InvalidArgument]);
}

#[test]
fn a_space_at_the_end_of_a_prompt_is_left_to_the_first_token() {
    let (model, reference) = build(&healing::config(), Quantization::Q8, 64);
    healing::check(&mut healing::with_tokenizer(model));
    healing::check(&mut healing::with_tokenizer(ReferenceEngine::new(reference, 64)));
}

#[test]
fn a_story_of_50_000_tokens_is_written_in_one_go() {
    let json = r#"{"num_layers":1,"hidden_size":32,"num_attention_heads":1,"qkv_slot_num":32,"proj_slot_num":32,
        "ffn_slot_num":64,"padded_vocab_size":97,"max_position_embeddings":256}"#;
    let c = PartialConfig::from_json(json.as_bytes()).and_then(PartialConfig::finish).expect("config");
    let engine = || Model::new(build(&c, Quantization::Q8, 256).0, None).expect("model");
    let (mut model, mut another) = (engine(), engine());
    let story = long::check_story(&mut model, &mut another, 50_000);
    // Its seed repeats it.
    let tokens = if std::env::var("TOKENFORMER_FULL").is_ok() { 50_000 } else { 5000 };
    model.reset();
    assert_eq!(long::check_story(&mut model, &mut another, tokens).token_ids, story.token_ids[..tokens]);
}

#[test]
fn the_reference_slides_as_well() {
    let engine =
        || Model::new(ReferenceEngine::new(build(&config(), Quantization::Q8, 40).1, 40), None).expect("model");
    long::check_story(&mut engine(), &mut engine(), 100);
}

#[test]
fn each_of_several_texts_is_what_it_is_alone() {
    let mut source = RandomModel::new(&config(), Quantization::Q4, 7);
    let mut model = Model::new(load(&source, &config(), Quantization::Q4, 300), None).expect("model");
    several::check_several(&mut model, LEAST + 12); // longer than the least room of a tail, so that it grows
    let reference = Reference::load(&mut source, true).expect("reference");
    let mut model = Model::new(ReferenceEngine::new(reference, 300), None).expect("model");
    several::check_several(&mut model, 20);
}
