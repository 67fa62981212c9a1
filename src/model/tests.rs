//! The whole model on a real (if need be, software) GPU against the CPU reference, on shapes that are
//! not round numbers. Weights are random, so every dispatch contributes.

use super::*;
use crate::checkpoint::random::{Random, RandomModel};
use crate::config::{NormActivation, PartialConfig};
use crate::generate::{AbortFlag, GenerateOptions, Generation, Logits, Model, Prompt, healing};
use crate::gpu::{GpuBuffer, GpuOptions};
use crate::reference::{Reference, ReferenceEngine};
use crate::sampling::{Sampler, SamplingOptions};

/// Relative error (L2 over one position's logits) that the GPU may have against the reference on the
/// same tables: keys and values are rounded to f16 by both, after sums in another order.
const TOLERANCE: f64 = 2e-3;

fn config(json: &str) -> ModelConfig {
    PartialConfig::from_json(json.as_bytes()).and_then(PartialConfig::finish).expect("config")
}

async fn build(gpu: &Rc<Gpu>, config: &ModelConfig, q: Quantization, context: usize) -> (GpuModel, Reference) {
    let loading = Loading::new(gpu.clone(), config.clone(), q, Some(context)).await.expect("room");
    let mut source = RandomModel::new(config, q, 7);
    for (id, region, bytes) in &source.regions {
        loading.weights.write(gpu, *id, *region, 0, bytes).expect("write");
    }
    let reference = Reference::load(&mut source, true).expect("reference");
    (loading.finish().await.expect("model"), reference)
}

fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |it: &mut dyn Iterator<Item = f64>| it.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(want).map(|(g, w)| f64::from(*g) - f64::from(*w)));
    difference / norm(&mut want.iter().map(|w| f64::from(*w)))
}

fn ids(n: usize, vocab: usize) -> Vec<u32> {
    Random(3).ids(n, vocab)
}

/// Prefill in uneven chunks and decode steps, each compared with the reference's logits.
async fn compare(gpu: &Rc<Gpu>, config: &ModelConfig, q: Quantization, tokens: usize, prefill: usize) {
    compare_with(gpu, config, q, (tokens, prefill), None).await;
}

/// The same with decode steps that a team makes in a dispatch.
async fn compare_with(
    gpu: &Rc<Gpu>,
    config: &ModelConfig,
    q: Quantization,
    (tokens, prefill): (usize, usize),
    team: Option<Team>,
) {
    let vocab = config.padded_vocab_size;
    let (mut model, mut reference) = build(gpu, config, q, tokens).await;
    if let Some(team) = team {
        assert!(model.employ(team).await.expect("kernel"), "{team:?} {config:?}");
    }
    let ids = ids(tokens, vocab);
    let h = reference.forward(&ids, false).expect("reference").last;
    let want = reference.logits(&h);
    let check = |what: &str, position: usize, got: &[f32]| {
        let error = relative_error(got, &want[position * vocab..][..vocab]);
        assert!(error < TOLERANCE, "{what} at position {position}: error {error:.2e} ({q:?}, {config:?})");
    };
    let all = model.forward(&ids[..prefill], Logits::Each(prefill)).await.expect("prefill");
    assert_eq!(all.len(), prefill * vocab);
    for (position, got) in all.chunks_exact(vocab).enumerate() {
        check("prefill", position, got);
    }
    for position in prefill..tokens {
        let got = model.forward(&ids[position..=position], Logits::Last).await.expect("step");
        check("decode", position, &got);
    }
    assert_eq!(model.workers.as_ref().map(|w| w.team), team, "somebody gave up");
    // Again from the middle, over what the steps left in the cache.
    model.truncate(1);
    let got = model.forward(&ids[1..prefill], Logits::Last).await.expect("prefill after truncation");
    check("prefill after truncation", prefill - 1, &got);
    drop(model);
}

/// A GPU that shares work as a real one does, software or not, without subgroups.
fn gpu(options: &GpuOptions) -> Rc<Gpu> {
    gpu_that_is(false, &GpuOptions { no_subgroups: true, ..options.clone() })
}

/// With f16, if the machine has it.
fn gpu_with_f16() -> Option<Rc<Gpu>> {
    let gpu = gpu_that_is(false, &GpuOptions::default());
    if !gpu.has_f16 {
        println!("no f16 here");
    }
    gpu.has_f16.then_some(gpu)
}

/// With subgroups, if the machine has them.
fn gpu_with_subgroups() -> Option<Rc<Gpu>> {
    let gpu = gpu_that_is(false, &GpuOptions::default());
    if !gpu.has_subgroups() {
        println!("no subgroups here");
    }
    gpu.has_subgroups().then_some(gpu)
}

fn gpu_that_is(software: bool, options: &GpuOptions) -> Rc<Gpu> {
    let gpu = pollster::block_on(Gpu::open(options));
    let mut gpu = gpu.expect("a GPU: the tests need at least a software Vulkan device");
    gpu.is_software = software;
    Rc::new(gpu)
}

const UNEVEN: &str = r#"{"num_layers":2,"hidden_size":160,"num_attention_heads":2,"qkv_slot_num":100,
    "proj_slot_num":70,"ffn_slot_num":330,"padded_vocab_size":333,"max_position_embeddings":300}"#;

#[test]
fn every_precision_agrees_with_the_reference() {
    let portable = GpuOptions { no_subgroups: true, ..Default::default() };
    let gpus = [true, false].map(|software| gpu_that_is(software, &portable));
    for (gpu, q) in gpus.iter().chain(gpu_with_subgroups().iter()).flat_map(|gpu| Quantization::ALL.map(|q| (gpu, q))) {
        // 150 tokens need two parts of the split attention; 37 and 113 are multiples of nothing.
        pollster::block_on(compare(gpu, &config(UNEVEN), q, 150, 37));
    }
}

#[test]
fn subgroups_agree_with_the_reference() {
    let Some(gpu) = gpu_with_subgroups() else { return };
    for (hidden, heads, slots, activation) in [
        (64, 1, 98, NormActivation::L2NormGelu),
        (192, 2, 900, NormActivation::GeluL2Norm),
        (224, 2, 98, NormActivation::Softmax),
        (1024, 16, 4096, NormActivation::L2NormGelu),
    ] {
        let mut c = config(UNEVEN);
        (c.num_layers, c.norm_activation_type) = (1, activation);
        (c.hidden_size, c.num_attention_heads, c.ffn_slot_num) = (hidden, heads, slots);
        pollster::block_on(compare(&gpu, &c, Quantization::Q4, 21, 18));
    }
}

#[test]
fn scores_agree_with_the_reference() {
    let portable = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let (c, context) = (config(UNEVEN), 150);
    for gpu in [Some(portable), gpu_with_subgroups()].into_iter().flatten() {
        let (mut model, reference) = pollster::block_on(build(&gpu, &c, Quantization::Q8, context));
        let mut reference = ReferenceEngine::new(reference, context);
        let ids = ids(context, c.padded_vocab_size);
        // A whole chunk, of more rows than are made at a time; the end of one; none; and single steps.
        for (count, targets, real_ids) in [(100, 100, 333), (40, 3, 333), (2, 0, 300), (1, 1, 300), (1, 1, 300)] {
            let at = model.len();
            let next = &ids[at + count + 1 - targets..=at + count];
            let step = &ids[at..at + count];
            let got = pollster::block_on(model.score(step, next, real_ids)).expect("scores");
            let want = pollster::block_on(reference.score(step, next, real_ids)).expect("scores");
            assert_eq!((got.len(), model.len()), (targets, at + count));
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                let error = (got.logprob - want.logprob).abs();
                assert!(error < 5e-3, "{count} tokens at {at}, target {i}: {got:?} instead of {want:?}");
            }
        }
        // The best of the real ids is, and nothing else: neither the second best, nor a better one that is not real.
        model.truncate(10);
        let logits = pollster::block_on(model.forward(&ids[10..12], Logits::Last)).expect("logits");
        let mut order: Vec<u32> = (0..333).collect();
        order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
        let best_below = |real: u32| *order.iter().find(|id| **id < real).expect("one");
        for (target, real_ids) in
            [(order[0], 333), (order[1], 333), (order[0], order[0] as usize), (best_below(order[0]), order[0] as usize)]
        {
            model.truncate(10);
            let got = pollster::block_on(model.score(&ids[10..12], &[target], real_ids)).expect("score")[0];
            assert_eq!(got.is_best, target == best_below(real_ids as u32), "{target} of {real_ids}");
        }
    }
}

#[test]
fn head_sizes_and_activations_agree_with_the_reference() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    for (hidden, heads) in [(64, 1), (192, 2), (96, 3), (224, 2)] {
        let mut c = config(UNEVEN);
        (c.hidden_size, c.num_attention_heads) = (hidden, heads);
        for activation in [NormActivation::L2NormGelu, NormActivation::GeluL2Norm, NormActivation::Softmax] {
            c.norm_activation_type = activation;
            pollster::block_on(compare(&gpu, &c, Quantization::Q4, 21, 18));
        }
    }
}

/// A software GPU runs workgroups one after the other: only one can work with values of its own dispatch.
const ALONE: Team = Team { workers: 1, threads: 128, patience: 1 << 10, arithmetic: Arithmetic::F32, subgroups: true };
const PACKED: Team = Team { arithmetic: Arithmetic::Int8, ..ALONE };
const HALF: Team = Team { arithmetic: Arithmetic::F16, ..ALONE };

#[test]
fn workers_agree_with_the_reference() {
    let portable = Some(gpu(&GpuOptions::default()));
    let (subgroups, f16) = (gpu_with_subgroups(), gpu_with_f16());
    let mut uneven = config(UNEVEN);
    uneven.qkv_slot_num = 98;
    // Three slots of activations for each thread, the last of them not for all.
    let long = ModelConfig { ffn_slot_num: 1100, num_layers: 1, ..uneven.clone() };
    let with = |hidden, heads, layers, activation| {
        let mut c = config(UNEVEN);
        (c.num_layers, c.norm_activation_type) = (layers, activation);
        (c.hidden_size, c.num_attention_heads) = (hidden, heads);
        c
    };
    let cases = [
        (&subgroups, uneven.clone(), Quantization::Q4, PACKED),
        (&portable, long.clone(), Quantization::Q4, PACKED),
        (&f16, with(96, 3, 3, NormActivation::GeluL2Norm), Quantization::Q8, HALF),
        // Software GPUs take ten seconds and more to compile each of these.
        (&subgroups, long, Quantization::Q8, PACKED),
        (&portable, uneven.clone(), Quantization::Q4, ALONE),
        (&subgroups, with(96, 3, 3, NormActivation::Softmax), Quantization::Q8, ALONE),
        (&f16, uneven.clone(), Quantization::Q4, Team { subgroups: false, ..HALF }),
        (&subgroups, uneven.clone(), Quantization::Q8, Team { threads: 256, ..ALONE }),
        (&subgroups, uneven, Quantization::F16, ALONE),
        (&subgroups, with(64, 1, 1, NormActivation::L2NormGelu), Quantization::Q4, ALONE),
        (&subgroups, with(192, 2, 2, NormActivation::GeluL2Norm), Quantization::Q4, ALONE),
    ];
    let count = if std::env::var("TOKENFORMER_FULL").is_ok() { cases.len() } else { 3 };
    for (gpu, c, q, team) in cases.into_iter().take(count) {
        // 150 positions are two stretches of the attention, and the first step is alone in the second.
        let Some(gpu) = gpu else { continue };
        pollster::block_on(compare_with(gpu, &c, q, (131, 128), Some(team)));
    }
}

#[test]
fn workers_that_give_up_leave_no_trace() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let options = GenerateOptions {
        max_tokens: 20,
        sampling: SamplingOptions {
            seed: 5,
            logit_bias: vec![(0, -1e4)],
            frequency_penalty: 0.5,
            ..Default::default()
        },
        ..Default::default()
    };
    let complete = |model: &mut Model<GpuModel>, logprobs| {
        let options = GenerateOptions { logprobs, ..options.clone() };
        let prompt = Prompt::Ids(vec![3, 1, 4]);
        let mut g = Generation::start(model, &prompt, options, AbortFlag::default()).expect("options");
        while pollster::block_on(g.next(model)).expect("step").is_some() {}
        g.result().token_ids
    };
    let mut c = config(UNEVEN);
    c.num_layers = 1;
    let (model, _) = pollster::block_on(build(&gpu, &c, Quantization::Q4, 100));
    let mut model = Model::new(model, None).expect("model");
    let wanted = complete(&mut model, 0);
    // Three that wait for each other, one after the other: in a text, with logprobs, and for logits alone.
    let three = Team { workers: 3, patience: 4, ..ALONE };
    for logprobs in [0, 1] {
        assert!(pollster::block_on(model.backend_mut().employ(three)).expect("kernel"));
        model.reset();
        assert_eq!(complete(&mut model, logprobs), wanted);
        assert!(model.backend().workers.is_none());
    }
    let logits = pollster::block_on(model.logits(&[3, 1, 4], &AbortFlag::default())).expect("logits");
    assert!(pollster::block_on(model.backend_mut().employ(three)).expect("kernel"));
    pollster::block_on(model.logits(&[3, 1], &AbortFlag::default())).expect("logits");
    let got = pollster::block_on(model.logits(&[3, 1, 4], &AbortFlag::default())).expect("logits");
    assert!(model.backend().workers.is_none() && relative_error(&got, &logits) < 1e-4);
    // Nor do steps that were voided after the last token that anybody asked for.
    for taken in [1, 2] {
        assert!(pollster::block_on(model.backend_mut().employ(three)).expect("kernel"));
        model.reset();
        let abort = AbortFlag::default();
        let prompt = Prompt::Ids(vec![3, 1, 4]);
        let mut g = Generation::start(&model, &prompt, options.clone(), abort.clone()).expect("options");
        for _ in 0..taken {
            assert!(pollster::block_on(g.next(&mut model)).expect("step").is_some());
        }
        abort.set();
        while pollster::block_on(g.next(&mut model)).expect("end").is_some() {}
        let ids = [&[3, 1, 4], &wanted[..taken], &[9]].concat();
        let got = pollster::block_on(model.logits(&ids, &AbortFlag::default())).expect("logits");
        model.reset();
        let fresh = pollster::block_on(model.logits(&ids, &AbortFlag::default())).expect("logits");
        assert!(relative_error(&got, &fresh) < 1e-4, "after {taken}");
    }
    // Nor does trying them out, and then they are not chosen.
    model.reset();
    pollster::block_on(async {
        let backend = model.backend_mut();
        let remembered = Choice { team: Some(three) };
        let prepared = backend.prepare(Some(remembered), 0).expect("a team").run().await;
        let abort = AbortFlag::default();
        assert_eq!(backend.tune(&prepared, &abort).await.expect("trial"), Some(Choice { team: None }));
        abort.set();
        assert_eq!(backend.tune(&prepared, &abort).await.expect("trial"), None);
        assert_eq!(backend.len(), 0);
    });
    assert_eq!(complete(&mut model, 0), wanted);
}

#[test]
fn long_rows_are_read_in_chunks_or_rounds() {
    let mut c = config(UNEVEN);
    // 3,200 and 6,144 slots: more activations than 16 KiB of workgroup memory hold at a time, and more groups than
    // threads share a row.
    (c.num_layers, c.ffn_slot_num, c.proj_slot_num) = (1, 6144, 3200);
    for default_limits in [true, false] {
        let gpu = gpu(&GpuOptions { default_limits, ..Default::default() });
        pollster::block_on(compare(&gpu, &c, Quantization::Q4, 6, 4));
    }
}

#[test]
fn memory_is_returned() {
    let gpu = gpu(&GpuOptions::default());
    let (model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 32));
    assert!(gpu.memory.bytes() > model.weight_bytes());
    drop(model);
    assert_eq!(gpu.memory.bytes(), 0);
}

#[test]
fn tables_that_no_binding_holds_are_refused() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let mut c = config(UNEVEN);
    (c.num_layers, c.hidden_size, c.num_attention_heads) = (1, 4096, 64);
    for (qkv, ffn) in [(64, 65_536), (32_768, 64)] {
        (c.qkv_slot_num, c.ffn_slot_num) = (qkv, ffn);
        let refused = pollster::block_on(Loading::new(gpu.clone(), c.clone(), Quantization::Q8, None));
        assert_eq!(refused.err().map(|e| e.code), Some(crate::error::ErrorCode::OutOfMemory));
        assert_eq!(gpu.memory.bytes(), 0);
    }
}

#[test]
fn default_limits_suffice_for_the_published_models() {
    // Exactly WebGPU's: bindings of 128 MiB, 8 storage buffers, 16 KiB of workgroup memory, 256 invocations.
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let limits = gpu.device.limits();
    assert_eq!((limits.max_storage_buffer_binding_size, limits.max_storage_buffers_per_shader_stage), (128 << 20, 8));
    let group = (limits.max_compute_workgroup_storage_size, limits.max_compute_invocations_per_workgroup);
    assert_eq!(group, (16 << 10, 256));
    for name in crate::config::PUBLISHED {
        let config = ModelConfig::preset(name).expect("preset");
        let made = async { Loading::new(gpu.clone(), config, Quantization::Q4, None).await?.finish().await };
        let model = pollster::block_on(made).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(model.context_length(), 2048);
    }
    assert_eq!(gpu.memory.bytes(), 0);
}

#[test]
fn too_little_room_for_a_context_says_what_fits() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    // Keys of a layer are 16 KiB per token: bindings hold 8,192 tokens.
    let mut c = config(UNEVEN);
    (c.num_layers, c.hidden_size, c.num_attention_heads) = (1, 8192, 128);
    c.max_position_embeddings = 20_000;
    (c.qkv_slot_num, c.proj_slot_num, c.ffn_slot_num) = (32, 32, 32);
    let new = |length| pollster::block_on(Loading::new(gpu.clone(), c.clone(), Quantization::Q4, Some(length)));
    let refused = new(16_000).err().expect("refused");
    assert_eq!(refused.code, crate::error::ErrorCode::OutOfMemory);
    assert!(refused.hint.contains("contextLength 8000"), "{}", refused.hint);
    assert_eq!(new(8000).map(|loading| loading.context_length()).ok(), Some(8000));
    assert_eq!(gpu.memory.bytes(), 0);
}

#[test]
fn the_self_test_tells_right_from_wrong() {
    let gpu = gpu(&GpuOptions::default());
    let mut wide = config(UNEVEN);
    (wide.num_layers, wide.hidden_size, wide.num_attention_heads) = (2, 192, 2);
    for (c, q, context) in [
        (config(UNEVEN), Quantization::F16, 40),
        (config(UNEVEN), Quantization::Q8, 1),
        (wide, Quantization::Q4, 22),
        (ModelConfig { norm_activation_type: NormActivation::Softmax, ..config(UNEVEN) }, Quantization::Q8, 64),
    ] {
        let (mut model, _) = pollster::block_on(build(&gpu, &c, q, context));
        assert!(pollster::block_on(model.verify()).expect("a right GPU"), "and the model tells");
        assert_eq!((model.len(), model.notes()), (0, Vec::new()));
    }
    let (mut model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 40));
    let angles = &model.scratch.angles.buffer;
    model.gpu.queue.write_buffer(angles, 0, &vec![0; angles.size() as usize]);
    let e = pollster::block_on(model.verify()).expect_err("queries and keys are zeros");
    assert_eq!(e.code, crate::error::ErrorCode::WebgpuUnavailable);
    assert_eq!(model.notes().len(), usize::from(gpu.forgone().is_some()));
}

#[test]
fn the_self_test_does_not_blame_the_gpu_for_a_model() {
    let gpu = gpu(&GpuOptions::default());
    let c = config(UNEVEN);
    // Zeros; scales and vectors of the final LayerNorm that are too large for what is made of them.
    for (q, byte) in [(Quantization::Q4, 0), (Quantization::Q8, 0), (Quantization::F16, 0), (Quantization::F16, 0x7b)] {
        let loading = pollster::block_on(Loading::new(gpu.clone(), c.clone(), q, Some(30))).expect("room");
        for (id, region, bytes) in &RandomModel::new(&c, q, 7).regions {
            loading.weights.write(&gpu, *id, *region, 0, &vec![byte; bytes.len()]).expect("write");
        }
        let mut model = pollster::block_on(loading.finish()).expect("model");
        let tells = pollster::block_on(model.verify()).expect("nothing is wrong with this GPU");
        assert!(!tells, "{q:?} of {byte:#x}");
        assert!(gpu.forgone().is_none(), "subgroups are not to blame either");
    }
}

#[test]
fn a_context_of_one_token_gives_logits() {
    let gpu = gpu(&GpuOptions::default());
    let (mut model, mut reference) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 1));
    let h = reference.forward(&[9], false).expect("reference").last;
    let got = pollster::block_on(model.forward(&[9], Logits::Last)).expect("step");
    assert!(relative_error(&got, &reference.logits(&h)) < TOLERANCE);
}

#[test]
fn impossible_steps_are_errors() {
    let gpu = gpu(&GpuOptions::default());
    let (mut model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 8));
    for bad in [&[][..], &[1; 9], &[1; 300]] {
        assert!(pollster::block_on(model.forward(bad, Logits::Last)).is_err());
        assert_eq!(model.len(), 0);
    }
    let too_long = Loading::new(gpu.clone(), config(UNEVEN), Quantization::Q8, Some(301));
    assert!(pollster::block_on(too_long).is_err());
}

/// Tokens that the GPU chooses, and at how many of these steps the host's sampler, given the same logits and the
/// same tokens before, would have chosen otherwise.
async fn choose(
    model: &mut Model<GpuModel>,
    sampling: &SamplingOptions,
    prompt: &[u32],
    n: usize,
) -> (Vec<u32>, usize) {
    let options = GenerateOptions { max_tokens: n, sampling: sampling.clone(), ..Default::default() };
    let abort = AbortFlag::default();
    model.reset();
    let mut generation =
        Generation::start(model, &Prompt::Ids(prompt.to_vec()), options, abort.clone()).expect("options");
    while generation.next(model).await.expect("step").is_some() {}
    let tokens = generation.result().token_ids;
    let mut sampler = Sampler::new(sampling.clone(), prompt, model.real_ids());
    let mut ids = prompt.to_vec();
    let mut otherwise = 0;
    for token in &tokens {
        let logits = model.logits(&ids, &abort).await.expect("logits");
        otherwise += usize::from(sampler.would_choose(&logits) != *token);
        sampler.note(*token);
        ids.push(*token);
    }
    (tokens, otherwise)
}

#[test]
fn tokens_are_chosen_as_the_host_would() {
    const STEPS: usize = 16;
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let mut c = config(UNEVEN);
    (c.num_layers, c.padded_vocab_size) = (1, 2777);
    let (model, _) = pollster::block_on(build(&gpu, &c, Quantization::Q8, 200));
    let mut model = Model::new(model, None).expect("model");
    let prompt = ids(5, 2777);
    // Id 0 would end a completion.
    let base =
        SamplingOptions { temperature: 1.0, top_p: 1.0, seed: 77, logit_bias: vec![(0, -1e4)], ..Default::default() };
    let cases = [
        SamplingOptions { temperature: 0.0, ..base.clone() },
        base.clone(),
        SamplingOptions { temperature: 0.3, seed: (1 << 52) + 3, ..base.clone() },
        SamplingOptions { top_k: 1, temperature: 5.0, ..base.clone() },
        SamplingOptions { top_k: 7, ..base.clone() },
        SamplingOptions { top_k: 1000, temperature: 3.0, ..base.clone() },
        SamplingOptions { top_p: 0.9, ..base.clone() },
        SamplingOptions { top_p: 1e-6, ..base.clone() },
        SamplingOptions { top_p: 0.9999, temperature: 50.0, ..base.clone() },
        SamplingOptions { min_p: 0.2, ..base.clone() },
        SamplingOptions { top_k: 40, top_p: 0.8, min_p: 0.01, temperature: 2.0, ..base.clone() },
        SamplingOptions { repetition_penalty: 1.3, presence_penalty: 0.5, frequency_penalty: 0.4, ..base.clone() },
        SamplingOptions { temperature: 0.0, repetition_penalty: 1.5, frequency_penalty: 2.0, ..base.clone() },
        SamplingOptions { logit_bias: vec![(0, -1e4), (12, 30.0), (13, 30.0)], ..base.clone() },
        SamplingOptions { first: Some((0..2777).map(|id| id % 9 == 1).collect()), top_p: 0.5, ..base.clone() },
    ];
    let (mut steps, mut differing) = (0, 0);
    for sampling in cases {
        let (tokens, otherwise) = pollster::block_on(choose(&mut model, &sampling, &prompt, STEPS));
        assert_eq!(tokens.len(), STEPS, "{sampling:?}");
        assert!(otherwise == 0 || sampling.temperature > 0.0, "greedy is exact: {sampling:?}");
        assert!(otherwise <= 1, "{otherwise} of {STEPS} differ: {sampling:?}");
        (steps, differing) = (steps + STEPS, differing + otherwise);
        // Without steps ahead (logprobs need every step's logits), and again: the same tokens.
        for logprobs in [1, 0] {
            let options =
                GenerateOptions { max_tokens: STEPS, sampling: sampling.clone(), logprobs, ..Default::default() };
            model.reset();
            let prompt = Prompt::Ids(prompt.clone());
            let mut g = Generation::start(&model, &prompt, options, AbortFlag::default()).expect("options");
            while let Some(chunk) = pollster::block_on(g.next(&mut model)).expect("step") {
                assert_eq!(chunk.logprob.is_some(), logprobs > 0);
            }
            assert_eq!(g.result().token_ids, tokens, "{sampling:?} with logprobs {logprobs}");
        }
    }
    // Logarithms are rounded otherwise on a GPU: once in a while two tokens are as good as each other.
    assert!(differing * 100 <= steps, "{differing} of {steps} steps differ");
}

#[test]
fn steps_that_were_too_many_leave_no_trace() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let (model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q4, 100));
    let mut model = Model::new(model, None).expect("model");
    let sampling =
        SamplingOptions { seed: 5, logit_bias: vec![(0, -1e4)], frequency_penalty: 0.5, ..Default::default() };
    let complete = |model: &mut Model<GpuModel>, prompt: &[u32], max_tokens: usize, leave_after: usize| {
        let options = GenerateOptions { max_tokens, sampling: sampling.clone(), ..Default::default() };
        let abort = AbortFlag::default();
        let mut g = Generation::start(model, &Prompt::Ids(prompt.to_vec()), options, abort.clone()).expect("options");
        for _ in 0..leave_after {
            if pollster::block_on(g.next(model)).expect("step").is_none() {
                break;
            }
        }
        abort.set();
        while pollster::block_on(g.next(model)).expect("end").is_some() {}
        g.result().token_ids
    };
    let whole = complete(&mut model, &[3, 1, 4], 60, 100);
    assert_eq!(whole.len(), 60);
    for leave_after in [1, 2, 31] {
        model.reset();
        let part = complete(&mut model, &[3, 1, 4], 60, leave_after);
        assert_eq!(part, whole[..leave_after]);
        // The cache goes on being used, and holds what it should.
        let again = complete(&mut model, &[3, 1, 4], 60, 100);
        assert_eq!(again.len(), 60);
        let fresh = {
            model.reset();
            complete(&mut model, &[3, 1, 4], 60, 100)
        };
        assert_eq!(fresh, whole);
    }
    // A full context ends it, however many steps are ahead.
    model.reset();
    assert_eq!(complete(&mut model, &[3, 1, 4], 1000, 1000).len(), 97);
}

#[test]
fn a_space_at_the_end_of_a_prompt_is_left_to_the_first_token() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let (model, _) = pollster::block_on(build(&gpu, &healing::config(), Quantization::Q8, 64));
    let mut model = healing::with_tokenizer(model);
    healing::check(&mut model);
    // What the GPU draws from.
    let sampling = SamplingOptions { temperature: 0.8, top_p: 1.0, ..Default::default() };
    healing::write(&mut model, &sampling, 0);
    let adjusted = {
        let model = model.backend();
        let source = &model.scratch.choose.adjusted;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = GpuBuffer::new(&gpu, "test", source.buffer.size(), usage);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&source.buffer, 0, &staging.buffer, 0, source.buffer.size());
        gpu.queue.submit([encoder.finish()]);
        pollster::block_on(gpu.read::<f32>(&staging.buffer, source.buffer.size())).expect("values")
    };
    let weights: Vec<f64> = adjusted.iter().map(|x| f64::from(*x).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let want = healing::wanted_distribution(&mut model, 0.8);
    for (id, (weight, p)) in weights.iter().zip(want).enumerate() {
        assert!((weight / sum - p).abs() < 1e-5 * p.max(1e-3), "token {id}: {} for {p}", weight / sum);
    }
}
