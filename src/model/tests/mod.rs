//! The whole model on a real (if need be, software) GPU against the CPU reference, on shapes that are
//! not round numbers. Weights are random, so every dispatch contributes.

mod agreement;
mod choosing;
mod conformance;
mod inspect;
mod packs;
mod persistent;
mod room;
mod self_test;
mod several;
mod shared;
mod training;

use super::gpu_model::GpuModel;
use super::kernels::layers::Team;
use super::loading::Loading;
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::random::{Random, RandomModel};
use crate::config::{ModelConfig, PartialConfig};
use crate::engine::{Backend, Logits, ScoredText};
use crate::gpu::{Gpu, GpuOptions};
use crate::reference::Reference;
use std::rc::Rc;

/// Relative error (L2 over one position's logits) that the GPU may have against the reference on the
/// same tables: keys and values are rounded to f16 by both, after sums in another order.
const TOLERANCE: f64 = 2e-3;

/// Whether `scripts/test full` runs: every case.
fn is_full() -> bool {
    std::env::var("TOKENFORMER_FULL").is_ok()
}

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

/// The same with decode steps that a team runs in one dispatch.
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
    assert_eq!(model.persistent.as_ref().map(|w| w.team), team, "a workgroup timed out");
    // Again from the middle, overwriting what the steps left in the cache.
    model.truncate(1);
    let got = model.forward(&ids[1..prefill], Logits::Last).await.expect("prefill after truncation");
    check("prefill after truncation", prefill - 1, &got);
    drop(model);
}

/// A GPU that shares out work as a real one does, software or not, without subgroups.
fn gpu(options: &GpuOptions) -> Rc<Gpu> {
    gpu_that_is(false, &GpuOptions { no_subgroups: true, ..options.clone() })
}

/// The same for the products of a prompt, which are made of bytes.
fn gpu_with_bytes(options: &GpuOptions) -> Rc<Gpu> {
    let mut gpu = pollster::block_on(Gpu::open(options)).expect("a GPU");
    (gpu.is_software, gpu.vendor) = (false, "nvidia".into());
    assert!(gpu.multiplies_bytes());
    Rc::new(gpu)
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
